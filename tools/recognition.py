"""How does a program expect to be started? Looks at its bytes; asks the user if they do not say.

A multiboot header makes a multiboot kernel, an ELF header an ELF executable. Anything else could be
anything: the answer is one line that says what it looks like, or which options say what it is.

Sources: Multiboot Specification 0.6.96; the signatures of other formats as their own specifications
give them.
"""

from __future__ import annotations

from typing import Final

from isa.errors import TrapgateError
from tools import elf_reader, multiboot
from tools.catalogue import Protocol

# (offset, bytes) of what people give to a virtual machine and this one cannot start.
_FOREIGN: Final = (
    (0x202, b"HdrS", "a Linux kernel (bzImage); its boot protocol is not offered"),
    (0, b"QFI\xfb", "a qcow2 image; `qemu-img convert -O raw` makes a raw one"),
    (0, b"KDMV", "a VMDK image; `qemu-img convert -O raw` makes a raw one"),
    (0, b"conectix", "a VHD image; `qemu-img convert -O raw` makes a raw one"),
    (0, b"vhdxfile", "a VHDX image; `qemu-img convert -O raw` makes a raw one"),
    (0x40, b"\x7f\x10\xda\xbe", "a VDI image; `qemu-img convert -O raw` makes a raw one"),
    (0x8001, b"CD001", "an ISO 9660 image; there is no CD-ROM drive"),
    (0, b"\x1f\x8b", "compressed by gzip; unpack it first"),
    (0, b"\xfd7zXZ", "compressed by xz; unpack it first"),
    (0, b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (0, b"MZ", "a DOS or Windows executable"),
)


def recognise(data: bytes, where: str, *, is_flat: bool) -> Protocol:
    """The protocol of a program nothing is known of but its bytes.

    Args:
        data: the file, or what the assembler made of it.
        where: what the user called it.
        is_flat: what says nothing about itself is flat, because it is a source that was assembled
            just now, or because the user gave its address.
    """
    if multiboot.find_header(data, where, required=False) is not None:
        return "multiboot"
    if elf_reader.is_elf(data):
        return "elf"
    if is_flat:
        return "flat"
    refuse_foreign(data, where)
    raise TrapgateError(
        f"{where}: neither a multiboot header nor an ELF file; say what it is:"
        " `--protocol flat --address 0x100000 --mode 32` starts a bare program"
    )


def refuse_foreign(data: bytes, where: str) -> None:
    """One line about a format that is known and of no use here."""
    for offset, magic, what in _FOREIGN:
        if data[offset : offset + len(magic)] == magic:
            raise TrapgateError(f"{where}: {what}")
