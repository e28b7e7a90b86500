"""Reading a file that a user names: whole, or one clear line; never without bound."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from isa.errors import TrapgateError

MOST_FILE_BYTES: Final = 128 << 20


def read_bounded(file: Path, where: str) -> bytes:
    """The bytes of a file, which may be a device that never ends."""
    try:
        with file.open("rb") as source:
            data = source.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise TrapgateError(f"{where}: cannot be read: {error.strerror}") from None
    if len(data) > MOST_FILE_BYTES:
        raise TrapgateError(
            f"{where}: larger than {MOST_FILE_BYTES >> 20} MiB, too large for a program"
        )
    return data
