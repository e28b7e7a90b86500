"""System calls in words, one a line: what `--trace` shows.

    open("notes.txt", O_RDONLY) = 3
    read(3, "first li"..., 4096) = 210

Source: the flags and names are those of POSIX.1-2017 and of the i386 Linux ABI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypervisor.process.calls.table import Call
from hypervisor.process.errors import CallError, Errno
from hypervisor.process.signals import signal_name

if TYPE_CHECKING:
    from hypervisor.process.process import Process

_SHOWN: Final = 32
_LONGEST_PATH: Final = 4096
_ACCESS: Final = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")
_OPEN: Final = {
    0o100: "O_CREAT",
    0o200: "O_EXCL",
    0o400: "O_NOCTTY",
    0o1000: "O_TRUNC",
    0o2000: "O_APPEND",
    0o4000: "O_NONBLOCK",
    0o100000: "O_LARGEFILE",
    0o200000: "O_DIRECTORY",
    0o400000: "O_NOFOLLOW",
    0o2000000: "O_CLOEXEC",
}
_PROT: Final = {1: "PROT_READ", 2: "PROT_WRITE", 4: "PROT_EXEC"}
_MAP: Final = {
    1: "MAP_SHARED",
    2: "MAP_PRIVATE",
    0x10: "MAP_FIXED",
    0x20: "MAP_ANONYMOUS",
    0x4000: "MAP_NORESERVE",
    0x20000: "MAP_STACK",
}


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def quoted(data: bytes, most: int = _SHOWN) -> str:
    """Bytes as a C string, cut where it gets long."""
    text = ""
    for byte in data[:most]:
        if byte in (0x22, 0x5C):
            text += "\\" + chr(byte)
        elif 0x20 <= byte < 0x7F:
            text += chr(byte)
        else:
            text += {9: "\\t", 10: "\\n", 13: "\\r"}.get(byte, f"\\{byte:o}")
    return f'"{text}"' + ("..." if len(data) > most else "")


def _flags(value: int, names: dict[int, str], zero: str) -> str:
    shown = [name for bit, name in names.items() if value & bit]
    rest = value & ~sum(bit for bit in names if value & bit)
    if rest:
        shown.append(f"{rest:#x}")
    return "|".join(shown) or zero


def _argument(process: Process, kind: str, value: int, size: int) -> str:
    if kind == "open":
        rest = _flags(value & ~3, _OPEN, "")
        return _ACCESS[value & 3] + ("|" + rest if rest else "")
    if kind == "prot":
        return _flags(value, _PROT, "PROT_NONE")
    if kind == "map":
        return _flags(value, _MAP, "0")
    if kind == "signal":
        return signal_name(value)
    if kind == "mode":
        return f"0{value:o}"
    if kind == "fd":
        return "AT_FDCWD" if _signed(value) == -100 else str(_signed(value))
    if kind == "int":
        return str(_signed(value))
    if kind == "size":
        return str(value)
    if kind in ("path", "in", "out"):
        return _memory(process, kind, value, size)
    return "NULL" if kind == "address" and value == 0 else f"{value:#x}"


def _memory(process: Process, kind: str, address: int, size: int) -> str:
    try:
        if kind == "path":
            return quoted(process.space.read_text(address, _LONGEST_PATH), 256)
        data = process.space.read(address, min(size, _SHOWN))
    except CallError:
        return f"{address:#x}"
    return quoted(data) + ("..." if size > _SHOWN else "")


def describe(process: Process, call: Call, arguments: tuple[int, ...], result: int | None) -> str:
    """One line for a call that has been served; `result` is None if it does not return."""
    shown = []
    for index, value in enumerate(arguments):
        kind, size = call.kinds[index], 0
        if kind == "in":
            size = arguments[index + 1]
        elif kind == "out" and result is not None and result >= 0:
            size = result
        elif kind == "out":
            kind = "address"
        shown.append(_argument(process, kind, value, size))
    return f"{call.name}({', '.join(shown)}) = {_result(result)}"


def _result(result: int | None) -> str:
    if result is None:
        return "?"
    if -4095 <= result < 0:
        try:
            return f"-1 {Errno(-result).name}"
        except ValueError:
            return str(result)
    return str(result) if result < 0x10000 else f"{result:#x}"
