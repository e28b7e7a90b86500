"""One instruction of the guest, carried out by software.

The emulator is driven by the instruction table: the form of the decoded instruction names the
operation, its operands, sizes and privilege rule. An instruction either completes, or raises the
guest's fault with nothing changed, or (a repeated string instruction) has done some iterations and
wants to go on.

Instructions that no monitor ever has to emulate are missing on purpose: `can_emulate` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, Protocol

from hypervisor.addresses import M32
from hypervisor.emulation.privilege import check_privilege
from hypervisor.faults import general_protection, undefined_opcode
from hypervisor.linear_memory import LinearMemory
from hypervisor.vcpu import VirtualCpu
from isa.disassembly import OVERLONG, TRUNCATED, DecodeError, decode
from isa.encoder import MAX_LENGTH
from isa.instruction import Instruction, Memory
from isa.registers import EFLAGS_RF


class Host(Protocol):
    """What a monitor lends to the emulator, and wants to be told."""

    completed: int
    """Guest instructions completed before this one."""

    def read_port(self, port: int, size: int) -> int:
        """IN, from the VM's own devices."""

    def write_port(self, port: int, size: int, value: int) -> None:
        """OUT, to the VM's own devices."""

    def must_yield(self) -> bool:
        """Whether a repeated instruction should pause after this iteration."""

    def paging_changed(self) -> None:
        """CR0, CR3 or CR4 was written."""

    def page_invalidated(self, gva: int) -> None:
        """INVLPG."""

    def descriptor_tables_changed(self) -> None:
        """GDTR or LDTR was loaded."""

    def breakpoints_changed(self) -> None:
        """A debug register was written."""

    def apic_moved(self) -> None:
        """IA32_APIC_BASE was written."""


class Emulator:
    """Interprets instructions on one virtual processor."""

    def __init__(self, vcpu: VirtualCpu, memory: LinearMemory, host: Host) -> None:
        self.vcpu = vcpu
        self.memory = memory
        self.host = host
        self.next_eip = 0
        self.is_complete = True

    def execute(self, instruction: Instruction) -> bool:
        """Carry out the instruction at CS:EIP; False if it is to be continued.

        Raises GuestFault with nothing changed, or VmStopped for what cannot be done at all.
        """
        vcpu = self.vcpu
        end = vcpu.eip + instruction.length
        self.next_eip = end & (M32 if instruction.bits == 32 else 0xFFFF)
        self.is_complete = True
        if not instruction.form.needs & vcpu.features:
            raise undefined_opcode()
        vcpu.eflags &= ~EFLAGS_RF
        if instruction.form.privilege or instruction.form.sensitive:
            check_privilege(vcpu, self.memory, instruction)
        routines()[instruction.form.operation](self, instruction)
        if self.is_complete:
            vcpu.eip = self.next_eip
        return self.is_complete


Routine = Callable[[Emulator, Instruction], None]


@cache
def routines() -> dict[str, Routine]:
    """The routine of every operation that can be emulated."""
    from hypervisor.emulation import (
        bits,
        branches,
        data,
        ports,
        queries,
        segments,
        stack,
        strings,
        system,
        transfers,
    )

    families = (bits, branches, data, ports, queries, segments, stack, strings, system, transfers)
    found: dict[str, Routine] = {}
    for family in families:
        for operation, routine in family.ROUTINES.items():
            assert operation not in found, operation
            found[operation] = routine
    return found


def can_emulate(instruction: Instruction) -> bool:
    """Whether there is a routine for an instruction."""
    return instruction.form.operation in routines()


# Operations that use ES, DS, FS or GS without a memory operand that says so.
_SEGMENT_OPERATIONS: Final = frozenset(
    {"MOV_TO_SREG", "MOV_FROM_SREG", "POP_SREG", "PUSH_SREG", "LOAD_FAR", "IRET", "RET_FAR"}
    | {"INS", "OUTS", "MOVS", "STOS", "LODS"}
)


def touches_data_segments(instruction: Instruction) -> bool:
    """Whether ES, DS, FS or GS matter to an instruction."""
    if instruction.form.operation in _SEGMENT_OPERATIONS:
        return True
    return any(isinstance(operand, Memory) for operand in instruction.operands)


_CACHE_LIMIT: Final = 4096


class Decoder:
    """Fetches and decodes the guest's next instruction; remembers what it has decoded."""

    def __init__(self, vcpu: VirtualCpu, memory: LinearMemory) -> None:
        self._vcpu = vcpu
        self._memory = memory
        self._known: dict[tuple[bytes, int, int], Instruction] = {}

    def next_instruction(self) -> Instruction:
        """The instruction at CS:EIP; raises the fault that executing it would begin with."""
        code = self._memory.fetch(0, MAX_LENGTH)
        try:
            return self._decode(code)
        except DecodeError as error:
            if error.reason != TRUNCATED:
                raise _decode_fault(error) from None
        while len(code) < MAX_LENGTH:
            code += self._memory.fetch(len(code), MAX_LENGTH - len(code))
            try:
                return self._decode(code)
            except DecodeError as error:
                if error.reason != TRUNCATED:
                    raise _decode_fault(error) from None
        raise general_protection()

    def _decode(self, code: bytes) -> Instruction:
        key = (code, self._vcpu.eip, self._vcpu.code_bits)
        found = self._known.get(key)
        if found is None:
            found = decode(code, 0, self._vcpu.code_bits, self._vcpu.eip)
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            self._known[key] = found
        return found


def _decode_fault(error: DecodeError) -> Exception:
    return general_protection() if error.reason == OVERLONG else undefined_opcode()
