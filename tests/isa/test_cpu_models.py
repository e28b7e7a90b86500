"""Models of processors: their files, their names, and what each of them does not know."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from isa import decoder, state, workspace
from isa.cpu_models import CpuModel, load_model, model_names, parse_model
from isa.errors import TrapgateError
from isa.features import defined_cr0, defined_cr4, defined_eflags
from isa.modes import MODE_CODE32
from isa.notation import Form, load_table
from isa.processor import Processor
from isa.records import FORM_SHIFT, HANDLER_MASK
from isa.registers import (
    CR0_DEFINED,
    CR4_PAE,
    CR4_PGE,
    EFLAGS_AC,
    EFLAGS_DEFINED,
    EFLAGS_ID,
    FEATURES_P6,
)
from isa.specialise import H_INVALID
from tests.isa.instruction_samples import samples_of

# What came with each generation, from the manual's "New Instructions" by hand.
NEW = {
    "486": {"BSWAP", "XADD", "CMPXCHG", "INVLPG", "INVD", "WBINVD"},
    "pentium": {"CMPXCHG8B", "CPUID", "RDTSC", "RDMSR", "WRMSR"},
    "p6": {"CMOVCC", "RDPMC", "SYSENTER", "SYSEXIT"},
}
AT = 64


def test_the_default_is_the_p6() -> None:
    assert model_names() == ["386", "486", "pentium", "p6", "virtualizable"]
    model = load_model()
    assert (model.name, model.features) == ("p6", FEATURES_P6)
    fresh = state.new_state()
    installed = state.new_state()
    model.install(installed)
    assert (fresh == installed).all()


def test_every_generation_has_what_the_one_before_had() -> None:
    features = [load_model(name).features for name in model_names()]
    for older, newer in pairwise(features):
        assert older & newer == older != newer


def test_features_are_added_and_left_out_in_order() -> None:
    late = load_model("486+cpuid")
    assert late.feature_names == ("CPUID", "WP")
    assert load_model("p6-pge").features == FEATURES_P6 & ~(1 << 13)
    assert load_model("p6-pge+pge").features == FEATURES_P6
    assert load_model("p6+umip-umip").features == FEATURES_P6


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("8086", "no CPU model '8086'; there are: 386, 486, pentium, p6, virtualizable"),
        ("", "is not a CPU model"),
        ("P6", "is not a CPU model"),
        ("p6+", "is not a CPU model"),
        ("p6+sse", "no feature 'sse'"),
        ("../p6", "is not a CPU model"),
    ],
)
def test_a_wrong_name_is_refused(name: str, words: str) -> None:
    with pytest.raises(TrapgateError) as error:
        load_model(name)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


GOOD = """
summary = "x"
generation = "486"
features = ["WP"]
family = 4
model = 3
stepping = 5
last_leaf = 1
vendor = "TwelveLetter"
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("family = 4", "family = 16", "family must be a number from 0 to 15"),
        ("family = 4", "", "misses or invents family"),
        ("family = 4", "family = 4\ncolour = 1", "misses or invents colour"),
        ('"486"', '"586"', "generation must be one of"),
        ('"WP"', '"SSE"', "no feature 'SSE'"),
        ("Twelve", "Two", "vendor must have 12 letters"),
        ("=", "", "CPU model x: "),
    ],
)
def test_a_wrong_file_is_refused(old: str, new: str, words: str) -> None:
    assert parse_model("x", GOOD).signature == 0x435
    with pytest.raises(TrapgateError) as error:
        parse_model("x", GOOD.replace(old, new, 1))
    assert words in str(error.value)


def unknown_forms(model: CpuModel) -> set[str]:
    """Names of the forms whose samples the machine's decoder takes for undefined opcodes."""
    core = np.zeros(AT + 8, np.int64)
    core[workspace.LACKS] = ~model.features
    ram = np.zeros(64, np.uint8)
    found = set()
    for form in load_table():
        if form.decode_only:
            continue
        sample = next(iter(samples_of(form, 32)))
        data = sample.data.ljust(16, b"\0")
        ram[: len(data)] = np.frombuffer(data, np.uint8)
        decoder.decode(core, ram, AT, 0, len(data), 0, MODE_CODE32)
        if core[AT] & HANDLER_MASK == H_INVALID:
            found.add(form.name)
        else:
            assert core[AT] >> FORM_SHIFT & 0xFFF == form.number
    return found


def is_hint(form: Form) -> bool:
    return form.operation == "NOP" and form.encoding.two_byte


@pytest.mark.parametrize("name", ["386", "486", "pentium", "p6"])
def test_what_came_later_is_undefined(name: str) -> None:
    later = set()
    for generation, operations in reversed(NEW.items()):
        if generation == name:
            break
        later |= operations
    forms = [form for form in load_table() if not form.decode_only]
    expected = {form.name for form in forms if form.operation in later}
    if name != "p6":
        expected |= {form.name for form in forms if is_hint(form)}
    assert unknown_forms(load_model(name)) == expected


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("p6-cmov", {"CMOVCC"}),
        ("p6-tsc-cx8", {"RDTSC", "CMPXCHG8B"}),
        ("p6-sep-pmc", {"SYSENTER", "SYSEXIT", "RDPMC"}),
        ("p6-cpuid-msr", {"CPUID", "RDMSR", "WRMSR"}),
        ("p6-pge-umip-de", set()),
    ],
)
def test_what_was_left_out_is_undefined(name: str, operations: set[str]) -> None:
    expected = {form.name for form in load_table() if form.operation in operations}
    assert unknown_forms(load_model(name)) == expected


def test_bits_of_registers() -> None:
    old, late = load_model("386").features, load_model("486+cpuid").features
    assert defined_cr0(old) == CR0_DEFINED & ~0x60050020
    assert defined_cr0(FEATURES_P6) == defined_cr0(late) == CR0_DEFINED
    assert defined_cr4(old) == defined_cr4(late) == 0
    assert defined_cr4(load_model("p6-pge").features) == defined_cr4(FEATURES_P6) & ~CR4_PGE
    assert not defined_cr4(FEATURES_P6) & CR4_PAE
    assert defined_eflags(old) & (EFLAGS_AC | EFLAGS_ID) == 0
    assert defined_eflags(load_model("486").features) & (EFLAGS_AC | EFLAGS_ID) == EFLAGS_AC
    assert defined_eflags(late) & (EFLAGS_AC | EFLAGS_ID) == EFLAGS_AC | EFLAGS_ID
    assert defined_eflags(FEATURES_P6) == EFLAGS_DEFINED


def test_a_restored_state_brings_its_model() -> None:
    """What follows from the model is derived again with everything else."""
    made = Processor(1 << 20, model=load_model("486"))
    restored = Processor(1 << 20)
    restored.cpu[:] = made.cpu
    restored.drop_derived()
    for word in (workspace.LACKS, workspace.LACKS_EFLAGS):
        assert restored.core[word] == made.core[word] != Processor(1 << 20).core[word]
