"""The BIOS as it lies in ROM, and how a processor starts in it.

The image is made from isa/firmware/bios by `python -m tools.generate`. Loaders put it into memory
below 1 MiB, where the mainboard shadows its ROM; nothing protects it from being written.

Source: IBM PC/AT Technical Reference, "ROM BIOS"; SDM vol. 3A, "First Instruction Executed".
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

from isa.firmware.memory_map import HIGH_MEMORY_GPA

ROM_BYTES: Final = 0x8000
ROM_GPA: Final = HIGH_MEMORY_GPA - ROM_BYTES
RESET_SELECTOR, RESET_OFFSET = 0xF000, 0xFFF0
VECTORS_BYTES: Final = 0x400
"""The interrupt vector table of power-on, at the begin of the image."""


@cache
def rom() -> bytes:
    """The image, to be placed at ROM_GPA."""
    return (resources.files("isa.firmware") / "bios.bin").read_bytes()
