"""Overlay files: the sectors that a guest has written, kept apart from the image.

The format, all numbers little-endian: the eight bytes `TGOVRLAY`; the version (4 bytes, 1); the
number of sectors that the image has (8 bytes); the number of entries (8 bytes); the entries by
ascending sector number, each the number (8 bytes) and 512 bytes; the XXH3 128-bit digest of all of
that (16 bytes). A file is replaced as a whole or not at all.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import xxhash

from isa.devices.disk_image import SECTOR_BYTES, DiskImageError

MAGIC: Final = b"TGOVRLAY"
VERSION: Final = 1
_HEAD: Final = struct.Struct("<8sIQQ")
_ENTRY: Final = struct.Struct(f"<Q{SECTOR_BYTES}s")
_DIGEST_BYTES: Final = 16


def load_overlay(path: Path, sectors: int) -> dict[int, bytes]:
    """Read the sectors of an overlay for an image of that size; none if there is no file yet."""
    try:
        if not path.exists():
            return {}
        if not path.is_file():
            raise DiskImageError(f"{path}: not a regular file")
        data = path.read_bytes()
    except OSError as error:
        raise DiskImageError(f"{path}: {error.strerror}") from error
    if len(data) < _HEAD.size + _DIGEST_BYTES or data[: len(MAGIC)] != MAGIC:
        raise DiskImageError(f"{path}: not an overlay of a disk image")
    _, version, image_sectors, count = _HEAD.unpack_from(data)
    if version != VERSION:
        raise DiskImageError(f"{path}: version {version} of the overlay format is not known")
    body = data[:-_DIGEST_BYTES]
    whole = len(body) == _HEAD.size + count * _ENTRY.size
    if not whole or xxhash.xxh3_128_digest(body) != data[-_DIGEST_BYTES:]:
        raise DiskImageError(f"{path}: the overlay is damaged")
    if image_sectors != sectors:
        raise DiskImageError(
            f"{path}: belongs to an image of {image_sectors} sectors, not of {sectors}"
        )
    written = dict(_ENTRY.iter_unpack(body[_HEAD.size :]))
    if any(lba >= sectors for lba in written):
        raise DiskImageError(f"{path}: the overlay is damaged")
    return written


def save_overlay(path: Path, sectors: int, written: Mapping[int, bytes]) -> None:
    """Write an overlay file, in place of the one that may be there."""
    body = bytearray(_HEAD.pack(MAGIC, VERSION, sectors, len(written)))
    for lba in sorted(written):
        body += _ENTRY.pack(lba, written[lba])
    body += xxhash.xxh3_128_digest(bytes(body))
    draft = path.with_name(f"{path.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise DiskImageError(f"{path}: {error.strerror}") from error
