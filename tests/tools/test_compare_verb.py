"""The verb compare with real guests: verdict, tables, JSON, statuses."""

from __future__ import annotations

import json

import pytest

from tools import catalogue, status
from tools.cli import main

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]

HELLO = catalogue.guests()["hello"]


def test_compare_says_equal_and_shows_what_it_cost(capfd):
    assert main(["compare", "guests/hello"]) == status.SUCCESS
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("equal: hello under bare = ring")
    for part in ("overhead", "exits by reason", "cycles by cause", "world_switch"):
        assert part in captured.out


def test_the_json_report_has_the_promised_keys(capfd):
    assert main(["compare", "hello", "--json"]) == status.SUCCESS
    record = json.loads(capfd.readouterr().out)
    assert record["guest"] == "hello"
    assert record["equivalent"] is True
    assert [run["name"] for run in record["techniques"]][:2] == ["bare", "ring"]
    for run in record["techniques"]:
        assert run["exit_code"] == HELLO.exit_code
        assert len(run["console_sha256"]) == 64
        assert run["guest_instructions"] > 0
        assert sum(run["cycles_by_cause"].values()) == run["cycles"] > 0
        assert all(count > 0 for count in run["exits"].values())
        assert run["host_seconds"] >= 0
    assert len({run["console_sha256"] for run in record["techniques"]}) == 1
    assert len({run["guest_instructions"] for run in record["techniques"]}) == 1


def test_techniques_are_chosen_by_name(capfd):
    assert main(["compare", "hello", "--techniques", "ring,bare", "--json"]) == status.SUCCESS
    names = [run["name"] for run in json.loads(capfd.readouterr().out)["techniques"]]
    assert names == ["ring", "bare"]


@pytest.mark.parametrize("techniques", ["", ",", "bare,qemu"])
def test_a_technique_that_does_not_exist_gets_one_line(capfd, techniques):
    assert main(["compare", "hello", "--techniques", techniques]) == status.USAGE
    error = capfd.readouterr().err
    assert error.startswith("trapgate: error: ")
    assert error.count("\n") == 1


def test_a_guest_that_never_ends_is_compared_up_to_its_budget(capfd):
    assert main(["compare", "hostile/endless_loop", "--json"]) == status.SUCCESS
    record = json.loads(capfd.readouterr().out)
    assert {run["stop"]["reason"] for run in record["techniques"]} == {"budget"}
