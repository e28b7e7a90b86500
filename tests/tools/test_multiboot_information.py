"""What a multiboot kernel is told: read back from memory as a kernel would, field by field.

Offsets are those of the Multiboot Specification 0.6.96, "Boot information format".
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from isa.boot import BootImage
from isa.errors import TrapgateError
from isa.firmware.memory_map import memory_map
from tools.boot_modules import MOST_MODULES, read_modules
from tools.loader import load
from tools.multiboot_information import INFORMATION

MIB = 1 << 20
RAM = 4 * MIB
CODE = bytes.fromhex("b810000000e6f4f4ebfd")
MAGIC = 0x1BADB002
MEMORY, COMMAND_LINE, MODULES, SECTIONS = 1, 1 << 2, 1 << 3, 1 << 5
MEMORY_MAP, LOADER_NAME, FRAMEBUFFER = 1 << 6, 1 << 9, 1 << 12
ALWAYS = MEMORY | COMMAND_LINE | MODULES | MEMORY_MAP | LOADER_NAME


def header(flags: int, *fields: int) -> bytes:
    return struct.pack(f"<{3 + len(fields)}I", MAGIC, flags, -(MAGIC + flags) & 0xFFFFFFFF, *fields)


FLAT = header(0x10000, MIB, MIB, 0, 0, MIB + 48) + bytes(16) + CODE
TEXT_MODE = header(0x10004, MIB, MIB, 0, 0, MIB + 48, 1, 80, 25, 0) + CODE


class Told:
    """The boot information of an image, as its kernel sees memory."""

    def __init__(self, image: BootImage) -> None:
        self.memory = bytearray(RAM)
        for address, data in image.segments:
            self.memory[address : address + len(data)] = data
        self.at = image.ebx

    def word(self, offset: int) -> int:
        return self.u32(self.at + offset)

    def u32(self, address: int) -> int:
        return int.from_bytes(self.memory[address : address + 4], "little")

    def text(self, address: int) -> str:
        return self.memory[address : self.memory.index(0, address)].decode()

    def ranges(self) -> list[tuple[int, int, int]]:
        found, at, end = [], self.word(48), self.word(48) + self.word(44)
        while at < end:
            found.append(struct.unpack_from("<QQI", self.memory, at + 4))
            at += self.u32(at) + 4
        assert at == end
        return found

    def modules(self) -> list[tuple[int, int, str]]:
        first = self.word(24)
        entries = [
            struct.unpack_from("<4I", self.memory, first + 16 * index)
            for index in range(self.word(20))
        ]
        assert all(reserved == 0 for *_, reserved in entries)
        return [(start, end, self.text(string)) for start, end, string, _ in entries]


@pytest.fixture
def told(tmp_path: Path):
    """Load bytes as a kernel and read what it is told."""

    def load_bytes(data: bytes, **options: str) -> Told:
        path = tmp_path / "kernel"
        path.write_bytes(data)
        image = load(path, ram_bytes=RAM, **options)  # type: ignore[arg-type]
        assert image.eax == 0x2BADB002
        return Told(image)

    return load_bytes


def test_a_plain_kernel_is_told_about_the_machine(told):
    information = told(FLAT, command_line="tasks=3 été")
    assert information.word(0) == ALWAYS
    assert information.word(4) == 639
    assert information.word(8) == (RAM - MIB) >> 10
    assert information.text(information.word(16)) == "tasks=3 été"
    assert information.text(information.word(64)) == "Trapgate"
    assert (information.word(20), information.word(24)) == (0, 0)


def test_the_memory_map_has_the_holes_of_a_pc(told):
    ranges = told(FLAT).ranges()
    assert ranges == [(part.first, part.size, part.kind) for part in memory_map(RAM)]
    assert ranges == [
        (0, 0x9FC00, 1),
        (0x9FC00, 0x400, 2),
        (0xF0000, 0x10000, 2),
        (MIB, RAM - MIB, 1),
        (0xFFFC0000, 0x40000, 2),
    ]


@pytest.mark.parametrize("offset", [12, 28, 32, 36, 40, 52, 56, 60, 68, *range(72, 116, 4)])
def test_what_is_not_there_is_zero_and_has_no_flag(told, offset):
    assert told(FLAT).word(offset) == 0


def test_the_structure_has_the_size_of_the_specification():
    assert INFORMATION.size == 116


def test_a_kernel_that_asks_for_text_is_told_which(told):
    information = told(TEXT_MODE)
    assert information.word(0) == ALWAYS | FRAMEBUFFER
    at = information.at + 88
    assert struct.unpack_from("<QIIIBB", information.memory, at) == (0xB8000, 160, 80, 25, 16, 2)


# --- modules -----------------------------------------------------------------------------------


def test_modules_lie_on_pages_behind_the_kernel(told, tmp_path):
    first, second = tmp_path / "shell.bin", tmp_path / "data.bin"
    first.write_bytes(b"S" * 5000)
    second.write_bytes(b"D" * 3)
    kernel = header(0x10001, MIB, MIB, 0, MIB + 0x3001, MIB + 48) + bytes(16) + CODE
    information = told(kernel, modules=f"{first} --quick root=1,{second}")
    (start, end, text), (start2, end2, text2) = information.modules()
    assert (start, end) == (MIB + 0x4000, MIB + 0x4000 + 5000)
    assert (start2, end2) == (MIB + 0x6000, MIB + 0x6003)
    assert (text, text2) == (f"{first} --quick root=1", str(second))
    assert information.memory[start:end] == b"S" * 5000
    assert information.memory[start2:end2] == b"DDD"


def test_an_empty_module_is_one(told, tmp_path):
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    ((start, end, _),) = told(FLAT, modules=str(empty)).modules()
    assert start == end
    assert start % 4096 == 0


def test_two_commas_are_one_of_the_name(tmp_path):
    path = tmp_path / "a,b"
    path.write_bytes(b"x")
    (module,) = read_modules(str(path).replace(",", ",,") + " say,,this")
    assert (module.data, module.string) == (b"x", f"{path} say,this")


@pytest.mark.parametrize(
    ("modules", "rule"),
    [
        ("nowhere.bin", "nowhere.bin: no such file"),
        (".", "a folder"),
        ("/dev/null,", "an empty name"),
        (",".join(["/dev/null"] * (MOST_MODULES + 1)), "64 at most"),
        ("/dev/zero", "larger than 128 MiB"),
    ],
)
def test_modules_that_cannot_be_read_give_one_line(told, modules, rule):
    with pytest.raises(TrapgateError, match=rule) as caught:
        told(FLAT, modules=modules)
    assert "\n" not in str(caught.value)


def test_a_module_that_does_not_fit_gives_one_line(told, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(bytes(RAM))
    with pytest.raises(TrapgateError, match=r"does not fit into memory.*-m gives more"):
        told(FLAT, modules=str(big))


def test_only_multiboot_kernels_have_modules(tmp_path):
    path = tmp_path / "flat.bin"
    path.write_bytes(CODE)
    with pytest.raises(TrapgateError, match="-initrd needs a multiboot kernel"):
        load(path, protocol="flat", modules="/dev/null")


# --- section headers ---------------------------------------------------------------------------

NAMES = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
STRINGS = b"\0kernel_main\0"
SYMBOLS = bytes(16) + struct.pack("<IIIBBH", 1, MIB + 12, 0, 0x12, 0, 1)


def elf_kernel(symbols: bytes = SYMBOLS) -> bytes:
    """An ELF kernel with a multiboot header, a symbol table and its strings."""
    code = header(0) + CODE
    text_at = 84
    at = text_at + len(code)
    symbols_at, strings_at = at, at + len(symbols)
    names_at = strings_at + len(STRINGS)
    sections_at = names_at + len(NAMES)
    sections = [
        (0,) * 10,
        (1, 1, 6, MIB, text_at, len(code), 0, 0, 4, 0),
        (7, 2, 0, 0, symbols_at, len(symbols), 3, 1, 4, 16),
        (15, 3, 0, 0, strings_at, len(STRINGS), 0, 0, 1, 0),
        (23, 3, 0, 0, names_at, len(NAMES), 0, 0, 1, 0),
    ]
    table = b"".join(struct.pack("<10I", *section) for section in sections)
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack(
        "<HHIIIIIHHHHHH", 2, 3, 1, MIB + 12, 52, sections_at, 0, 52, 32, 1, 40, 5, 4
    )
    head += struct.pack("<8I", 1, text_at, MIB, MIB, len(code), len(code), 5, 4)
    return head + code + symbols + STRINGS + NAMES + table


def test_an_elf_kernel_finds_its_symbols(told):
    information = told(elf_kernel())
    assert information.word(0) == ALWAYS | SECTIONS
    count, size, table, names = (information.word(offset) for offset in (28, 32, 36, 40))
    assert (count, size, names) == (5, 40, 4)
    headers = [
        struct.unpack_from("<10I", information.memory, table + 40 * index) for index in range(count)
    ]
    assert information.text(headers[names][3] + headers[2][0]) == ".symtab"
    symbols = headers[2]
    value = information.u32(symbols[3] + 16 + 4)
    name = information.text(headers[symbols[6]][3] + information.u32(symbols[3] + 16))
    assert (name, value) == ("kernel_main", MIB + 12)
    assert headers[1][3] == MIB


def test_sections_lie_clear_of_kernel_and_modules(told, tmp_path):
    module = tmp_path / "module"
    module.write_bytes(b"M" * 4097)
    information = told(elf_kernel(), modules=str(module))
    (start, end, _), *_ = information.modules()
    assert information.memory[start:end] == b"M" * 4097
    assert information.word(36) >= end


def test_sections_without_room_are_not_told_of(told):
    information = told(elf_kernel(symbols=bytes(16 * 200_000)))
    assert information.word(0) == ALWAYS
    assert information.word(28) == 0
