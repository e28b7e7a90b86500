"""The options by which every verb that runs a guest is told what to boot and how.

One set for all verbs, named as QEMU names them where QEMU has them: a verb takes `options:
GuestOptions` and gets the boot image with `options.load(guest)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from isa.errors import TrapgateError
from tools.arguments import Address, Size
from tools.catalogue import Protocol
from tools.drives import BootLetter, DiskWritesName, Drives
from tools.loader import RAM_BYTES, Mode, load, ram_of

if TYPE_CHECKING:
    from isa.boot import BootImage


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class GuestOptions:
    """What to boot, how, and in how much memory."""

    kernel: Annotated[
        str | None, Parameter(name=["--kernel", "-kernel"], help="The guest, as in QEMU.")
    ] = None
    append: Annotated[
        str, Parameter(name=["--append", "-append"], help="Command line of a multiboot kernel.")
    ] = ""
    initrd: Annotated[
        str,
        Parameter(
            name=["--initrd", "-initrd"],
            help="Modules of a multiboot kernel: 'FILE ARGUMENTS,FILE2'.",
        ),
    ] = ""
    memory: Annotated[
        Size | None,
        Parameter(name=["--memory", "-m"], help="Memory: 64M, 2048K (default: as the guest asks)."),
    ] = None
    protocol: Annotated[
        Protocol, Parameter(help="How the guest expects to be started (default: look at it).")
    ] = "auto"
    address: Annotated[
        Address | None,
        Parameter(name=["--address", "--at"], help="Where a flat binary is loaded and entered."),
    ] = None
    mode: Annotated[
        Mode | None, Parameter(help="Code size of a flat binary: 16 starts it in real mode.")
    ] = None

    hda: Annotated[
        str | None, Parameter(name=["--hda", "-hda"], help="Image of the first disk.")
    ] = None
    hdb: Annotated[str | None, Parameter(name=["--hdb", "-hdb"], help="Of the second one.")] = None
    hdc: Annotated[str | None, Parameter(name=["--hdc", "-hdc"], help="Of the third one.")] = None
    hdd: Annotated[str | None, Parameter(name=["--hdd", "-hdd"], help="Of the fourth one.")] = None
    boot: Annotated[
        BootLetter,
        Parameter(name=["--boot", "-boot"], help="Where the BIOS looks first: a diskette, c disk."),
    ] = "a"
    disk_writes: Annotated[
        DiskWritesName,
        Parameter(
            help="What becomes of what the guest writes: discard; overlay: kept in FILE.overlay;"
            " image: kept in the image itself."
        ),
    ] = "discard"

    def path(self, guest: str | None) -> str | None:
        """The one guest that is meant, given by itself or with -kernel; None: boot from a disk."""
        path = self.kernel if guest is None else guest
        if guest is not None and self.kernel is not None:
            raise TrapgateError("name one guest, such as guests/hello, not two")
        if path is None and self.drives.first is None:
            raise TrapgateError("name one guest, such as guests/hello, or a disk image with -hda")
        return path

    @property
    def drives(self) -> Drives:
        """The disk images."""
        return Drives((self.hda, self.hdb, self.hdc, self.hdd), self.boot, self.disk_writes)

    def ram_bytes(self, guest: str | None) -> int:
        """Memory of the machine."""
        path = self.path(guest)
        if self.memory is not None:
            return self.memory
        return RAM_BYTES if path is None else ram_of(path)

    def load(self, guest: str | None) -> BootImage:
        """The guest, ready to be booted."""
        return load(
            self.path(guest),
            protocol=self.protocol,
            address=self.address,
            mode=self.mode,
            command_line=self.append,
            modules=self.initrd,
            drives=self.drives,
            ram_bytes=self.ram_bytes(guest),
        )


NO_OPTIONS: Final = GuestOptions()
