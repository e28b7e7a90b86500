"""The same guest in QEMU's translator, as a process: for orientation where QEMU is installed.

A run includes the start of QEMU and its firmware; two runs of different length tell the guest's
part. Only the exit code can be checked.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks.guest_images import GOOD_EXIT_CODE, flat_file
from benchmarks.measure import Sample, stopwatch

if TYPE_CHECKING:
    from isa.boot import BootImage

PROGRAM: Final = "qemu-system-i386"
_OPTIONS: Final = (
    *("-accel", "tcg", "-m", "16", "-display", "none", "-no-reboot", "-nodefaults"),
    *("-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
)


def is_installed() -> bool:
    """Whether there is a QEMU to compare with."""
    return shutil.which(PROGRAM) is not None


def time_run(image: BootImage) -> Sample:
    """Time one QEMU process from start to end."""
    with TemporaryDirectory() as folder:
        kernel = Path(folder) / "kernel.bin"
        kernel.write_bytes(flat_file(image))
        with stopwatch(children=True) as sample:
            outcome = subprocess.run(
                [PROGRAM, *_OPTIONS, "-kernel", str(kernel)], capture_output=True, check=False
            )
    if outcome.returncode != GOOD_EXIT_CODE:
        raise RuntimeError(f"{image.name} ended in QEMU with exit code {outcome.returncode}")
    return sample
