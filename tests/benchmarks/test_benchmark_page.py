"""docs/performance.md says what the result files say."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import BENCHMARKS, page_tables
from benchmarks.report import PAGE, RESULTS, table, with_tables


def test_the_page_shows_the_saved_results():
    page = PAGE.read_text()
    assert with_tables(page, page_tables()) == page, "run: python -m benchmarks --tables"


def test_every_benchmark_has_its_place_on_the_page():
    names = {module.__name__.rpartition(".")[2] for module in BENCHMARKS}
    assert (
        set(page_tables()) - {"targets"} == names == {path.stem for path in RESULTS.glob("*.json")}
    )


def test_only_the_text_between_the_markers_is_replaced():
    page = "before\n<!-- begin x -->\nold\n<!-- end x -->\nafter\n"
    assert with_tables(page, {"x": r"new \1"}) == (
        "before\n<!-- begin x -->\n\nnew \\1\n\n<!-- end x -->\nafter\n"
    )


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="begin x"):
        with_tables("nothing", {"x": "new"})


def test_a_table_is_aligned():
    assert table(("name", "n"), [("a", "10"), ("longer", "2")]).splitlines() == [
        "| name   |  n |",
        "| ------ | -: |",
        "| a      | 10 |",
        "| longer |  2 |",
    ]
