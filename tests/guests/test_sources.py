"""The sources of the guests: they assemble, and both boot protocols can start what comes out.

Static only: nothing is run. An independent assembler (nasm) makes the images.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tools import catalogue, multiboot
from tools.catalogue import Guest

GUESTS = [
    g
    for g in catalogue.guests().values()
    if g.source_path.suffix == ".asm" and g.protocol != "disk"
]
NASM = shutil.which("nasm")
LOAD_ADDRESS = 0x100000
REPEATS_OFFSET = 0x28

# What tells the rings apart without trapping, or depends on who handles the interrupt flag.
NOT_VIRTUALIZABLE = re.compile(
    r"^\s*(?:pushfd?|popfd?|sgdt|sidt|smsw|sldt|str|lar|lsl|verr|verw)\b"
    r"|^\s*(?:mov\s+\w+\s*,\s*|push\s+)(?:cs|ss)\b",
    re.IGNORECASE | re.MULTILINE,
)

needs_nasm = pytest.mark.skipif(NASM is None, reason="nasm is not installed")


def _named(guest: Guest) -> str:
    return guest.name


def _assemble(guest: Guest, folder: Path) -> bytes:
    image = folder / "image"
    source = guest.source_path
    command = [str(NASM), "-f", "bin", "-Werror", "-I", f"{source.parent}/", str(source)]
    done = subprocess.run([*command, "-o", str(image)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return image.read_bytes()


@needs_nasm
@pytest.mark.parametrize("guest", GUESTS, ids=_named)
def test_an_image_boots_by_multiboot_and_as_a_flat_file(guest: Guest, tmp_path: Path) -> None:
    image = _assemble(guest, tmp_path)
    header = multiboot.find_header(image, guest.source, required=True)
    assert header is not None
    assert header.addresses is not None
    placed = multiboot.place(header, header.addresses, len(image), guest.source)
    # As a flat file it would be put and entered at the same address.
    assert placed.load == LOAD_ADDRESS
    assert placed.entry == LOAD_ADDRESS
    assert (placed.first, placed.last) == (0, len(image))
    assert placed.load + placed.memory_bytes <= guest.ram_mib << 20


@needs_nasm
@pytest.mark.parametrize(
    "guest",
    [g for g in GUESTS if g.name.startswith(("loops/", "traps/", "system_loops/", "strings/"))],
    ids=_named,
)
def test_the_number_of_repetitions_is_where_the_readme_says(guest: Guest, tmp_path: Path) -> None:
    image = _assemble(guest, tmp_path)
    stated = re.search(r"^REPEATS +equ (\d+)$", guest.source_path.read_text("utf-8"), re.MULTILINE)
    assert stated is not None
    assert struct.unpack_from("<I", image, REPEATS_OFFSET) == (int(stated[1]),)


@needs_nasm
def test_the_minikernel_names_the_addresses_of_its_offences(tmp_path: Path) -> None:
    """The transcript holds addresses: those of six instructions at the start of the task text."""
    guest = catalogue.guests()["minikernel"]
    image = _assemble(guest, tmp_path)
    assert guest.console_file is not None
    transcript = (catalogue.folder() / guest.console_file).read_text("ascii")
    killed_at = sorted(
        int(address, 16) for address in re.findall(r" at ([0-9A-F]{8}),", transcript)
    )
    offences = {
        0x40104000: b"\xf7\xf1",  # div ecx
        0x40104010: b"\xa1\x00\x00\x10\x00",  # mov eax, [100000h]
        0x40104020: b"\xfa",  # cli
        0x40104030: b"\xc6\x05",  # mov byte [...], 0
        0x40104042: b"",  # behind int 80h
        0x40104050: b"\xcd\x20",  # int 20h
    }
    assert killed_at == sorted(offences)
    for address, code in offences.items():
        offset = address - 0x40000000 - LOAD_ADDRESS
        assert image[offset : offset + len(code)] == code
    assert image[0x4040:0x4042] == b"\xcd\x80"


def test_the_minikernel_cannot_tell_its_ring() -> None:
    folder = catalogue.guests()["minikernel"].source_path.parent
    sources = sorted([*folder.rglob("*.asm"), *folder.rglob("*.inc")])
    assert len(sources) > 10
    for source in sources:
        found = NOT_VIRTUALIZABLE.search(source.read_text("utf-8"))
        assert found is None, f"{source.name}: {found}"


@pytest.mark.parametrize(
    "line", ["    pushfd", "  sgdt [x]", "    mov eax, cs", "  push ss", "popf", "    lar eax, ecx"]
)
def test_the_check_for_such_instructions_finds_them(line: str) -> None:
    assert NOT_VIRTUALIZABLE.search(f"start:\n{line}\n")


def test_the_minikernel_includes_all_its_files() -> None:
    guest = catalogue.guests()["minikernel"]
    folder = guest.source_path.parent
    included = re.findall(
        r'^%include "([^"]+)"', guest.source_path.read_text("utf-8"), re.MULTILINE
    )
    inside = {path for path in included if not path.startswith("..")}
    assert inside == {path.relative_to(folder).as_posix() for path in folder.rglob("*.inc")}
