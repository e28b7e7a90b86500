"""Generated files: current, complete, and what the table says."""

from __future__ import annotations

import numpy as np
import pytest

from isa import operand_kinds as kinds
from isa import registers, vocabulary
from isa.generated import columns, forms, opcode_maps
from isa.notation import load_table
from isa.opcode_map import build
from tools import generate

NUMBERS = {name: number for number, name in enumerate(forms.FORM_NAMES)}
ARRAYS = {name: value for name, value in vars(columns).items() if name.isupper()}


def test_the_committed_files_are_current(capsys):
    assert generate.main(["--check"]) == 0
    assert not capsys.readouterr().out


def test_check_names_stale_files_and_writes_nothing(tmp_path, monkeypatch, capsys):
    target = tmp_path / "forms.py"
    target.write_text("old")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "generated_files", lambda: {target: b"new"})
    assert generate.main(["--check"]) == 1
    assert "forms.py: not current" in capsys.readouterr().out
    assert target.read_text() == "old"
    assert generate.main([]) == 0
    assert target.read_text() == "new"
    assert generate.main(["--check"]) == 0


def test_a_table_that_cannot_be_read_is_an_error_of_one_line(monkeypatch, capsys):
    from isa.notation import NotationError

    def refuse() -> dict[object, str]:
        raise NotationError(7, "unknown fact 'shiny'")

    monkeypatch.setattr(generate, "generated_files", refuse)
    assert generate.main([]) == 2
    expected = "trapgate: error: isa/table.txt:7: unknown fact 'shiny'\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_columns_are_contiguous_and_as_long_as_the_table(name):
    array = ARRAYS[name]
    assert len(array) == forms.FORM_COUNT == len(load_table())
    assert array.flags.c_contiguous
    assert array.nbytes < 1_000_000


def test_numbers_and_names_belong_together():
    for form in load_table():
        assert forms.FORM_NAMES[form.number] == form.name
        assert getattr(forms, f"F_{form.name}") == form.number
        operation = int(columns.OPERATION[form.number])
        assert forms.OPERATION_NAMES[operation] == form.operation
        assert getattr(forms, f"O_{form.operation}") == operation
    assert forms.OPERATION_NAMES[forms.O_NONE] == "NONE"
    assert len(forms.OPERATION_NAMES) == forms.OPERATION_COUNT


def test_columns_say_what_the_table_says():
    locked_add = NUMBERS["ADD_rm32_imm8"]
    assert columns.OPSIZE[locked_add] == 32
    assert list(columns.KIND[locked_add]) == [kinds.K_RM32, kinds.K_IMM8S, 0, 0]
    assert list(columns.ACCESS[locked_add]) == [3, 1, 0, 0]
    assert columns.LOCKABLE[locked_add] == 1
    assert columns.FLAGS_WRITTEN[locked_add] == registers.EFLAGS_STATUS
    halt = NUMBERS["HLT"]
    assert columns.PRIVILEGE[halt] == vocabulary.PRIVILEGES["cpl0"]
    assert columns.FLOW[halt] == vocabulary.FLOWS["halt"]
    assert columns.EXIT[halt] == 12
    assert columns.EXIT_ALWAYS[NUMBERS["CPUID"]] == 1
    jump = NUMBERS["JNE_rel8_o32"]
    assert columns.CONDITION[jump] == 5
    assert columns.CONDITION[halt] == -1
    assert columns.FLAGS_READ[jump] == registers.EFLAGS_ZF
    assert columns.REP[NUMBERS["CMPSB"]] == 2
    assert columns.PM_ONLY[NUMBERS["STR_rm16"]] == 1
    assert columns.V86_IOPL[NUMBERS["PUSHFD"]] == 1
    assert columns.FAR[NUMBERS["RETF_o32"]] == 1
    assert columns.SENSITIVE[NUMBERS["POPFD"]] == 3
    assert columns.HAS_MODRM[NUMBERS["MOV_CR_r32"]] == 2
    assert columns.PROCESSOR[NUMBERS["CMOVE_r32_rm32"]] == vocabulary.PROCESSORS.index("P6")


@pytest.mark.parametrize(
    ("form", "codes"),
    [
        ("ADD_AL_imm8", [1, 0]),
        ("PUSH_imm8_o32", [9, 0]),
        ("MOV_r16_imm16", [2, 0]),
        ("MOV_r32_imm32", [4, 0]),
        ("ENTER_imm16_imm8_o32", [2, 1]),
        ("JMP_rel8_o32", [9, 0]),
        ("JMP_rel32", [4, 0]),
        ("JMP_ptr16_16", [5, 0]),
        ("JMP_ptr16_32", [6, 0]),
        ("MOV_EAX_moffs32", [7, 0]),
        ("HLT", [0, 0]),
    ],
)
def test_immediates_are_coded_for_the_decoder(form, codes):
    assert list(columns.IMM[NUMBERS[form]]) == codes


def test_the_generated_map_is_the_one_that_is_built():
    built = build(load_table())
    assert np.array_equal(opcode_maps.OPCODE_MAP, np.array(built.opcodes))
    assert np.array_equal(opcode_maps.GROUP_MAP, np.array(built.groups))
    assert built.group_count == opcode_maps.GROUP_COUNT


def test_the_reference_has_every_form_and_the_critical_instructions():
    text = generate.generated_files()[generate.ROOT / "docs" / "instruction-reference.md"].decode()
    for form in load_table():
        assert f"| `{form.syntax}` |" in text
    critical = next(line for line in text.splitlines() if line.startswith("- Critical"))
    for operation in ("POPF", "PUSHF", "PUSH_SREG", "LAR", "LSL", "VERR", "VERW", "MOV_FROM_SREG"):
        assert operation in critical
    assert "HLT" not in critical
