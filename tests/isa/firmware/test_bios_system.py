"""INT 11h, 12h, 14h, 15h, 17h, 18h, 19h, exceptions, and how a boot sector finds the machine.

Sources: IBM PC/AT Technical Reference, "ROM BIOS"; ACPI Specification, "INT 15H, E820H"; Ralf
Brown's Interrupt List for E801h and 24h.
"""

from __future__ import annotations

import struct

import pytest

from hypervisor.technique import StopReason
from isa.firmware.data_areas import BDA_BYTES, BDA_GPA, data_areas
from isa.firmware.memory_map import lower_kib, memory_map
from isa.registers import CS
from tests.isa.firmware.bios_machine import PARKED, BiosMachine

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

MIB = 1 << 20
DATA = 0x9000


@pytest.fixture
def bios() -> BiosMachine:
    return BiosMachine()


def test_what_a_boot_sector_finds(bios):
    assert (bios.eax, bios.ebx, bios.ecx, bios.edx) == (0xAA55, 0, 0, 0x80)
    assert (bios.esi, bios.edi, bios.ebp, bios.esp) == (0, 0, 0, 0x7C00)
    assert [bios.selector(number) for number in range(4)] == [0, 0, 0, 0]
    assert bios.machine.processor.eflags & 0x200
    assert bios.machine.read_memory(0x7C00, 512) == PARKED
    assert bios.machine.platform.a20_is_open


def test_every_vector_points_somewhere(bios):
    for vector in range(256):
        offset, segment = bios.word(4 * vector), bios.word(4 * vector + 2)
        if vector in (0x1D, 0x46):  # tables that there are not
            continue
        at = (segment << 4) + offset
        assert 0x9FC00 <= at < MIB, f"vector {vector:#x} points to {at:#x}"


def test_direct_boots_find_the_data_that_power_on_leaves(bios):
    """Other than what depends on drives, on time, and on what has run."""
    areas = dict(data_areas())
    left = bios.machine.read_memory(BDA_GPA, BDA_BYTES)
    differ = {at for at in range(BDA_BYTES) if left[at] != areas[BDA_GPA][at]}
    assert differ <= {0x41, 0x6C, 0x6D, 0x74, 0x75, 0x8E}
    vectors = bios.machine.read_memory(0, 1024)
    differ = {at // 4 for at in range(1024) if vectors[at] != areas[0][at]}
    assert differ <= {0x41}


def test_equipment_and_memory(bios):
    bios.call("int 0x11")
    assert bios.ax == 2 << 9 | 0x20  # two serial ports, 80 columns in colour
    bios.call("int 0x12")
    assert bios.ax == lower_kib(24 * MIB) == 639


# --- memory ------------------------------------------------------------------------------------


def read_map(bios: BiosMachine) -> list[tuple[int, int, int]]:
    """The memory map as a kernel collects it."""
    bios.call(
        "xor ebx, ebx\nmov di, DATA\nxor bp, bp\n"
        "next: mov eax, 0xE820\nmov edx, 0x534D4150\nmov ecx, 24\nint 0x15\njc done\n"
        "cmp eax, 0x534D4150\njne done\ncmp ecx, 20\njne done\nadd di, 20\ninc bp\n"
        "test ebx, ebx\njnz next\ndone:"
    )
    data = bios.machine.read_memory(DATA, 20 * bios.bp)
    return [(first, size, kind) for first, size, kind in struct.iter_unpack("<QQI", data)]


@pytest.mark.parametrize("mebibytes", [2, 15, 16, 17, 64, 100])
def test_the_memory_map(mebibytes):
    bios = BiosMachine(ram_bytes=mebibytes * MIB)
    expected = [(part.first, part.size, int(part.kind)) for part in memory_map(mebibytes * MIB)]
    assert read_map(bios) == expected
    bios.call("mov ax, 0xE801\nint 0x15")
    low = min(mebibytes - 1, 15) * 1024
    assert (bios.ax, bios.cx) == (low, low)
    assert bios.bx == bios.dx == max(mebibytes - 16, 0) * 16
    bios.call("mov ah, 0x88\nint 0x15")
    assert bios.ax == min((mebibytes - 1) * 1024, 63 * 1024)


@pytest.mark.parametrize(
    "registers",
    [
        "mov edx, 0\nmov ecx, 20\nxor ebx, ebx",
        "mov edx, 0x534D4150\nmov ecx, 19\nxor ebx, ebx",
        "mov edx, 0x534D4150\nmov ecx, 20\nmov ebx, 5",
        "mov edx, 0x534D4150\nmov ecx, 20\nmov ebx, 0x10000",
    ],
)
def test_wrong_questions_for_the_map(bios, registers):
    bios.call(f"mov eax, 0xE820\n{registers}\nmov di, DATA\nint 0x15")
    assert (bios.carry, bios.ah) == (True, 0x86)


def test_address_line_20(bios):
    def is_open() -> bool:
        bios.call("mov ax, 0x2402\nint 0x15")
        assert (bios.carry, bios.ah) == (False, 0)
        assert bios.al == int(bios.machine.platform.a20_is_open)
        return bool(bios.al)

    assert is_open()
    bios.call("mov ax, 0x2400\nint 0x15")
    assert not is_open()
    bios.call("mov ax, 0x2401\nint 0x15")
    assert is_open()
    bios.call("mov ax, 0x2403\nint 0x15")
    assert bios.bx == 3
    bios.call("mov ax, 0x2404\nint 0x15")
    assert bios.carry


@pytest.mark.parametrize("is_open", [True, False])
def test_blocks_move_to_and_from_high_memory(bios, is_open):
    bios.write(0x20000, bytes(range(256)) * 4)
    if not is_open:
        bios.call("mov ax, 0x2400\nint 0x15")
    bios.call(
        "mov cx, 512\nmov si, table\nmov ah, 0x87\nint 0x15\njmp done\n"
        "table: dq 0, 0\ndw 0xFFFF, 0x0000, 0x9302, 0x0000\ndw 0xFFFF, 0x0010, 0x9312, 0x0000\n"
        "dq 0, 0\ndone:"
    )
    assert (bios.carry, bios.ah) == (False, 0)
    assert bios.machine.read_memory(0x120010, 1024) == bytes(range(256)) * 4
    assert bios.machine.platform.a20_is_open == is_open
    bios.call("mov ax, [0xFFFE]")  # real mode has its limits again
    assert bios.machine.processor.segment(3).limit == 0xFFFF


def test_a_block_that_is_too_large(bios):
    bios.call("mov cx, 0x8001\nmov si, DATA\nmov ah, 0x87\nint 0x15")
    assert bios.carry


def test_the_configuration_table(bios):
    bios.call("mov ah, 0xC0\nint 0x15\nmov ax, es\nmov [DATA], ax")
    at = (bios.word(DATA) << 4) + bios.bx
    assert bios.word(at) == 8
    assert bios.byte(at + 2) == 0xFC
    assert bios.byte(0xFFFFE) == 0xFC


def test_the_extended_data_area(bios):
    bios.call("mov ah, 0xC1\nint 0x15\nmov ax, es\nmov [DATA], ax")
    assert bios.word(DATA) == bios.word(0x40E) == 0x9FC0
    assert bios.byte(0x9FC00) == 1


@pytest.mark.parametrize("function", [0x53, 0x84, 0x89, 0xC2, 0xD8])
def test_functions_that_there_are_not(bios, function):
    bios.call(f"mov ah, {function}\nmov al, 0\nint 0x15")
    assert (bios.carry, bios.ah) == (True, 0x86)


@pytest.mark.parametrize("function", [0x85, 0x90, 0x91])
def test_functions_for_others_to_hook(bios, function):
    bios.call(f"mov ah, {function}\nstc\nint 0x15")
    assert (bios.carry, bios.ah) == (False, 0)


# --- serial ports and printers -----------------------------------------------------------------


def test_a_serial_port_sends(bios):
    bios.call(
        "mov ax, 0x00E3\nmov dx, 0\nint 0x14\nmov [DATA], ax\nmov ax, 0x0153\nmov dx, 0\nint 0x14\n"
    )
    assert bios.byte(DATA + 1) & 0x60 == 0x60
    assert not bios.ah & 0x80
    assert bios.machine.console.endswith(b"S")


def test_a_serial_port_receives(bios):
    bios.call("mov ax, 0x00E3\nmov dx, 0\nint 0x14")
    bios.machine.platform.uart.receive(b"R")
    bios.call("mov ah, 2\nmov dx, 0\nint 0x14")
    assert (bios.ah & 0x80, bios.al) == (0, ord("R"))


def test_nothing_received_is_a_timeout(bios):
    bios.call("mov ah, 2\nmov dx, 0\nint 0x14")
    assert bios.ah & 0x80


def test_serial_ports_that_there_are_not(bios):
    bios.call("mov ax, 0x0341\nmov dx, 3\nint 0x14")
    assert bios.ax == 0x0341
    bios.call("mov ax, 0x0341\nmov dx, 0x100\nint 0x14")
    assert bios.ax == 0x0341


@pytest.mark.parametrize("function", [0, 1, 2])
def test_a_printer_does_not_answer(bios, function):
    bios.call(f"mov ah, {function}\nmov dx, 0\nint 0x17")
    assert bios.ah == 0x01


# --- starting again, and not at all ------------------------------------------------------------


@pytest.mark.parametrize("code", ["int 0x19", "jmp 0xFFFF:0", "jmp 0xF000:0xFFF0"])
def test_starting_again(bios, code):
    bios.load(f"mov byte [0x7C10], 1\n{code}")
    bios.machine.run(bios.machine.guest_instructions + 50)
    bios.run_to_boot_sector()
    assert bios.byte(0x7C10) == 0
    assert bios.dx == 0x80


@pytest.mark.parametrize("code", [5, 10])
def test_a_reset_can_go_on_elsewhere(bios, code):
    bios.load(
        f"mov al, 0x0F\nout 0x70, al\nmov al, {code}\nout 0x71, al\n"
        "mov word [0x467], resumed\nmov word [0x469], 0\njmp 0xF000:0xFFF0\n"
        "resumed: mov ax, 0x1234\n"
    )
    bios.run_to(bios.symbols["finished"])
    assert bios.ax == 0x1234


def test_nothing_to_boot_says_so_and_halts():
    bios = BiosMachine.started([bytes(512)])
    stop = bios.machine.run(10_000_000)
    assert stop.reason is StopReason.HALT
    assert bios.row(0) == "No bootable disk."


def test_int_18_says_so_too(bios):
    bios.load("int 0x18")
    assert bios.machine.run(bios.machine.guest_instructions + 100_000).reason is StopReason.HALT
    assert bios.row(0) == "No bootable disk."


@pytest.mark.parametrize(
    ("code", "text"), [("xor cl, cl\ndiv cl", "Divide error"), ("ud2", "Invalid opcode")]
)
def test_exceptions_that_have_no_way_on_say_where(bios, code, text):
    bios.load(f"at:\n{code}\n")
    assert bios.machine.run(bios.machine.guest_instructions + 100_000).reason is StopReason.HALT
    at = bios.symbols["at"] + (2 if "div" in code else 0)
    assert bios.row(1) == f"{text} at 0000:{at:04X}"


def test_a_spurious_interrupt_is_not_acknowledged(bios):
    bios.call("int 0x0F\nint 0x77\nint 0x73\nmov al, 0x0B\nout 0x20, al\nin al, 0x20")
    assert bios.al == 0
    assert bios.selector(CS) == 0
