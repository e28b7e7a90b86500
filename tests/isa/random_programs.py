"""Random programs that terminate: straight lines, forward branches, loops, calls, strings, stack.

EBP, ESI and EDI always point into the data pages, ESP into the stack page; EAX, ECX, EDX and EBX
hold whatever the program computes. A program ends with the trapdoor. With `define_flags` no flag
that the manual leaves undefined, or Unicorn gets wrong, is ever read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from isa import operand_kinds as kinds
from isa.encoder import FAR_OFFSET_BITS, KIND_FILES, encode
from isa.instruction import (
    REGISTERS,
    Immediate,
    Memory,
    Operand,
    Prefixes,
    Register,
    Target,
)
from isa.notation import Form, load_table

CODE = 0x10000
DATA, DATA_BYTES = 0x20000, 0x4000
COUNTERS = DATA + DATA_BYTES  # of loops; then the stack
STACK = COUNTERS + 0x1800
WORK_BYTES = DATA_BYTES + 0x2000  # everything a program writes
CENTRE = DATA + DATA_BYTES // 2

FORMS = {form.name: form for form in load_table()}
SCRATCH = tuple(REGISTERS[name] for name in ("eax", "ecx", "edx", "ebx"))
SCRATCH_16 = tuple(REGISTERS[name] for name in ("ax", "cx", "dx", "bx"))
BYTES = tuple(REGISTERS[name] for name in ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"))
EAX, ECX, EDX, EBX, EBP, ESI, EDI = (
    REGISTERS[name] for name in ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")
)
EBP_START, ESI_START, EDI_START = CENTRE, DATA + 0xFFC, CENTRE + 0x1002

_PLAIN = """
    ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NOT NEG MUL IMUL1 IMUL DAA DAS AAA AAS AAD CBW CWDE
    CWD CDQ ROL ROR RCL RCR SHL SHR SAR SHLD SHRD BSF BSR BSWAP SETCC XCHG XADD CMPXCHG CMPXCHG8B
    MOV MOVZX MOVSX CMOVCC LEA CLC STC CMC LAHF SAHF SALC NOP PAUSE
"""
# Encodings that Unicorn refuses or that have no defined result.
_EXCLUDED = ("TEST_rm8_imm8_F6_1", "TEST_rm16_imm16_F7_1", "TEST_rm32_imm32_F7_1", "BSWAP_r16")
PLAIN_FORMS = tuple(
    form
    for form in load_table()
    if form.operation in frozenset(_PLAIN.split())
    and form.name not in _EXCLUDED
    and "0F18" not in form.name
)
CONDITIONS = [
    "O",
    "NO",
    "B",
    "AE",
    "E",
    "NE",
    "BE",
    "A",
    "S",
    "NS",
    "P",
    "NP",
    "L",
    "GE",
    "LE",
    "G",
]
ALL_FLAGS = 0x8D5


@dataclass(frozen=True)
class Program:
    """Code at CODE with its entry, and the registers to start with."""

    code: bytes
    entry: int
    registers: tuple[int, ...]
    eflags: int


def make_program(rng: Random, size: int = 40, define_flags: bool = False) -> Program:
    """A program of about `size` units, which executes a few hundred instructions."""
    writer = _Writer(rng, define_flags)
    for _ in range(3):
        writer.function()
    entry = writer.here
    writer.units(size, depth=0)
    writer.settle_flags()
    writer.emit("TRAPDOOR_imm8", Immediate(0x55))
    registers = [rng.getrandbits(32) for _ in range(8)]
    registers[4:] = [STACK, EBP_START, ESI_START, EDI_START]
    return Program(bytes(writer.code), entry, tuple(registers), 2 | rng.getrandbits(32) & ALL_FLAGS)


class _Writer:
    def __init__(self, rng: Random, define_flags: bool) -> None:
        self.rng = rng
        self.define_flags = define_flags
        self.code = bytearray()
        self.undefined = 0  # flags the manual leaves undefined at this point
        self.functions: list[tuple[int, int]] = []  # address, bytes of parameters it releases
        self.counters = 0

    @property
    def here(self) -> int:
        return CODE + len(self.code)

    def emit(self, name: str, *operands: Operand, prefixes: Prefixes | None = None) -> None:
        self.emit_form(FORMS[name], operands, prefixes or Prefixes())

    def emit_form(self, form: Form, operands: tuple[Operand, ...], prefixes: Prefixes) -> None:
        if form.flags.get("r", 0) & self.undefined or form.flow in ("branch", "call", "ret"):
            self.settle_flags()
        self.code += encode(form, operands, 32, self.here, prefixes)
        set_flags = form.flags.get("w", 0) | form.flags.get("0", 0) | form.flags.get("1", 0)
        if kinds.K_CL not in form.kinds and form.operation not in ("RCL", "RCR"):
            self.undefined &= ~set_flags
        self.undefined |= form.flags.get("u", 0)
        if form.operation == "CMPXCHG8B":
            self.undefined = ALL_FLAGS  # see "Oracle differences" in docs/quirks.md
        if form.operation in ("ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SAR", "SHLD", "SHRD"):
            self.undefined |= 0x811

    def settle_flags(self) -> None:
        """Define all flags again if a later instruction may read undefined ones."""
        if self.define_flags and self.undefined:
            self.undefined = 0
            self.emit("CMP_rm32_r32", self.rng.choice(SCRATCH), self.rng.choice(SCRATCH))

    # --- units ---------------------------------------------------------------------------------

    def units(self, count: int, depth: int) -> None:
        choices: list[tuple[Callable[[int], None], int]] = [
            (self.plain, 30),
            (self.branch_over, 5),
            (self.stack_pair, 3),
            (self.string, 2),
            (self.division, 1),
            (self.bit_string, 1),
            (self.table_byte, 1),
            (self.flags_pair, 1),
        ]
        if depth < 2:
            choices += [(self.loop, 2), (self.call, 4)]
        actions, weights = zip(*choices, strict=True)
        for _ in range(count):
            self.rng.choices(actions, weights)[0](depth)

    def plain(self, _depth: int) -> None:
        form = self.rng.choice(PLAIN_FORMS)
        if any(kind in kinds.IN_RM_FIELD or kind in kinds.MEMORY_OFFSET for kind in form.kinds):
            memory = self.memory(form)
        else:
            memory = None
        operands = tuple(self.operand(form, kind, memory) for kind in form.kinds)
        lock = form.lockable and memory in operands and self.rng.random() < 0.1
        if lock and form.operation == "NEG":
            lock = False
        self.emit_form(form, operands, Prefixes(lock=lock))

    def operand(self, form: Form, kind: int, memory: Memory | None) -> Operand:
        rng = self.rng
        if kind in kinds.FIXED_NUMBER:
            return Register(KIND_FILES[kind], kinds.FIXED_NUMBER[kind])
        if kind == kinds.K_ONE:
            return Immediate(1)
        if kind in kinds.IMMEDIATE:
            bits = kinds.KIND_BITS[kind]
            value = rng.choice((rng.getrandbits(bits), rng.getrandbits(3)))
            if kind == kinds.K_IMM8S and value & 0x80:
                value = value - 0x100 & (1 << form.data_bits) - 1
            return Immediate(value, bits)
        if kind in kinds.MEMORY_ONLY or kind in kinds.MEMORY_OFFSET:
            assert memory is not None
            return memory
        if kind in kinds.REGISTER_OR_MEMORY and rng.random() < 0.5:
            assert memory is not None
            return memory
        file = KIND_FILES[kind]
        choice = {"r8": BYTES, "r16": SCRATCH_16, "r32": SCRATCH}[file]
        if kind in kinds.IN_OPCODE:
            allowed = [code & 7 for code in form.encoding.opcodes()]
            choice = tuple(register for register in choice if register.number in allowed)
        return rng.choice(choice)

    def memory(self, form: Form) -> Memory:
        """A memory operand inside the data pages, often across two of them."""
        rng = self.rng
        kind = next(k for k in form.kinds if k in kinds.IN_RM_FIELD or k in kinds.MEMORY_OFFSET)
        bits = FAR_OFFSET_BITS[kind] if form.far else kinds.KIND_BITS[kind]
        place = rng.randrange(DATA + 64, DATA + DATA_BYTES - 64)
        if rng.random() < 0.2:
            place = DATA + rng.choice((0x1000, 0x2000, 0x3000)) - rng.randrange(-2, 8)
        shape = rng.random()
        if kind in kinds.MEMORY_OFFSET or shape < 0.3:
            return Memory(displacement=place, bits=bits, address_bits=32)
        if shape < 0.7:
            base, start = rng.choice(((EBP, EBP_START), (ESI, ESI_START), (EDI, EDI_START)))
            return Memory(base, None, 1, self.near(start, place), bits=bits, address_bits=32)
        index, scale = rng.choice(SCRATCH), rng.choice((1, 2, 4, 8))
        self.emit("AND_rm32_imm8", index, Immediate(rng.choice((0x0F, 0x3F)), 8))
        displacement = self.near(EBP_START, place - 32 * scale)
        return Memory(EBP, index, scale, displacement, bits=bits, address_bits=32)

    def near(self, start: int, place: int) -> int:
        """Displacement to a place, or a short one."""
        return self.rng.randrange(-64, 64) if self.rng.random() < 0.5 else place - start

    # --- control flow --------------------------------------------------------------------------

    def branch_over(self, depth: int) -> None:
        """A conditional branch over a few instructions."""
        rng = self.rng
        condition = rng.choice(CONDITIONS)
        self.settle_flags()
        short = rng.random() < 0.5
        name = f"J{condition}_rel8_o32" if short else f"J{condition}_rel32"
        at, start = len(self.code), self.here
        self.emit(name, Target(start + (2 if short else 6)))
        for _ in range(rng.randrange(1, 5)):
            self.plain(depth)
        self.settle_flags()
        self.code[at : at + (2 if short else 6)] = encode(
            FORMS[name], (Target(self.here),), 32, start
        )

    def loop(self, depth: int) -> None:
        """A few rounds of some units."""
        rng = self.rng
        self.counters += 1
        counter = Memory(displacement=COUNTERS + 4 * self.counters, bits=32, address_bits=32)
        self.emit("MOV_rm32_imm32", counter, Immediate(rng.randrange(1, 7), 32))
        self.settle_flags()
        top = self.here
        self.units(rng.randrange(1, 8), depth + 1)
        self.settle_flags()
        self.emit("DEC_rm32", counter)
        self.emit("JNE_rel32", Target(top))

    def call(self, _depth: int) -> None:
        """A call of a function, direct or through a register or memory."""
        rng = self.rng
        if not self.functions:
            return
        address, released = rng.choice(self.functions)
        for _ in range(released // 4):
            self.emit("PUSH_r32", rng.choice(SCRATCH))
        self.settle_flags()
        kind = rng.randrange(3)
        if kind == 0:
            self.emit("CALL_rel32", Target(address))
        elif kind == 1:
            register = rng.choice(SCRATCH)
            self.emit("MOV_r32_imm32", register, Immediate(address, 32))
            self.emit("CALL_rm32", register)
        else:
            pointer = Memory(displacement=COUNTERS, bits=32, address_bits=32)
            self.emit("MOV_rm32_imm32", pointer, Immediate(address, 32))
            self.emit("CALL_rm32", pointer)

    def function(self) -> None:
        rng = self.rng
        released = rng.choice((0, 0, 4, 8))
        address = self.here
        self.undefined = ALL_FLAGS if self.define_flags else 0
        self.units(rng.randrange(2, 8), depth=2)
        self.settle_flags()
        if released:
            self.emit("RET_imm16_o32", Immediate(released, 16))
        else:
            self.emit("RET_o32")
        self.functions.append((address, released))
        self.undefined = 0

    # --- special instructions ------------------------------------------------------------------

    def stack_pair(self, depth: int) -> None:
        rng = self.rng
        kind = rng.randrange(5)
        if kind == 0:
            self.emit("PUSHAD")
            self.plain(depth)
            self.emit("POPAD")
        elif kind == 1:
            self.emit("ENTER_imm16_imm8_o32", Immediate(rng.randrange(64), 16), Immediate(1, 8))
            self.emit("PUSH_r32", rng.choice(SCRATCH))
            self.emit("LEAVE_o32")
        elif kind == 2:
            self.emit("PUSH_r16", rng.choice(SCRATCH_16))
            self.emit("POP_r16", rng.choice(SCRATCH_16))
        else:
            memory = self.memory(FORMS["PUSH_rm32"])
            self.emit("PUSH_rm32", memory)
            self.emit("PUSH_imm8_o32", Immediate(rng.getrandbits(7), 8))
            self.emit("POP_rm32", self.memory(FORMS["POP_rm32"]))
            self.emit("POP_r32", rng.choice(SCRATCH))

    def string(self, _depth: int) -> None:
        rng = self.rng
        name = rng.choice(("MOVS", "CMPS", "STOS", "LODS", "SCAS")) + rng.choice("BWD")
        backward = rng.random() < 0.3
        for register in (ESI, EDI):
            place = rng.randrange(DATA + 0x400, DATA + DATA_BYTES - 0x400)
            self.emit("MOV_r32_imm32", register, Immediate(place, 32))
        self.emit("STD" if backward else "CLD")
        repeat = 0
        if rng.random() < 0.8:
            self.emit("MOV_r32_imm32", ECX, Immediate(rng.choice((0, 1, 3, 17, 100)), 32))
            repeat = 0xF2 if FORMS[name].repeat == "repcc" and rng.random() < 0.5 else 0xF3
        if FORMS[name].repeat == "repcc" and repeat:
            self.emit("CMP_rm32_r32", EAX, EDX)  # with a count of zero the flags stay
        self.emit(name, prefixes=Prefixes(repeat=repeat))
        self.emit("CLD")
        self.emit("MOV_r32_imm32", ESI, Immediate(ESI_START, 32))
        self.emit("MOV_r32_imm32", EDI, Immediate(EDI_START, 32))

    def division(self, _depth: int) -> None:
        divisor = self.rng.choice((ECX, EBX))
        self.emit("OR_rm32_imm8", divisor, Immediate(1, 8))
        self.emit("XOR_rm32_r32", EDX, EDX)
        self.emit("DIV_rm32", divisor)

    def bit_string(self, _depth: int) -> None:
        self.emit("AND_rm32_imm32", ECX, Immediate(0x7FFF, 32))
        name = self.rng.choice(("BT", "BTS", "BTR", "BTC"))
        memory = Memory(EBP, displacement=-0x800, bits=32, address_bits=32)
        self.emit(f"{name}_rm32_r32", memory, ECX)

    def table_byte(self, _depth: int) -> None:
        self.emit("MOV_r32_imm32", EBX, Immediate(CENTRE, 32))
        self.emit("XLATB")

    def flags_pair(self, _depth: int) -> None:
        self.settle_flags()
        self.emit("PUSHFD")
        self.emit("CMP_rm32_r32", EAX, EBX)
        self.emit("POPFD")
