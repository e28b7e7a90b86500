"""docs/conformance.md is what the exhaustive run writes, about the oracles there are now."""

from __future__ import annotations

import re

import pytest

from tests.oracles import conformance
from tests.oracles.conformance import COLUMNS, ORACLES, PAGE, Oracle, Result, files_of

ROWS = re.compile(r"^\| (.*) \|$", re.MULTILINE)
LEAST_CASES = {
    "recorded 80286": 175_000,
    "Unicorn, single instructions": 200_000,
    "Unicorn, sequences": 1_000_000,
}


def rows() -> list[list[str]]:
    found = [row.split(" | ") for row in ROWS.findall(PAGE.read_text(encoding="utf-8"))]
    head, _, *body = (row for row in found if len(row) == len(COLUMNS))
    assert tuple(head) == COLUMNS
    return body


def test_the_page_names_every_oracle_in_order():
    """If this fails: make test-full."""
    assert [row[0] for row in rows()] == [oracle.name for oracle in ORACLES]


def test_the_page_knows_of_no_mismatch():
    assert {row[0]: row[3] for row in rows() if row[3] != "0"} == {}


@pytest.mark.parametrize("name", LEAST_CASES)
def test_the_page_shows_an_exhaustive_run(name):
    cases = next(row[2] for row in rows() if row[0] == name)
    assert int(cases.replace(",", "")) >= LEAST_CASES[name]


def test_the_page_says_what_it_was_made_with():
    text = PAGE.read_text(encoding="utf-8")
    assert re.search(r"Run on \d{4}-\d\d-\d\d with Python 3\.\d+\.\d+, numba \d", text)
    assert "## Flags that the manual leaves undefined" in text


def test_every_oracle_has_tests():
    assert all(files_of(oracle) for oracle in ORACLES)


def test_every_file_of_oracles_belongs_to_a_row():
    listed = {path for oracle in ORACLES for path in files_of(oracle)}
    assert set((PAGE.parents[1] / "tests" / "oracles").glob("test_*.py")) <= listed


def test_failures_and_skips_are_counted(tmp_path):
    report = tmp_path / "report.xml"
    properties = '<properties><property name="cases" value="40"/></properties>'
    report.write_text(
        f"<testsuites><testsuite><testcase>{properties}</testcase>"
        f"<testcase><skipped/>{properties}</testcase>"
        f"<testcase><failure/>{properties}</testcase></testsuite></testsuites>"
    )
    result = conformance.read_report(ORACLES[0], report)
    assert (result.cases, result.mismatches, result.not_run) == (80, 1, 1)


def test_the_page_is_made_of_the_results():
    result = Result(Oracle("x", "y", "z", ()), cases=1234)
    assert "| x | z | 1,234 | 0 | 0 | 0 |" in conformance.page(
        [result], {"MUL": (3, 4)}, {"forms": 7}
    )


def test_one_row_of_the_page_can_be_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(conformance, "PAGE", tmp_path / "page.md")
    x, y = (Result(Oracle(name, "", "z", ()), cases=1) for name in "xy")
    conformance.PAGE.write_text(conformance.page([x, y], {}, {}))
    y.cases = 5
    conformance.replace_row(y)
    assert conformance.PAGE.read_text() == conformance.page([x, y], {}, {})
