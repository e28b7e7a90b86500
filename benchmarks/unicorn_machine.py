"""The same guest in Unicorn: a binary translator as a library, called from Python as ours is.

One hook, on OUT, ends the run at the exit port. Nothing else is watched, so that Unicorn runs as
fast as it can; a guest that reads ports gets a hook on IN as well.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import unicorn
from unicorn import x86_const as x86

from benchmarks.guest_images import RAM_BYTES
from isa.cpu_models import load_model
from isa.firmware.board_tables import board_tables

if TYPE_CHECKING:
    from isa.boot import BootImage

EXIT_PORT: Final = 0xF4
_NOWHERE: Final = 0xFFFFFFFF
_GENERAL: Final = (
    x86.UC_X86_REG_EAX,
    x86.UC_X86_REG_ECX,
    x86.UC_X86_REG_EDX,
    x86.UC_X86_REG_EBX,
    x86.UC_X86_REG_ESP,
    x86.UC_X86_REG_EBP,
    x86.UC_X86_REG_ESI,
    x86.UC_X86_REG_EDI,
)


class UnicornMachine:
    """One guest in flat 32-bit mode, ready to run to its write to the exit port."""

    def __init__(self, image: BootImage, *, answers_ports: bool = False) -> None:
        self.exit_code: int | None = None
        self._entry = image.entry
        library: Any = unicorn  # its types are not declared
        self._engine = library.Uc(library.UC_ARCH_X86, library.UC_MODE_32)
        self._engine.mem_map(0, RAM_BYTES)
        model = load_model()
        firmware = board_tables(model.signature, model.features)  # as our machine finds it
        for address, data in (*firmware, *image.segments):
            self._engine.mem_write(address, data)
        self._engine.reg_write(x86.UC_X86_REG_EAX, image.eax)
        self._engine.reg_write(x86.UC_X86_REG_EBX, image.ebx)
        self._engine.reg_write(x86.UC_X86_REG_ESP, image.esp)
        self._engine.hook_add(
            library.UC_HOOK_INSN, self._write_port, None, 1, 0, x86.UC_X86_INS_OUT
        )
        if answers_ports:
            self._engine.hook_add(
                library.UC_HOOK_INSN, self._read_port, None, 1, 0, x86.UC_X86_INS_IN
            )

    def run(self) -> None:
        """Run until the guest writes to the exit port."""
        self._engine.emu_start(self._entry, _NOWHERE)

    def _write_port(self, engine: Any, port: int, _size: int, value: int, _data: Any) -> None:
        if port == EXIT_PORT:
            self.exit_code = (value & 0xFF) << 1 | 1
            engine.emu_stop()

    def _read_port(self, _engine: Any, _port: int, _size: int, _data: Any) -> int:
        return 0xFF

    @property
    def registers(self) -> tuple[int, ...]:
        """EAX ECX EDX EBX ESP EBP ESI EDI."""
        return tuple(int(self._engine.reg_read(number)) for number in _GENERAL)

    def memory_digest(self) -> str:
        """SHA-256 of all memory."""
        return hashlib.sha256(self._engine.mem_read(0, RAM_BYTES)).hexdigest()
