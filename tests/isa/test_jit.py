"""The compiler's settings: the cache cannot lie, and compiled code is what the sources say."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isa import jit

ROOT = Path(jit.__file__).parent.parent

# Calls a function of isa.execute whose callee is in isa.flags, and prints what the callee did.
PROGRAM = """
import numpy as np
from isa.execute import change_bit
from isa.workspace import LF_CARRIES
core = np.zeros(64, np.int64)
change_bit(core, 0, 1, 0)
print(int(core[LF_CARRIES]) >> 31 & 1)
"""


def run_copy(copy: Path) -> str:
    """Run PROGRAM on a copy of the sources with a cache of its own."""
    environment = {**os.environ, "TRAPGATE_CACHE": str(copy / "cache"), "PYTHONPATH": str(copy)}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    return ran.stdout.strip()


@pytest.mark.compiled
def test_an_edited_callee_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "isa", tmp_path / "isa", ignore=shutil.ignore_patterns("__pycache__"))
    assert run_copy(tmp_path) == "1"
    assert run_copy(tmp_path) == "1"  # from the cache
    flags = tmp_path / "isa" / "flags.py"
    edited = flags.read_text().replace("^ value) & 1", "^ value ^ 1) & 1")
    assert edited != flags.read_text()
    flags.write_text(edited)
    assert run_copy(tmp_path) == "0"


def test_the_digest_covers_everything_that_is_jitted() -> None:
    covered = jit.compiled_sources()
    for path in (ROOT / "isa").rglob("*.py"):
        if "@jit" in path.read_text() or "@inline" in path.read_text():
            assert path.relative_to(ROOT).as_posix() in covered, path
    assert "isa/generated/columns.py" in covered
    assert "isa/processor.py" not in covered


def test_the_cache_folder_is_named_by_the_digest() -> None:
    assert jit.CACHE_FOLDER.name == jit.source_digest()


def test_unaligned_loads_and_stores_agree_with_bytes() -> None:
    import numpy as np

    array = np.zeros(16, np.uint8)
    for at in range(12):
        jit.store32(array, at, 0x89ABCDEF)
        assert array[at : at + 4].tobytes() == bytes.fromhex("EFCDAB89")
        assert jit.load32(array, at) == 0x89ABCDEF
        assert jit.load16(array, at + 1) == 0xABCD
        jit.store16(array, at, 0x1234)
        assert jit.load8(array, at) == 0x34
        jit.store8(array, at, 0x1FF)
        assert array[at] == 0xFF
