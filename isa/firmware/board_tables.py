"""What firmware leaves in memory for systems that ask no BIOS: tables of the board, and where from.

    00000000h   interrupt vectors, data areas: isa/firmware/data_areas.py
    000F0000h   MP floating pointer and configuration table (with APICs), ACPI's RSDP and tables
    000F8000h   the BIOS

Whoever starts a guest writes this before the guest itself; a BIOS that runs sets up its data areas
anew. The tables lie in the half of the ROM's segment that the BIOS leaves to them.

Source: MultiProcessor Specification 1.4, "MP Floating Pointer Structure"; ACPI Specification 1.0b,
"Finding the RSDP on IA-PC Systems"; IBM PS/2 BIOS Interface Technical Reference, "Data Areas".
"""

from __future__ import annotations

from typing import Final

from isa.firmware.acpi_tables import FACS_ALIGNMENT, POINTER_BYTES, acpi_tables
from isa.firmware.data_areas import data_areas
from isa.firmware.memory_map import FIRMWARE_GPA
from isa.firmware.mp_table import configuration_table, floating_pointer
from isa.registers import FEATURE_APIC

TABLES_END: Final = FIRMWARE_GPA + 0x8000

Pieces = tuple[tuple[int, bytes], ...]


def board_tables(signature: int, features: int) -> Pieces:
    """Pieces of memory as (address, bytes), by ascending address and without overlaps.

    Args:
        signature: the processor's, as CPUID leaf 1 gives it in EAX.
        features: FEATURE bits of isa.registers.
    """
    has_apic = bool(features & FEATURE_APIC)
    *pieces, rom_piece = data_areas()
    gpa = FIRMWARE_GPA
    if has_apic:
        table_gpa = gpa + 16
        table = configuration_table(signature, features)
        pieces += [(gpa, floating_pointer(table_gpa)), (table_gpa, table)]
        gpa = _aligned(table_gpa + len(table), 16)
    rest_gpa = _aligned(gpa + POINTER_BYTES, FACS_ALIGNMENT)
    acpi = acpi_tables(rest_gpa, has_apic=has_apic)
    pieces += [(gpa, acpi.pointer), (rest_gpa, acpi.rest)]
    return (*pieces, rom_piece)


def _aligned(gpa: int, alignment: int) -> int:
    return -(-gpa // alignment) * alignment
