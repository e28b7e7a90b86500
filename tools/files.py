"""Reading a file that a user names: whole, or one clear line; never without bound."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from isa.errors import TrapgateError

MOST_FILE_BYTES: Final = 128 << 20


def read_bounded(file: Path, where: str) -> bytes:
    """The bytes of a file, which may be a device that never ends."""
    data = read_head(file, where, MOST_FILE_BYTES + 1)
    if len(data) > MOST_FILE_BYTES:
        raise TrapgateError(
            f"{where}: larger than {MOST_FILE_BYTES >> 20} MiB, too large for a program"
        )
    return data


def read_head(file: Path, where: str, size: int) -> bytes:
    """The first `size` bytes of a file, fewer if it has no more."""
    try:
        with file.open("rb") as source:
            return source.read(size)
    except OSError as error:
        raise TrapgateError(f"{where}: cannot be read: {error.strerror}") from None
