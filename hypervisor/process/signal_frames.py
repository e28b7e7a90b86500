"""Entering a signal handler, and coming back: the frames on the program's stack.

The frame holds the interrupted registers; the handler may change them. It returns through code that
asks for sigreturn or rt_sigreturn: the C library's own (SA_RESTORER), or the copy in the frame.

Source: the i386 Linux ABI: struct sigframe, struct rt_sigframe, struct sigcontext, ucontext_t.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from hypervisor.process import layout
from hypervisor.process.errors import CallError
from hypervisor.process.signals import (
    SA_NODEFER,
    SA_ONSTACK,
    SA_RESETHAND,
    SA_RESTORER,
    SA_SIGINFO,
    SIG_DFL,
    SS_DISABLE,
    SS_ONSTACK,
    Action,
    Pending,
)
from isa import state
from isa.registers import EAX, ECX, EDX, EFLAGS_FIXED, EFLAGS_IF, FS, GS

if TYPE_CHECKING:
    from hypervisor.process.process import Process

_M32: Final = 0xFFFFFFFF
_CONTEXT: Final = struct.Struct("<22I")
_SIGINFO_BYTES: Final = 128
_UCONTEXT_HEAD: Final = struct.Struct("<5I")  # flags, link, stack: address, flags, size
_FPU_BYTES: Final = 624
_CODE_BYTES: Final = 8
_SIGRETURN: Final = bytes.fromhex("58b877000000cd80")  # pop eax; mov eax, 119; int 80h
_RT_SIGRETURN: Final = bytes.fromhex("b8ad000000cd8000")  # mov eax, 173; int 80h
# Flags that a program may change in the frame: OF DF TF SF ZF AF PF CF AC ID NT.
_FLAGS: Final = 0x244DD5
_CLEARED_AT_ENTRY: Final = 0x500  # DF, TF
_ES, _DS = 0, 3
# Position of general registers in sigcontext: EDI ESI EBP ESP EBX EDX ECX EAX.
_GENERAL: Final = (7, 6, 5, 4, 3, 2, 1, 0)


class FrameError(Exception):
    """A frame cannot be written to, or read from, the program's stack."""


def _context(process: Process, mask: int) -> bytes:
    """struct sigcontext: the interrupted state."""
    world, fault = process.world, process.signals.last_fault
    cpu = world.cpu
    general = [cpu[state.GPR + register] for register in _GENERAL]
    general[3] = world.esp
    return _CONTEXT.pack(
        *(world.selector(segment) for segment in (GS, FS, _ES, _DS)),
        *general,
        fault.vector,
        fault.error,
        world.eip,
        world.cs,
        world.eflags,
        world.esp,
        world.ss,
        0,  # no state of a floating-point unit
        mask & _M32,
        fault.address,
    )


def _siginfo(pending: Pending) -> bytes:
    from hypervisor.process.program import USER_ID

    head = struct.pack("<3i", pending.number, 0, pending.code)
    if pending.is_forced:
        rest = struct.pack("<I", pending.address)
    else:
        rest = struct.pack("<2I", PROCESS_ID, USER_ID)
    return (head + rest).ljust(_SIGINFO_BYTES, b"\0")


PROCESS_ID: Final = 1000


def enter_handler(process: Process, pending: Pending, action: Action) -> None:
    """Make the handler of a signal the next thing the program does."""
    world, signals = process.world, process.signals
    mask = signals.blocked if signals.saved_mask is None else signals.saved_mask
    context = _context(process, mask)
    on_alternate = signals.alternate.holds(world.esp)
    stack = world.esp
    if action.flags & SA_ONSTACK and signals.alternate.is_enabled and not on_alternate:
        stack = signals.alternate.address + signals.alternate.size
    high_mask = struct.pack("<I", mask >> 32)
    if action.flags & SA_SIGINFO:
        alternate = signals.alternate
        flags = SS_ONSTACK if on_alternate else 0 if alternate.is_enabled else SS_DISABLE
        head = _UCONTEXT_HEAD.pack(0, 0, alternate.address, flags, alternate.size)
        body = _siginfo(pending) + head + context + struct.pack("<Q", mask) + _RT_SIGRETURN
        at = (stack - 16 - len(body) + 4 & ~15) - 4
        info_at = at + 16
        context_at = info_at + _SIGINFO_BYTES
        arguments: tuple[int, ...] = (pending.number, info_at, context_at)
    else:
        body = context + bytes(_FPU_BYTES) + high_mask + _SIGRETURN
        at = (stack - 8 - len(body) + 4 & ~15) - 4
        info_at = context_at = 0
        arguments = (pending.number,)
    size = 4 + 4 * len(arguments) + len(body)
    back = action.restorer if action.flags & SA_RESTORER else at + size - _CODE_BYTES
    frame = struct.pack(f"<{1 + len(arguments)}I", back, *arguments) + body
    if at < 0:
        raise FrameError
    try:
        process.space.write(at, frame)
    except CallError:
        raise FrameError from None
    signals.saved_mask = None
    blocked = signals.blocked | action.mask
    if not action.flags & SA_NODEFER:
        blocked |= 1 << pending.number - 1
    signals.block(blocked)
    if action.flags & SA_RESETHAND:
        signals.actions[pending.number] = action._replace(handler=SIG_DFL)
    _go_to(process, action.handler, at, (pending.number, info_at, context_at))


def _go_to(process: Process, handler: int, stack: int, arguments: tuple[int, int, int]) -> None:
    world = process.world
    world.eip, world.esp = handler, stack & _M32
    world.sanitize_frame()
    world.eflags = world.eflags & ~_CLEARED_AT_ENTRY
    for register, value in zip((EAX, EDX, ECX), arguments, strict=True):
        world.cpu[state.GPR + register] = value
    world.load_segment(_ES, layout.USER_DATA_SELECTOR)
    world.load_segment(_DS, layout.USER_DATA_SELECTOR)


def leave_handler(process: Process, *, is_rt: bool) -> int:
    """sigreturn and rt_sigreturn: what the frame says becomes the program's state; EAX."""
    world, space, signals = process.world, process.space, process.signals
    frame = world.esp - (4 if is_rt else 8)
    try:
        if is_rt:
            context_at = space.read_word(frame + 12)
            head = space.read(context_at, _UCONTEXT_HEAD.size)
            context = space.read(context_at + _UCONTEXT_HEAD.size, _CONTEXT.size)
            mask_at = context_at + _UCONTEXT_HEAD.size + _CONTEXT.size
            mask = int.from_bytes(space.read(mask_at, 8), "little")
            _, _, address, flags, size = _UCONTEXT_HEAD.unpack(head)
        else:
            context = space.read(frame + 8, _CONTEXT.size)
            high_at = frame + 8 + _CONTEXT.size + _FPU_BYTES
            mask = space.read_word(high_at) << 32
    except CallError:
        raise FrameError from None
    values = _CONTEXT.unpack(context)
    if not is_rt:
        mask |= values[20]
    signals.block(mask)
    for segment, selector in zip((GS, FS, _ES, _DS), values[:4], strict=True):
        world.load_segment(segment, selector & 0xFFFF)
    for register, value in zip(_GENERAL, values[4:12], strict=True):
        if register != 4:
            world.cpu[state.GPR + register] = value
    world.eip, world.esp = values[14], values[7]
    world.eflags = world.eflags & ~_FLAGS | values[16] & _FLAGS | EFLAGS_FIXED | EFLAGS_IF
    world.sanitize_frame()
    if is_rt:
        alternate = signals.alternate
        if not alternate.holds(world.esp):
            alternate.address, alternate.size = address, size
            alternate.is_enabled = not flags & SS_DISABLE
    return int(values[11])
