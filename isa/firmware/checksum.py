"""The checksum of firmware tables: all bytes of a table, its checksum byte included, sum to zero.

Source: MultiProcessor Specification 1.4, "MP Configuration Table Header"; ACPI Specification,
"System Description Table Header".
"""

from __future__ import annotations


def with_checksum(table: bytes, at: int) -> bytes:
    """The table with the byte `at` set so that the sum of all is zero, modulo 256."""
    made = bytearray(table)
    made[at] = 0
    made[at] = -sum(made) & 0xFF
    return bytes(made)
