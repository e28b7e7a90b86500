"""The same guest in Bochs, as a process: the interpreter to compare with, where it is installed.

Bochs starts without a BIOS: a firmware of our own enters the guest, which Bochs has loaded. Its end
is seen on the debug console, where the guest prints its name and result; the process is ended then.
Guests that print nothing there cannot be measured in this way.

Debian's build has the debugger in it, which makes it slower than Bochs can be, and no display that
needs no screen; it gets a pseudo-terminal.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks.circumstances import ROOT
from benchmarks.guest_images import flat_file
from benchmarks.measure import Sample, stopwatch

if TYPE_CHECKING:
    from isa.boot import BootImage

PROGRAM: Final = "bochs"
TIME_LIMIT_S: Final = 120.0
_FIRMWARE: Final = ROOT / "benchmarks" / "bochs_rom.asm"
_SETTINGS: Final = """\
config_interface: textconfig
display_library: term
megs: 16
romimage: file={folder}/firmware, address=0xfffff000
optramimage1: file={folder}/kernel, address=0x100000
port_e9_hack: enabled=1
cpu: model=p2_klamath, count=1, ips=400000000, reset_on_triple_fault=0
clock: sync=none
log: {folder}/log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def is_installed() -> bool:
    """Whether there is a Bochs to compare with."""
    return shutil.which(PROGRAM) is not None


def time_run(image: BootImage) -> Sample:
    """Time one Bochs process from start to the guest's last line."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "firmware").write_bytes(_firmware())
        (folder / "kernel").write_bytes(flat_file(image))
        (folder / "settings").write_text(_SETTINGS.format(folder=folder))
        (folder / "commands").write_text("c\n")  # for the debugger: continue
        with stopwatch(children=True) as sample:
            output = _run(folder, image.name.rpartition("/")[2])
    if output is None:
        raise RuntimeError(f"{image.name} did not end in Bochs")
    return sample


def _run(folder: Path, name: str) -> str | None:
    """What the guest says at its end, or None where it does not come to it."""
    last_line = re.compile(rf"{name}: (\w+)\r?\n".encode())
    settings, commands = folder / "settings", folder / "commands"
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [PROGRAM, "-q", "-f", str(settings), "-rc", str(commands)],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    try:
        return _awaited(ours, last_line)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _awaited(terminal: int, last_line: re.Pattern[bytes]) -> str | None:
    seen = b""
    until = time.monotonic() + TIME_LIMIT_S
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        read = b""
        with contextlib.suppress(OSError):  # the other end is closed
            read = os.read(terminal, 65536)
        if not read:
            return None
        seen = seen[-200:] + read
        if found := last_line.search(seen):
            return found[1].decode()
    return None


@cache
def _firmware() -> bytes:
    from tools.assembler import assemble_file

    return assemble_file(_FIRMWARE, format="bin").bytes
