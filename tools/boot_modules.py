"""Boot modules: files that a multiboot loader puts into memory beside the kernel.

`-initrd "FILE ARGUMENTS,FILE2"` names them as QEMU does: commas separate modules, the first space
ends the file's name, and the kernel gets name and arguments as the module's string.

Source: Multiboot Specification version 0.6.96, "Boot information format" (mods_addr).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isa.errors import TrapgateError
from tools.files import read_bounded

MOST_MODULES: Final = 64


@dataclass(frozen=True)
class ModuleFile:
    """A module before it has a place in memory."""

    string: str
    data: bytes


def read_modules(text: str) -> tuple[ModuleFile, ...]:
    """The modules that the text of `-initrd` names; a doubled comma is a comma of a name."""
    if not text:
        return ()
    names = [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]
    if len(names) > MOST_MODULES:
        raise TrapgateError(f"-initrd: {len(names)} modules; {MOST_MODULES} at most")
    return tuple(_read(name.strip(" ")) for name in names)


def _read(string: str) -> ModuleFile:
    name = string.partition(" ")[0]
    if not name:
        raise TrapgateError("-initrd: an empty name; write -initrd 'FILE ARGUMENTS,FILE2'")
    path = Path(name)
    if not path.exists():
        raise TrapgateError(f"{name}: no such file (a module of -initrd)")
    if path.is_dir():
        raise TrapgateError(f"{name}: a folder (a module of -initrd is a file)")
    return ModuleFile(string, read_bounded(path, name))
