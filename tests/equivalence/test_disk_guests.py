"""Guests that drive devices with media: the same bare and in rings 1 and 3, disks included."""

from __future__ import annotations

import struct

import pytest

from hypervisor.bare import Bare
from hypervisor.comparison import same_state
from hypervisor.ring_compression.technique import RingCompression
from hypervisor.technique import StopReason, Technique
from isa.devices.configuration import Configuration, Disk
from isa.devices.disk_image import MemoryImage
from tests.hypervisor.small_guests import RAM_BYTES, guest

pytestmark = pytest.mark.compiled

BUDGET = 500_000
DISK = Disk(MemoryImage(b"".join(struct.pack("<I", number) * 128 for number in range(200))))
CONFIGURATION = Configuration(disks=(DISK, None, DISK))

# What kernels have: wait for a bit of the status, and give a command.
DRIVER = """
    wait_ready:
        mov edx, 0x1F7
    .again:
        in al, dx
        and al, 0xC0
        cmp al, 0x40
        jne .again
        ret
    wait_data:
        mov edx, 0x1F7
    .again:
        in al, dx
        test al, 0x80
        jnz .again
        test al, 8
        jz .again
        ret
    command:                                ; AL command, BL count, ECX sector
        push eax
        call wait_ready
        mov edx, 0x1F2
        mov al, bl
        out dx, al
        mov eax, ecx
        inc edx
        out dx, al
        shr eax, 8
        inc edx
        out dx, al
        shr eax, 8
        inc edx
        out dx, al
        shr eax, 8
        or al, 0xE0
        inc edx
        out dx, al
        pop eax
        inc edx
        out dx, al
        ret
"""


def run_both(body: str) -> list[Technique]:
    """A guest under both techniques, which must end in the same state with the same disks."""
    machines: list[Technique] = [
        Bare(RAM_BYTES, devices=CONFIGURATION),
        RingCompression(RAM_BYTES, devices=CONFIGURATION),
    ]
    for machine in machines:
        machine.boot(guest(body))
        stop = machine.run(BUDGET)
        assert stop.reason is StopReason.EXIT, stop
    bare, ring = machines
    assert same_state(bare.snapshot(), ring.snapshot())
    assert bare.platform.save().devices == ring.platform.save().devices
    return machines


@pytest.mark.parametrize(
    ("access", "count"), [("insd", 128), ("insw", 256), ("insb", 512)], ids=("4", "2", "1")
)
def test_a_guest_that_polls(access: str, count: int) -> None:
    machines = run_both(f"""
        mov ecx, 77
        mov bl, 2
        mov al, 0x20
        call command
        mov edi, SCRATCH
        mov ebx, 2
    .sector:
        call wait_data
        mov ecx, {count}
        mov edx, 0x1F0
        rep {access}
        dec ebx
        jnz .sector
        call wait_ready
        ret
        {DRIVER}
    """)
    for machine in machines:
        expected = struct.pack("<I", 77) * 128 + struct.pack("<I", 78) * 128
        assert machine.read_memory(0x1D0000, 1024) == expected


@pytest.mark.parametrize(("access", "count"), [("outsd", 128), ("outsw", 256)], ids=("4", "2"))
def test_a_guest_that_writes_without_waiting(access: str, count: int) -> None:
    """As small kernels do: the data follow the command at once."""
    machines = run_both(f"""
        mov ecx, 9
        mov bl, 1
        mov al, 0x30
        call command
        mov esi, start
        mov ecx, {count}
        mov edx, 0x1F0
        rep {access}
        call wait_ready
        mov al, 0xE7
        mov ecx, 9
        call command
        call wait_ready
        ret
        {DRIVER}
    """)
    for machine in machines:
        medium = machine.platform.media[0]
        assert medium is not None
        assert medium.read(9, 1) == machine.read_memory(0x100000, 512)
        assert DISK.image.read(9, 1) == struct.pack("<I", 9) * 128


def test_a_guest_that_waits_for_the_interrupt() -> None:
    machines = run_both(f"""
        mov word [IDT + 0x2E * 8], disk_interrupt
        mov dword [IDT + 0x2E * 8 + 2], KERNEL_CODE
        mov dword [IDT + 0x2E * 8 + 4], disk_interrupt
        mov word [IDT + 0x2E * 8 + 4], 0x8E00
        mov al, 0x11
        out 0x20, al
        out 0xA0, al
        mov al, 0x20
        out 0x21, al
        mov al, 0x28
        out 0xA1, al
        mov al, 4
        out 0x21, al
        mov al, 2
        out 0xA1, al
        mov al, 1
        out 0x21, al
        out 0xA1, al
        mov al, 0xFB
        out 0x21, al
        mov al, 0xBF
        out 0xA1, al
        mov edi, SCRATCH + 16
        mov ecx, 100
        mov bl, 4
        mov al, 0x20
        call command
    .wait:
        sti
        hlt
        cli
        cmp dword [SCRATCH], 4
        jb .wait
        ret
    disk_interrupt:
        pushad
        mov edx, 0x1F7
        in al, dx
        mov edx, 0x1F0
        mov ecx, 128
        mov edi, [SCRATCH]
        shl edi, 9
        add edi, SCRATCH + 16
        rep insd
        inc dword [SCRATCH]
        mov al, 0x20
        out 0xA0, al
        out 0x20, al
        popad
        iret
        {DRIVER}
    """)
    for machine in machines:
        read = machine.read_memory(0x1D0010, 4 * 512)
        assert read == b"".join(struct.pack("<I", number) * 128 for number in range(100, 104))
