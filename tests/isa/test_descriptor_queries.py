"""LAR, LSL, VERR, VERW and ARPL against the manual's tables."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import state, vectors
from isa.records import DONE, TROUBLED
from isa.registers import EAX, EBX, EDX
from tests.isa.protected_machine import FREE, GDT, ProtectedMachine, descriptor

ZF = 1 << 6
STATUS = 0x8D5
M32 = 0xFFFFFFFF
DATA = 0x30000
LEVEL = st.integers(0, 3)


def gpr(machine: ProtectedMachine, register: int) -> int:
    return int(machine.cpu[state.GPR + register])


def set_gpr(machine: ProtectedMachine, register: int, value: int) -> None:
    machine.cpu[state.GPR + register] = value


@given(
    kind=st.integers(0, 31),
    cpl=LEVEL,
    rpl=LEVEL,
    dpl=LEVEL,
    present=st.integers(0, 1),
    selector=st.sampled_from(("fine", "fine", "fine", "null", "outside")),
    size=st.sampled_from((16, 32)),
    raw_limit=st.integers(0, 0xFFFFF),
    flags=st.integers(0, 0xFFF),
)
def test_queries_follow_the_manual(
    kind: int,
    cpl: int,
    rpl: int,
    dpl: int,
    present: int,
    selector: str,
    size: int,
    raw_limit: int,
    flags: int,
) -> None:
    """One descriptor, one selector, and the answers of all four instructions."""
    machine = ProtectedMachine()
    check_queries(machine, kind, cpl, rpl, dpl, present, selector, size, raw_limit, flags)


@pytest.mark.parametrize("size", [16, 32])
def test_every_query(size: int) -> None:
    """Every type at every combination of privilege levels."""
    machine = ProtectedMachine()
    for kind, cpl, rpl, dpl in product(range(32), *[range(4)] * 3):
        check_queries(machine, kind, cpl, rpl, dpl, 1, "fine", size, 0x54321, STATUS)


def check_queries(
    machine: ProtectedMachine,
    kind: int,
    cpl: int,
    rpl: int,
    dpl: int,
    present: int,
    selector: str,
    size: int,
    raw_limit: int,
    flags: int,
) -> None:
    machine.cpu[state.GDTR_LIMIT] = 0x1EF
    machine.set_level(cpl)
    machine.eflags = flags & STATUS | 2
    before = machine.eflags
    words = descriptor(0x12345678, raw_limit, kind, dpl, present=present, accessed=0)
    machine.describe(FREE, words)
    value = {"null": rpl, "outside": 0x1F0 | rpl, "fine": FREE | rpl}[selector]
    seen = selector == "fine" and (kind & 0x1C == 0x1C or max(cpl, rpl) <= dpl)
    code, middle = kind & 8, kind & 2
    lar = kind >= 16 or kind in (1, 2, 3, 4, 5, 9, 11, 12)
    lsl = kind >= 16 or kind in (1, 2, 3, 9, 11)
    answers = {
        "LAR": (seen and lar, words[1] & (0xF0FF00 if size == 32 else 0xFF00)),
        "LSL": (seen and lsl, raw_limit << 12 | 0xFFF),
        "VERR": (seen and kind >= 16 and (not code or middle), 0),
        "VERW": (seen and kind >= 16 and not code and middle, 0),
    }
    for name, (valid, result) in answers.items():
        set_gpr(machine, EAX, 0x55555555)
        set_gpr(machine, EBX, 0xABCD0000 | value)
        if name in ("LAR", "LSL"):
            form = f"{name}_r32_r32m16" if size == 32 else f"{name}_r16_rm16"
            assert machine.execute(form, a=EAX, b=EBX) == DONE
            mask = M32 if size == 32 else 0xFFFF
            expected = 0x55555555 & ~mask | result & mask if valid else 0x55555555
            assert gpr(machine, EAX) == expected
        else:
            assert machine.execute(f"{name}_rm16", b=EBX) == DONE
        assert machine.eflags == before & ~ZF | (ZF if valid else 0)
    assert machine.descriptor_type(FREE) == kind


def test_a_query_faults_only_on_its_way() -> None:
    machine = ProtectedMachine()
    machine.enable_paging()
    machine.map_page(GDT, 2)
    set_gpr(machine, EBX, FREE)
    with machine.unchanged():
        assert machine.execute("VERR_rm16", b=EBX) == TROUBLED
    assert machine.trouble == (vectors.PF, 0)


@given(target=st.integers(0, 0xFFFF), source=st.integers(0, 0xFFFF), in_memory=st.booleans())
def test_arpl(target: int, source: int, in_memory: bool) -> None:
    machine = ProtectedMachine()
    machine.eflags = STATUS | 2
    set_gpr(machine, EDX, source)
    set_gpr(machine, EBX, target | 0x77770000)
    machine.poke(DATA, target, 2)
    place = {"memory": DATA} if in_memory else {"b": EBX}
    assert machine.execute("ARPL_rm16_r16", a=EDX, **place) == DONE
    raised = target & 3 < source & 3
    result = target & ~3 | source & 3 if raised else target
    assert machine.peek(DATA, 2) == (result if in_memory else target)
    assert gpr(machine, EBX) == 0x77770000 | (target if in_memory else result)
    assert machine.eflags == STATUS & ~ZF | 2 | (ZF if raised else 0)
