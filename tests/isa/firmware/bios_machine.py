"""A machine that has booted its BIOS, for tests of its services in assembly.

The boot sector of the first disk parks; a test then loads 16-bit code at 0000:8000, runs it to its
end and looks at registers and memory. Every machine starts from POST, so
no test sees what another has left.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypervisor.bare import Bare
from hypervisor.technique import StopReason
from isa import state
from isa.boot import BootImage
from isa.devices.configuration import Configuration, Disk
from isa.devices.disk_image import Image, MemoryImage
from isa.firmware.rom import RESET_OFFSET, RESET_SELECTOR
from isa.registers import CS, EBP, EBX, ECX, EDI, EDX, ESI, ESP
from tools.assembler import assemble_text

RAM_BYTES = 24 << 20
CODE, DATA, STACK = 0x8000, 0x9000, 0x7C00
SECTOR = 512
PARKED = bytes.fromhex("eb fe").ljust(510, b"\0") + b"\x55\xaa"  # jmp $
REGISTERS = {"ax": 0, "bx": EBX, "cx": ECX, "dx": EDX, "si": ESI, "di": EDI, "bp": EBP, "sp": ESP}
CARRY, ZERO = 0x001, 0x040
BUDGET = 30_000_000


def disk(sectors: int = 2016) -> bytes:
    """A disk that parks when booted; every other sector begins with its number."""
    parts = [PARKED]
    parts += [number.to_bytes(4, "little") * (SECTOR // 4) for number in range(1, sectors)]
    return b"".join(parts)


class BiosMachine:
    """A machine behind POST."""

    def __init__(
        self,
        disks: Sequence[bytes] = (PARKED,),
        *,
        images: Sequence[Image | None] = (),
        ram_bytes: int = RAM_BYTES,
    ) -> None:
        """Boot it from the first of its disks: contents, or images where they are special."""
        self._start(disks, images, ram_bytes)
        self.run_to_boot_sector()

    @classmethod
    def started(cls, disks: Sequence[bytes]) -> BiosMachine:
        """A machine before its first instruction."""
        made = cls.__new__(cls)
        made._start(disks, (), RAM_BYTES)
        return made

    def _start(
        self, disks: Sequence[bytes], images: Sequence[Image | None], ram_bytes: int
    ) -> None:
        chosen = images or [MemoryImage(data) for data in disks]
        drives = tuple(None if image is None else Disk(image) for image in chosen)
        devices = Configuration(disks=drives)
        self.machine = Bare(ram_bytes, devices=devices)
        self.machine.boot(
            BootImage(
                name="bios",
                segments=(),
                entry=RESET_OFFSET,
                eax=0,
                ebx=0,
                esp=0,
                protected=False,
                symbols=None,
                source="bios",
                code_selector=RESET_SELECTOR,
                devices=devices,
            )
        )
        self.symbols: dict[str, int] = {}

    def run_to_boot_sector(self) -> None:
        """Run until the boot sector is the next to execute."""
        while not (self.selector(CS) == 0 and 0x7C00 <= self.machine.snapshot_eip() < 0x7E00):
            stop = self.machine.run(self.machine.guest_instructions + 500)
            assert stop.reason is StopReason.BUDGET, stop
            assert self.machine.guest_instructions < BUDGET

    def call(self, source: str) -> None:
        """Run code at 0000:8000 to its end; it may fall off."""
        self.load(source)
        self.run_to(self.symbols["finished"])

    def load(self, source: str) -> None:
        """Make code at 0000:8000 the next to execute."""
        program = f"bits 16\norg {CODE:#x}\nDATA equ {DATA:#x}\nsti\n{source}\n"
        program += "pushf\npop word [cs:0x7E00]\nfinished: jmp $\n"
        assembly = assemble_text(program)
        self.symbols = dict(assembly.symbols)
        processor = self.machine.processor
        processor.write_physical(CODE, assembly.bytes)
        processor.cpu[state.SELECTOR + CS] = 0
        processor.cpu[state.BASE + CS] = 0
        processor.eip = CODE
        processor.halted = 0

    def run_to(self, address: int, slice_instructions: int = 1000) -> None:
        """Run until the instruction at 0000:address is the next."""
        end = self.machine.guest_instructions + BUDGET
        while self.selector(CS) or self.machine.snapshot_eip() != address:
            stop = self.machine.run(self.machine.guest_instructions + slice_instructions)
            assert stop.reason is StopReason.BUDGET, stop
            assert self.machine.guest_instructions < end, "the program does not end"
            slice_instructions = min(2 * slice_instructions, 1_000_000)

    def __getattr__(self, name: str) -> int:
        """A register by name: ax, ah, al, eax, …"""
        registers = self.machine.processor.gpr
        if name in REGISTERS:
            return int(registers[REGISTERS[name]]) & 0xFFFF
        if name[:1] == "e" and name[1:] in REGISTERS:
            return int(registers[REGISTERS[name[1:]]]) & 0xFFFFFFFF
        if name[1:] in ("h", "l") and f"{name[0]}x" in REGISTERS:
            return int(registers[REGISTERS[f"{name[0]}x"]]) >> (8 if name[1] == "h" else 0) & 0xFF
        raise AttributeError(name)

    def selector(self, segment: int) -> int:
        """A segment register."""
        return int(self.machine.processor.segment(segment).selector)

    @property
    def carry(self) -> bool:
        """CF as the service left it."""
        return bool(self.word(0x7E00) & CARRY)

    @property
    def zero(self) -> bool:
        """ZF as the service left it."""
        return bool(self.word(0x7E00) & ZERO)

    def byte(self, address: int) -> int:
        """A byte of memory."""
        return self.machine.read_memory(address, 1)[0]

    def word(self, address: int) -> int:
        """A word of memory."""
        return int.from_bytes(self.machine.read_memory(address, 2), "little")

    def dword(self, address: int) -> int:
        """A doubleword of memory."""
        return int.from_bytes(self.machine.read_memory(address, 4), "little")

    def write(self, address: int, data: bytes) -> None:
        """Store to memory."""
        self.machine.processor.write_physical(address, data)

    def row(self, number: int) -> str:
        """A row of the screen without the spaces at its end."""
        return self.machine.screen.splitlines()[number].rstrip()

    def attribute(self, row: int, column: int) -> int:
        """An attribute of the first page of 80 columns."""
        return self.byte(0xB8000 + 2 * (80 * row + column) + 1)
