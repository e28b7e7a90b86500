"""Random instructions with random operands, made from the table's encoding column.

The bytes are put together here and not by the project's encoder, so that every redundant encoding
occurs (a displacement of zero, SIB bytes without index) and encoder and decoder are not tested
against themselves only. Memory operands are aimed into a small window, often at a page boundary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from isa import operand_kinds as kinds
from isa.notation import Form
from isa.registers import EBP, EBX, ECX, EDI, EDX, ESI, ESP

WINDOW, WINDOW_BYTES = 0x4000, 0x5000  # data pages, then one page of stack: compared and restored
DATA_FIRST, DATA_LAST = WINDOW + 0x100, WINDOW + 0x3E00
STACK_PAGE = WINDOW + 0x4000
PAGE_BOUNDARIES = (WINDOW + 0x1000, WINDOW + 0x2000, WINDOW + 0x3000)
TARGETS = (0xA000, 0xF000)  # where indirect and 16-bit branches lead

SEGMENT_PREFIX = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65)
ES, CS, SS, DS, FS, GS = range(6)

INTERESTING = (
    0, 1, 2, 3, 0x0F, 0x10, 0x7F, 0x80, 0x81, 0xFF, 0x100, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x10000,
    0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFF0000, 0xFFFFFF7F, 0xFFFFFF80, 0xFFFFFFFE, 0xFFFFFFFF,
)  # fmt: skip
STATUS = (0x001, 0x004, 0x010, 0x040, 0x080, 0x800)
EFLAGS_DF = 0x400

# Privileged, device, far and segment-loading instructions have tests of their own; INT is
# delivery; CPUID, RDTSC and the like show the machine itself.
_OUT_OF_SCOPE = """
    MOV_TO_SREG LOAD_FAR POP_SREG JMP_FAR CALL_FAR RET_FAR INT3 INT INT1 IRET SYSENTER SYSEXIT
    INS OUTS IN OUT CLI STI HLT WAIT CPUID RDTSC RDPMC RDMSR WRMSR MOV_FROM_CR MOV_TO_CR
    MOV_FROM_DR MOV_TO_DR CLTS LMSW SMSW INVD WBINVD INVLPG SGDT SIDT LGDT LIDT SLDT STR LLDT LTR
    VERR VERW LAR LSL ARPL TRAPDOOR POPF ESC
"""
OUT_OF_SCOPE = frozenset(_OUT_OF_SCOPE.split())


class TrackedRegisters(list[int]):
    """Values of the general registers, remembering which were looked at or set."""

    def __init__(self, values: Iterable[int]) -> None:
        super().__init__(values)
        self.used: set[int] = set()

    def __getitem__(self, number):
        self.used.add(number)
        return super().__getitem__(number)

    def __setitem__(self, number, value):
        self.used.add(number)
        super().__setitem__(number, value)


@dataclass
class Case:
    """One instruction, and the state before it.

    Attributes:
        address: EIP of the instruction.
        patches: memory that differs from the template of the window.
        stops: where it may continue.
    """

    form: Form
    bits: int
    code: bytes
    address: int
    registers: TrackedRegisters
    eflags: int
    patches: list[tuple[int, bytes]] = field(default_factory=list)
    stops: set[int] = field(default_factory=set)
    count: int | None = None  # of a shift, masked to five bits, when it is known
    memory: int | None = None  # linear address of the memory operand

    @property
    def next(self) -> int:
        return self.address + len(self.code)

    def is_inside(self) -> bool:
        """Whether the memory operand, bit strings included, lies in the window."""
        if self.memory is None or self.form.operation in ("LEA", "NOP"):
            return True
        place, form = self.memory, self.form
        if form.operation in ("BT", "BTS", "BTR", "BTC") and form.kinds[1] in (
            kinds.K_R16,
            kinds.K_R32,
        ):
            reg = (
                next(byte for at, byte in enumerate(self.code) if self.code[at - 2] == 0x0F) >> 3
                & 7
            )
            top = 1 << form.data_bits - 1
            index = (self.registers[reg] & 2 * top - 1 ^ top) - top
            place += index >> 3
        return WINDOW + 16 <= place < WINDOW + WINDOW_BYTES - 16

    def __str__(self) -> str:
        values = " ".join(f"{v:08x}" for v in self.registers)
        return (
            f"{self.form.name} ({self.code.hex(' ')}) at {self.address:#x}, {self.bits}-bit code, "
            f"registers {values}, eflags {self.eflags:#x}, memory at {self.memory or 0:#x}"
        )


def in_scope(form: Form) -> bool:
    return form.operation not in OUT_OF_SCOPE


def number(rng: Random) -> int:
    """A 32-bit value: often one at an edge."""
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(INTERESTING)
    if kind < 0.55:
        return rng.getrandbits(8)
    return rng.getrandbits(32)


class CaseMaker:
    """Makes cases of forms.

    Args:
        bits: default size of the code, 16 or 32.
        bases: bases of ES CS SS DS FS GS.
    """

    def __init__(self, rng: Random, bits: int = 32, bases: Sequence[int] = (0,) * 6) -> None:
        self.rng = rng
        self.bits = bits
        self.bases = bases

    def make(self, form: Form, address: int) -> Case:
        rng = self.rng
        registers = TrackedRegisters(number(rng) for _ in range(8))
        registers[ESP] = self._stack_pointer()
        registers.used.clear()
        eflags = 2
        for flag in STATUS:
            eflags |= flag if rng.random() < 0.5 else 0
        if rng.random() < 0.2:
            eflags |= EFLAGS_DF
        case = Case(form, self.bits, b"", address, registers, eflags)
        _Encoder(self, case).encode()
        return case if case.is_inside() else self.make(form, address)

    def _stack_pointer(self) -> int:
        rng = self.rng
        if rng.random() < 0.2:
            low = STACK_PAGE + rng.randrange(-3, 8)
        else:
            aligned = rng.random() < 0.8
            low = (
                STACK_PAGE + 0x800 + (4 * rng.randrange(-64, 64) if aligned else rng.randrange(64))
            )
        above = rng.getrandbits(16) << 16 if self.bits == 16 and rng.random() < 0.5 else 0
        return above | low

    def place(self) -> int:
        """A linear address in the data pages, often at a page boundary."""
        rng = self.rng
        if rng.random() < 0.3:
            return rng.choice(PAGE_BOUNDARIES) - rng.randrange(-1, 9)
        return rng.randrange(DATA_FIRST, DATA_LAST)

    def target(self) -> int:
        return self.rng.randrange(*TARGETS)


class _Encoder:
    """Puts one instruction together and sets the registers and memory it needs."""

    def __init__(self, maker: CaseMaker, case: Case) -> None:
        self.maker, self.case, self.form = maker, case, case.form
        self.rng = maker.rng
        self.registers = case.registers
        self.operation = case.form.operation
        self.operand_bits = self.form.encoding.operand_size or self.form.data_bits or maker.bits
        self.address_bits = self.form.encoding.address_size or self._choose_address_bits()
        self.implicit = {name for name, _ in self.form.implicit}
        self.uses_stack = "stack" in self.implicit
        self.segment: int | None = None
        self.modrm = b""

    def _choose_address_bits(self) -> int:
        other = 48 - self.maker.bits
        return other if self.rng.random() < 0.2 else self.maker.bits

    def encode(self) -> None:
        rng, form, case = self.rng, self.form, self.case
        if rng.random() < 0.15:
            self.segment = rng.choice((ES, SS, DS, FS, GS))
        self._set_implicit()
        encoding = form.encoding
        opcode = encoding.opcode
        if encoding.register_in_opcode:
            opcode = rng.choice(encoding.opcodes())
        if encoding.fixed_modrm is not None:
            self.modrm = bytes([encoding.fixed_modrm])
        elif encoding.has_modrm:
            self._choose_modrm()
        constants = self._constants()
        head = bytearray()
        lock = form.lockable and case.memory is not None and rng.random() < 0.1
        if lock:
            head.append(0xF0)
        if self.segment is not None:
            head.append(SEGMENT_PREFIX[self.segment])
        if form.encoding.operand_size and form.encoding.operand_size != self.maker.bits:
            head.append(0x66)
        if self.address_bits != self.maker.bits:
            head.append(0x67)
        if form.repeat and rng.random() < 0.6:
            head.append(0xF2 if form.repeat == "repcc" and rng.random() < 0.5 else 0xF3)
            self.registers[ECX] = self._count()
        if encoding.mandatory:
            head.append(encoding.mandatory)
        rng.shuffle(head)
        head += bytes([0x0F, opcode] if encoding.two_byte else [opcode])
        head += self.modrm
        case.code = bytes(head + constants)
        self._aim_branch(len(case.code))
        self._set_shift_count()

    # --- implicit operands ---------------------------------------------------------------------

    def _set_implicit(self) -> None:
        rng, registers = self.rng, self.registers
        narrow = self.address_bits == 16
        for register, name, segment in ((ESI, "si", DS), (EDI, "di", ES)):
            if name in self.implicit:
                place = self.maker.place() & ~0x3FF | rng.randrange(0x400)
                registers[register] = self._offset(max(place, DATA_FIRST), segment, narrow)
        if self.operation == "XLATB":
            registers[EBX] = self._offset(self.maker.place() - (registers[0] & 0xFF), DS, narrow)
        if self.operation in ("ENTER", "LEAVE"):
            registers[EBP] = STACK_PAGE + 0x400 + rng.randrange(0x100)
            if self.maker.bits == 16:
                registers[EBP] |= rng.getrandbits(16) << 16
        if self.operation in ("LOOP", "LOOPE", "LOOPNE", "JCXZ") and rng.random() < 0.7:
            registers[ECX] = rng.choice((0, 1, 2, 0x10000, 0x10001, 0xFFFF0000, 0xFFFF0001))
        if self.operation in ("DIV", "IDIV") and rng.random() < 0.7:
            self._small_dividend()
        if self.operation == "RET":
            self._patch_target(registers[ESP] & (0xFFFF if self.maker.bits == 16 else 0xFFFFFFFF))
        if self.operation == "INTO":
            self.case.eflags &= ~0x800

    def _small_dividend(self) -> None:
        """A dividend whose quotient has a chance to fit."""
        registers, rng = self.registers, self.rng
        if self.operand_bits == 8:
            registers[0] = rng.choice((rng.getrandbits(8), -rng.getrandbits(7) & 0xFFFF))
        elif self.operation == "DIV":
            registers[EDX] = rng.choice((0, rng.getrandbits(4)))
        else:
            top = self.operand_bits - 1
            registers[EDX] = 0xFFFFFFFF if registers[0] >> top & 1 else 0

    def _offset(self, linear: int, segment: int, narrow: bool) -> int:
        """Offset of a linear address; a 16-bit one gets a random upper half."""
        chosen = segment if self.segment is None or segment != DS else self.segment
        offset = linear - self.maker.bases[chosen] & 0xFFFFFFFF
        if narrow:
            if offset > 0xFFFF:  # out of reach through this segment
                self.segment = None
                offset = linear - self.maker.bases[segment]
            return self.rng.getrandbits(16) << 16 | offset
        return offset

    def _count(self) -> int:
        count = self.rng.choice((0, 1, 2, 3, 5, 16, 33))
        return self.rng.getrandbits(16) << 16 | count if self.address_bits == 16 else count

    # --- ModRM ---------------------------------------------------------------------------------

    def _choose_modrm(self) -> None:
        rng, form = self.rng, self.form
        digits = form.encoding.digits
        reg = rng.choice(digits) if digits is not None else rng.randrange(8)
        if kinds.K_SREG in form.kinds:
            reg = rng.randrange(6)
        kind = next(k for k in form.kinds if k in kinds.IN_RM_FIELD) if form.kinds else 0
        memory = kind in kinds.MEMORY_ONLY or (
            kind in kinds.REGISTER_OR_MEMORY and rng.random() < 0.5
        )
        if not memory:
            rm = rng.randrange(8)
            self.modrm = bytes([0xC0 | reg << 3 | rm])
            if self.operation in ("JMP_INDIRECT", "CALL_INDIRECT"):
                self.registers[rm] = self.maker.target()
                self.case.stops.add(self.registers[rm] & self._operand_mask())
            return
        if form.operation in ("BT", "BTS", "BTR", "BTC") and kinds.K_R32 in form.kinds:
            self.registers[reg] = rng.randrange(-32768, 32768) & 0xFFFFFFFF
        if self.address_bits == 32:
            self._choose_address_32(reg)
        else:
            self._choose_address_16(reg)
        if self.operation in ("JMP_INDIRECT", "CALL_INDIRECT"):
            assert self.case.memory is not None
            self._patch_target(self.case.memory)

    def _wanted(self) -> int:
        """Linear address the memory operand should have."""
        if self.form.operation in ("BT", "BTS", "BTR", "BTC"):
            return self.rng.randrange(WINDOW + 0x1000, WINDOW + 0x2FF0)
        return self.maker.place()

    def _choose_address_32(self, reg: int) -> None:
        rng, registers = self.rng, self.registers
        mod, rm = rng.randrange(3), rng.randrange(8)
        base: int | None = rm
        index: int | None = None
        scale = 0
        sib = b""
        if rm == 4:
            byte = rng.randrange(256)
            sib = bytes([byte])
            base, scale = byte & 7, byte >> 6
            index = None if byte >> 3 & 7 == 4 else byte >> 3 & 7
        if base == 5 and mod == 0:
            base = None
        width = (4 if base is None else 0, 1, 4)[mod]
        segment = SS if base in (ESP, EBP) else DS
        offset = self._offset_wanted(segment)
        shift = registers[index] << scale if index is not None else 0
        displacement = rng.randrange(-128, 128) if width == 1 else 0
        if width == 4:
            displacement = offset - shift - (registers[base] if base is not None else 0)
        elif base == ESP:
            if index is not None:
                registers[index] = rng.randrange(-8, 8) & 0xFFFFFFFF
                if self.form.operation in ("BT", "BTS", "BTR", "BTC") and index == reg:
                    registers[index] = 0
                shift = registers[index] << scale
            if not self.uses_stack:
                registers[ESP] = offset - shift - displacement & 0xFFFFFFFF
            else:
                displacement &= 0x7F
        elif base == index:
            assert base is not None
            registers[base] = (offset - displacement) // (1 + (1 << scale))
        else:
            assert base is not None
            registers[base] = offset - shift - displacement & 0xFFFFFFFF
        self._finish_address(mod, reg, rm, sib, displacement, width)
        if index is not None:
            shift = registers[index] << scale
        start = registers[base] if base is not None else 0
        self._note_memory(start + shift + displacement & 0xFFFFFFFF, segment)

    def _choose_address_16(self, reg: int) -> None:
        rng, registers = self.rng, self.registers
        mod, rm = rng.randrange(3), rng.randrange(8)
        direct = mod == 0 and rm == 6
        base = None if direct else (EBX, EBX, EBP, EBP, ESI, EDI, EBP, EBX)[rm]
        index = (ESI, EDI, ESI, EDI, None, None, None, None)[rm]
        width = 2 if direct else mod
        segment = SS if base == EBP else DS
        offset = self._offset_wanted(segment)
        shift = registers[index] if index is not None else 0
        displacement = rng.randrange(-128, 128) if width == 1 else 0
        if width == 2:
            displacement = offset - shift - (registers[base] if base is not None else 0) & 0xFFFF
        else:
            assert base is not None
            low = offset - shift - displacement & 0xFFFF
            registers[base] = rng.getrandbits(16) << 16 | low
        self._finish_address(mod, reg, rm, b"", displacement, width)
        start = registers[base] if base is not None else 0
        self._note_memory(start + shift + displacement & 0xFFFF, segment)

    def _offset_wanted(self, segment: int) -> int:
        linear = self._wanted()
        chosen = segment if self.segment is None else self.segment
        offset = linear - self.maker.bases[chosen] & 0xFFFFFFFF
        if self.address_bits == 16 and offset > 0xFFFF:
            self.segment = None
            offset = linear - self.maker.bases[segment] & 0xFFFFFFFF
        return offset

    def _finish_address(
        self, mod: int, reg: int, rm: int, sib: bytes, displacement: int, width: int
    ) -> None:
        data = (displacement & (1 << 8 * width) - 1).to_bytes(width, "little")
        self.modrm = bytes([mod << 6 | reg << 3 | rm]) + sib + data

    def _note_memory(self, offset: int, segment: int) -> None:
        chosen = segment if self.segment is None else self.segment
        self.case.memory = offset + self.maker.bases[chosen] & 0xFFFFFFFF

    # --- constants and branches ----------------------------------------------------------------

    def _constants(self) -> bytes:
        rng = self.rng
        data = b""
        for word in self.form.encoding.immediates:
            if word in ("ib", "ibs"):
                data += bytes([rng.choice((rng.getrandbits(8), rng.choice(INTERESTING) & 0xFF))])
            elif word == "iw":
                small = self.operation in ("ENTER",)
                data += (rng.randrange(0x200) if small else number(rng) & 0xFFFF).to_bytes(
                    2, "little"
                )
            elif word == "id":
                data += number(rng).to_bytes(4, "little")
            else:
                data += bytes({"cb": 1, "cw": 2, "cd": 4}[word])
        if self.operation == "ENTER" and rng.random() < 0.7:
            data = data[:2] + bytes([rng.randrange(4) | rng.choice((0, 0x20, 0xE0))])
        if any(kind in kinds.MEMORY_OFFSET for kind in self.form.kinds):
            offset = self._offset_wanted(DS)
            self._note_memory(offset, DS)
            data = offset.to_bytes(self.address_bits // 8, "little")
        return data

    def _operand_mask(self) -> int:
        return 0xFFFF if self.operand_bits == 16 else 0xFFFFFFFF

    def _patch_target(self, linear: int) -> None:
        target = self.maker.target()
        self.case.patches.append((linear, target.to_bytes(4, "little")))
        self.case.stops.add(target & self._operand_mask())

    def _aim_branch(self, length: int) -> None:
        """Fill in the displacement of a relative branch."""
        case, rng = self.case, self.rng
        case.stops.add(case.next & (0xFFFF if self.maker.bits == 16 else 0xFFFFFFFF))
        word = next((word for word in self.form.encoding.immediates if word[0] == "c"), None)
        if word is None:
            return
        width = {"cb": 1, "cw": 2, "cd": 4}[word]
        distance = rng.randrange(-128, 128) if width == 1 else self.maker.target() - case.next
        if -16 < distance + length < 16:
            distance += 32
        if width == 1:
            distance = (distance + 128) % 256 - 128
        data = (distance & (1 << 8 * width) - 1).to_bytes(width, "little")
        case.code = case.code[:-width] + data
        case.stops.add(case.next + distance & self._operand_mask())

    def _set_shift_count(self) -> None:
        if self.operation not in ("ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SAR", "SHLD", "SHRD"):
            return
        case, form = self.case, self.form
        if kinds.K_CL in form.kinds:
            case.count = case.registers[ECX] & 31
        elif kinds.K_ONE in form.kinds:
            case.count = 1
        else:
            case.count = case.code[-1] & 31


def undefined_flags(case: Case) -> int:
    """The status flags that the manual leaves undefined after this instruction.

    The table's column, refined where the manual distinguishes shift counts: a count of zero changes
    nothing; OF is defined for a count of one; CF is undefined when a plain shift moves out more
    bits than there are.
    """
    form, count = case.form, case.count
    undefined = form.flags.get("u", 0)
    if count is None:
        return undefined
    if count == 0:
        return 0
    if count == 1:
        undefined &= ~0x800
    elif form.operation in ("SHL", "SHR", "SAR", "ROL", "ROR", "RCL", "RCR", "SHLD", "SHRD"):
        undefined |= 0x800
    if form.operation in ("SHL", "SHR") and count >= form.data_bits:
        undefined |= 0x001
    if form.operation in ("SHLD", "SHRD") and count > form.data_bits:
        undefined |= 0x8D5
    return undefined


def undefined_result(case: Case) -> bool:
    """True where the manual leaves the result itself undefined."""
    if case.form.operation in ("SHLD", "SHRD"):
        assert case.count is not None
        return case.count > case.form.data_bits
    return case.form.name == "BSWAP_r16"
