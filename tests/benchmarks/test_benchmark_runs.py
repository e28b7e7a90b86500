"""The benchmarks run, with tiny parameters, and write what their readers accept."""

from __future__ import annotations

import dataclasses
import platform
import re
import struct

import msgspec
import pytest

from benchmarks import (
    bochs_process,
    c_loops,
    interpreter,
    qemu_process,
    startup,
    strings,
    system_loops,
    targets,
    traps,
)
from benchmarks.guest_images import empty_loop, loop_image, repeats_of, with_repeats
from benchmarks.report import Report, load, report, save

TINY = {"bare": (2, 6), "ring": (2, 4)}
SIEVE_RESULT = 6542
WITHOUT_EXIT = {"cpuid"}  # any ring may execute it, so ring compression never sees it


def changed(image, old: bytes, new: bytes):
    """The image with some bytes replaced, which must occur once."""
    segments = []
    found = 0
    for address, data in image.segments:
        found += data.count(old)
        segments.append((address, data.replace(old, new)))
    assert found == 1
    return dataclasses.replace(image, segments=tuple(segments))


def saved_and_read(name: str, results, folder):
    """What a reader gets of results after they went through a file."""
    path = save(report(name, results), folder)
    assert path == folder / f"{name}.json"
    return load(name, type(results), folder)


def test_the_count_of_a_loop_can_be_changed():
    image = with_repeats(loop_image("loops/sieve"), 3)
    assert repeats_of(image) == 3
    assert repeats_of(loop_image("loops/sieve")) == 50


def test_the_empty_loop_counts_down():
    machine = traps.ready_machine("bare", with_repeats(empty_loop(), 10))
    machine.run()
    before = machine.guest_instructions
    machine = traps.ready_machine("bare", with_repeats(empty_loop(), 15))
    machine.run()
    assert machine.guest_instructions - before == 2 * 5


@pytest.mark.oracle
@pytest.mark.compiled
def test_a_loop_is_measured_beside_unicorn(tmp_path):
    loop = interpreter.measure_loop(with_repeats(loop_image("loops/sieve"), 1), repeats=2)
    assert loop.name == "sieve"
    assert loop.headline
    assert loop.instructions > 900_000
    assert loop.trapgate.samples == loop.unicorn.samples == 2
    results = interpreter.Results(150.0, [loop])
    assert saved_and_read("interpreter", results, tmp_path).results == results
    assert "| sieve " in interpreter.render(results)


@pytest.mark.oracle
@pytest.mark.compiled
def test_a_loop_with_a_wrong_result_is_not_measured():
    image = with_repeats(loop_image("loops/sieve"), 1)
    right, wrong = (struct.pack("<BI", 0x3D, number) for number in (SIEVE_RESULT, 1))
    with pytest.raises(RuntimeError, match="different ends"):
        interpreter.compared_instructions(changed(image, right, wrong))


@pytest.mark.oracle
@pytest.mark.compiled
@pytest.mark.parametrize("name", c_loops.LOOPS)
def test_a_program_in_c_ends_in_unicorn_as_it_does_here(name):
    image = c_loops.long_image(name, 1)
    assert repeats_of(image) == 1
    assert interpreter.compared_instructions(image) > 100_000


@pytest.mark.compiled
@pytest.mark.skipif(not qemu_process.is_installed(), reason="QEMU is not installed")
def test_a_program_in_c_runs_in_qemu():
    assert qemu_process.time_run(c_loops.long_image("primes", 1)).cpu_s > 0


@pytest.mark.skipif(not bochs_process.is_installed(), reason="Bochs is not installed")
@pytest.mark.parametrize("name", ["c/primes", "system_loops/system_call"])
def test_a_guest_with_a_last_line_runs_in_bochs(name):
    assert bochs_process.time_run(loop_image(name)).cpu_s > 0


@pytest.mark.skipif(not bochs_process.is_installed(), reason="Bochs is not installed")
def test_a_guest_that_never_says_its_last_line_is_not_measured_in_bochs(monkeypatch):
    monkeypatch.setattr(bochs_process, "TIME_LIMIT_S", 1.0)
    with pytest.raises(RuntimeError, match="did not end in Bochs"):
        bochs_process.time_run(loop_image("hostile/endless_loop"))


@pytest.mark.parametrize("name", system_loops.LOOPS)
def test_a_system_loop_counts_its_rounds(name):
    image = loop_image(f"system_loops/{name}")
    few, more = (system_loops.count_instructions(image, n) for n in (2, 12))
    assert 4 * 10 <= more - few <= 30 * 10


def test_a_system_loop_that_lost_a_round_is_not_measured():
    count = b"\x83\x05\x00\x00\x1a\x00"  # add dword [COUNTER], followed by what is added
    image = changed(loop_image("system_loops/divide_error"), count + b"\x01", count + b"\x02")
    with pytest.raises(RuntimeError, match="ended with 3"):
        system_loops.count_instructions(image, 5)


@pytest.mark.oracle
def test_a_system_loop_is_measured_beside_others(tmp_path):
    loop = system_loops.measure_loop(
        "pte_write", repeats=1, others={"unicorn": system_loops.time_unicorn}, long_run_s=0.03
    )
    assert loop.instructions == 7.0
    assert set(loop.speeds) == {"trapgate", "unicorn"}
    results = system_loops.Results(20.0, [loop])
    assert saved_and_read("system_loops", results, tmp_path).results == results
    assert "| PTE write, INVLPG |" in system_loops.render(results)


def test_what_unicorn_cannot_run_is_not_asked_of_it():
    loop = system_loops.measure_loop(
        "divide_error", repeats=1, others={"unicorn": system_loops.time_unicorn}, long_run_s=0.03
    )
    assert set(loop.speeds) == {"trapgate"}


@pytest.mark.oracle
@pytest.mark.compiled
def test_string_instructions_are_measured_beside_others(tmp_path):
    kinds = [
        strings.measure_kind(name, repeats=1, with_qemu=False, passes=1) for name in strings.KINDS
    ]
    assert all(set(kind.speeds) == {"trapgate", "numpy", "unicorn"} for kind in kinds)
    results = strings.Results(strings.BLOCK_BYTES, kinds)
    assert saved_and_read("strings", results, tmp_path).results == results
    assert "| REPNE SCASB |" in strings.render(results)


def test_targets_name_the_slowest_system_loop():
    rows = targets.tables()["targets"]
    results = load("system_loops", system_loops.Results).results
    slowest = min(results.loops, key=lambda loop: loop.speeds["trapgate"].cpu.median)
    assert f"slowest system loop: {system_loops.LOOPS[slowest.name]}" in rows


def test_trap_costs_of_the_model_are_exact(tmp_path):
    results = traps.measure_kinds(["read_cr0", "cli_sti"], repeats=1, lengths=TINY)
    read, pair = results.kinds
    assert read.costs["bare"].cycles == 1.0
    assert read.costs["bare"].exits == {}
    assert read.costs["bare"].round_trip_us is None
    assert sum(read.costs["ring"].exits.values()) == 1.0
    assert sum(pair.costs["ring"].exits.values()) == 2.0
    assert read.costs["ring"].cycles > 100
    assert saved_and_read("traps", results, tmp_path).results == results
    assert "| MOV from CR0 " in traps.render(results)


@pytest.mark.parametrize("name", traps.KINDS)
def test_every_trap_loop_ends_well_and_exits(name):
    found = traps.measure_image(loop_image(f"traps/{name}"), repeats=1, lengths=TINY)
    assert not found["bare"].exits
    exits = sum(found["ring"].exits.values())
    assert exits == 0 if name in WITHOUT_EXIT else exits >= 1


def test_a_trap_loop_that_ends_badly_is_not_measured():
    read_cr0, invalid = b"\x0f\x20\xc0\x49", b"\x0f\x0b\x90\x49"  # mov eax, cr0; ud2 and nop; dec
    image = changed(loop_image("traps/read_cr0"), read_cr0, invalid)
    with pytest.raises(RuntimeError, match="under bare ended with 3"):
        traps.measure_image(image, repeats=1, lengths={"bare": (1, 2)})


def test_start_up_is_measured(tmp_path):
    cases = [case for case in startup.WARM if case.name in ("python", "first_instruction")]
    results = startup.measure(cases, repeats=1, cold=0)
    assert [waited.case.name for waited in results.cases] == ["python", "first_instruction"]
    assert saved_and_read("startup", results, tmp_path).results == results
    assert "first guest instruction" in startup.render(results)


@pytest.mark.parametrize(
    "case",
    [
        startup.Case("missing", "a guest that is not there", ("run", "no/such/guest")),
        startup.Case("broken", "Python that fails", code="1 / 0"),
    ],
    ids=lambda case: case.name,
)
def test_a_process_that_fails_is_not_measured(case):
    with pytest.raises(RuntimeError, match=case.what):
        startup.time_process(case)


def test_a_result_file_of_another_layout_is_refused(tmp_path):
    path = save(report("startup", startup.Results([])), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"schema": 1', b'"schema": 2'))
    with pytest.raises(ValueError, match="schema 2"):
        load("startup", startup.Results, tmp_path)
    path.write_bytes(content.replace(b'"benchmark"', b'"bench"'))
    with pytest.raises(msgspec.ValidationError):
        load("startup", startup.Results, tmp_path)


def test_a_result_file_names_no_machine_and_no_path(tmp_path):
    path = save(report("startup", startup.Results([])), tmp_path)
    text = path.read_text()
    assert not re.search(rf"\b{re.escape(platform.node())}\b", text)
    assert str(tmp_path) not in text
    assert msgspec.json.decode(text, type=Report[startup.Results]).circumstances.cores >= 1
