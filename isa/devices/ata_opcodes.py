"""The opcodes of ATA commands that the disk knows, and what some have in common.

Source: ATA/ATAPI-6 (T13/1410D), "Command descriptions"; ATA-3 (X3T10/2008D) for the retired.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Command(IntEnum):
    """Opcodes."""

    NOP = 0x00
    READ = 0x20
    READ_ONCE = 0x21
    READ_EXT = 0x24
    READ_NATIVE_MAX_EXT = 0x27
    READ_MULTIPLE_EXT = 0x29
    WRITE = 0x30
    WRITE_ONCE = 0x31
    WRITE_EXT = 0x34
    WRITE_MULTIPLE_EXT = 0x39
    VERIFY = 0x40
    VERIFY_ONCE = 0x41
    VERIFY_EXT = 0x42
    DIAGNOSTIC = 0x90
    INITIALIZE_PARAMETERS = 0x91
    PACKET = 0xA0
    IDENTIFY_PACKET = 0xA1
    READ_MULTIPLE = 0xC4
    WRITE_MULTIPLE = 0xC5
    SET_MULTIPLE = 0xC6
    STANDBY_IMMEDIATE = 0xE0
    IDLE_IMMEDIATE = 0xE1
    STANDBY = 0xE2
    IDLE = 0xE3
    CHECK_POWER = 0xE5
    SLEEP = 0xE6
    FLUSH = 0xE7
    FLUSH_EXT = 0xEA
    IDENTIFY = 0xEC
    SET_FEATURES = 0xEF
    READ_NATIVE_MAX = 0xF8


OLD_NAMES: Final = {
    0x94: Command.STANDBY_IMMEDIATE,
    0x95: Command.IDLE_IMMEDIATE,
    0x96: Command.STANDBY,
    0x97: Command.IDLE,
    0x98: Command.CHECK_POWER,
    0x99: Command.SLEEP,
}
READS: Final = frozenset({Command.READ, Command.READ_ONCE, Command.READ_EXT})
READS_MULTIPLE: Final = frozenset({Command.READ_MULTIPLE, Command.READ_MULTIPLE_EXT})
WRITES: Final = frozenset({Command.WRITE, Command.WRITE_ONCE, Command.WRITE_EXT})
WRITES_MULTIPLE: Final = frozenset({Command.WRITE_MULTIPLE, Command.WRITE_MULTIPLE_EXT})
VERIFIES: Final = frozenset({Command.VERIFY, Command.VERIFY_ONCE, Command.VERIFY_EXT})
EXTENDED: Final = frozenset(
    {
        Command.READ_EXT,
        Command.READ_MULTIPLE_EXT,
        Command.WRITE_EXT,
        Command.WRITE_MULTIPLE_EXT,
        Command.VERIFY_EXT,
        Command.READ_NATIVE_MAX_EXT,
    }
)
RECALIBRATE, SEEK = 0x10, 0x70  # and the 15 opcodes after each, as ATA-1 had them


class Power(IntEnum):
    """Power modes, with what CHECK POWER MODE says of them."""

    ACTIVE = 0xFF
    IDLE = 0x80
    STANDBY = 0x00
    SLEEP = 0x01  # cannot be asked


POWER_AFTER: Final[dict[int, Power]] = {
    Command.STANDBY: Power.STANDBY,
    Command.STANDBY_IMMEDIATE: Power.STANDBY,
    Command.IDLE: Power.IDLE,
    Command.IDLE_IMMEDIATE: Power.IDLE,
    Command.SLEEP: Power.SLEEP,
}
