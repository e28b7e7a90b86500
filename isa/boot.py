"""What a machine starts from: bytes at physical addresses and the first registers.

Made by a loader (tools.loader) and consumed by whatever owns the machine: `isa.machine` on bare
metal, a monitor for a guest. Knows no file format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isa.devices.configuration import DEFAULT, Configuration


@dataclass(frozen=True)
class BootImage:
    """One guest, ready to be copied into memory and entered.

    Attributes:
        name: what to call the guest in reports.
        segments: (physical address, bytes), ascending, without overlaps, inside RAM.
        entry: EIP of the first instruction; a linear address in protected mode.
        eax, ebx, esp: registers at entry; all other general registers are 0.
        protected: True: 32-bit protected mode, flat segments, paging and interrupts off.
            False: real mode, CS:IP = code_selector:entry, other segments 0.
        symbols: name to linear address, or None where the source has none.
        source: the file this came from, as the user named it.
        code_selector: CS in real mode.
        devices: what else the machine has to have.
    """

    name: str
    segments: tuple[tuple[int, bytes], ...]
    entry: int
    eax: int
    ebx: int
    esp: int
    protected: bool
    symbols: Mapping[str, int] | None
    source: str
    code_selector: int = 0
    devices: Configuration = DEFAULT
