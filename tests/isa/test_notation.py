"""The table's reader: what it makes of a row, and every kind of row that it refuses."""

from __future__ import annotations

import re

import pytest

from isa import operand_kinds, registers, vocabulary
from isa.notation import COLUMN_COUNT, TABLE, Form, NotationError, load_table, read_table
from isa.opcode_map import (
    FIRST_GROUP,
    GROUP_ENTRIES,
    MAP_ENTRIES,
    UNDEFINED,
    build,
    group_index,
    map_index,
)

FORMS = {form.name: form for form in load_table()}
OLD_PROCESSORS = {"8086", "186", "286"}


def row(
    syntax: str = "ADD r/m32, r32",
    encoding: str = "o32 01 /r",
    access: str = "rw r",
    flags: str = "w=oszapc",
    privilege: str = "",
    sensitive: str = "",
    facts: str = "cpu=386",
) -> str:
    return " | ".join((syntax, encoding, access, flags, privilege, sensitive, facts))


def only(text: str) -> Form:
    (form,) = read_table(text)
    return form


def test_a_row_says_everything_about_its_form():
    form = only(row(facts="lock cpu=386"))
    assert (form.mnemonic, form.name, form.operation) == ("ADD", "ADD_rm32_r32", "ADD")
    assert form.kinds == (operand_kinds.K_RM32, operand_kinds.K_R32)
    assert form.access == (3, 1)
    assert form.lockable
    assert form.data_bits == 32
    assert form.processor == "386"
    assert form.flags == {"w": registers.EFLAGS_STATUS}
    assert form.encoding.opcodes() == (0x01,)
    assert form.syntax == "ADD r/m32, r32"


def test_a_condition_row_makes_sixteen_forms():
    text = row("Jcc rel8", "o32 70+cc cb", "r", "r=cc", facts="op=JCC flow=branch cpu=386")
    forms = read_table(text)
    assert [form.mnemonic for form in forms[:4]] == ["JO", "JNO", "JB", "JAE"]
    assert [form.encoding.opcode for form in forms] == list(range(0x70, 0x80))
    assert [form.condition for form in forms] == list(range(16))
    assert forms[14].flags["r"] == (registers.EFLAGS_ZF | registers.EFLAGS_SF | registers.EFLAGS_OF)


def test_comments_and_empty_lines_are_not_rows():
    assert read_table("# nothing\n\n   # here\n") == ()


REFUSED = [
    ("ADD r/m32, r32 | 01 /r", "2 columns, expected 7"),
    (row(syntax="add r/m32, r32"), "'add' is not a mnemonic"),
    (row(syntax="ADD r/m32, r33"), "unknown operand word 'r33'"),
    (row("HLT", "F4", "r"), "0 operands but 1 access words"),
    (row(access="rw"), "2 operands but 1 access words"),
    (row(access="rw x"), "unknown access 'x'"),
    (row(encoding="o32 01 /9"), "cannot read '/9' in the encoding"),
    (row(encoding="o32 01 /r ix"), "cannot read 'ix' in the encoding"),
    (row(encoding="o32 01 /r ib"), "operands need '' in the encoding"),
    (row(encoding="o32 01"), "/r and an operand in ModRM.reg go together"),
    (row(encoding="o32 01 /2"), "/r and an operand in ModRM.reg go together"),
    (row(encoding="o32 01 /r /r"), "a ModRM word is repeated"),
    (row(encoding="o32 66 /r"), "66 is a prefix, not an opcode"),
    (row(encoding="o32"), "an opcode is one byte"),
    (row(encoding="o32 01 02 03"), "an opcode is one byte"),
    (row(encoding="o32 01 42 /r"), "fixed ModRM byte 42 is not a register form"),
    (row(encoding="o32 01 C1 /r"), "a ModRM word after a fixed ModRM byte"),
    (row(encoding="o16 01 /r"), "a 32-bit operand in an o16 form"),
    (row(encoding="o32 50+rd"), "a ModRM word and an operand in ModRM.rm go together"),
    (row("INC r32", "o32 41+rd", "rw"), "+r needs an opcode byte divisible by 8"),
    (row("INC EAX", "o32 40+rd", "rw"), "+r and a register operand go together"),
    (row("INC r32", "o32 40", "rw"), "/r and an operand in ModRM.reg go together"),
    (row(flags="w=oszapx?"), "unknown flag '?'"),
    (row(flags="q=c"), "cannot read 'q=c' in the flags column"),
    (row(flags="w="), "cannot read 'w=' in the flags column"),
    (row(flags="w=c w=z"), "cannot read 'w=z' in the flags column"),
    (row(flags="w=cc"), "flag 'c' is named twice in 'w=cc'"),
    (row(flags="w=oszapc u=a"), "flag 'a' is in two classes"),
    (row(privilege="cpl3"), "unknown privilege 'cpl3'"),
    (row(privilege="cpl0"), "what only CPL 0 may do is sensitive"),
    (row(sensitive="very"), "unknown sensitivity 'very'"),
    (row(facts="shiny"), "unknown fact 'shiny'"),
    (row(facts="lock=yes"), "unknown fact 'lock'"),
    (row(facts="lock lock"), "fact 'lock' is given twice"),
    (row(facts="cpu=80387"), "unknown processor '80387'"),
    (row(facts="exit=HALT"), "unknown exit reason 'HALT'"),
    (row(facts="exit=HLT:often"), "unknown exit rule 'often'"),
    (row(facts="flow=sideways"), "unknown flow 'sideways'"),
    (row(facts="faults=PF,XX"), "unknown fault 'XX'"),
    (row(facts="op=add"), "'add' is not an operation name"),
    (row(facts="size=12"), "unknown size '12'"),
    (row(facts="impl=st0:r"), "unknown implicit operand 'st0'"),
    (row(facts="impl=ax:x"), "unknown access 'x' of implicit operand 'ax'"),
    (row(facts="except=01"), "except= names opcodes outside the +r range"),
    (row(facts="far"), "far needs a flow"),
    (row(facts="rep"), "rep is for string instructions"),
    (row("ADD r32, r/m32", "o32 03 /r", "rw r", facts="lock"), "lock needs a memory operand"),
    (row("PUSH imm8", "o32 6A ibs", "w"), "a constant operand is read, nothing else"),
    (row("LEA r32, m", "o32 8D /r", "w r"), "operand m is an address: its access is '-'"),
    (row("Jcc rel8", "o32 70 cb", "r", "r=cc"), "a mnemonic in cc needs +cc"),
    (row("JO rel8", "o32 70+cc cb", "r", "r=o"), "a mnemonic in cc needs +cc"),
    (row("Jcc rel8", "o32 71+cc cb", "r", "r=cc"), "+cc needs an opcode byte that ends in 0"),
    (row("Jcc rel8", "o32 70+cc cb", "r", ""), "a condition reads flags: r=cc is missing"),
]


@pytest.mark.parametrize(("text", "rule"), REFUSED, ids=[rule for _, rule in REFUSED])
def test_a_row_that_cannot_be_read_is_refused_in_one_line(text, rule):
    with pytest.raises(NotationError) as refusal:
        read_table(f"# a comment\n{text}\n")
    message = str(refusal.value)
    assert message.startswith("isa/table.txt:2: ")
    assert rule in message
    assert "\n" not in message


def test_two_rows_of_the_same_name_are_refused():
    with pytest.raises(NotationError, match=r"table\.txt:2: same syntax and sizes as line 1"):
        read_table(f"{row()}\n{row(encoding='o32 02 /r')}\n")


OVERLAPS = [
    (row(), row("SUB r/m32, r32")),
    (row(), row("SUB r/m32, r32", "01 /r")),
    (row("INC r32", "o32 40+rd", "rw"), row("NOP", "43", "", "", facts="")),
    (row("INC r/m32", "o32 FF /0", "rw"), row("NOP r/m32", "o32 FF /0-7", "-", "")),
    (row("SGDT m16&32", "0F 01 /0", "w"), row("SMSW r/m16", "0F 01 /0", "w")),
]


@pytest.mark.parametrize(("first", "second"), OVERLAPS)
def test_rows_that_claim_the_same_bytes_are_refused(first, second):
    with pytest.raises(NotationError, match=r"table\.txt:2: same encoding as line 1"):
        build(read_table(f"{first}\n{second}\n"))


def test_rows_that_disagree_on_modrm_are_refused():
    rows = f"{row('INC r/m32', 'o32 FF /0', 'rw')}\n{row('NOP', 'F3 FF', '', '')}\n"
    with pytest.raises(NotationError, match="line 1 disagrees on a ModRM byte"):
        build(read_table(rows))


def test_a_fixed_modrm_byte_fits_beside_memory_forms():
    rows = f"{row('SGDT m16&32', '0F 01 /0', 'w')}\n{row('VMCALL', '0F 01 C1', '', '')}\n"
    built = build(read_table(rows))
    group = FIRST_GROUP - built.opcodes[map_index(0, 1, 1, 1, 0x01)]
    entries = built.groups[group * GROUP_ENTRIES : (group + 1) * GROUP_ENTRIES]
    assert entries[group_index(0x00)] == 0
    assert entries[group_index(0xC1)] == 1
    assert sum(entry != UNDEFINED for entry in entries) == 2


def test_a_mandatory_prefix_takes_precedence():
    built = build(load_table())
    assert built.opcodes[map_index(0, 0, 1, 1, 0x90)] == FORMS["NOP"].number
    assert built.opcodes[map_index(1, 0, 1, 1, 0x90)] == FORMS["PAUSE"].number
    assert len(built.opcodes) == MAP_ENTRIES


def test_prefixes_and_the_escape_byte_are_not_opcodes():
    built = build(load_table())
    for opcode in (0x0F, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3):
        assert built.opcodes[map_index(0, 0, 1, 1, opcode)] == UNDEFINED


def test_moves_of_control_registers_ignore_modrm_mod():
    built = build(load_table())
    group = FIRST_GROUP - built.opcodes[map_index(0, 1, 1, 1, 0x20)]
    for reg in range(8):
        entries = {built.groups[group * GROUP_ENTRIES + group_index(reg << 3)]}
        for rm in range(8):
            modrm = 0xC0 | reg << 3 | rm
            entries.add(built.groups[group * GROUP_ENTRIES + group_index(modrm)])
        exists = reg in (0, 2, 3, 4)
        assert entries == {FORMS["MOV_r32_CR"].number if exists else UNDEFINED}


def test_forms_are_numbered_in_row_order_and_named_uniquely():
    assert [form.number for form in load_table()] == list(range(len(load_table())))
    assert len(FORMS) == len(load_table())
    assert all(re.fullmatch(r"[A-Z][A-Z0-9]*[A-Za-z0-9_]*", name) for name in FORMS)


def test_the_table_is_aligned():
    lines = [line for line in TABLE.read_text().splitlines() if line and line[0] != "#"]
    bars = {tuple(place for place, sign in enumerate(line) if sign == "|") for line in lines}
    assert len(bars) == 1
    assert len(bars.pop()) == COLUMN_COUNT - 1


def test_vm_exits_have_distinct_numbers():
    numbers = list(vocabulary.EXIT_REASONS.values())
    assert len(numbers) == len(set(numbers))
    assert vocabulary.EXIT_REASONS["HLT"] == 12
    assert vocabulary.EXIT_REASONS["XSETBV"] == 55


VMX_ROWS = """
VMCALL            | 0F 01 C1      |     | | cpl0 | control | exit=VMCALL:always cpu=VMX
VMLAUNCH          | 0F 01 C2      |     | | cpl0 | control | exit=VMLAUNCH:always cpu=VMX
VMPTRLD m64       | o32 0F C7 /6  | r   | | cpl0 | control | exit=VMPTRLD:always cpu=VMX
VMCLEAR m64       | o16 0F C7 /6  | r   | | cpl0 | control | exit=VMCLEAR:always cpu=VMX
VMXON m64         | F3 0F C7 /6   | r   | | cpl0 | control | exit=VMXON:always cpu=VMX
VMREAD r/m32, r32 | 0F 78 /r      | w r | w=oszapc | cpl0 | behavior | exit=VMREAD cpu=VMX
"""


def test_the_notation_takes_the_virtual_machine_extensions():
    forms = read_table(VMX_ROWS)
    built = build(forms)
    group = FIRST_GROUP - built.opcodes[map_index(1, 1, 1, 1, 0xC7)]
    assert built.groups[group * GROUP_ENTRIES + 6] == 4
    group = FIRST_GROUP - built.opcodes[map_index(0, 1, 0, 1, 0xC7)]
    assert built.groups[group * GROUP_ENTRIES + 6] == 3
    assert forms[0].exit_always


# Sensitive without ever faulting for privilege. The first row is Robin and Irvine's list (2000) as
# far as it is unprivileged here; SGDT, SIDT, SLDT, SMSW and STR fault when CR4.UMIP is set.
CRITICAL = (
    {"PUSHF", "POPF", "LAR", "LSL", "VERR", "VERW", "POP_SREG", "PUSH_SREG", "INT", "RET_FAR"}
    | {"CALL_FAR", "JMP_FAR", "MOV_FROM_SREG", "MOV_TO_SREG", "IRET"}
    | {"LOAD_FAR", "INT1", "INT3", "INTO", "CPUID", "SYSENTER"}
)


def test_the_critical_instructions_are_the_known_ones():
    critical = {form.operation for form in load_table() if form.sensitive and not form.privilege}
    assert critical == CRITICAL
    conditional = {form.operation for form in load_table() if form.privilege == "umip"}
    assert conditional == {"SGDT", "SIDT", "SLDT", "SMSW", "STR"}


def test_what_changes_the_machine_is_for_cpl_0():
    for name in ("LGDT_m16and32_o32", "MOV_CR_r32", "HLT", "CLTS", "LTR_rm16", "WRMSR", "INVLPG_m"):
        assert FORMS[name].privilege == "cpl0"
        assert "control" in FORMS[name].sensitive


def test_thirty_two_bit_operands_need_a_386():
    for form in load_table():
        if form.encoding.operand_size == 32 or form.encoding.address_size == 32:
            assert form.processor not in OLD_PROCESSORS, form.name


def test_only_written_memory_can_be_locked():
    lockable = {form.operation for form in load_table() if form.lockable}
    arithmetic = {"ADD", "ADC", "AND", "OR", "SBB", "SUB", "XOR", "INC", "DEC", "NEG", "NOT"}
    bits_and_exchange = {"BTC", "BTR", "BTS", "XCHG", "XADD", "CMPXCHG", "CMPXCHG8B"}
    assert lockable == arithmetic | bits_and_exchange
    assert not FORMS["ADD_r32_rm32"].lockable
