"""Endings of a process: its exit status, signals nobody handles, limits, and waits without end."""

from __future__ import annotations

import pytest

from hypervisor.process.process import Reason
from hypervisor.process.signals import SIGNAL_NAMES
from tests.hypervisor.process.small_processes import process_of, run

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("compiled_machine")]


def test_the_exit_status_has_eight_bits():
    ending, _ = run("leave_with 0x1234")
    assert (ending.reason, ending.status) == (Reason.EXIT, 0x34)


@pytest.mark.parametrize(
    ("source", "signal", "detail"),
    [
        ("xor eax, eax\n mov [eax], al", "SIGSEGV", "writing 0x00000000"),
        ("mov eax, [0xBF000000 - 4]", "SIGSEGV", "reading 0xbefffffc"),
        ("mov eax, [0xFFC00000]", "SIGSEGV", "reading 0xffc00000"),
        ("mov [_start], al", "SIGSEGV", "writing 0x08048"),
        ("jmp 0x1000", "SIGSEGV", "executing 0x00001000"),
        ("xor ecx, ecx\n div ecx", "SIGFPE", "#DE"),
        ("ud2", "SIGILL", "#UD"),
        ("int3", "SIGTRAP", "#BP"),
        ("pushfd\n or dword [esp], 0x100\n popfd\n nop", "SIGTRAP", "#DB"),
        ("hlt", "SIGSEGV", "#GP"),
        ("cli", "SIGSEGV", "#GP"),
        ("in al, 0x60", "SIGSEGV", "#GP"),
        ("int 0x20", "SIGSEGV", "#GP"),
        ("mov eax, cr0", "SIGSEGV", "#GP"),
        ("db 0x0f, 0x0a, 0x80", "SIGSEGV", "#GP"),
        ("mov eax, 0x60\n mov ds, eax", "SIGSEGV", "#GP"),
        ("db 0xD9, 0xE8", "SIGILL", "no floating-point unit"),
        ("pushfd\n or dword [esp], 0x40000\n popfd\n mov eax, [esp+1]", "SIGBUS", "#AC"),
        ("push 0x60\n push _start\n retf", "SIGSEGV", "#GP"),
        ("call_system 37, 1000, 9", "SIGKILL", ""),
        ("call_system 37, 1000, 6", "SIGABRT", ""),
        ("mov esp, 16\n call_system 119", "SIGSEGV", "frame"),
    ],
)
def test_what_a_program_may_not_do_ends_it_by_a_signal(source, signal, detail):
    ending, _ = run(source)
    assert (ending.reason, SIGNAL_NAMES[ending.status]) == (Reason.SIGNAL, signal)
    assert detail in ending.detail


def test_control_word_instructions_of_the_missing_coprocessor_are_answered():
    ending, _ = run(
        """
        db 0xDB, 0xE3              ; fninit
        push dword 0
        mov ecx, esp
        db 0xD9, 0x39              ; fnstcw [ecx]
        cmp word [esp], 0x37F
        jne .no
        mov word [esp], 0x27F
        db 0xD9, 0x2C, 0x24        ; fldcw [esp]
        mov word [esp], 0
        mov eax, -4
        db 0xD9, 0x7C, 0x04, 0x04  ; fnstcw [esp + eax + 4]
        cmp word [esp], 0x27F
        jne .no
        mov ax, 5
        db 0xDF, 0xE0              ; fnstsw ax
        test ax, ax
        jnz .no
        db 0xDB, 0xE2              ; fnclex
        leave_with 0
.no:    leave_with 1
        """
    )
    assert (ending.reason, ending.status) == (Reason.EXIT, 0)


def test_a_budget_is_exact():
    process, _ = process_of("again: inc eax\n jmp again")
    ending = process.run(budget=123_457)
    assert (ending.reason, process.world.retired) == (Reason.BUDGET, 123_457)
    assert process.run(budget=200_001).reason is Reason.BUDGET
    assert process.world.retired == 200_001


def test_a_timeout_ends_a_loop_and_a_long_string_instruction():
    for source in ("jmp $", "again: mov ecx, -1\n mov edi, esp\n std\n rep lodsb\n jmp again"):
        process, _ = process_of(source)
        ending = process.run(timeout_s=0.2)
        assert ending.reason in (Reason.TIMEOUT, Reason.SIGNAL)


@pytest.mark.parametrize(
    "source",
    [
        "call_system 29",  # pause
        "call_system 42, esp\n mov ebx, [esp]\n call_system 3, ebx, esp, 4",  # an empty pipe
        "push 0\n call_system 240, esp, 0, 0",  # futex, FUTEX_WAIT
        "call_system 168, 0, 0, -1",  # poll
    ],
)
def test_a_wait_that_nothing_can_end_is_noticed(source):
    ending, _ = run(source)
    assert ending.reason is Reason.DEADLOCK


def test_memory_is_bounded():
    ending, _ = run(
        """
        call_system 45, 0
        mov ebp, eax
        lea ebx, [ebp + 0x4000000]
        call_system 45, ebx
        cmp eax, ebp
        jne .no
        leave_with 0
.no:    leave_with 1
        """
    )
    assert (ending.reason, ending.status) == (Reason.EXIT, 0)
    touch = """
        mov ebp, 0x10000000
.more:  push 0
        push -1
        mov esi, 0x32
        mov edi, -1
        mov eax, 192
        mov ebx, ebp
        mov ecx, 0x400000
        mov edx, 1
        push ebp
        mov ebp, 0
        int 0x80
        pop ebp
        mov ecx, 1024
.page:  mov al, [ebp]
        add ebp, 4096
        loop .page
        jmp .more
    """
    ending, _ = run(touch)
    assert ending.reason is Reason.MEMORY
    assert "-m gives more" in ending.detail


def test_ctrl_c_is_a_signal():
    process, _ = process_of("jmp $")
    process.interrupt()
    ending = process.run()
    assert (ending.reason, ending.status) == (Reason.SIGNAL, 2)


def test_an_alarm_interrupts_a_loop_at_the_same_instruction_every_time():
    source = """
        push 20000          ; 20 ms
        push 0
        push 0
        push 0
        call_system 104, 0, esp, 0
        jmp $
    """
    ends = []
    for _ in range(2):
        process, _out = process_of(source)
        ending = process.run(budget=1_000_000_000)
        ends.append((ending.reason, ending.status, process.world.retired))
    assert ends[0] == ends[1]
    assert ends[0][:2] == (Reason.SIGNAL, 14)
    assert 20_000_000 <= ends[0][2] < 20_000_100
