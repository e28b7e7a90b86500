"""Minimal ACPI tables: RSDP, RSDT, FADT, FACS, DSDT and, with APICs, the MADT.

They tell of the power management registers (`isa.devices.acpi`), of how to switch off (\\_S5) and
of the interrupt controllers. The DSDT holds nothing else: no device is described in AML.

Source: Advanced Configuration and Power Interface Specification 1.0b, "ACPI Software Programming
Model"; 2.0, "Multiple APIC Description Table".
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from isa.devices import acpi, io_apic, local_apic
from isa.devices.interrupts import IO_APIC_ID, TIMER_INPUT, TIMER_IRQ
from isa.firmware.checksum import with_checksum

POINTER_BYTES, FACS_BYTES, FACS_ALIGNMENT = 20, 64, 64

_HEADER: Final = struct.Struct("<4sIBB6s8sI4sI")
_OEM, _OEM_TABLE, _CREATOR = b"TRPGTE", b"TRAPGATE", b"TRPG"
_CMOS_DAY_ALARM, _CMOS_CENTURY = 0, 0x32  # the clock has no alarm by date
_NO_C2, _NO_C3 = 101, 1001
_WBINVD, _PROC_C1, _NO_SLEEP_BUTTON, _RTC_NOT_FIXED = 1 << 0, 1 << 2, 1 << 5, 1 << 6
_HAS_PICS = 1
_LOCAL_APIC, _IO_APIC, _OVERRIDE, _LOCAL_NMI = 0, 1, 2, 4  # entries of the MADT
_CONFORMING, _LEVEL_HIGH = 0x0, 0xD
_EVERY_PROCESSOR, _NMI_PIN = 0xFF, 1

# DefName \_S5: a package of SLP_TYPa, SLP_TYPb and two reserved elements, all ZeroOp.
_DSDT_BODY: Final = b"\x08_S5_\x12\x06\x04\x00\x00\x00\x00"


class AcpiTables(NamedTuple):
    """The pointer, which systems search for, and the rest, which lies where it was laid out for."""

    pointer: bytes
    rest: bytes


def acpi_tables(gpa: int, *, has_apic: bool) -> AcpiTables:
    """The tables for a board; `gpa` is where the rest begins, a multiple of 64."""
    facs = struct.pack("<4sIIIII40x", b"FACS", FACS_BYTES, 0, 0, 0, 0)
    dsdt = _table(b"DSDT", 1, _DSDT_BODY)
    dsdt_gpa = gpa + len(facs)
    fadt_gpa = _aligned(dsdt_gpa + len(dsdt))
    fadt = _fadt(gpa, dsdt_gpa)
    madt_gpa = _aligned(fadt_gpa + len(fadt))
    madt = _madt() if has_apic else b""
    rsdt_gpa = _aligned(madt_gpa + len(madt))
    listed = [fadt_gpa, madt_gpa] if has_apic else [fadt_gpa]
    rsdt = _table(b"RSDT", 1, struct.pack(f"<{len(listed)}I", *listed))
    placed = (
        *((gpa, facs), (dsdt_gpa, dsdt), (fadt_gpa, fadt)),
        *((madt_gpa, madt), (rsdt_gpa, rsdt)),
    )
    rest = bytearray(rsdt_gpa + len(rsdt) - gpa)
    for at, table in placed:
        rest[at - gpa : at - gpa + len(table)] = table
    pointer = struct.pack("<8sB6sBI", b"RSD PTR ", 0, _OEM, 0, rsdt_gpa)
    return AcpiTables(with_checksum(pointer, 8), bytes(rest))


def _aligned(gpa: int) -> int:
    return gpa + 15 & ~15


def _table(name: bytes, revision: int, body: bytes) -> bytes:
    size = _HEADER.size + len(body)
    header = _HEADER.pack(name, size, revision, 0, _OEM, _OEM_TABLE, 1, _CREATOR, 1)
    return with_checksum(header + body, 9)


def _fadt(facs_gpa: int, dsdt_gpa: int) -> bytes:
    """SMI_CMD is 0: the machine is always in ACPI mode."""
    base = acpi.BASE_PORT
    flags = _WBINVD | _PROC_C1 | _NO_SLEEP_BUTTON | _RTC_NOT_FIXED
    body = struct.pack(
        "<II BxH IBBBx II II I I II BBBBBBBx HH HH BB BBB3x I".replace(" ", ""),
        *(facs_gpa, dsdt_gpa),
        *(0, acpi.SCI_IRQ),
        *(0, 0, 0, 0),
        *(base + acpi.EVENT, 0, base + acpi.CONTROL, 0, 0, base + acpi.TIMER, 0, 0),
        *(4, 2, 0, 4, 0, 0, 0),
        *(_NO_C2, _NO_C3, 0, 0),
        *(0, 0, _CMOS_DAY_ALARM, 0, _CMOS_CENTURY),
        flags,
    )
    return _table(b"FACP", 1, body)


def _madt() -> bytes:
    entries = (
        struct.pack("<BBBBI", _LOCAL_APIC, 8, 0, 0, 1),
        struct.pack("<BBBxII", _IO_APIC, 12, IO_APIC_ID, io_apic.BASE_GPA, 0),
        struct.pack("<BBBBIH", _OVERRIDE, 10, 0, TIMER_IRQ, TIMER_INPUT, _CONFORMING),
        struct.pack("<BBBBIH", _OVERRIDE, 10, 0, acpi.SCI_IRQ, acpi.SCI_IRQ, _LEVEL_HIGH),
        struct.pack("<BBBHB", _LOCAL_NMI, 6, _EVERY_PROCESSOR, _CONFORMING, _NMI_PIN),
    )
    return _table(
        b"APIC", 1, struct.pack("<II", local_apic.BASE_GPA, _HAS_PICS) + b"".join(entries)
    )
