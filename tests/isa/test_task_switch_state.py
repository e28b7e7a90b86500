"""What a task switch saves, loads, marks and leaves alone; and the events that come with it.

SDM vol. 3A, "Task Switching", "Task Linking", "Interrupt 8—Double Fault Exception (#DF)".
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isa import state, vectors
from isa import workspace as w
from isa.events import EXTERNAL, HARDWARE, SOFTWARE
from isa.exits import Exit
from isa.page_walk import load_pdptes
from isa.paging import flush_tlb
from isa.records import TRANSFER, TROUBLED
from isa.registers import CS, DS, ES, FS, GS, LDTR, SS, TR
from tests.isa.protected_machine import (
    CODES,
    DATA_RW,
    DATAS,
    GDT,
    INT32,
    STACKS,
    TABLE,
    TASK,
    TSS,
    TSS_SELECTOR,
    ProtectedMachine,
    descriptor,
    gate,
)
from tests.isa.task_machine import (
    AVAILABLE,
    BUSY,
    EVENTS,
    FIELDS,
    GATE,
    GENERAL,
    NESTING,
    NT,
    OTHER,
    OTHER_CODE,
    OTHER_DATA,
    OTHER_LDT,
    OTHER_LDT_BASE,
    OTHER_STACK,
    OTHER_TOP,
    OTHER_TSS,
    TARGET,
    TS,
    VECTOR,
    VM,
    WAYS,
    TaskMachine,
    layout,
)

SIZE = st.sampled_from((4, 2))
WAY = st.sampled_from(WAYS)
WORD = st.integers(0, 0xFFFFFFFF)
PLAIN_FLAGS = 0x244ED5 & ~NT  # no TF, NT, RF, VM, VIF, VIP
RF, BT, BS = 1 << 16, 1 << 15, 1 << 14
SECOND_DIRECTORY = 0xA000
HANDLER = 0x12000


@st.composite
def registers(draw: st.DrawFn) -> dict[str, int]:
    """General registers and EFLAGS."""
    values = {name: draw(WORD) for name in GENERAL}
    return values | {"eflags": draw(WORD) & PLAIN_FLAGS | 2}


def saved(before: dict[str, int], way: str, size: int) -> dict[str, int]:
    """The old task as its TSS must show it."""
    image = dict(before)
    image["eip"] += 0 if way in EVENTS else 2
    if way == "IRET":
        image["eflags"] &= ~NT
    return {name: image[name] & (1 << 8 * size) - 1 for name in FIELDS if name in layout(size)}


@given(WAY, SIZE, SIZE, registers(), registers())
def test_all_registers_are_saved_and_loaded(
    way: str, old: int, new: int, first: dict[str, int], second: dict[str, int]
) -> None:
    machine = TaskMachine(old, new)
    machine.load(first | {"esp": STACKS[0]})
    machine.write_tss(OTHER_TSS, new, {**second, "esp": OTHER_TOP, "ldt": OTHER_LDT})
    if way == "IRET":
        machine.nest()
    before, memory = machine.registers(), machine.ram.copy()
    assert machine.switch(way) == TRANSFER

    image = machine.read_tss(TSS, old)
    assert {name: image[name] for name in saved(before, way, old)} == saved(before, way, old)
    wanted = {**second, "eip": TARGET, "esp": OTHER_TOP, "ldt": OTHER_LDT, "fs": 0, "gs": 0}
    wanted |= {"cs": OTHER_CODE, "ss": OTHER_STACK, "ds": OTHER_DATA, "es": OTHER_DATA}
    if new == 2:
        wanted["eip"] &= 0xFFFF
        wanted["eflags"] &= 0xFFFF
        wanted |= {name: wanted[name] & 0xFFFF | 0xFFFF0000 for name in GENERAL}
    if way in NESTING:
        wanted["eflags"] |= NT
    assert machine.registers() == wanted
    assert machine.cpu[state.BASE + LDTR] == OTHER_LDT_BASE
    assert machine.selector(TR) == OTHER
    assert machine.cpu[state.BASE + TR] == OTHER_TSS

    # Nothing else in memory has changed.
    for name, (at, size) in layout(old).items():
        if name in FIELDS:
            memory[TSS + at : TSS + at + size] = machine.ram[TSS + at : TSS + at + size]
    if way in NESTING:
        assert machine.peek(OTHER_TSS, 2) == TSS_SELECTOR
        memory[OTHER_TSS : OTHER_TSS + 2] = machine.ram[OTHER_TSS : OTHER_TSS + 2]
    for selector in (TSS_SELECTOR, OTHER):
        memory[GDT + selector + 5] = machine.ram[GDT + selector + 5]
    assert memory.tobytes() == machine.ram.tobytes()
    assert machine.descriptor_type(OTHER) == BUSY[new]
    assert machine.descriptor_type(TSS_SELECTOR) == (BUSY if way in NESTING else AVAILABLE)[old]


@given(SIZE, SIZE, registers(), st.sampled_from(("CALL", "CALL gate", "INT", "interrupt")))
def test_iret_comes_back_to_where_the_nested_task_was_called(
    old: int, new: int, first: dict[str, int], way: str
) -> None:
    machine = TaskMachine(old, new)
    machine.load(first | {"esp": STACKS[0]})
    wanted = machine.registers()
    wanted["eip"] += 0 if way in EVENTS else 2
    assert machine.switch(way) == TRANSFER
    assert machine.eflags & NT
    assert machine.execute("IRETD") == TRANSFER
    if old == 2:
        wanted["eip"] &= 0xFFFF
        wanted["eflags"] &= 0xFFFF
        wanted |= {name: wanted[name] & 0xFFFF | 0xFFFF0000 for name in GENERAL}
        wanted |= {"fs": 0, "gs": 0}
    assert machine.registers() == wanted
    assert machine.selector(TR) == TSS_SELECTOR
    assert machine.descriptor_type(TSS_SELECTOR) == BUSY[old]
    assert machine.descriptor_type(OTHER) == AVAILABLE[new]


@given(WAY, SIZE)
def test_a_switch_sets_ts_and_ends_local_breakpoints(way: str, new: int) -> None:
    machine = TaskMachine(4, new)
    machine.cpu[state.DR + 7] = 0xFFFF07FF
    assert machine.switch(way) == TRANSFER
    assert machine.cpu[state.CR0] & TS
    assert machine.cpu[state.DR + 7] == 0xFFFF06AA


@given(st.sampled_from(("JMP", "CALL", "INT", "exception")))
def test_no_task_is_entered_twice(way: str) -> None:
    machine = TaskMachine()
    machine.set_type(OTHER, BUSY[4])
    with machine.unchanged():
        assert machine.switch(way) == TROUBLED
    if way == "exception":
        assert machine.exit is not None
    else:
        assert machine.trouble == (vectors.GP, OTHER)


def test_iret_of_a_task_to_itself_goes_on_behind_it() -> None:
    machine = TaskMachine()
    machine.write_tss(TSS, 4, {"link": TSS_SELECTOR})
    machine.eflags |= NT
    eip = machine.eip
    assert machine.execute("IRETD") == TRANSFER
    assert machine.eip == eip + 2
    assert not machine.eflags & NT


# --- privilege, virtual-8086 mode, paging ----------------------------------------------------


@given(st.integers(0, 3), st.integers(0, 3))
def test_a_task_gate_leads_to_any_privilege_level(level: int, new_level: int) -> None:
    machine = TaskMachine(level=level, new_level=new_level)
    assert machine.switch("INT") == TRANSFER
    assert machine.level == new_level
    assert machine.selector(CS) == OTHER_CODE | new_level


@pytest.mark.parametrize("way", WAYS)
def test_a_task_may_be_a_virtual_8086_program(way: str) -> None:
    machine = TaskMachine()
    values = {"cs": 0x1100, "ss": 0x2000, "ds": 0x3000, "es": 0x4000, "fs": 0x5000, "gs": 0x6000}
    machine.write_tss(OTHER_TSS, 4, values | {"eip": 0x10, "esp": 0x800, "eflags": VM | 2})
    assert machine.switch(way) == TRANSFER
    assert machine.level == 3
    assert machine.eflags & VM
    for segment, name in enumerate(("es", "cs", "ss", "ds", "fs", "gs")):
        assert machine.cpu[state.BASE + segment] == values[name] << 4
        assert machine.cpu[state.LIMIT + segment] == 0xFFFF
        assert machine.cpu[state.ATTRIBUTES + segment] == 0xF3


@pytest.mark.parametrize("way", ["INT", "interrupt", "exception"])
def test_a_task_gate_leads_out_of_virtual_8086_mode_and_back(way: str) -> None:
    machine = TaskMachine()
    machine.enter_v86(iopl=3)
    before = machine.registers()
    assert machine.switch(way) == TRANSFER
    assert not machine.eflags & VM
    assert machine.level == 0
    assert machine.read_tss(TSS, 4)["cs"] == 0x100
    assert machine.execute("IRETD") == TRANSFER
    after = machine.registers()
    before["eip"] += 2 if way == "INT" else 0
    assert after == before
    assert machine.level == 3
    assert machine.cpu[state.BASE + SS] == 0x2000


def paged(new: int = 4) -> TaskMachine:
    machine = TaskMachine(4, new)
    machine.enable_paging()
    machine.poke(SECOND_DIRECTORY, TABLE | 7)
    if new == 4:
        machine.write_tss(OTHER_TSS, 4, {"cr3": SECOND_DIRECTORY})
    return machine


@pytest.mark.parametrize("way", WAYS)
def test_a_task_brings_its_own_page_tables(way: str) -> None:
    machine = paged()
    assert machine.switch(way) == TRANSFER
    assert machine.cpu[state.CR3] == SECOND_DIRECTORY
    assert paged(2).switch(way) == TRANSFER


@pytest.mark.parametrize("way", WAYS)
def test_cr3_stays_without_paging_and_with_a_16_bit_tss(way: str) -> None:
    machine = TaskMachine()
    machine.write_tss(OTHER_TSS, 4, {"cr3": SECOND_DIRECTORY})
    assert machine.switch(way) == TRANSFER
    assert machine.cpu[state.CR3] == 0
    machine = paged(2)
    before = int(machine.cpu[state.CR3])
    assert machine.switch(way) == TRANSFER
    assert machine.cpu[state.CR3] == before


@pytest.mark.parametrize("way", [way for way in WAYS if way not in EVENTS])
@pytest.mark.parametrize("reserved", [0, 2])
def test_a_task_brings_its_own_page_directory_pointers(way: str, reserved: int) -> None:
    machine = paged()
    machine.cpu[state.CR4] |= 0x20  # PAE, whose four entries the processor holds itself
    machine.cpu[state.CR3], other = 0xB000, 0xB020
    for at, page in ((0xB000, 0xC000), (0xB020, 0xC000 | reserved)):
        machine.poke(at, page | 1)
    machine.poke(0xC000, 0x83)  # one page of 2 MiB
    load_pdptes(machine.cpu, machine.core, machine.ram, 0xB000)
    before = int(machine.cpu[state.CR3])
    machine.write_tss(OTHER_TSS, 4, {"cr3": other})
    flush_tlb(machine.core)
    assert machine.switch(way) == (TROUBLED if reserved else TRANSFER)
    assert machine.selector(TR) == OTHER
    assert machine.cpu[state.CR3] == (before if reserved else other)
    assert machine.trouble == ((vectors.GP, 0) if reserved else None)


@pytest.mark.parametrize("page", [TSS, OTHER_TSS, GDT])
@pytest.mark.parametrize("rights", [0, 1])  # not present; present, read-only
@pytest.mark.parametrize("way", [way for way in WAYS if way not in EVENTS])
def test_page_faults_on_tables_come_before_the_switch(way: str, rights: int, page: int) -> None:
    machine = paged()
    if way == "IRET":
        machine.nest()
    machine.map_page(page, rights)
    written = {TSS, GDT} | ({OTHER_TSS} if way in NESTING else set())
    if rights and page not in written:
        assert machine.switch(way) == TRANSFER
        return
    with machine.unchanged():
        if way == "IRET":
            assert machine.execute("IRETD") == TROUBLED
        else:
            assert machine.switch(way) == TROUBLED
    assert machine.trouble is not None
    vector, error = machine.trouble
    assert vector == vectors.PF
    assert error in ({3} if rights else {0, 2})
    assert int(machine.cpu[state.CR2]) & ~0xFFF == page


def test_a_tss_across_two_pages_is_probed_in_both() -> None:
    for missing in (0x7000, 0x8000):
        machine = TaskMachine()
        machine.describe(OTHER, descriptor(0x7FC0, 0x67, AVAILABLE[4], big=0, pages=0))
        machine.enable_paging()
        machine.poke(TABLE + 4 * (missing >> 12), 0)
        with machine.unchanged():
            assert machine.switch("JMP") == TROUBLED
        assert machine.trouble == (vectors.PF, 0)


@pytest.mark.parametrize("way", WAYS)
def test_a_page_fault_in_the_new_address_space_belongs_to_the_new_task(way: str) -> None:
    machine = paged()
    machine.poke(SECOND_DIRECTORY, 0)
    if way in EVENTS:
        machine.cpu[state.IDTR_LIMIT] = VECTOR * 8 + 7
    status = machine.switch(way)
    assert status == TROUBLED
    assert machine.selector(TR) == OTHER
    assert machine.cpu[state.CR3] == SECOND_DIRECTORY
    assert int(machine.cpu[state.CR2]) & ~0xFFF in (GDT, 0x2000)
    assert machine.eip == TARGET


@pytest.mark.parametrize("name", ["JMP", "CALL"])
def test_a_task_gate_may_lie_in_the_ldt(name: str) -> None:
    machine = TaskMachine()
    machine.use_ldt()
    machine.describe(GATE | 4, gate(OTHER, 0, TASK))
    assert machine.execute(f"{name}_ptr16_32", second=GATE | 4) == TRANSFER
    assert machine.selector(TR) == OTHER


# --- events through task gates ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "vector"), [("INT3", vectors.BP), ("INTO", vectors.OF), ("INT1", vectors.DB)]
)
def test_the_short_software_interrupts_switch_tasks_too(form: str, vector: int) -> None:
    machine = TaskMachine(level=3)
    machine.eflags = 0x802  # OF
    machine.gate(vector, gate(OTHER, 0, TASK, 0))
    privileged = form == "INT1"  # the DPL of its gate does not count
    assert machine.execute(form) == (TRANSFER if privileged else TROUBLED)
    if not privileged:
        assert machine.trouble == (vectors.GP, vector * 8 + 2)
        machine.gate(vector, gate(OTHER, 0, TASK, 3))
        assert machine.execute(form) == TRANSFER
    assert machine.selector(TR) == OTHER
    assert machine.read_tss(TSS, 4)["eip"] == machine.core[w.NEXT_EIP]


@given(SIZE, st.integers(0, 0xFFFF))
def test_an_error_code_is_pushed_on_the_stack_of_the_new_task(new: int, error: int) -> None:
    machine = TaskMachine(4, new)
    words = descriptor(0x20000, 0xFFFF, DATA_RW, pages=0, big=int(new == 4))
    machine.describe(OTHER_STACK, words)
    machine.write_tss(OTHER_TSS, new, {"esp": 0x2000})
    machine.gate(vectors.GP, gate(OTHER, 0, TASK))
    assert machine.deliver(vectors.GP, error) == TRANSFER
    assert machine.esp & 0xFFFF == 0x2000 - new
    assert machine.peek(0x22000 - new, new) == error
    assert machine.read_tss(TSS, 4)["esp"] == STACKS[0]


@pytest.mark.parametrize("vector", [vectors.DE, vectors.DB, vectors.DF, vectors.UD, vectors.PF])
def test_the_saved_flags_of_a_fault_have_rf(vector: int) -> None:
    machine = TaskMachine()
    machine.gate(vector, gate(OTHER, 0, TASK))
    assert machine.deliver(vector) == TRANSFER
    is_fault = vector not in (vectors.DB, vectors.DF)
    assert bool(machine.read_tss(TSS, 4)["eflags"] & RF) == is_fault


def flat_handler(machine: ProtectedMachine, vector: int) -> None:
    machine.gate(vector, gate(CODES[0], HANDLER, INT32, 3))


def test_a_double_fault_task_saves_a_kernel_whose_stack_is_gone() -> None:
    machine = TaskMachine()
    machine.gate(vectors.DF, gate(OTHER, 0, TASK))
    flat_handler(machine, vectors.GP)
    machine.cpu[state.LIMIT + SS] = 0x100  # no push can succeed: #GP, then #SS, then #DF
    eip = machine.eip
    assert machine.deliver(vectors.GP, 0) == TRANSFER
    assert machine.selector(TR) == OTHER
    assert machine.eip == TARGET
    assert machine.peek(machine.esp) == 0
    assert machine.read_tss(TSS, 4)["eip"] == eip
    assert machine.eflags & NT


def test_a_double_fault_task_that_cannot_run_is_the_end() -> None:
    machine = TaskMachine()
    machine.gate(vectors.DF, gate(OTHER, 0, TASK))
    machine.write_tss(OTHER_TSS, 4, {"ss": 0})
    machine.cpu[state.LIMIT + SS] = 0x100
    flat_handler(machine, vectors.GP)
    flat_handler(machine, vectors.TS)
    assert machine.deliver(vectors.GP, 0) == TROUBLED
    assert machine.exit is not None
    assert machine.exit[0] == Exit.SHUTDOWN


@pytest.mark.parametrize("kind", [HARDWARE, EXTERNAL, SOFTWARE])
def test_faults_after_an_event_have_ext(kind: int) -> None:
    machine = TaskMachine(new_level=3)
    flat_handler(machine, vectors.NP)
    machine.describe(OTHER_DATA, descriptor(kind=DATA_RW, dpl=3, present=0))
    # The handler's stack is the new task's own.
    machine.poke(OTHER_TSS + 4, STACKS[1])
    machine.poke(OTHER_TSS + 8, DATAS[0])
    status = machine.deliver(VECTOR, -1, kind)
    if kind == SOFTWARE:
        assert status == TROUBLED
        assert machine.trouble == (vectors.NP, OTHER_DATA)
        return
    assert status == TRANSFER
    assert machine.selector(TR) == OTHER
    assert machine.eip == HANDLER
    stack = [machine.peek(machine.esp + 4 * slot) for slot in range(4)]
    assert stack == [OTHER_DATA | 1, TARGET, OTHER_CODE | 3, NT | RF | 2]


def test_a_contributory_exception_whose_task_fails_is_a_double_fault() -> None:
    machine = TaskMachine()
    machine.gate(vectors.GP, gate(OTHER, 0, TASK))
    flat_handler(machine, vectors.DF)
    machine.write_tss(OTHER_TSS, 4, {"ds": OTHER_CODE | 4})
    assert machine.deliver(vectors.GP, 0) == TRANSFER
    assert machine.selector(TR) == OTHER
    assert machine.eip == HANDLER
    assert machine.peek(machine.esp) == 0
    assert machine.selector(DS) == OTHER_CODE | 4
    assert not machine.is_usable(DS)


# --- the debug trap of a task ----------------------------------------------------------------


@pytest.mark.parametrize("single_step", [0, 1])
@pytest.mark.parametrize("way", [way for way in WAYS if way not in EVENTS])
def test_the_t_flag_traps_before_the_first_instruction(way: str, single_step: int) -> None:
    machine = TaskMachine()
    machine.write_tss(OTHER_TSS, 4, {"trap": 1})
    machine.cpu[state.PENDING_DEBUG] = single_step
    assert machine.switch(way) == TROUBLED
    assert machine.trouble == (vectors.DB, -1)
    assert machine.eip == TARGET
    assert machine.selector(TR) == OTHER
    assert int(machine.cpu[state.DR + 6]) & 0xE00F == BT | BS * single_step
    assert machine.core[w.LEFT] == 9


@pytest.mark.parametrize("kind", [HARDWARE, EXTERNAL])
@pytest.mark.parametrize("vector", [VECTOR, vectors.GP, vectors.PF, vectors.DF])
def test_the_trap_of_a_task_is_no_fault_of_the_delivery(vector: int, kind: int) -> None:
    machine = TaskMachine()
    machine.gate(vector, gate(OTHER, 0, TASK))
    machine.write_tss(OTHER_TSS, 4, {"trap": 1})
    flat_handler(machine, vectors.DB)
    error = -1 if vector == VECTOR else 0
    assert machine.deliver(vector, error, kind) == TRANSFER
    assert machine.eip == HANDLER
    assert machine.selector(TR) == OTHER
    assert machine.peek(machine.esp) == TARGET
    assert machine.peek(machine.esp + 8) == NT | 2
    assert int(machine.cpu[state.DR + 6]) & BT


def test_a_16_bit_tss_has_no_t_flag() -> None:
    machine = TaskMachine(4, 2)
    machine.poke(OTHER_TSS + 0x64, 1)
    assert machine.switch("JMP") == TRANSFER


@given(WAY, st.integers(0, 3))
def test_a_switch_is_counted_at_the_level_it_leaves(way: str, level: int) -> None:
    machine = TaskMachine(level=level)
    machine.describe(OTHER, descriptor(OTHER_TSS, 0x67, AVAILABLE[4], 3, big=0, pages=0))
    machine.describe(GATE, gate(OTHER, 0, TASK, 3))
    assert machine.switch(way) == TRANSFER
    assert machine.core[w.COUNT + level * w.EVENTS + w.EVENT_TASK_SWITCH] == 1
    assert machine.cpu[state.RETIRED + level] == (40 if way in EVENTS else 41)


def test_data_registers_that_are_null_stay_unusable() -> None:
    machine = TaskMachine()
    machine.write_tss(OTHER_TSS, 4, {"ds": 3, "es": 0})
    assert machine.switch("JMP") == TRANSFER
    for segment in (DS, ES, FS, GS):
        assert not machine.is_usable(segment)
    assert machine.selector(DS) == 3
