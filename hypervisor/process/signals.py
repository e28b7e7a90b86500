"""Signals: what a program has arranged, what is pending, and what happens by default.

Faults of the processor, timers, Ctrl-C and kill() make signals pending; one at a time is taken when
the program is about to go on. How a handler is entered is in signal_frames.py.

Source: POSIX.1-2017, "Signal Concepts"; numbers and SA flags of the i386 Linux ABI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

_NAMES: Final = """
SIG0 SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2
SIGPIPE SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU
SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS
"""
SIGNAL_NAMES: Final = tuple(_NAMES.split())
SIGINT: Final = 2
SIGILL: Final = 4
SIGTRAP: Final = 5
SIGABRT: Final = 6
SIGBUS: Final = 7
SIGFPE: Final = 8
SIGKILL: Final = 9
SIGSEGV: Final = 11
SIGPIPE: Final = 13
SIGALRM: Final = 14
SIGCHLD: Final = 17
SIGCONT: Final = 18
SIGSTOP: Final = 19
SIGNALS: Final = 64

SIG_DFL: Final = 0
SIG_IGN: Final = 1

SA_SIGINFO: Final = 0x4
SA_ONSTACK: Final = 0x0800_0000
SA_RESTORER: Final = 0x0400_0000
SA_RESTART: Final = 0x1000_0000
SA_NODEFER: Final = 0x4000_0000
SA_RESETHAND: Final = 0x8000_0000

SS_ONSTACK: Final = 1
SS_DISABLE: Final = 2

SI_USER: Final = 0
SI_KERNEL: Final = 0x80
SI_TKILL: Final = -6

# SIGCHLD SIGCONT SIGURG SIGWINCH do nothing by default. Nobody could wake a stopped program here,
# so the signals that stop it are ignored too, SIGSTOP included.
_IGNORED_BY_DEFAULT: Final = frozenset({SIGCHLD, SIGCONT, SIGSTOP, 20, 21, 22, 23, 28})
_UNBLOCKABLE: Final = 1 << SIGKILL - 1 | 1 << SIGSTOP - 1


def signal_name(number: int) -> str:
    """SIGSEGV and the like."""
    return SIGNAL_NAMES[number] if number < len(SIGNAL_NAMES) else f"SIGRT{number - 32}"


class Action(NamedTuple):
    """What a program has arranged for a signal."""

    handler: int = SIG_DFL
    flags: int = 0
    restorer: int = 0
    mask: int = 0


class Pending(NamedTuple):
    """A signal on its way, with what siginfo_t says about it.

    Attributes:
        address: where a fault happened.
        is_forced: a fault: cannot be blocked or ignored.
    """

    number: int
    code: int = SI_KERNEL
    address: int = 0
    is_forced: bool = False


class LastFault(NamedTuple):
    """The exception that the program took last: every frame tells of it, as under Linux."""

    vector: int = 0
    error: int = 0
    address: int = 0


@dataclass
class AlternateStack:
    """sigaltstack()."""

    address: int = 0
    size: int = 0
    is_enabled: bool = False

    def holds(self, stack_pointer: int) -> bool:
        """Whether a stack pointer is on it."""
        return self.is_enabled and 0 < stack_pointer - self.address <= self.size


class SignalState:
    """The signals of one process: masks are sets of bits, signal n at bit n - 1."""

    def __init__(self) -> None:
        self.actions: dict[int, Action] = {}
        self.blocked = 0
        self.saved_mask: int | None = None
        """What is blocked again after the handler that ends sigsuspend()."""
        self.alternate = AlternateStack()
        self.last_fault = LastFault()
        self._pending: dict[int, Pending] = {}

    @property
    def pending_mask(self) -> int:
        """The set of pending signals."""
        return sum(1 << number - 1 for number in self._pending)

    def action(self, number: int) -> Action:
        """What is arranged for a signal."""
        return self.actions.get(number, Action())

    def block(self, mask: int) -> None:
        """Replace the set of blocked signals."""
        self.blocked = mask & ~_UNBLOCKABLE & (1 << SIGNALS) - 1

    def post(self, pending: Pending) -> None:
        """Make a signal pending; one of each kind is kept."""
        number = pending.number
        if pending.is_forced:
            blocked = self.blocked >> number - 1 & 1
            if blocked or self.action(number).handler == SIG_IGN:
                # A fault cannot be put off: the program ends, as if it had arranged nothing.
                self.actions.pop(number, None)
                self.blocked &= ~(1 << number - 1)
        elif self.is_ignored(number) and not self.blocked >> number - 1 & 1:
            return
        self._pending.setdefault(number, pending)

    def is_ignored(self, number: int) -> bool:
        """Whether nothing would happen."""
        handler = self.action(number).handler
        if handler == SIG_DFL:
            return number in _IGNORED_BY_DEFAULT
        return handler == SIG_IGN and number != SIGKILL

    def has_deliverable(self) -> bool:
        """Whether a signal waits that is not blocked."""
        return bool(self._pending) and any(
            not self.blocked >> number - 1 & 1 for number in self._pending
        )

    def take(self, among: int | None = None) -> Pending | None:
        """The next signal to deliver: faults first, then by number. Or one of a set."""
        allowed = ~self.blocked if among is None else among
        found = [pending for n, pending in self._pending.items() if allowed >> n - 1 & 1]
        if not found:
            return None
        chosen = min(found, key=lambda pending: (not pending.is_forced, pending.number))
        del self._pending[chosen.number]
        return chosen

    def forget_ignored(self, number: int) -> None:
        """An ignored signal does not stay pending."""
        if self.is_ignored(number):
            self._pending.pop(number, None)
