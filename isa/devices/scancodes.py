"""Scan codes: what the keys of a PS/2 keyboard send, and how the controller translates it.

Keys have the names of a US keyboard. A keyboard sends set 2 (unless told otherwise): a code when a
key goes down, F0 and the code when it comes up, E0 before both for the keys that the first
keyboards did not have. The controller usually translates that to set 1, in which the code of a
release has bit 7 set.

Source: IBM Personal System/2 Hardware Interface Technical Reference, "Keyboards (101- and
102-Key)", scan code sets; Microsoft, "Keyboard Scan Code Specification", for the keys since.
"""

from __future__ import annotations

from functools import cache
from typing import Final

RELEASE: Final = 0xF0  # before the code, in sets 2 and 3
EXTENDED: Final = 0xE0
PAUSED: Final = 0xE1
RELEASE_BIT: Final = 0x80  # in set 1

# Set 2 to set 1, codes 00 to 7F: the table in the controller's ROM.
_TRANSLATED: Final = bytes.fromhex(
    "ff43413f3d3b3c58644442403e0f2959"
    "65382a701d10025a66712c1f1e11035b"
    "672e2d201205045c68392f211413065d"
    "693130232215075e6a7232241608095f"
    "6b332517180b0a606c34352627190c61"
    "6d7328741a0d626e3a361c1b752b6376"
    "55567778797a0e7b7c4f7d4b477e7f6f"
    "5253504c4d480145574e514a37494654"
)

# Key: code in set 2, with E000 added for the extended ones.
KEYS: Final[dict[str, int]] = {
    **dict(zip("abcdefghijklm", (0x1C, 0x32, 0x21, 0x23, 0x24, 0x2B, 0x34, 0x33, 0x43, 0x3B, 0x42,
                                 0x4B, 0x3A), strict=True)),
    **dict(zip("nopqrstuvwxyz", (0x31, 0x44, 0x4D, 0x15, 0x2D, 0x1B, 0x2C, 0x3C, 0x2A, 0x1D, 0x22,
                                 0x35, 0x1A), strict=True)),
    **dict(zip("0123456789", (0x45, 0x16, 0x1E, 0x26, 0x25, 0x2E, 0x36, 0x3D, 0x3E, 0x46),
               strict=True)),
    "`": 0x0E, "-": 0x4E, "=": 0x55, "\\": 0x5D, "[": 0x54, "]": 0x5B, ";": 0x4C, "'": 0x52,
    ",": 0x41, ".": 0x49, "/": 0x4A, "space": 0x29, "backspace": 0x66, "tab": 0x0D, "enter": 0x5A,
    "escape": 0x76, "caps lock": 0x58, "num lock": 0x77, "scroll lock": 0x7E,
    "left shift": 0x12, "right shift": 0x59, "left ctrl": 0x14, "left alt": 0x11,
    "right ctrl": 0xE014, "right alt": 0xE011, "left win": 0xE01F, "right win": 0xE027,
    "menu": 0xE02F,
    **{f"f{number}": code for number, code in enumerate(
        (0x05, 0x06, 0x04, 0x0C, 0x03, 0x0B, 0x83, 0x0A, 0x01, 0x09, 0x78, 0x07), 1)},
    "insert": 0xE070, "delete": 0xE071, "home": 0xE06C, "end": 0xE069, "page up": 0xE07D,
    "page down": 0xE07A, "up": 0xE075, "down": 0xE072, "left": 0xE06B, "right": 0xE074,
    **{f"keypad {digit}": code for digit, code in zip(
        "0123456789", (0x70, 0x69, 0x72, 0x7A, 0x6B, 0x73, 0x74, 0x6C, 0x75, 0x7D), strict=True)},
    "keypad .": 0x71, "keypad +": 0x79, "keypad -": 0x7B, "keypad *": 0x7C, "keypad /": 0xE04A,
    "keypad enter": 0xE05A, "102nd": 0x61,
}  # fmt: skip

_SHIFTED: Final = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))
_NAMED: Final = {
    " ": "space", "\n": "enter", "\r": "enter", "\t": "tab", "\b": "backspace", "\x7f": "backspace",
    "\x1b": "escape",
}  # fmt: skip


def translate(code: int) -> int:
    """What the controller makes of a byte of set 2, except F0, which it remembers."""
    if code < len(_TRANSLATED):
        return _TRANSLATED[code]
    return {0x83: 0x41, 0x84: 0x54}.get(code, code)


@cache
def _untranslated() -> dict[int, int]:
    """Codes of keys, without releases, from set 1 to set 2."""
    return {translate(code & 0xFF): code & 0xFF for code in KEYS.values()}


def set2(key: str, *, down: bool = True) -> bytes:
    """The codes of set 2 for a key that goes down or comes up."""
    code = KEYS[key]
    prefix = bytes((EXTENDED,)) if code > 0xFF else b""
    release = b"" if down else bytes((RELEASE,))
    return prefix + release + bytes((code & 0xFF,))


def set1(key: str, *, down: bool = True) -> bytes:
    """The codes of set 1 for a key that goes down or comes up."""
    code = KEYS[key]
    prefix = bytes((EXTENDED,)) if code > 0xFF else b""
    return prefix + bytes((translate(code & 0xFF) | (0 if down else RELEASE_BIT),))


def from_set1(codes: bytes) -> bytes:
    """The codes of set 2 that the controller translates to `codes`; what is no key is left out."""
    sent = bytearray()
    for code in codes:
        if code in (EXTENDED, PAUSED):
            sent.append(code)
            continue
        key = _untranslated().get(code & ~RELEASE_BIT)
        if key is not None:
            sent += bytes((RELEASE, key)) if code & RELEASE_BIT else bytes((key,))
    return bytes(sent)


def keys_of(character: str) -> tuple[str, ...] | None:
    """The keys to hold down together, the last one being struck, or None for no such key."""
    if character in _NAMED:
        return (_NAMED[character],)
    if character in _SHIFTED:
        return ("left shift", _SHIFTED[character])
    if character in KEYS:
        return (character,)
    if character.lower() in KEYS and len(character) == 1:
        return ("left shift", character.lower())
    if "\x01" <= character <= "\x1a":
        return ("left ctrl", chr(ord(character) + 0x60))
    return None


def strokes(*keys: str) -> bytes:
    """Keys held down together and let go again, in set 1."""
    downs = b"".join(set1(key) for key in keys)
    return downs + b"".join(set1(key, down=False) for key in reversed(keys))


def typed(text: str) -> bytes:
    """Typing a text on a US keyboard, in set 1; ValueError for what it has no key for."""
    codes = bytearray()
    for character in text:
        keys = keys_of(character)
        if keys is None:
            raise ValueError(f"a US keyboard has no key for {character!r}")
        codes += strokes(*keys)
    return bytes(codes)
