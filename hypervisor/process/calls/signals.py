"""System calls on signals.

Source: POSIX.1-2017, "Signal Concepts"; the i386 Linux ABI for structures.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hypervisor.process.calls.time import read_timespec32, read_timespec64
from hypervisor.process.errors import CallError, Errno, Interrupted
from hypervisor.process.signal_frames import PROCESS_ID, FrameError, leave_handler
from hypervisor.process.signals import (
    SI_TKILL,
    SI_USER,
    SIGKILL,
    SIGNALS,
    SIGSTOP,
    SS_DISABLE,
    SS_ONSTACK,
    Action,
    Pending,
)

if TYPE_CHECKING:
    from hypervisor.process.process import Process

_SIG_BLOCK, _SIG_UNBLOCK, _SIG_SETMASK = 0, 1, 2
_RT_ACTION: Final = struct.Struct("<3IQ")  # handler, flags, restorer, mask
_OLD_ACTION: Final = struct.Struct("<4I")  # handler, mask, flags, restorer
_STACK: Final = struct.Struct("<3I")
_SMALLEST_STACK: Final = 2048
_SIGSET_BYTES: Final = 8


def _check_number(number: int, *, may_be_zero: bool = False) -> None:
    if not (0 if may_be_zero else 1) <= number <= SIGNALS:
        raise CallError(Errno.EINVAL)


def _arrange(process: Process, number: int, action: Action) -> None:
    if number in (SIGKILL, SIGSTOP):
        raise CallError(Errno.EINVAL)
    process.signals.actions[number] = action
    process.signals.forget_ignored(number)


def rt_sigaction(process: Process, number: int, new: int, old: int, size: int) -> int:
    """rt_sigaction(signal, &new, &old, size of a set)."""
    _check_number(number)
    if size != _SIGSET_BYTES:
        raise CallError(Errno.EINVAL)
    former = process.signals.action(number)
    wanted = _RT_ACTION.unpack(process.space.read(new, _RT_ACTION.size)) if new else None
    if wanted is not None:
        _arrange(process, number, Action(*wanted))
    if old:
        process.space.write(old, _RT_ACTION.pack(*former))
    return 0


def sigaction(process: Process, number: int, new: int, old: int) -> int:
    """sigaction(signal, &new, &old), the call as it was at first."""
    _check_number(number)
    former = process.signals.action(number)
    if new:
        handler, mask, flags, restorer = _OLD_ACTION.unpack(process.space.read(new, 16))
        _arrange(process, number, Action(handler, flags, restorer, mask))
    if old:
        values = former.handler, former.mask & 0xFFFFFFFF, former.flags, former.restorer
        process.space.write(old, _OLD_ACTION.pack(*values))
    return 0


def signal(process: Process, number: int, handler: int) -> int:
    """signal(signal, handler): the former handler; one shot, as it was at first."""
    _check_number(number)
    former = process.signals.action(number)
    _arrange(process, number, Action(handler, 0xC0000000))
    return former.handler


def _change_mask(process: Process, how: int, change: int, width: int) -> None:
    signals = process.signals
    if how == _SIG_BLOCK:
        signals.block(signals.blocked | change)
    elif how == _SIG_UNBLOCK:
        signals.block(signals.blocked & ~change)
    elif how == _SIG_SETMASK:
        kept = signals.blocked >> width << width
        signals.block(kept | change)
    else:
        raise CallError(Errno.EINVAL)


def rt_sigprocmask(process: Process, how: int, new: int, old: int, size: int) -> int:
    """rt_sigprocmask(how, &new, &old, size of a set)."""
    if size != _SIGSET_BYTES:
        raise CallError(Errno.EINVAL)
    former = process.signals.blocked
    if new:
        change = int.from_bytes(process.space.read(new, _SIGSET_BYTES), "little")
        _change_mask(process, how, change, SIGNALS)
    if old:
        process.space.write(old, former.to_bytes(_SIGSET_BYTES, "little"))
    return 0


def sigprocmask(process: Process, how: int, new: int, old: int) -> int:
    """sigprocmask(how, &new, &old), with sets of 32 signals."""
    former = process.signals.blocked & 0xFFFFFFFF
    if new:
        _change_mask(process, how, process.space.read_word(new), 32)
    if old:
        process.space.write_word(old, former)
    return 0


def rt_sigpending(process: Process, address: int, size: int) -> int:
    """rt_sigpending(&set, size of a set)."""
    if size > _SIGSET_BYTES:
        raise CallError(Errno.EINVAL)
    waiting = process.signals.pending_mask & process.signals.blocked
    process.space.write(address, waiting.to_bytes(_SIGSET_BYTES, "little")[:size])
    return 0


def rt_sigsuspend(process: Process, address: int, size: int) -> int:
    """rt_sigsuspend(&set, size of a set): waits for a signal that the set does not block."""
    if size != _SIGSET_BYTES:
        raise CallError(Errno.EINVAL)
    mask = int.from_bytes(process.space.read(address, _SIGSET_BYTES), "little")
    return _suspend(process, mask)


def sigsuspend(process: Process, _first: int, _second: int, mask: int) -> int:
    """sigsuspend(-, -, set), with a set of 32 signals."""
    return _suspend(process, mask)


def _suspend(process: Process, mask: int) -> int:
    signals = process.signals
    signals.saved_mask = signals.blocked
    signals.block(mask)
    return pause(process)


def pause(process: Process) -> int:
    """pause(): waits for a signal."""
    with suppress(Interrupted):
        process.wait(lambda: False)
    raise CallError(Errno.EINTR)


def _timed_wait(process: Process, address: int, info: int, duration: int | None) -> int:
    wanted = int.from_bytes(process.space.read(address, _SIGSET_BYTES), "little")
    found: list[Pending] = []

    def is_there() -> bool:
        pending = process.signals.take(wanted)
        if pending is not None:
            found.append(pending)
        return pending is not None

    deadline = None if duration is None else process.clock.monotonic() + duration
    if not process.wait(is_there, deadline=deadline):
        raise CallError(Errno.EAGAIN)
    if info:
        head = struct.pack("<3i", found[0].number, 0, found[0].code)
        process.space.write(info, head.ljust(128, b"\0"))
    return found[0].number


def rt_sigtimedwait(process: Process, address: int, info: int, limit: int, size: int) -> int:
    """rt_sigtimedwait(&set, &info, &duration, size of a set)."""
    if size != _SIGSET_BYTES:
        raise CallError(Errno.EINVAL)
    duration = read_timespec32(process, limit) if limit else None
    return _timed_wait(process, address, info, duration)


def rt_sigtimedwait64(process: Process, address: int, info: int, limit: int, size: int) -> int:
    """rt_sigtimedwait_time64(&set, &info, &duration, size of a set)."""
    if size != _SIGSET_BYTES:
        raise CallError(Errno.EINVAL)
    duration = read_timespec64(process, limit) if limit else None
    return _timed_wait(process, address, info, duration)


# --- sending -------------------------------------------------------------------------------------
def _send(process: Process, number: int, code: int) -> int:
    _check_number(number, may_be_zero=True)
    if number:
        process.signals.post(Pending(number, code))
    return 0


def kill(process: Process, target: int, number: int) -> int:
    """kill(pid, signal): there is only the program itself, and its group."""
    if target not in (PROCESS_ID, 0, 0xFFFFFFFF, -PROCESS_ID & 0xFFFFFFFF):
        raise CallError(Errno.ESRCH)
    return _send(process, number, SI_USER)


def tkill(process: Process, target: int, number: int) -> int:
    """tkill(tid, signal)."""
    if target != PROCESS_ID:
        raise CallError(Errno.ESRCH)
    return _send(process, number, SI_TKILL)


def tgkill(process: Process, group: int, target: int, number: int) -> int:
    """tgkill(tgid, tid, signal)."""
    if group != PROCESS_ID:
        raise CallError(Errno.ESRCH)
    return tkill(process, target, number)


# --- stacks and returning ------------------------------------------------------------------------
def sigaltstack(process: Process, new: int, old: int) -> int:
    """sigaltstack(&new, &old)."""
    stack = process.signals.alternate
    is_on_it = stack.holds(process.world.esp)
    flags = SS_ONSTACK if is_on_it else 0 if stack.is_enabled else SS_DISABLE
    former = _STACK.pack(stack.address, flags, stack.size)
    if new:
        address, wanted, size = _STACK.unpack(process.space.read(new, _STACK.size))
        if is_on_it:
            raise CallError(Errno.EPERM)
        if wanted & ~(SS_DISABLE | SS_ONSTACK | 0x80000000):
            raise CallError(Errno.EINVAL)
        if not wanted & SS_DISABLE and size < _SMALLEST_STACK:
            raise CallError(Errno.ENOMEM)
        stack.is_enabled = not wanted & SS_DISABLE
        stack.address, stack.size = (address, size) if stack.is_enabled else (0, 0)
    if old:
        process.space.write(old, former)
    return 0


def sigreturn(process: Process) -> int:
    """sigreturn(): back from a handler."""
    try:
        return leave_handler(process, is_rt=False)
    except FrameError:
        return process.bad_frame()


def rt_sigreturn(process: Process) -> int:
    """rt_sigreturn(): back from a handler with three arguments."""
    try:
        return leave_handler(process, is_rt=True)
    except FrameError:
        return process.bad_frame()
