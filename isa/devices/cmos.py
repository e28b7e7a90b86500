"""The real-time clock and CMOS memory of a PC (ports 0x70 and 0x71).

The calendar starts at one fixed moment, 2000-01-01 00:00:00, and goes with the event clock, so it
is the same in every run. It cannot be set, raises no interrupts (IRQ8) and is never in an update;
alarm bytes are plain memory. The memory-size bytes tell a guest without firmware what it has.

Source: Motorola MC146818A datasheet; IBM PC/AT Technical Reference, "Real-Time Clock/CMOS RAM".
"""

from __future__ import annotations

import datetime
from typing import Annotated

import msgspec

from isa.devices.clock import TICKS_PER_SECOND, EventClock
from isa.devices.device import Byte, Device

POWER_ON = datetime.datetime(2000, 1, 1)
CALENDAR_DAYS = 365 * 400 + 97
"""The calendar repeats after 400 years, as the Gregorian one does."""

CMOS_BYTES = 128
INDEX_MASK = 0x7F  # bit 7 of port 0x70 masks NMI, which no device raises

STATUS_A, STATUS_B, STATUS_C, STATUS_D, CENTURY = 0x0A, 0x0B, 0x0C, 0x0D, 0x32
STATUS_A_32KHZ, STATUS_A_UPDATING = 0x26, 0x80
STATUS_B_24_HOURS, STATUS_B_BINARY = 0x02, 0x04
STATUS_D_VALID = 0x80
PM = 0x80

EQUIPMENT, EQUIPMENT_COPROCESSOR_DISPLAY = 0x14, 0x06
BASE_KIB = 640
KIB, MIB = 1 << 10, 1 << 20
CALENDAR = (0x00, 0x02, 0x04, 0x06, 0x07, 0x08, 0x09, CENTURY)
READ_ONLY = (*CALENDAR, STATUS_C, STATUS_D)


Memory = Annotated[bytearray, msgspec.Meta(min_length=CMOS_BYTES, max_length=CMOS_BYTES)]


class CmosState(msgspec.Struct):
    """State of the chip: the calendar's bytes in it are not used."""

    index: Byte = 0
    memory: Memory = msgspec.field(default_factory=lambda: bytearray(CMOS_BYTES))


def memory_size_bytes(ram_bytes: int) -> dict[int, int]:
    """What firmware leaves in CMOS about the memory: address → byte."""
    extended_kib = min(max(ram_bytes - MIB, 0) // KIB, 0xFFFF)
    above_16_mib = min(max(ram_bytes - 16 * MIB, 0) // (64 * KIB), 0xFFFF)
    words = {0x15: BASE_KIB, 0x17: extended_kib, 0x30: extended_kib, 0x34: above_16_mib}
    return {
        address + byte: word >> 8 * byte & 0xFF
        for address, word in words.items()
        for byte in (0, 1)
    }


class Cmos(Device[CmosState]):
    """Index port (offset 0) and data port (offset 1)."""

    widths = (1,)

    def __init__(self, clock: EventClock, ram_bytes: int) -> None:
        super().__init__(CmosState)
        self._clock = clock
        memory = self.state.memory
        memory[STATUS_A] = STATUS_A_32KHZ
        memory[STATUS_B] = STATUS_B_24_HOURS
        memory[STATUS_D] = STATUS_D_VALID
        memory[EQUIPMENT] = EQUIPMENT_COPROCESSOR_DISPLAY
        for address, byte in memory_size_bytes(ram_bytes).items():
            memory[address] = byte

    def read(self, offset: int, size: int) -> int:
        """Read the selected byte. The index port cannot be read: nothing drives the bus."""
        if offset == 0:
            return 0xFF
        index = self.state.index
        return self._calendar(index) if index in CALENDAR else self.state.memory[index]

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a byte, or write the selected one."""
        if offset == 0:
            self.state.index = value & INDEX_MASK
        elif self.state.index == STATUS_A:
            self.state.memory[STATUS_A] = value & ~STATUS_A_UPDATING
        elif self.state.index not in READ_ONLY:
            self.state.memory[self.state.index] = value

    def reset(self) -> None:
        """Keep everything: the chip runs on its battery."""

    def _calendar(self, index: int) -> int:
        seconds = self._clock.now // TICKS_PER_SECOND
        days, seconds = divmod(seconds, 24 * 60 * 60)
        now = POWER_ON + datetime.timedelta(days % CALENDAR_DAYS, seconds)
        if index == CALENDAR[2]:
            return self._hour(now.hour)
        fields = {
            0x00: now.second,
            0x02: now.minute,
            0x06: now.isoweekday() % 7 + 1,  # "Sunday = 1"
            0x07: now.day,
            0x08: now.month,
            0x09: now.year % 100,
            CENTURY: now.year // 100,
        }
        return self._encode(fields[index])

    def _hour(self, hour: int) -> int:
        if self.state.memory[STATUS_B] & STATUS_B_24_HOURS:
            return self._encode(hour)
        return self._encode((hour - 1) % 12 + 1) | (PM if hour >= 12 else 0)

    def _encode(self, number: int) -> int:
        if self.state.memory[STATUS_B] & STATUS_B_BINARY:
            return number
        return number // 10 << 4 | number % 10
