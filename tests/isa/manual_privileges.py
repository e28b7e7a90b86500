"""The privilege rules of the manual, form by form: who may, what it does, what it depends on.

Written down from the Operation and exception sections of the instructions' pages, and not from the
privilege column of the table. Contexts enumerate what a rule may depend on: mode, CPL, IOPL, the
bits of CR4, VIP and the I/O permission bit map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from isa import state, vectors
from isa.exits import Exit
from isa.registers import (
    CR0_TS,
    CR4_PCE,
    CR4_PVI,
    CR4_TSD,
    CR4_UMIP,
    CR4_VME,
    DS,
    EAX,
    EBX,
    ECX,
    EDX,
    ESP,
    LDTR,
    SS,
    TR,
)
from tests.isa.protected_machine import (
    CODES,
    DATAS,
    FREE,
    LDT,
    LDT_TYPE,
    TRAP32,
    TSS,
    TSS32,
    ProtectedMachine,
    descriptor,
    gate,
)

Fault = tuple[int, int]
GP0: Fault = (vectors.GP, 0)
UD: Fault = (vectors.UD, -1)

IF, VM, VIF, VIP, ZF = 1 << 9, 1 << 17, 1 << 19, 1 << 20, 1 << 6
OPERAND = 0x5000  # offset of a memory operand, in every mode
PORT = 0x44
MAP = 0x88
VECTOR = 0x80
M32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Context:
    """Everything a privilege rule looks at."""

    mode: str  # "real", "protected" or "v86"
    cpl: int
    iopl: int
    cr4: int
    vip: bool
    port_denied: bool

    @property
    def pe(self) -> bool:
        return self.mode != "real"

    @property
    def vm(self) -> bool:
        return self.mode == "v86"


Rule = Callable[[Context], Fault | None]
Effect = Callable[[ProtectedMachine], None]


# --- the rules -------------------------------------------------------------------------------


def ring_0(c: Context) -> Fault | None:
    """#GP(0) "If the current privilege level is not 0"; virtual-8086 mode has level 3."""
    return GP0 if c.pe and c.cpl != 0 else None


def ring_0_protected(c: Context) -> Fault | None:
    """LLDT and LTR: "not recognized" in real-address and virtual-8086 mode."""
    return UD if not c.pe or c.vm else ring_0(c)


def protected_only(c: Context) -> Fault | None:
    return UD if not c.pe or c.vm else None


def hidden(c: Context) -> Fault | None:
    """SGDT, SIDT, SMSW: "#GP(0) If CR4.UMIP = 1 and CPL > 0"; in virtual-8086 mode if UMIP = 1."""
    return GP0 if c.pe and c.cr4 & CR4_UMIP and c.cpl > 0 else None


def hidden_protected(c: Context) -> Fault | None:
    """SLDT and STR: as SGDT, but not recognized outside protected mode."""
    return UD if not c.pe or c.vm else hidden(c)


def rdtsc(c: Context) -> Fault | None:
    """IF (CR4.TSD = 0) or (CPL = 0) or (CR0.PE = 0)."""
    return None if not c.cr4 & CR4_TSD or c.cpl == 0 or not c.pe else GP0


def rdpmc(c: Context) -> Fault | None:
    """IF (CR4.PCE = 1) or (CPL = 0) or (CR0.PE = 0)."""
    return None if c.cr4 & CR4_PCE or c.cpl == 0 or not c.pe else GP0


def sysexit(c: Context) -> Fault | None:
    """IF IA32_SYSENTER_CS[15:2] = 0 OR CR0.PE = 0 OR CPL ≠ 0 THEN #GP(0)."""
    return GP0 if not c.pe or c.cpl != 0 else None


def ports(c: Context) -> Fault | None:
    """IF ((PE = 1) and ((CPL > IOPL) or (VM = 1))) THEN any I/O permission bit = 1: #GP(0)."""
    return GP0 if c.pe and (c.cpl > c.iopl or c.vm) and c.port_denied else None


def cli(c: Context) -> Fault | None:
    if not c.pe:
        return None
    if not c.vm:
        return None if c.iopl >= c.cpl or (c.cpl == 3 and c.cr4 & CR4_PVI) else GP0
    return None if c.iopl == 3 or c.cr4 & CR4_VME else GP0


def sti(c: Context) -> Fault | None:
    if not c.pe:
        return None
    if not c.vm:
        if c.iopl >= c.cpl:
            return None
        return None if c.cpl == 3 and c.cr4 & CR4_PVI and not c.vip else GP0
    if c.iopl == 3:
        return None
    return None if c.cr4 & CR4_VME and not c.vip else GP0


def flags16(c: Context) -> Fault | None:
    """PUSHF and POPF of 16 bits: IF VM = 1 AND IOPL < 3 AND VME = 0 THEN #GP(0)."""
    return GP0 if c.vm and c.iopl < 3 and not c.cr4 & CR4_VME else None


def flags32(c: Context) -> Fault | None:
    return GP0 if c.vm and c.iopl < 3 else None


def interrupt_number(c: Context) -> Fault | None:
    """INT n in virtual-8086 mode; here its bit in the redirection bit map is set."""
    return GP0 if c.vm and c.iopl < 3 else None


# --- the effects -----------------------------------------------------------------------------


def nothing(machine: ProtectedMachine) -> None:
    assert machine.trouble is None


def leaves(reason: Exit) -> Effect:
    def effect(machine: ProtectedMachine) -> None:
        assert machine.exit is not None
        assert machine.exit[0] == reason

    return effect


def holds(at: int, value: int, mask: int = M32) -> Effect:
    """A word of the state has a value after the instruction."""

    def effect(machine: ProtectedMachine) -> None:
        assert machine.trouble is None
        assert machine.cpu[at] & mask == value

    return effect


def stored_table(base: int, limit: int) -> Effect:
    def effect(machine: ProtectedMachine) -> None:
        at = int(machine.cpu[state.BASE + DS]) + OPERAND
        assert machine.peek(at, 2) == machine.cpu[limit]
        assert machine.peek(at + 2) == machine.cpu[base]

    return effect


def stores_cr0(machine: ProtectedMachine) -> None:
    assert machine.cpu[state.GPR + ECX] & 0xFFFF == machine.cpu[state.CR0] & 0xFFFF


def stores_selector(register: int) -> Effect:
    def effect(machine: ProtectedMachine) -> None:
        assert machine.cpu[state.GPR + ECX] & 0xFFFF == machine.selector(register)

    return effect


def finds(machine: ProtectedMachine) -> None:
    assert machine.trouble is None
    assert machine.eflags & ZF


def clears_if(machine: ProtectedMachine) -> None:
    virtual = machine.level > (machine.eflags >> 12 & 3)
    assert machine.eflags & (IF | VIF) & ~(VIF if virtual else IF) == machine.eflags & (IF | VIF)


def sets_if(machine: ProtectedMachine) -> None:
    virtual = machine.level > (machine.eflags >> 12 & 3)
    assert machine.eflags & (VIF if virtual else IF)


def enters_the_handler(machine: ProtectedMachine) -> None:
    assert machine.trouble is None
    assert machine.eip == 0x9000


def returns(machine: ProtectedMachine) -> None:
    assert machine.trouble is None
    assert machine.eip == 0x77


@dataclass(frozen=True)
class Instruction:
    """A form, with operands that make it harmless, its rule and its effect."""

    rule: Rule
    effect: Effect
    relevant: int = 0  # bits of CR4
    a: int = 0
    b: int = EAX
    is_memory: bool = False


INSTRUCTIONS = {
    "HLT": Instruction(ring_0, leaves(Exit.HALT)),
    "CLTS": Instruction(ring_0, holds(state.CR0, 0, CR0_TS)),
    "LMSW_rm16": Instruction(ring_0, holds(state.CR0, 0xE, 0xE)),
    "INVD": Instruction(ring_0, nothing),
    "WBINVD": Instruction(ring_0, nothing),
    "INVLPG_m": Instruction(ring_0, nothing, is_memory=True),
    "MOV_CR_r32": Instruction(ring_0, holds(state.CR2, 0xE), a=2),
    "MOV_r32_CR": Instruction(ring_0, holds(state.GPR + EAX, 0xC0DE), a=2),
    "MOV_DR_r32": Instruction(ring_0, holds(state.DR + 1, 0xE), a=1),
    "MOV_r32_DR": Instruction(ring_0, holds(state.GPR + EAX, 0xDE), a=1),
    "RDMSR": Instruction(ring_0, holds(state.GPR + EAX, 0x1234)),
    "WRMSR": Instruction(ring_0, holds(state.SYSENTER_CS, 0xE)),
    "LGDT_m16and32_o16": Instruction(ring_0, holds(state.GDTR_BASE, 0x2000), is_memory=True),
    "LGDT_m16and32_o32": Instruction(ring_0, holds(state.GDTR_BASE, 0x44002000), is_memory=True),
    "LIDT_m16and32_o16": Instruction(ring_0, holds(state.IDTR_LIMIT, 0x7F), is_memory=True),
    "LIDT_m16and32_o32": Instruction(ring_0, holds(state.IDTR_BASE, 0x44002000), is_memory=True),
    "TRAPDOOR_imm8": Instruction(ring_0, leaves(Exit.TRAPDOOR)),
    "SYSEXIT": Instruction(sysexit, holds(state.CPL, 3)),
    "LLDT_rm16": Instruction(ring_0_protected, holds(state.BASE + LDTR, LDT), b=EDX),
    "LTR_rm16": Instruction(ring_0_protected, holds(state.BASE + TR, TSS + 0x800), b=ECX),
    "SLDT_rm16": Instruction(hidden_protected, stores_selector(LDTR), CR4_UMIP, b=ECX),
    "SLDT_r32m16": Instruction(hidden_protected, stores_selector(LDTR), CR4_UMIP, b=ECX),
    "STR_rm16": Instruction(hidden_protected, stores_selector(TR), CR4_UMIP, b=ECX),
    "STR_r32m16": Instruction(hidden_protected, stores_selector(TR), CR4_UMIP, b=ECX),
    "SMSW_rm16": Instruction(hidden, stores_cr0, CR4_UMIP, b=ECX),
    "SMSW_r32m16": Instruction(hidden, stores_cr0, CR4_UMIP, b=ECX),
    "RDTSC": Instruction(rdtsc, nothing, CR4_TSD),
    "RDPMC": Instruction(rdpmc, nothing, CR4_PCE),
    "CLI": Instruction(cli, clears_if, CR4_VME | CR4_PVI),
    "STI": Instruction(sti, sets_if, CR4_VME | CR4_PVI),
    "PUSHF": Instruction(flags16, nothing, CR4_VME | CR4_PVI),
    "PUSHFD": Instruction(flags32, nothing, CR4_VME | CR4_PVI),
    "POPF": Instruction(flags16, nothing, CR4_VME | CR4_PVI),
    "POPFD": Instruction(flags32, nothing, CR4_VME | CR4_PVI),
    "IRET": Instruction(flags16, returns, CR4_VME | CR4_PVI),
    "IRETD": Instruction(flags32, returns, CR4_VME | CR4_PVI),
    "INT_imm8": Instruction(interrupt_number, enters_the_handler, CR4_VME | CR4_PVI),
    "ARPL_rm16_r16": Instruction(protected_only, finds, a=EDX, b=EAX),
}
for _register in ("GDT", "IDT"):
    for _size in (16, 32):
        _base = state.GDTR_BASE if _register == "GDT" else state.IDTR_BASE
        INSTRUCTIONS[f"S{_register}_m16and32_o{_size}"] = Instruction(
            hidden, stored_table(_base, _base + 1), CR4_UMIP, is_memory=True
        )
for _name in ("VERR_rm16", "VERW_rm16", "LAR_r16_rm16", "LAR_r32_r32m16", "LSL_r16_rm16"):
    INSTRUCTIONS[_name] = Instruction(protected_only, finds, a=EAX, b=EBX)
INSTRUCTIONS["LSL_r32_r32m16"] = INSTRUCTIONS["LSL_r16_rm16"]
for _port in ("imm8", "DX"):
    for _register in ("AL", "AX", "EAX"):
        INSTRUCTIONS[f"IN_{_register}_{_port}"] = Instruction(ports, leaves(Exit.PORT_IN))
        INSTRUCTIONS[f"OUT_{_port}_{_register}"] = Instruction(ports, leaves(Exit.PORT_OUT))
for _letter in "BWD":
    INSTRUCTIONS[f"INS{_letter}"] = Instruction(ports, leaves(Exit.PORT_STRING))
    INSTRUCTIONS[f"OUTS{_letter}"] = Instruction(ports, leaves(Exit.PORT_OUT))

# --- the contexts ----------------------------------------------------------------------------

PLACES = [
    *(("real", 0, iopl) for iopl in (0, 3)),
    *(("v86", 3, iopl) for iopl in range(4)),
    *(("protected", cpl, iopl) for cpl, iopl in product(range(4), repeat=2)),
]
ALL_CR4 = CR4_VME | CR4_PVI | CR4_TSD | CR4_PCE | CR4_UMIP


def subsets(bits: int) -> Iterator[int]:
    """Every combination of some bits."""
    members = [1 << bit for bit in range(32) if bits >> bit & 1]
    for chosen in product((0, 1), repeat=len(members)):
        yield sum(bit for bit, taken in zip(members, chosen, strict=True) if taken)


def contexts(instruction: Instruction) -> Iterator[Context]:
    """The relevant bits in full; the others must make no difference, all clear or all set."""
    rest = ALL_CR4 & ~instruction.relevant
    vips = (False, True) if instruction.relevant & CR4_VME else (False,)
    denials = (False, True) if instruction.rule is ports else (True,)
    for (mode, cpl, iopl), cr4, other, vip, denied in product(
        PLACES, subsets(instruction.relevant), (0, rest), vips, denials
    ):
        yield Context(mode, cpl, iopl, cr4 | other, vip, denied)


def prepare(machine: ProtectedMachine, context: Context, name: str) -> None:
    """The machine in a context, with what the instruction needs to succeed in place."""
    cpu = machine.cpu
    if context.mode == "real":
        machine.enter_real_mode()
        machine.poke(VECTOR * 4, CODES[0] << 16 | 0x9000)
    elif context.mode == "v86":
        machine.enter_v86(context.iopl)
    else:
        machine.set_level(context.cpl)
    cpu[state.CR4] = context.cr4
    cpu[state.CR0] |= CR0_TS
    cpu[state.CR2], cpu[state.DR + 1] = 0xC0DE, 0xDE
    cpu[state.SYSENTER_CS] = 0x1234
    flags = 2 | context.iopl << 12 | (VM if context.vm else 0) | (VIP if context.vip else 0)
    if name == "CLI":
        flags |= IF | (0 if context.vip else VIF)
    machine.eflags = flags
    cpu[state.LIMIT + TR] = 0x2100
    machine.poke(TSS + 0x66, MAP, 2)
    machine.poke(TSS + MAP - 32, (1 << 256) - 1, 32)
    machine.poke(TSS + MAP, (1 << 0x100) - 1 if context.port_denied else 0, 32)
    machine.describe(FREE, descriptor(TSS + 0x800, 0x67, TSS32, big=0, pages=0, accessed=0))
    machine.describe(FREE + 8, descriptor(LDT, 0xFF, LDT_TYPE, big=0, pages=0, accessed=0))
    machine.gate(VECTOR, gate(CODES[0], 0x9000, TRAP32, 3))
    at = int(cpu[state.BASE + DS]) + OPERAND
    machine.poke(at, 0x7F, 2)
    machine.poke(at + 2, 0x44002000)
    cpu[state.GPR + EAX] = 0xE
    cpu[state.GPR + ECX] = {"RDMSR": 0x174, "WRMSR": 0x174, "LTR_rm16": FREE}.get(name, 0)
    cpu[state.GPR + EDX] = PORT if name in INSTRUCTIONS and INSTRUCTIONS[name].rule is ports else 0
    if name == "LLDT_rm16":
        cpu[state.GPR + EDX] = FREE + 8
    elif name == "ARPL_rm16_r16":
        cpu[state.GPR + EDX] = 0x13
        cpu[state.GPR + EAX] = 0x10
    cpu[state.GPR + EBX] = DATAS[3] | 3
    if name.startswith(("IRET", "POPF")):
        size = 4 if name.endswith("D") else 2
        code = CODES[context.cpl] | context.cpl if context.mode == "protected" else 0x100
        words = [0x77, code, 2] if name.startswith("IRET") else [2]
        cpu[state.GPR + ESP] -= size * len(words)
        for slot, word in enumerate(words):
            machine.poke(int(cpu[state.BASE + SS]) + machine.esp + slot * size, word, size)
