"""How does a program expect to be started? Looks at its bytes; asks the user if they do not say.

A multiboot header makes a multiboot kernel, an ELF header an ELF executable, the signature 55h AAh
at the end of the first sector a disk that boots. Anything else could be anything: the answer is one
line that says what it looks like, or which options say what it is.

Sources: Multiboot Specification 0.6.96; IBM PC/AT Technical Reference, "Bootstrap Loader"; the
signatures of other formats as their own specifications give them.
"""

from __future__ import annotations

from typing import Final

from isa.errors import TrapgateError
from tools import elf_reader, multiboot
from tools.catalogue import Protocol

HEAD_BYTES: Final = 0x9000
"""How much of a file is looked at: all headers and signatures lie within."""
SECTOR_BYTES: Final = 512
BOOT_SECTOR_ADDRESS: Final = 0x7C00
_SIGNATURE_OFFSET: Final = 510
_SIGNATURE: Final = b"\x55\xaa"

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


def is_bootable(head: bytes) -> bool:
    """Whether the first sector says that it is one to boot from."""
    return head[_SIGNATURE_OFFSET:SECTOR_BYTES] == _SIGNATURE


def recognise(head: bytes, where: str, origin: int | None, *, is_flat: bool) -> Protocol:
    """The protocol of a program nothing is known of but its bytes.

    Args:
        head: the first HEAD_BYTES of the file, or of what the assembler made of it.
        where: what the user called it.
        origin: the `org` of a source; None where there is none.
        is_flat: what says nothing about itself is flat, because it is a source that was assembled
            just now, or because the user gave its address.
    """
    if _is_multiboot(head):
        return "multiboot"
    if elf_reader.is_elf(head):
        return "elf"
    if not is_flat:
        refuse_foreign(head, where)
    if origin in (None, 0, BOOT_SECTOR_ADDRESS) and is_bootable(head):
        return "disk"
    if is_flat:
        return "flat"
    raise TrapgateError(
        f"{where}: neither a multiboot header, nor ELF, nor a boot sector (55h AAh at byte 510);"
        " say what it is: `--protocol flat --address 0x100000 --mode 32` starts a bare program,"
        " `-hda` names a disk image"
    )


def _is_multiboot(head: bytes) -> bool:
    """A header counts unless it is that of a kernel which lies on the disk that the file is."""
    offset = multiboot.header_offset(head)
    if offset is None:
        return False
    return elf_reader.is_elf(head) or offset < SECTOR_BYTES or not is_bootable(head)


def refuse_foreign(data: bytes, where: str) -> None:
    """One line about a format that is known and of no use here."""
    for offset, magic, what in _FOREIGN:
        if data[offset : offset + len(magic)] == magic:
            raise TrapgateError(f"{where}: {what}")
