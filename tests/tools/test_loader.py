"""The loader: every protocol, what a guest finds at entry, and files that lie.

ELF files are built here byte by byte and read back by pyelftools, so that the reader under test is
checked against an independent one.
"""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from isa.boot import BootImage
from isa.errors import TrapgateError
from tools import elf_reader
from tools.catalogue import Protocol
from tools.loader import load

MIB = 1 << 20
RAM = 4 * MIB
CODE = bytes.fromhex("b810000000e6f4f4ebfd")


def elf(
    parts: list[tuple[int, int, bytes, int]],
    entry: int,
    symbols: dict[str, int] | None = None,
    prefix: bytes = b"",
) -> bytes:
    """A static ELF32 file: parts are (physical, linear, bytes, size in memory)."""
    headers = 52 + 32 * len(parts)
    body = prefix.rjust(0)
    at = headers + len(prefix)
    table, contents = b"", b""
    for physical, linear, data, size in parts:
        table += struct.pack("<8I", 1, at, linear, physical, len(data), size, 5, 4)
        contents += data
        at += len(data)
    strings = b"\0"
    entries = bytes(16)
    for name, value in (symbols or {}).items():
        entries += struct.pack("<IIIBBH", len(strings), value, 0, 0x10, 0, 1)
        strings += name.encode() + b"\0"
    names = b"\0.symtab\0.strtab\0"
    symbols_at, strings_at = at, at + len(entries)
    sections_at = strings_at + len(strings) + len(names)
    sections = b"".join(
        struct.pack("<10I", *fields)
        for fields in (
            (0,) * 10,
            (1, 2, 0, 0, symbols_at, len(entries), 2, 1, 4, 16),
            (9, 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0),
            (9, 3, 0, 0, strings_at + len(strings), len(names), 0, 0, 1, 0),
        )
    )
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = ident + struct.pack(
        "<HHIIIIIHHHHHH", 2, 3, 1, entry, 52, sections_at, 0, 52, 32, len(parts), 40, 4, 3
    )
    return header + table + body + contents + entries + strings + names + sections


def multiboot_header(flags: int = 0, *addresses: int) -> bytes:
    checksum = -(0x1BADB002 + flags) & 0xFFFFFFFF
    return struct.pack(f"<{3 + len(addresses)}I", 0x1BADB002, flags, checksum, *addresses)


def flat_kernel(load_end: int = 0, bss_end: int = 0, padding: int = 4) -> bytes:
    """A flat multiboot kernel at 1 MiB whose header stands behind `padding` bytes."""
    head = multiboot_header(0x10000, MIB + padding, MIB, load_end, bss_end, MIB + padding + 32)
    return bytes(padding) + head + CODE


@pytest.fixture
def boot(tmp_path: Path):
    """Load bytes as if they were a file."""

    def load_bytes(data: bytes, protocol: Protocol = "auto", **options: object) -> BootImage:
        path = tmp_path / "kernel"
        path.write_bytes(data)
        return load(path, protocol=protocol, ram_bytes=RAM, **options)  # type: ignore[arg-type]

    return load_bytes


def memory_of(image: BootImage) -> bytearray:
    memory = bytearray(RAM)
    for address, data in image.segments:
        memory[address : address + len(data)] = data
    return memory


# --- flat --------------------------------------------------------------------------------------


def test_a_flat_file_goes_to_one_mebibyte(boot):
    image = boot(CODE, "flat")
    assert image.segments == ((MIB, CODE),)
    assert (image.entry, image.eax, image.ebx, image.protected) == (MIB, 0, 0, True)
    assert image.name == "kernel"
    assert 0 < image.esp <= 0xA0000


def test_a_flat_file_goes_where_it_is_told(boot):
    image = boot(CODE, address=0x7C00)
    assert image.segments == ((0x7C00, CODE),)
    assert image.entry == 0x7C00
    assert not 0x7C00 <= image.esp - 1 < 0x7C00 + len(CODE)


@pytest.mark.parametrize(
    ("address", "rule"),
    [(RAM - 4, "outside memory"), (0xB8000, "video memory"), (0xA0000 - 4, "video memory")],
)
def test_a_flat_file_must_fit(boot, address, rule):
    with pytest.raises(TrapgateError, match=rule):
        boot(CODE, address=address)


def test_an_empty_file_is_refused(boot):
    with pytest.raises(TrapgateError, match="empty file"):
        boot(b"")


def test_a_file_that_says_nothing_about_itself_is_a_question(boot):
    with pytest.raises(TrapgateError, match=r"say what it is: .*--address"):
        boot(CODE)


@pytest.mark.parametrize(
    ("offset", "magic", "what"),
    [
        (0x202, b"HdrS", "bzImage"),
        (0, b"QFI\xfb", "qcow2.*qemu-img convert"),
        (0x8001, b"CD001", "ISO 9660"),
        (0, b"\x1f\x8b", "gzip"),
        (0, b"MZ", "DOS or Windows"),
    ],
)
def test_a_known_format_of_no_use_here_is_named(boot, offset, magic, what):
    with pytest.raises(TrapgateError, match=what):
        boot(bytes(offset) + magic + bytes(16))


@pytest.mark.parametrize(
    ("address", "selector", "entry"),
    [(0x7C00, 0, 0x7C00), (0x10000, 0x1000, 0), (0x23456, 0x2000, 0x3456)],
)
def test_a_flat_file_starts_in_real_mode_if_told(boot, address, selector, entry):
    image = boot(CODE, address=address, mode=16)
    assert not image.protected
    assert (image.code_selector, image.entry) == (selector, entry)
    assert 0 < image.esp < 0x10000
    assert not address <= image.esp < address + len(CODE)


def test_real_mode_reaches_the_first_mebibyte_only(boot):
    with pytest.raises(TrapgateError, match="out of reach of real mode"):
        boot(CODE, address=MIB, mode=16)


def test_only_flat_programs_move(boot):
    with pytest.raises(TrapgateError, match="only flat programs move"):
        boot(flat_kernel(), address=2 * MIB)
    with pytest.raises(TrapgateError, match="only flat programs move"):
        boot(elf([(MIB, MIB, CODE, 64)], MIB), mode=16)


# --- ELF ---------------------------------------------------------------------------------------


def test_elf_segments_symbols_and_entry(boot):
    data = elf(
        [(MIB, MIB, CODE, 64), (2 * MIB, 2 * MIB, b"data", 4)],
        MIB,
        {"start": MIB, "counter": 2 * MIB},
    )
    image = boot(data)
    assert image.segments == ((MIB, CODE.ljust(64, b"\0")), (2 * MIB, b"data"))
    assert image.entry == MIB
    assert image.symbols == {"start": MIB, "counter": 2 * MIB}
    assert image.eax == 0


@pytest.mark.oracle
def test_pyelftools_reads_the_same_file_the_same_way():
    data = elf([(MIB, 0xC0100000, CODE, 64)], 0xC0100002, {"start": 0xC0100000, "end": 0xC010000A})
    ours = elf_reader.read_elf(data, "kernel")
    theirs = ELFFile(io.BytesIO(data))
    assert ours.entry == theirs.header.e_entry
    assert [
        (part.physical, part.linear, part.data, part.memory_bytes) for part in ours.segments
    ] == [
        (part.header.p_paddr, part.header.p_vaddr, part.data(), part.header.p_memsz)
        for part in theirs.iter_segments("PT_LOAD")
    ]
    table = theirs.get_section(1)
    assert ours.symbols == {
        symbol.name: symbol.entry.st_value for symbol in table.iter_symbols() if symbol.name
    }


def test_an_entry_in_the_linear_range_starts_where_the_segment_is_loaded(boot):
    image = boot(elf([(MIB, 0xC0100000, CODE, 64)], 0xC0100002))
    assert image.entry == MIB + 2


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda data: data[:40], "truncated"),
        (lambda data: data[:60], "truncated"),
        (lambda data: data[:84] + data[90:], "truncated|damaged"),
        (lambda data: data[:4] + b"\x02" + data[5:], "not for 32-bit i386"),
        (lambda data: data[:5] + b"\x02" + data[6:], "not for 32-bit i386"),
        (lambda data: data[:18] + b"\x28" + data[19:], "not for 32-bit i386"),
        (lambda data: data[:16] + b"\x01" + data[17:], "still has to be linked"),
        (lambda data: data[:16] + b"\x03" + data[17:], "position-independent"),
        (lambda data: data[:52] + b"\x03" + data[53:], "dynamic linker"),
        (lambda data: data[:52] + b"\x00" + data[53:], "no segment to load"),
        (lambda data: data[:24] + b"\xff" * 4 + data[28:], "entry point 0xffffffff"),
        (lambda data: data[:56] + b"\xff" * 4 + data[60:], "beyond its end"),
        (lambda data: data[:72] + b"\xff" * 4 + data[76:], "past 4 GiB|outside memory"),
        (lambda data: data[:72] + b"\x01\0\0\0" + data[76:], "larger in the file"),
        (lambda data: data[:64] + b"\0\0\0\x7f" + data[68:], "outside memory"),
    ],
)
def test_a_damaged_elf_file_gives_one_line(boot, change, rule):
    data = elf([(MIB, MIB, CODE, 64)], MIB, {"start": MIB})
    with pytest.raises(TrapgateError, match=rule) as caught:
        boot(change(data), "elf")
    assert "\n" not in str(caught.value)
    assert "kernel: " in str(caught.value)


def test_segments_that_share_the_file_cost_no_memory(boot):
    parts = [(MIB + 0x1000 * index, MIB, b"", 0x1000) for index in range(1000)]
    data = bytearray(elf(parts, MIB))
    for index in range(1000):  # p_offset 0, p_filesz 4096
        struct.pack_into("<I", data, 52 + 32 * index + 4, 0)
        struct.pack_into("<I", data, 52 + 32 * index + 16, 4096)
    with pytest.raises(TrapgateError, match="larger than the file"):
        boot(bytes(data))


def test_overlapping_segments_are_refused(boot):
    with pytest.raises(TrapgateError, match=f"overlap at {MIB + 32:#x}"):
        boot(elf([(MIB, MIB, CODE, 64), (MIB + 32, MIB + 32, CODE, 64)], MIB))


def test_what_is_not_elf_is_not_loaded_as_elf(boot):
    with pytest.raises(TrapgateError, match="not an ELF file"):
        boot(bytes(100), "elf")


# --- multiboot ---------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 4, 4096, 8192 - 12 - 20])
def test_a_multiboot_header_is_found_in_the_first_8192_bytes(boot, padding):
    image = boot(flat_kernel(padding=padding))
    assert image.eax == 0x2BADB002
    assert image.entry == MIB + padding + 32
    assert memory_of(image)[image.entry : image.entry + len(CODE)] == CODE


@pytest.mark.parametrize("padding", [2, 8192 - 8, 8192])
def test_a_header_elsewhere_does_not_count(boot, padding):
    with pytest.raises(TrapgateError, match="neither a multiboot header"):
        boot(flat_kernel(padding=padding))
    with pytest.raises(TrapgateError, match="no multiboot header"):
        boot(flat_kernel(padding=padding), "multiboot")


def test_a_wrong_checksum_is_no_header(boot):
    data = flat_kernel()
    damaged = data[:12] + bytes([data[12] ^ 1]) + data[13:]
    with pytest.raises(TrapgateError, match="neither a multiboot header"):
        boot(damaged)
    with pytest.raises(TrapgateError, match="wrong checksum"):
        boot(damaged, "multiboot")


def test_load_end_and_bss_are_respected(boot):
    data = flat_kernel(load_end=MIB + 40, bss_end=MIB + 100)
    image = boot(data)
    assert dict(image.segments)[MIB] == data[:40].ljust(100, b"\0")


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (flat_kernel(load_end=MIB + 4096), "truncated"),
        (flat_kernel(load_end=MIB - 1), "load end"),
        (flat_kernel(bss_end=MIB + 8), "bss ends"),
        (flat_kernel(bss_end=0xFFFFFFFF), "outside memory"),
        (bytes(4) + multiboot_header(0x10000, MIB, MIB + 4, 0, 0, MIB), "does not fit"),
        (multiboot_header(0x10000, MIB + 64, MIB, 0, 0, MIB), "does not fit"),
        (multiboot_header(0x10000)[:12], "incomplete"),
        (multiboot_header(0) + CODE, "no load addresses"),
        (multiboot_header(4) + CODE, "incomplete"),
        (
            multiboot_header(4, 0, 0, 0, 0, 0, 0, 800, 600, 32),
            r"graphics mode \(800x600, 32 bits\)",
        ),
        (multiboot_header(8) + CODE, "unknown requirements 0x8"),
    ],
)
def test_a_damaged_multiboot_kernel_gives_one_line(boot, data, rule):
    with pytest.raises(TrapgateError, match=rule):
        boot(data)


def test_an_elf_kernel_with_a_multiboot_header(boot):
    code = multiboot_header(3) + CODE
    image = boot(elf([(MIB, MIB, code, len(code))], MIB + 12))
    assert (image.eax, image.entry) == (0x2BADB002, MIB + 12)
    assert memory_of(image)[MIB : MIB + len(code)] == code


@given(low=st.integers(0x1000, 0x9C000), size=st.integers(32 + len(CODE), 0x20000))
def test_boot_information_and_stack_avoid_the_image(tmp_path_factory, low, size):
    low &= ~3
    end = min(low + size, 0xA0000)
    header = multiboot_header(0x10000, low, low, 0, end, low + 32)
    path = tmp_path_factory.mktemp("kernels") / "low"
    path.write_bytes(header + CODE)
    image = load(path, ram_bytes=RAM, command_line="x" * 300)
    ranges = sorted((at, at + len(data)) for at, data in image.segments)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ranges))
    information = next(len(data) for at, data in image.segments if at == image.ebx)
    assert image.ebx + information <= 0x9FC00
    assert not any(at < image.esp and image.esp - 4096 < last for at, last in ranges)


# --- files that lie ----------------------------------------------------------------------------

SEEDS = [
    elf([(MIB, MIB, CODE, 64), (2 * MIB, 2 * MIB, b"data", 8)], MIB, {"start": MIB}),
    flat_kernel(load_end=MIB + 40, bss_end=MIB + 100),
    multiboot_header(3) + elf([(MIB, MIB, CODE, 64)], MIB),
]


@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)), max_size=6),
    length=st.integers(0, 600),
    protocol=st.sampled_from(["auto", "elf", "multiboot", "flat"]),
)
def test_no_file_does_more_than_give_a_line(tmp_path_factory, seed, changes, length, protocol):
    data = bytearray(seed)
    for at, value in changes:
        data[at : at + len(value)] = value
    path = tmp_path_factory.mktemp("hostile") / "file"
    path.write_bytes(bytes(data[:length]))
    message = ""
    try:
        image = load(path, protocol=protocol, ram_bytes=RAM)
    except TrapgateError as error:
        message = str(error)
    else:
        check_placement(image)
    assert "\n" not in message


def check_placement(image: BootImage) -> None:
    end = 0
    for address, part in image.segments:
        assert end <= address
        end = address + len(part)
    assert end <= RAM


# --- names -------------------------------------------------------------------------------------


def test_a_missing_file_gives_one_line(tmp_path):
    with pytest.raises(TrapgateError, match="no such file"):
        load(tmp_path / "nothing.bin")


def test_a_folder_that_is_no_guest_is_refused(tmp_path):
    with pytest.raises(TrapgateError, match="not a guest"):
        load(tmp_path)


@pytest.mark.parametrize("ram_bytes", [0, 4096, MIB + 1, 1 << 40, -4096])
def test_impossible_memory_sizes_are_refused(tmp_path, ram_bytes):
    path = tmp_path / "kernel"
    path.write_bytes(CODE)
    with pytest.raises(TrapgateError, match="must be whole pages"):
        load(path, ram_bytes=ram_bytes)


def test_an_unknown_protocol_is_refused(tmp_path):
    with pytest.raises(TrapgateError, match="unknown boot protocol 'linux'"):
        load(tmp_path / "kernel", protocol="linux")  # type: ignore[arg-type]
