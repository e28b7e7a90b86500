"""No form of the table is untested: each is executed, decoded and, if it can be, encoded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isa.notation import load_table
from tests.oracles import table_coverage
from tests.oracles.table_coverage import counts, coverage, executed_by, main

pytestmark = pytest.mark.oracle

# Nobody else has a name for the trapdoor; LLVM and capstone know UD0, UD1 and INT1 otherwise,
# and all opcodes of a floating-point unit.
NOT_ENCODED = {"TRAPDOOR_imm8"}
NOT_DECODED = {"TRAPDOOR_imm8", "UD0_r32_rm32", "UD1_r32_rm32"}


def everything_by(file: str) -> dict[str, dict[str, list[str]]]:
    names = [form.name for form in load_table()]
    return {"completed": {name: [file] for name in names}, "faulted": {}}


def test_every_form_is_encoded_and_decoded_by_somebody_else() -> None:
    forms = coverage([])
    silent = {c.form.name for c in forms if not c.encoded and not c.form.decode_only}
    assert silent == NOT_ENCODED
    unread = {c.form.name for c in forms if not c.decoded}
    assert unread - NOT_DECODED == {
        form.name
        for form in load_table()
        if form.operation in ("NOP", "ESC") and form.name in unread
    }


@pytest.mark.slow
@pytest.mark.compiled  # a run in plain Python of its own: once is enough
def test_every_form_is_executed() -> None:
    forms = coverage(table_coverage.record())
    assert not [c.form.name for c in forms if not c.is_executed]
    found = counts(forms)
    assert found["executed"] == found["forms"] == len(load_table())
    assert found["executed by Unicorn"] > 500
    assert found["executed by unit tests"] > 100


def test_a_form_that_only_faults_is_not_executed() -> None:
    recording = {"completed": {}, "faulted": {"CLI": ["tests/isa/x.py"], "UD2": ["tests/isa/x.py"]}}
    assert executed_by([recording]) == {"UD2": {"unit tests"}}


def test_a_form_without_a_test_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = everything_by("tests/oracles/test_unicorn_32bit.py")
    (tmp_path / "forms-gw0.json").write_text(json.dumps(recording))
    assert main([str(tmp_path)]) == 0
    assert f"{len(load_table())} executed by Unicorn" in capsys.readouterr().out
    del recording["completed"]["BSWAP_r32"]
    (tmp_path / "forms-gw0.json").write_text(json.dumps(recording))
    assert main([str(tmp_path), "--json"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "no test executes BSWAP_r32\n"
    assert json.loads(shown.out)["forms"]["BSWAP_r32"]["executed"] == []
