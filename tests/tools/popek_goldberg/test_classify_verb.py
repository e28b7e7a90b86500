"""The verb classify as a user meets it, and that its answer depends on nothing but its question."""

from __future__ import annotations

import json

import pytest

from isa.cpu_models import load_model
from isa.notation import load_table
from tools import status
from tools.cli import main
from tools.popek_goldberg import survey as survey_module
from tools.popek_goldberg.instances import instances_of
from tools.popek_goldberg.operands import MEMORY_BYTES, STACK_BYTES, make_contexts
from tools.popek_goldberg.survey import known_forms, survey

FORMS = {form.name: form for form in load_table()}
NAMES = ("PUSH_CS_o32", "HLT", "NOP", "RDTSC", "INT_imm8", "BOUND_r32_m32and32")


@pytest.fixture
def few_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "known_forms", lambda _model: [FORMS[n] for n in NAMES])


@pytest.mark.usefixtures("few_forms")
def test_the_tables_say_verdicts_witnesses_and_counts(capsys):
    assert main(["classify", "--workers", "1"]) == status.SUCCESS
    text = capsys.readouterr().out
    assert text.startswith("p6 virtualizable: no (theorem 1")
    assert "p6 hybrid-virtualizable: no (theorem 3" in text
    assert "push cs completes at CPL 0 and at CPL 3" in " ".join(text.split())
    assert "NOP" not in text
    assert main(["classify", "--workers", "1", "--all"]) == status.SUCCESS
    assert "NOP" in capsys.readouterr().out


@pytest.mark.usefixtures("few_forms")
def test_json_and_markdown(capsys):
    assert main(["classify", "--workers", "1", "--json", "--seed", "5"]) == status.SUCCESS
    record = json.loads(capsys.readouterr().out)
    assert record["seed"] == 5
    assert [form["form"] for form in record["forms"]] == list(NAMES)
    critical = {form["mnemonic"] for form in record["forms"] if form["critical"]}
    assert critical == {"PUSH", "RDTSC", "INT"}
    push = record["forms"][0]["witness"]
    assert push["instruction"] == "push cs"
    assert push["bytes"] == "0e"
    assert [outcome["at"] for outcome in push["outcomes"]] == ["CPL 0", "CPL 3"]
    assert main(["classify", "--workers", "1", "--markdown"]) == status.SUCCESS
    text = capsys.readouterr().out
    assert text.startswith("## p6\n")
    assert "| `PUSH CS` |" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--cpu", "z80"], "no CPU model 'z80'"),
        (["--workers", "0"], "--workers must be at least 1"),
        (["--json", "--markdown"], "not both"),
        (["--seed", "x"], "seed"),
    ],
)
def test_wrong_options_are_one_line(capsys, arguments, text):
    assert main(["classify", *arguments]) == status.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("trapgate: error: ")
    assert captured.err.count("\n") == 1
    assert text in captured.err


def test_the_answer_is_the_same_every_time():
    chosen = [FORMS[name] for name in NAMES]
    first = survey(load_model("p6"), 3, forms=chosen)
    assert first == survey(load_model("p6"), 3, forms=chosen)
    alone = survey(load_model("p6"), 3, forms=chosen[2:3])
    assert alone.results[0] == first.results[2], "a form's result depends on the others"
    other = survey(load_model("p6"), 4, forms=chosen)
    assert [r.classes for r in other.results] == [r.classes for r in first.results]


@pytest.mark.compiled
@pytest.mark.usefixtures("compiled_machine")
def test_the_number_of_processes_does_not_matter():
    chosen = [FORMS[name] for name in NAMES * 2]
    one = survey(load_model("p6"), 1, forms=chosen)
    two = survey(load_model("p6"), 1, forms=chosen, workers=2)
    assert one == two


def test_progress_counts_every_form():
    told: list[tuple[int, int]] = []
    chosen = [FORMS["NOP"], FORMS["CLC"]]
    survey(
        load_model("p6"), 1, forms=chosen, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_an_older_processor_has_fewer_forms():
    names = {form.name for form in known_forms(load_model("386"))}
    assert "CPUID" not in names
    assert "SYSENTER" not in names
    assert "POPFD" in names


def test_every_form_has_instances_for_both_sizes_of_code():
    for form in FORMS.values():
        found = instances_of(form)
        assert found, form.name
        for instance in found:
            assert instance.text(16)
            assert instance.text(32)


def test_contexts_follow_the_seed():
    assert make_contexts(1) == make_contexts(1)
    assert len(make_contexts(1)) == len(make_contexts(2))
    assert make_contexts(1)[0].registers != make_contexts(2)[0].registers
    for context in make_contexts(9):
        assert len(context.memory) == MEMORY_BYTES
        assert {len(data) for data in context.stack.values()} == {STACK_BYTES}
