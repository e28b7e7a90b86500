"""The page about the classification: made from surveys and prose, and checked."""

from __future__ import annotations

from functools import cache

import pytest

from isa.cpu_models import CpuModel, load_model
from isa.notation import load_table
from tools.popek_goldberg import document
from tools.popek_goldberg.survey import Survey, survey

FORMS = {form.name: form for form in load_table()}
NAMES = ("PUSH_CS_o32", "HLT", "NOP", "SGDT_m16and32_o32", "WBINVD", "CLI", "RDPMC", "LAR_r16_rm16")


@cache
def few(cpu: str) -> Survey:
    return survey(load_model(cpu), 1, forms=[FORMS[name] for name in NAMES])


def line_of(text: str, beginning: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(beginning))


@pytest.fixture
def text() -> str:
    return document.document({cpu: few(cpu) for cpu in document.CPUS})


def test_the_verdicts_are_those_of_the_surveys(text):
    assert line_of(text, "| `p6` ") == "| `p6` | **no** | **no** | **no** | 4 | 4 |"
    assert line_of(text, "| `virtualizable` ") == "| `virtualizable` | yes | yes | yes | 0 | 0 |"
    assert "<!--" not in text


def test_what_a_variant_changes_is_told(text):
    assert "| `p6+umip` | SGDT | none | CR4.UMIP" in text
    assert "| `p6+pvi` | none | CLI | CR4.PVI" in text
    assert "| `virtualizable` | all | none |" in text


def test_what_was_published_is_beside_what_was_found(text):
    assert line_of(text, "| SGDT |").startswith("| SGDT | Robin and Irvine | shows where the GDT")
    assert "| yes | behaviour, location, user, supervisor |" in line_of(text, "| SGDT |")
    assert line_of(text, "| INVD, WBINVD |").startswith("| INVD, WBINVD | privileged, innocuous |")


def test_one_witness_for_every_operation(text):
    assert line_of(text, "| `PUSH CS` |").endswith("08 at CPL 0 and 23 at CPL 3. |")
    assert line_of(text, "| `CLI` |").endswith(
        "`cli` completes and changes IF to 0. (Initial state: supervisor's choice IOPL 3.) |"
    )


def test_the_page_is_written_and_checked(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    monkeypatch.setattr(document, "PAGE", page)

    def quick(model: CpuModel, _seed: int, *, workers: int) -> Survey:
        assert workers
        return few(model.name)

    monkeypatch.setattr(document, "survey", quick)
    assert document.main(["--check"]) == 1
    assert "make classification" in capsys.readouterr().err
    assert not page.exists()
    assert document.main([]) == 0
    assert document.main(["--check"]) == 0
    page.write_text("something else")
    assert document.main(["--check"]) == 1
