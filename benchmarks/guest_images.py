"""The guests that are measured, with a chosen number of repetitions.

The loops keep their count in the word `repeats` of the image (guests/README.md); it is changed
there, in a copy, without assembling again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from tools.catalogue import folder
from tools.loader import FLAT_ADDRESS, load

if TYPE_CHECKING:
    from isa.boot import BootImage

RAM_BYTES: Final = 16 << 20
REPEATS: Final = "repeats"
GOOD_EXIT_CODE: Final = 1  # exit value 0: every result was right

# The frame of the trap loops around nothing: what the counting costs.
_EMPTY_LOOP: Final = """\
    bits 32
REPEATS     equ 100000
%include "common.inc"

measure:
    dec ecx
    jnz measure
    ret
"""


@cache
def loop_image(name: str) -> BootImage:
    """A guest of the catalogue, as its source has it."""
    return load(name, ram_bytes=RAM_BYTES)


@cache
def empty_loop() -> BootImage:
    """The loop that does nothing, in the frame of the trap loops."""
    from isa.boot import BootImage
    from tools.assembler import assemble_text

    made = assemble_text(_EMPTY_LOOP, "empty loop", include_paths=[folder() / "traps"])
    return BootImage(
        name="empty",
        segments=((made.origin, made.bytes),),
        entry=made.entry,
        eax=0,
        ebx=0,
        esp=0,
        protected=True,
        symbols=made.symbols,
        source="empty loop",
    )


def repeats_of(image: BootImage) -> int:
    """How often the loop of an image goes round."""
    _, data, offset = _place(image)
    return int.from_bytes(data[offset : offset + 4], "little")


def with_repeats(image: BootImage, count: int) -> BootImage:
    """The same guest with another count."""
    at, data, offset = _place(image)
    changed = data[:offset] + count.to_bytes(4, "little") + data[offset + 4 :]
    segments = list(image.segments)
    segments[at] = (segments[at][0], changed)
    return replace(image, segments=tuple(segments))


def flat_file(image: BootImage) -> bytes:
    """The image as the one file that other emulators load."""
    return next(data for address, data in image.segments if address == FLAT_ADDRESS)


def _place(image: BootImage) -> tuple[int, bytes, int]:
    """Number and bytes of the segment with the count, and where in it."""
    address = (image.symbols or {})[REPEATS]
    for number, (first, data) in enumerate(image.segments):
        if first <= address < first + len(data):
            return number, data, address - first
    raise ValueError(f"{image.name}: the word {REPEATS} is not in the image")
