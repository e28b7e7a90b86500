"""What the jump cache must not remember: another privilege, another code segment, another map."""

import numpy as np

from isa import state
from isa.exits import Exit
from isa.processor import Processor
from isa.registers import CS, DS, ES, SS

KERNEL, USER = 0x2000, 0x3000
DIRECTORY, TABLE = 0x10000, 0x11000
COUNT_AND_LOOP = bytes.fromhex("40EBFD")  # L: inc eax; jmp L


def machine_with_paging() -> Processor:
    """Identity map of the first 4 MiB; KERNEL is a supervisor page, the rest are user pages."""
    processor = Processor(1 << 20)
    entries = np.arange(0, 1 << 22, 4096, dtype=np.uint32) | 7
    entries[KERNEL >> 12] &= ~np.uint32(4)
    processor.write_physical(TABLE, entries.tobytes())
    processor.write_physical(DIRECTORY, (TABLE | 7).to_bytes(4, "little"))
    processor.load_cr3(DIRECTORY)
    processor.load_cr0(processor.cr0 | 1 << 31)
    return processor


def drop_to_ring_3(processor: Processor) -> None:
    """What an IRET to flat ring-3 segments leaves behind."""
    for segment in (ES, CS, SS, DS):
        processor.cpu[state.SELECTOR + segment] |= 3
        processor.cpu[state.ATTRIBUTES + segment] |= 3 << 5
    processor.cpl = 3


def test_user_code_does_not_inherit_the_kernels_jumps() -> None:
    processor = machine_with_paging()
    processor.write_physical(KERNEL, COUNT_AND_LOOP)
    processor.write_physical(USER, b"\xe9" + (KERNEL - USER - 5 & 0xFFFFFFFF).to_bytes(4, "little"))
    processor.eip = KERNEL
    assert processor.run(1000) is Exit.BUDGET
    counted = int(processor.gpr[0])
    drop_to_ring_3(processor)
    processor.eip = USER
    assert processor.run(1000) is Exit.SHUTDOWN  # a page fault, and no interrupt table to take it
    assert processor.gpr[0] == counted
    assert processor.retired[3] == 1


def test_kernel_pages_stay_reachable_for_the_kernel_after_user_code_failed() -> None:
    processor = machine_with_paging()
    processor.write_physical(KERNEL, COUNT_AND_LOOP)
    processor.eip = KERNEL
    processor.run(200)
    assert processor.gpr[0] == 100


def test_the_same_eip_in_another_code_segment_is_other_code() -> None:
    processor = Processor(1 << 20)
    processor.write_physical(0x2000, COUNT_AND_LOOP)
    processor.write_physical(0x6000, bytes.fromhex("43EBFD"))  # L: inc ebx; jmp L
    for round_ in range(1, 9):  # more bases in use than are told apart by number
        for index in range(6):
            base = index * 0x4000 if index < 2 else 0x10000 + index * 0x100
            processor.write_physical(base + 0x2000, b"\x40" if index != 1 else b"\x43")
            processor.write_physical(base + 0x2001, b"\xeb\xfd")
            processor.cpu[state.BASE + CS] = base
            processor.eip = 0x2000
            processor.run(20)
        assert processor.gpr[3] == 10 * round_
        assert processor.gpr[0] == 50 * round_


def test_a_lower_code_limit_is_noticed() -> None:
    processor = Processor(1 << 20)
    processor.write_physical(0x2000, COUNT_AND_LOOP)
    processor.eip = 0x2000
    assert processor.run(100) is Exit.BUDGET
    processor.cpu[state.LIMIT + CS] = 0x1FFF
    processor.eip = 0x2000
    assert processor.run(100) is Exit.SHUTDOWN


def test_a_remapped_page_is_other_code_after_invlpg() -> None:
    processor = machine_with_paging()
    processor.write_physical(USER, COUNT_AND_LOOP)
    processor.write_physical(0x5000, bytes.fromhex("43EBFD"))
    processor.eip = USER
    processor.run(100)
    processor.write_physical(TABLE + 4 * (USER >> 12), (0x5000 | 7).to_bytes(4, "little"))
    processor.invlpg(USER)
    processor.eip = USER
    processor.run(100)
    assert processor.gpr[0] == 50
    assert processor.gpr[3] == 50
