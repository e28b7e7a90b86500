"""The whole classification: the published set is found, and the table's columns are true."""

from __future__ import annotations

import json

import pytest

from isa.notation import load_table
from tools.popek_goldberg.classes import (
    BEHAVIOUR,
    CLASSES,
    CONTROL,
    INNOCUOUS,
    PRIVILEGED,
    SUPERVISOR,
    USER,
)
from tools.popek_goldberg.document import BASE, CPUS, PAGE, document
from tools.popek_goldberg.published import (
    explained_operations,
    published_operations,
    unseen_operations,
)
from tools.popek_goldberg.report import survey_record

pytestmark = pytest.mark.compiled

FORMS = {form.name: form for form in load_table()}
UMIP = {"SGDT", "SIDT", "SLDT", "SMSW", "STR"}
SENSITIVE_WORDS = {
    "": set(),
    "control": {CONTROL},
    "behavior": {BEHAVIOUR},
    "control behavior": {CONTROL, BEHAVIOUR},
}


def operations(results) -> set[str]:
    return {FORMS[result.form].operation for result in results}


def test_every_form_is_classified(p6):
    assert set(p6.by_form()) == set(FORMS)
    for result in p6.results:
        assert result.classes
        assert set(result.classes) <= set(CLASSES)
        assert (INNOCUOUS in result.classes) != bool({CONTROL, BEHAVIOUR} & set(result.classes))


def test_the_published_set_is_found(p6):
    assert published_operations() <= operations(p6.critical)


def test_everything_beyond_the_published_set_is_explained(p6):
    assert operations(p6.critical) - published_operations() == explained_operations()


def test_the_sensitivity_column_is_what_is_seen(p6):
    """In both directions, for every form; but for what this machine has nothing to show of."""
    wrong = {
        result.form: (FORMS[result.form].sensitive, result.classes)
        for result in p6.results
        if set(result.classes) & {CONTROL, BEHAVIOUR}
        != SENSITIVE_WORDS[FORMS[result.form].sensitive]
    }
    assert {FORMS[name].operation for name in wrong} == unseen_operations(), wrong


def test_the_privilege_column_is_what_is_seen(p6):
    wrong = {
        result.form: (FORMS[result.form].privilege, result.rule)
        for result in p6.results
        if result.rule != FORMS[result.form].privilege
    }
    assert {FORMS[name].operation for name in wrong} == UMIP, wrong
    assert all(rule == "" for _, rule in wrong.values())


def test_only_what_no_setting_permits_is_privileged(p6):
    for result in p6.results:
        assert (PRIVILEGED in result.classes) == (FORMS[result.form].privilege == "cpl0")


def test_sensitive_means_somewhere(p6):
    for result in p6.results:
        somewhere = {USER, SUPERVISOR} & set(result.classes)
        assert not (somewhere and INNOCUOUS in result.classes), result.form


def test_neither_monitor_is_promised_for_the_p6(p6):
    verdicts = {theorem.name: theorem.holds for theorem in p6.theorems}
    assert verdicts == {
        "virtualizable": False,
        "recursively_virtualizable": False,
        "hybrid_virtualizable": False,
    }


def test_umip_makes_five_operations_privileged(variant):
    found = variant("p6+umip")
    hidden = {r.form for r in found.results if FORMS[r.form].privilege in ("umip", "cpl0")}
    assert hidden == {result.form for result in found.results if PRIVILEGED in result.classes}
    verdicts = {theorem.name: theorem.holds for theorem in found.theorems}
    assert not verdicts["virtualizable"]
    assert not verdicts["hybrid_virtualizable"]


def test_pvi_makes_cli_and_sti_depend_on_the_mode(p6, variant):
    plain, virtual = p6.by_form(), variant("p6+pvi").by_form()
    for name in ("CLI", "STI"):
        assert "mode-sensitive" not in plain[name].classes
        assert "mode-sensitive" in virtual[name].classes
        assert plain[name].rule == "iopl"
        assert virtual[name].rule == ""
    assert {n for n, r in virtual.items() if r.classes != plain[n].classes} == {"CLI", "STI"}


def test_the_virtualizable_processor_is(variant):
    found = variant("virtualizable")
    assert all(theorem.holds for theorem in found.theorems)
    assert all(PRIVILEGED in result.classes for result in found.results)
    # What only compares DPL with CPL has nothing left to show where CPL is always 0.
    harmless = {r.form for r in found.results if INNOCUOUS in r.classes}
    assert {FORMS[name].operation for name in harmless} == {"LAR", "VERR", "VERW"}


def test_every_critical_form_has_a_witness(p6):
    for result in p6.results:
        assert (result.witness is not None) == result.critical
        if result.witness is None:
            continue
        assert result.witness.sentence.endswith(".")
        assert result.witness.sentence.count("`") == 2
        assert any(effects for _, effects in result.witness.outcomes)
        assert len(result.witness.outcomes) in (1, 2)


def test_the_page_says_what_was_found(p6, variant):
    """If this fails after a change of an instruction: make classification."""
    surveys = {cpu: p6 if cpu == BASE else variant(cpu) for cpu in CPUS}
    assert document(surveys) == PAGE.read_text(encoding="utf-8")


def test_the_record_has_the_promised_keys(p6):
    record = json.loads(json.dumps(survey_record(p6)))
    assert {"cpu", "virtualizable", "hybrid_virtualizable", "forms"} <= set(record)
    assert record["cpu"] == "p6"
    assert record["virtualizable"] is False
    assert len(record["forms"]) == len(FORMS)
    for form in record["forms"]:
        assert {"form", "mnemonic", "classes", "critical", "witness"} <= set(form)
    assert sum(form["critical"] for form in record["forms"]) == record["counts"]["critical"]
