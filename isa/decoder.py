"""The decoder: guest bytes to one operation record (layout in isa.records).

Driven by the generated opcode maps; knows no instruction by name. What the processor's model does
not have is an undefined opcode. Chooses the specialised handler when the shape allows it.

Source: SDM vol. 2A, "Instruction Format"; vol. 2D, "Opcode Map".
"""

from isa import operand_kinds as k
from isa.generated.columns import CONDITION, HAS_MODRM, IMM, KIND, LOCKABLE, NEEDS
from isa.generated.opcode_maps import GROUP_MAP, OPCODE_MAP
from isa.jit import jit, load8, load16, load32
from isa.modes import MODE_CODE32, MODE_FLAT, MODE_STACK32, MODE_TRAP
from isa.records import (
    A_SHIFT,
    ADDRESS32,
    B_SHIFT,
    BASE_SHIFT,
    FORM_SHIFT,
    INDEX_SHIFT,
    LENGTH_SHIFT,
    LOCK,
    MEMORY,
    NO_REGISTER,
    OFFSET_SHIFT,
    OPERAND32,
    REPEAT_SHIFT,
    SCALE_SHIFT,
    SEGMENT_SHIFT,
)
from isa.registers import DS, EBP, EBX, EDI, ESI, ESP, SS
from isa.specialise import (
    FAMILY,
    H_INVALID,
    H_TOO_LONG,
    HOT_MEMORY,
    HOT_REGISTER,
    HOT_SWAP,
    STACK_HANDLERS,
)
from isa.workspace import LACKS, Bytes, Workspace

M32 = 0xFFFFFFFF
MAX_LENGTH = 15
MOD_IGNORED = 2  # MOV to and from CRn and DRn: ModRM.rm is a register whatever ModRM.mod says
MORE = 0  # the instruction needs more bytes than are available

_NO_BASE = NO_REGISTER << BASE_SHIFT | NO_REGISTER << INDEX_SHIFT


@jit
def sign_extend_8(value: int) -> int:
    return (value ^ 0x80) - 0x80


@jit
def write_special(core: Workspace, at: int, handler: int, length: int, offset: int) -> int:
    """A record without a form: an undefined opcode or an overlong instruction."""
    core[at] = handler | length << LENGTH_SHIFT
    core[at + 1] = offset << OFFSET_SHIFT
    core[at + 2] = 0
    core[at + 3] = 0
    return length


@jit
def decode(
    core: Workspace, ram: Bytes, at: int, source: int, available: int, offset: int, mode: int
) -> int:
    """Decode the instruction at RAM index `source` into the record at core index `at`.

    Args:
        available: bytes that may be read from `source` on.
        offset: page offset of the instruction, kept in the record.
        mode: MODE bits of isa.modes.
    Returns:
        Length in bytes, or MORE if `available` does not suffice.
    """
    limit = min(available, MAX_LENGTH)
    operand32 = address32 = mode & MODE_CODE32
    segment = -1
    repeat = 0
    lock = 0
    n = 0
    opcode = 0
    scanning = 1
    while scanning:
        if n >= limit:
            return overrun(core, at, offset, available)
        opcode = load8(ram, source + n)
        n += 1
        if opcode == 0x66:
            operand32 = mode & MODE_CODE32 ^ MODE_CODE32
        elif opcode == 0x67:
            address32 = mode & MODE_CODE32 ^ MODE_CODE32
        elif opcode == 0xF0:
            lock = 1
        elif opcode == 0xF3:
            repeat = 1
        elif opcode == 0xF2:
            repeat = 2
        elif opcode & 0xE7 == 0x26:
            segment = opcode >> 3 & 3
        elif opcode == 0x64 or opcode == 0x65:
            segment = opcode & 7
        else:
            scanning = 0
    two_byte = 0
    if opcode == 0x0F:
        two_byte = 1
        if n >= limit:
            return overrun(core, at, offset, available)
        opcode = load8(ram, source + n)
        n += 1
    f3 = 1 if repeat == 1 else 0
    form = OPCODE_MAP[(((f3 * 2 + two_byte) * 2 + operand32) * 2 + address32) << 8 | opcode]
    if form == -1:
        return write_special(core, at, H_INVALID, n, offset)
    head = _NO_BASE
    displacement = 0
    modrm = -1
    if form < -1 or HAS_MODRM[form]:
        if n >= limit:
            return overrun(core, at, offset, available)
        modrm = load8(ram, source + n)
        n += 1
        if form < -1:
            index = modrm >> 3 & 7 if modrm < 0xC0 else 8 + (modrm & 0x3F)
            form = GROUP_MAP[(-2 - form) * 72 + index]
            if form == -1:
                return write_special(core, at, H_INVALID, n, offset)
        head |= (modrm >> 3 & 7) << A_SHIFT
        if modrm >= 0xC0 or HAS_MODRM[form] == MOD_IGNORED:
            head = head & ~(15 << B_SHIFT) | (modrm & 7) << B_SHIFT
        else:
            size = address_bytes(ram, source, n, limit, modrm, address32)
            if size < 0:
                return overrun(core, at, offset, available)
            parts = address_parts(ram, source + n, modrm, address32)
            head = head & ~(0x3FF << BASE_SHIFT) | parts & 0x3FF << BASE_SHIFT | MEMORY
            if segment < 0:
                segment = parts >> SEGMENT_SHIFT & 7
            displacement = displacement_value(ram, source + n, size, modrm, address32)
            n += size
    elif k.K_OPREG8 <= KIND[form, 0] <= k.K_OPREG32 or k.K_OPREG8 <= KIND[form, 1] <= k.K_OPREG32:
        head |= (opcode & 7) << B_SHIFT
    if core[LACKS] >> NEEDS[form] & 1:
        return write_special(core, at, H_INVALID, n, offset)
    if segment < 0:
        segment = DS
    immediate = 0
    second = 0
    for which in range(2):
        code = IMM[form, which]
        if code:
            width = immediate_bytes(code, address32)
            if n + width > limit:
                return overrun(core, at, offset, available)
            value = immediate_value(ram, source + n, code, width)
            n += width
            if code == 7:
                displacement = value
                head |= MEMORY
            elif code == 5 or code == 6:
                second = value >> 32
                immediate = value & M32
            elif which == 0:
                immediate = value
            else:
                second = value
    kind = KIND[form, 0]
    if kind == k.K_REL8:
        immediate = sign_extend_8(immediate & 0xFF) & M32
    elif kind == k.K_REL16:
        immediate = (immediate & 0xFFFF ^ 0x8000) - 0x8000 & M32
    elif KIND[form, 1] == k.K_ONE:
        immediate = 1
    elif CONDITION[form] >= 0 and kind != k.K_REL32:
        immediate = CONDITION[form]
    if lock and not (LOCKABLE[form] and head & MEMORY):
        return write_special(core, at, H_INVALID, n, offset)
    head |= segment << SEGMENT_SHIFT | n << LENGTH_SHIFT | repeat << REPEAT_SHIFT
    head |= form << FORM_SHIFT
    if address32:
        head |= ADDRESS32
    if operand32:
        head |= OPERAND32
    if lock:
        head |= LOCK
    core[at] = choose_handler(head, form, mode, segment, address32)
    core[at + 1] = displacement & M32 | offset << OFFSET_SHIFT
    core[at + 2] = immediate
    core[at + 3] = second
    return n


@jit
def overrun(core: Workspace, at: int, offset: int, available: int) -> int:
    """Out of bytes: either more must be fetched, or the instruction is too long."""
    if available < MAX_LENGTH:
        return MORE
    return write_special(core, at, H_TOO_LONG, MAX_LENGTH, offset)


@jit
def choose_handler(head: int, form: int, mode: int, segment: int, address32: int) -> int:
    """The head with its handler: specialised if the mode allows, else the form's family."""
    hot = 0
    if not mode & MODE_TRAP and mode & MODE_CODE32:
        if not head & MEMORY:
            hot = HOT_REGISTER[form]
            if (
                hot
                and STACK_HANDLERS[hot]
                and mode & (MODE_FLAT | MODE_STACK32) != MODE_FLAT | MODE_STACK32
            ):
                hot = 0
            if hot and HOT_SWAP[form]:
                a = head >> A_SHIFT & 7
                b = head >> B_SHIFT & 7
                head = head & ~(0xFF << A_SHIFT) | b << A_SHIFT | a << B_SHIFT
        elif address32 and mode & MODE_FLAT and (segment == DS or segment == SS or segment == 0):
            hot = HOT_MEMORY[form]
            if hot and STACK_HANDLERS[hot] and not mode & MODE_STACK32:
                hot = 0
    return head | (hot if hot else FAMILY[form])


@jit
def address_bytes(ram: Bytes, source: int, n: int, limit: int, modrm: int, address32: int) -> int:
    """Bytes of SIB and displacement after ModRM, or -1 if they exceed the limit."""
    mod = modrm >> 6
    rm = modrm & 7
    if not address32:
        size = 2 if mod == 2 or (mod == 0 and rm == 6) else mod
    else:
        size = 4 if mod == 2 or (mod == 0 and rm == 5) else mod
        if rm == ESP:
            if n >= limit:
                return -1
            size += 1
            if mod == 0 and load8(ram, source + n) & 7 == EBP:
                size += 4
    return -1 if n + size > limit else size


@jit
def address_parts(ram: Bytes, source: int, modrm: int, address32: int) -> int:
    """Base, index, scale and default segment of a memory operand, at their places in the head."""
    mod = modrm >> 6
    rm = modrm & 7
    base = NO_REGISTER
    index = NO_REGISTER
    scale = 0
    if not address32:
        if rm < 4:
            base = EBX if rm < 2 else EBP
            index = ESI if rm & 1 == 0 else EDI
        elif rm == 4:
            base = ESI
        elif rm == 5:
            base = EDI
        elif rm == 7:
            base = EBX
        elif mod:
            base = EBP
    elif rm == ESP:
        sib = load8(ram, source)
        if not (sib & 7 == EBP and mod == 0):
            base = sib & 7
        if sib >> 3 & 7 != ESP:
            index = sib >> 3 & 7
            scale = sib >> 6
    elif not (rm == EBP and mod == 0):
        base = rm
    segment = SS if base == EBP or (base == ESP and address32) else DS
    return (
        base << BASE_SHIFT | index << INDEX_SHIFT | scale << SCALE_SHIFT | segment << SEGMENT_SHIFT
    )


@jit
def displacement_value(ram: Bytes, source: int, size: int, modrm: int, address32: int) -> int:
    """The displacement, sign-extended; `size` counts SIB and displacement bytes."""
    if address32 and modrm & 7 == ESP:
        source += 1
        size -= 1
    if size == 1:
        return sign_extend_8(load8(ram, source))
    if size == 2:
        return (load16(ram, source) ^ 0x8000) - 0x8000
    if size == 4:
        return load32(ram, source)
    return 0


@jit
def immediate_bytes(code: int, address32: int) -> int:
    """Bytes an immediate of this IMM code takes in the instruction."""
    if code == 1 or code == 9:
        return 1
    if code == 2:
        return 2
    if code == 6:
        return 6
    if code == 7:
        return 4 if address32 else 2
    return 4


@jit
def immediate_value(ram: Bytes, source: int, code: int, width: int) -> int:
    """An immediate; far pointers as selector << 32 | offset."""
    if code == 9:
        return sign_extend_8(load8(ram, source)) & M32
    if code == 5:
        return load16(ram, source + 2) << 32 | load16(ram, source)
    if code == 6:
        return load16(ram, source + 4) << 32 | load32(ram, source)
    if width == 1:
        return load8(ram, source)
    if width == 2:
        return load16(ram, source)
    return load32(ram, source)
