"""The MP tables: how the interrupt controllers of the board are wired, for systems that use APICs.

A floating pointer lies where systems look for it and leads to the configuration table. The board
has one processor, a PCI and an ISA bus, one I/O APIC whose input n is ISA interrupt n (the timer's
is input 2, the 8259 pair has input 0), and starts in virtual wire mode.

Source: MultiProcessor Specification 1.4, "MP Configuration Table", "Virtual Wire Mode".
"""

from __future__ import annotations

import struct
from typing import Final

from isa.devices import io_apic, local_apic
from isa.devices.interrupts import IO_APIC_ID, input_of
from isa.firmware.checksum import with_checksum

PCI_BUS, ISA_BUS = 0, 1
PROCESSOR, BUS, IO_APIC, INTERRUPT, LOCAL_INTERRUPT = range(5)  # entry types
VECTORED, NMI, EXTERNAL = 0, 1, 3  # interrupt types
CONFORMING, LEVEL_HIGH = 0x0, 0xD  # polarity and trigger mode
ENABLED, BOOT_PROCESSOR = 1, 2
EVERY_LOCAL_APIC = 0xFF
CASCADE_IRQ, POWER_IRQ = 2, 9
SPECIFICATION: Final = 4
POINTER_BYTES: Final = 16

_HEADER: Final = struct.Struct("<4sHBB8s12sIHHIHBB")
_POINTER: Final = struct.Struct("<4sIBBB5s")


def floating_pointer(table_gpa: int) -> bytes:
    """The structure that systems search for; the interrupt mode register is not needed."""
    return with_checksum(_POINTER.pack(b"_MP_", table_gpa, 1, SPECIFICATION, 0, bytes(5)), 10)


def configuration_table(signature: int, features: int) -> bytes:
    """The table for a processor that gives these words as CPUID leaf 1, EAX and EDX."""
    version = local_apic.VERSION & 0xFF
    entries = [
        struct.pack(
            *("<BBBBII8x", PROCESSOR, 0, version, ENABLED | BOOT_PROCESSOR),
            *(signature, features & 0xFFFFFFFF),
        ),
        struct.pack("<BB6s", BUS, PCI_BUS, b"PCI   "),
        struct.pack("<BB6s", BUS, ISA_BUS, b"ISA   "),
        struct.pack(
            *("<BBBBI", IO_APIC, IO_APIC_ID, io_apic.VERSION & 0xFF, ENABLED, io_apic.BASE_GPA)
        ),
        _interrupt(EXTERNAL, CONFORMING, 0, 0),
        *(
            _interrupt(VECTORED, LEVEL_HIGH if irq == POWER_IRQ else CONFORMING, irq, input_of(irq))
            for irq in range(16)
            if irq != CASCADE_IRQ
        ),
        struct.pack("<BBHBBBB", LOCAL_INTERRUPT, EXTERNAL, 0, ISA_BUS, 0, EVERY_LOCAL_APIC, 0),
        struct.pack("<BBHBBBB", LOCAL_INTERRUPT, NMI, 0, ISA_BUS, 0, EVERY_LOCAL_APIC, 1),
    ]
    body = b"".join(entries)
    header = _HEADER.pack(
        *(b"PCMP", _HEADER.size + len(body), SPECIFICATION, 0, b"TRAPGATE", b"PC".ljust(12)),
        *(0, 0, len(entries), local_apic.BASE_GPA, 0, 0, 0),
    )
    return with_checksum(header + body, 7)


def _interrupt(kind: int, flags: int, irq: int, number: int) -> bytes:
    """An interrupt of the ISA bus at an input of the I/O APIC."""
    return struct.pack("<BBHBBBB", INTERRUPT, kind, flags, ISA_BUS, irq, IO_APIC_ID, number)
