"""Unicorn as a second processor: the same registers and the same RAM layout as ours.

Unicorn is QEMU's translator in a library. It knows paging, privilege and descriptors, but no
segment limits; exceptions end emulation with their vector, without error code and without delivery.
It is an oracle for tests only: its engine is under the GPL and is never imported by the project.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Sequence

import numpy as np
from unicorn import UC_ARCH_X86, UC_HOOK_INSN_INVALID, UC_HOOK_INTR, UC_MODE_32, UC_PROT_ALL, Uc
from unicorn import x86_const as names

GENERAL = tuple(
    getattr(names, f"UC_X86_REG_{name}")
    for name in ("EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI")
)
ALL = (*GENERAL, names.UC_X86_REG_EIP, names.UC_X86_REG_EFLAGS)
SEGMENTS = tuple(
    getattr(names, f"UC_X86_REG_{name}") for name in ("ES", "CS", "SS", "DS", "FS", "GS")
)
CR0, CR2, CR3, CR4 = (getattr(names, f"UC_X86_REG_{name}") for name in ("CR0", "CR2", "CR3", "CR4"))
UD = 6


class UnicornMachine:
    """One Unicorn processor with RAM at physical address 0, in protected or real mode.

    Attributes:
        memory: the RAM as a numpy array. After changing code that has been executed, call
            `forget_code`.
        fault: vector of the exception that ended the last `run`, or None.
    """

    def __init__(self, ram_bytes: int, mode: int = UC_MODE_32, model: int | None = None) -> None:
        self._buffer = mmap.mmap(-1, ram_bytes)
        self.memory = np.frombuffer(self._buffer, np.uint8)
        self.uc = Uc(UC_ARCH_X86, mode)
        if model is not None:
            self.uc.ctl_set_cpu_model(model)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self.uc.mem_map_ptr(0, ram_bytes, UC_PROT_ALL, address)
        self.uc.hook_add(UC_HOOK_INTR, self._exception)
        self.uc.hook_add(UC_HOOK_INSN_INVALID, self._invalid)
        self.fault: int | None = None
        self.keep_setup()

    def _exception(self, uc: Uc, vector: int, _data: object) -> None:
        self.fault = vector
        uc.emu_stop()

    def _invalid(self, uc: Uc, _data: object) -> bool:
        self.fault = UD
        uc.emu_stop()
        return True

    def write(self, address: int, data: bytes) -> None:
        self.memory[address : address + len(data)] = np.frombuffer(data, np.uint8)

    def forget_code(self, address: int | None = None) -> None:
        """Drop the translation that starts at an address, or all."""
        if address is None:
            self.uc.ctl_flush_tb()
        else:
            self.uc.ctl_remove_cache(address, address + 1)

    def forget_translations(self) -> None:
        """Flush the TLB, as a load of CR3 does."""
        self.uc.reg_write(CR3, self.uc.reg_read(CR3))

    def keep_setup(self) -> None:
        """Remember segments and control registers as they are now."""
        self._setup = self.uc.context_save()

    def set_registers(self, general: Sequence[int], eflags: int) -> None:
        # Unicorn would take the next exception for a fault in the delivery of the last one.
        self.uc.context_restore(self._setup)
        values = [*((name, int(v)) for name, v in zip(GENERAL, general, strict=True))]
        self.uc.reg_write_batch([*values, (names.UC_X86_REG_EFLAGS, eflags)])

    def registers(self) -> tuple[list[int], int, int]:
        """General registers, EIP, EFLAGS."""
        *general, eip, eflags = self.uc.reg_read_batch(ALL)
        return general, eip, eflags

    def use_gdt(self, address: int, descriptors: Sequence[int]) -> None:
        """Write a GDT and load GDTR."""
        self.write(address, struct.pack(f"<{len(descriptors)}Q", *descriptors))
        limit = 8 * len(descriptors) - 1
        self.uc.reg_write(names.UC_X86_REG_GDTR, (0, address, limit, 0))

    def load_segment(self, number: int, selector: int) -> None:
        self.uc.reg_write(SEGMENTS[number], selector)

    def read(self, register: int) -> int:
        return int(self.uc.reg_read(register))

    def set(self, register: int, value: int) -> None:
        self.uc.reg_write(register, value)

    def run(self, start: int, until: int = 0xFFFFFFFF, count: int = 0) -> int | None:
        """Execute from `start` to `until`, or `count` instructions; the vector of a fault."""
        self.fault = None
        self.uc.emu_start(start, until, 0, count)
        return self.fault
