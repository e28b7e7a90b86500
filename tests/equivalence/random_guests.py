"""Random guests: short pieces of kernel and user code in random order, with faults and interrupts.

Each piece may fault; then the kernel logs the fault and goes on with the next piece. Guests keep
two rules that silicon does not enforce: whoever changes a live page-table entry invalidates it,
and nobody looks through the holes that ring compression has (test_holes.py).
"""

from __future__ import annotations

import random

PLAYGROUND = 0x1E0000  # sixteen pages whose mapping changes; some wander over the others' frames


class Writer:
    """Writes the source of one guest."""

    def __init__(self, seed: int) -> None:
        self.chosen = random.Random(seed)
        self.pieces = 0

    # --- values --------------------------------------------------------------------------------

    def address(self) -> str:
        """A linear address of an access: mostly the playground, sometimes far away."""
        pick = self.chosen.random()
        if pick < 0.75:
            page = self.chosen.randrange(16)
            offset = self.chosen.choice([0, 4, 0x800, 0xFF8, 0xFFC, 0xFFE])
            return f"{PLAYGROUND + page * 4096 + offset:#x}"
        return self.chosen.choice(
            ["SCRATCH", "0x80000000", "0xA0000010", "0xFFC00010", "0xFFFFFFFC", "0x300000", "gdt"]
        )

    def rights(self) -> int:
        """Bits of a page-table entry."""
        chosen = self.chosen
        bits = 0 if chosen.random() < 0.15 else 1
        return bits | chosen.choice([0, 2, 2]) | chosen.choice([0, 4, 4]) | chosen.choice([0, 0x60])

    def frame(self) -> int:
        """A frame that a playground page may lead to."""
        return self.chosen.choice([0x1D0, 0x1D1, 0x1D2, 0x1E0, 0x1E1, 0x1E2, 0x192, 0x300, 0xA0000])

    # --- pieces --------------------------------------------------------------------------------

    def access(self) -> str:
        """Touch memory in some way."""
        at = self.address()
        return self.chosen.choice(
            [
                f"mov eax, [{at}]",
                f"mov [{at}], esi",
                f"add dword [{at}], 3",
                f"xchg [{at}], ebx",
                f"mov byte [{at}], 0x5A",
                f"push dword [{at}]\n pop ecx",
                f"mov edi, {at}\n mov ecx, 5\n mov eax, 0x33\n rep stosd",
                f"mov esi, {at}\n mov edi, SCRATCH\n mov ecx, 3\n rep movsd",
                f"cmp byte [{at}], 7\n setc [SCRATCH + 64]",
                f"inc word [{at}]",
            ]
        )

    def remap(self) -> str:
        """Change a page-table entry and invalidate the page."""
        page = self.chosen.randrange(16)
        value = self.frame() << 12 | self.rights()
        gva = PLAYGROUND + page * 4096
        return f"mov dword [TABLE + {0x1E0 + page} * 4], {value:#x}\n invlpg [{gva:#x}]"

    def switch(self) -> str:
        """Change control registers."""
        return self.chosen.choice(
            [
                "mov eax, cr3\n mov cr3, eax",
                "mov eax, cr0\n xor eax, CR0_WP\n mov cr0, eax",
                "mov eax, cr4\n xor eax, 0x10\n mov cr4, eax",
                "mov eax, cr0\n xor eax, CR0_PG\n mov cr0, eax",
                "mov eax, DIRECTORY2\n mov cr3, eax",
                "mov eax, DIRECTORY\n mov cr3, eax",
                "mov eax, cr2\n mov [SCRATCH + 8], eax",
                "mov eax, cr0\n xor eax, 8\n mov cr0, eax\n clts",
            ]
        )

    def directory(self) -> str:
        """Change a directory entry and load CR3."""
        entry = self.chosen.choice(
            [
                "TABLE | PRESENT | WRITABLE | USER",
                "DIRECTORY | PRESENT | WRITABLE",
                "TABLE | PRESENT | USER",
                "PRESENT | WRITABLE | USER | 0x80",
                "0",
            ]
        )
        # Not at 1023 if it maps the directory: other pieces write there.
        top = 1022 if entry.startswith("DIRECTORY") else self.chosen.choice([1, 2, 1022, 1023])
        far = top << 22 | self.chosen.choice([0x1E0000, 0x1D0010, 0x780])
        return (
            f"mov dword [DIRECTORY + {top} * 4], {entry}\n mov eax, cr3\n mov cr3, eax\n"
            f" mov ebx, [{far:#x}]\n mov [{far:#x}], ebx"
        )

    def segments(self) -> str:
        """Load segments, change descriptors."""
        register = self.chosen.choice(["ds", "es", "fs", "gs"])
        selector = self.chosen.choice(
            ["KERNEL_DATA", "USER_DATA", "USER_CODE", "0", "FREE_SEL", "FREE_SEL + 8", "0x0FF8"]
        )
        low, high = self.chosen.choice(
            [
                ("0xFFFF", "0xCF9200"),
                ("0xFFFF", "0xCF1200"),
                ("0xFFF", "0x409200"),
                ("0xFFFF", "0xCFF300"),
                ("0xFFFF", "0xCF9800"),
                ("0xFFFF", "0x8F9200"),
                ("0", "0"),
            ]
        )
        return self.chosen.choice(
            [
                f"mov eax, {selector}\n mov {register}, ax\n mov ebx, [{register}:SCRATCH]",
                f"push dword {selector}\n pop {register}",
                f"mov dword [gdt_free], {low}\n mov dword [gdt_free + 4], {high}",
                f"mov dword [gdt_free + 8], {low}\n mov dword [gdt_free + 12], {high}",
                "mov eax, KERNEL_DATA\n mov ss, ax",
                "lgdt [gdt_pointer]",
                "jmp KERNEL_CODE:$ + 7",
            ]
        )

    def interrupts(self) -> str:
        """Interrupt flag, ports, time."""
        return self.chosen.choice(
            [
                "cli",
                "sti",
                "sti\n hlt\n cli",
                "cli\n nop\n sti\n nop",
                "in al, 0x61\n mov [SCRATCH + 12], al",
                "mov al, 0x41\n out 0xE9, al",
                "mov edi, SCRATCH + 32\n mov ecx, 4\n mov edx, 0x61\n rep insb",
                "rdtsc\n mov [SCRATCH + 16], eax",
                "mov ecx, 40\n.w@: loop .w@",
                "int 0x30",
                "ud2",
                "int 3",
                "xor ecx, ecx\n div ecx",
            ]
        )

    def task(self) -> str:
        """Some code at ring 3."""
        count = self.chosen.randrange(1, 5)
        body = "\n".join(self._task_piece() for _ in range(count))
        flags = self.chosen.choice(["0x202", "0x202", "0x3202", "0x002"])
        return f"mov dword [user_flags], {flags}\n user_at .u@\n.u@:\n{body}\n int 0x40"

    def _task_piece(self) -> str:
        return self.chosen.choice(
            [
                self.access(),
                self.access(),
                "cli",
                "sti",
                "in al, 0x61",
                "mov eax, cr0",
                "mov eax, USER_DATA\n mov es, ax",
                "xor eax, eax\n mov fs, ax\n mov ebx, [fs:0]",
                "mov ecx, 30\n.l@: loop .l@",
                "push eax\n pop edx",
                "int 3",
                "hlt",
            ]
        )

    def piece(self) -> str:
        """One piece, with the place where execution goes on if it faults."""
        kinds = [self.access] * 5 + [self.remap] * 4 + [self.task] * 2
        kinds += [self.switch, self.directory, self.segments, self.interrupts, self.interrupts]
        self.pieces += 1
        body = self._numbered(self.chosen.choice(kinds)())
        return f"    resume_at .n{self.pieces}\n {body}\n.n{self.pieces}:"

    def _numbered(self, body: str) -> str:
        """Local labels of a piece are made unique, each `@` of one name by the same number."""
        lines = []
        number = 0
        for line in body.split("\n"):
            if "@:" in line:
                number += 1
                lines.append(line.replace("@", f"{self.pieces}_{number}"))
            elif "user_at" in line:
                lines.append(line.replace("@", f"{self.pieces}_1"))
            else:
                lines.append(line)
        return "\n".join(lines)


def random_guest(seed: int, pieces: int) -> str:
    """The body of a guest for tests.hypervisor.small_guests."""
    writer = Writer(seed)
    period = writer.chosen.choice([3, 11, 40, 200])
    parts = "\n".join(writer.piece() for _ in range(pieces))
    return f"""
DIRECTORY2 equ 0x001DF000
    call paging_on
    mov dword [DIRECTORY2], TABLE | PRESENT | WRITABLE | USER
    mov ecx, {period}
    call timer_on
{parts}
    cli
    mov eax, DIRECTORY
    mov cr3, eax
"""
