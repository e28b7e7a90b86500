"""The first instruction after which two runs differ.

A run is anything that can be made again and stopped after a number of instructions; nothing here
knows what makes two of them differ. The search has three parts.

1. *Scan.* Both run side by side and are compared at points that lie ever further apart (a thirtieth
   of the way), until they differ or end.
2. *Narrow.* Both are made again and compared at 64 points of the interval that is left, until it
   is no longer than that: for a billion instructions, five times.
3. *Lockstep.* Both are made again and compared after every instruction, from some way before the
   interval on.

What is promised: the states were equal before the instruction that is named and differ after it;
and no instruction among the 256 before made a difference, not even one that went away again. A
difference that lasts until the next point is never missed. One that comes and goes between two
points further back shows only if the scan looks more often (`every`; 1 looks at the processor after
every single instruction).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from hypervisor.guest_state import ProcessorState
from hypervisor.state_differences import Difference, View, Visible
from hypervisor.technique import Stop, StopReason, Technique
from isa.registers import CS

Progress = Callable[[str, int], None]

LOCKSTEP_BEFORE: Final = 256  # instructions before the interval that are gone through one by one
_POINTS: Final = 64  # looks while narrowing, and the interval that lockstep goes through
_FIRST_STEP: Final = 1024
_SPREAD: Final = 32
_CODE_BYTES: Final = 120
_BREAKS_OFF: Final = {StopReason.ERROR, StopReason.SHUTDOWN}


class Side(NamedTuple):
    """One of two runs: what to call it, and how to make it again from its beginning."""

    name: str
    make: Callable[[], Technique]


class Step(NamedTuple):
    """An instruction that was executed: how many came before it, where it was, what it was."""

    completed: int
    eip: int
    address: int
    instruction: str


@dataclass(frozen=True)
class SideView:
    """One side of a divergence, after the instruction.

    Attributes:
        name: of the side.
        executed: the last instructions up to the one that made the difference, oldest first.
        eip, address: where it is now; the address is linear.
        code: bytes from there on, `code_bits` wide by default.
        state: the processor.
        console: all that was said so far.
        stop: how the run ended there, or that it did not.
    """

    name: str
    executed: tuple[Step, ...]
    eip: int
    address: int
    code: bytes
    code_bits: int
    completed: int
    state: ProcessorState
    console: bytes
    stop: Stop


@dataclass(frozen=True)
class Divergence:
    """The first instruction after which two runs differ.

    Attributes:
        guest_instructions: completed before this one; the states are equal up to here.
        sides: what each looks like after it.
        differences: what differs after it.
        is_exact: False if the difference did not show when the runs were stopped more often: then
            it lies somewhere in the `span` instructions from here on.
        span: see there; 1 otherwise, and 0 if the runs differ before the first instruction.
    """

    guest_instructions: int
    sides: tuple[SideView, SideView]
    differences: tuple[Difference, ...]
    is_exact: bool = True
    span: int = 1

    @property
    def first(self) -> str:
        """Name of the first side."""
        return self.sides[0].name

    @property
    def second(self) -> str:
        """Name of the second side."""
        return self.sides[1].name

    @property
    def instruction_step(self) -> Step | None:
        """The instruction that made the difference, as the first side executed it."""
        return self.sides[0].executed[-1] if self.sides[0].executed else None

    @property
    def eip(self) -> int:
        """Of that instruction."""
        step = self.instruction_step
        return self.sides[0].eip if step is None else step.eip

    @property
    def instruction(self) -> str:
        """In words."""
        step = self.instruction_step
        return "" if step is None else step.instruction


@dataclass(frozen=True)
class Outcome:
    """What a search has found.

    Attributes:
        divergence: None if the runs agree.
        set_aside: what differed before the first instruction and was left out from then on.
        guests: both runs, where the scan left them.
        stops: how they ended, or that they did not.
        view: what was compared.
        looks: how many states were compared.
        remade: how often the runs were made again.
    """

    divergence: Divergence | None
    set_aside: tuple[Difference, ...]
    guests: tuple[Technique, Technique]
    stops: tuple[Stop, Stop]
    view: View
    looks: int
    remade: int


def find_divergence(
    first: Side,
    second: Side,
    view: View | None = None,
    *,
    start: int = 0,
    until: int | None = None,
    every: int | None = None,
    context: int = 1,
    sets_aside: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Search for the first divergence. Raises KeyboardInterrupt on Ctrl-C.

    Args:
        first, second: the runs.
        view: what is compared; everything if not given.
        start: instructions that are not compared.
        until: instructions after which the search ends; the runs' own ends if not given.
        every: look at the processor at least that often.
        context: how many executed instructions to remember.
        sets_aside: leave out what differs at `start`.
        progress: called with what is being done and how many instructions that took so far.
    """
    search = _Search(first, second, view or View(), start, until, every, context, progress)
    return search.run(sets_aside=sets_aside)


class _Pair:
    """Two runs side by side."""

    def __init__(self, sides: tuple[Side, Side]) -> None:
        self.guests = (sides[0].make(), sides[1].make())
        self.stops = self.advance(0)

    def advance(self, count: int) -> tuple[Stop, Stop]:
        """Let both run until they have completed `count` instructions, or end."""
        self.stops = _run(self.guests[0], count), _run(self.guests[1], count)
        return self.stops

    @property
    def end_alike(self) -> bool:
        """Whether neither has ended otherwise than the other.

        A run that was stopped just before it would have seen its end has not ended yet; where the
        other one has, the next instruction tells.
        """
        reasons = {stop.reason for stop in self.stops}
        return len(reasons) == 1 or StopReason.BUDGET in reasons

    def differ_by(self, count: int) -> int:
        """The first count by which two runs differ that were found to, when asked for `count`."""
        return min(count, *(guest.guest_instructions + 1 for guest in self.guests))

    @property
    def have_ended(self) -> bool:
        """Whether neither can go on."""
        return all(stop.reason is not StopReason.BUDGET for stop in self.stops)

    @property
    def have_broken_off(self) -> bool:
        """Whether both ended after the same instruction, in the middle of what came next.

        Where an endless series of faults is cut off, and what a triple fault leaves half done, is
        the technique's own choice: only the states before that can be compared.
        """
        counts = {guest.guest_instructions for guest in self.guests}
        reasons = {stop.reason for stop in self.stops}
        return len(counts) == len(reasons) == 1 and reasons <= _BREAKS_OFF


def _run(guest: Technique, count: int) -> Stop:
    stop = guest.run(count)
    if stop.reason is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return stop


class _Search:
    """One search and what it needs everywhere."""

    def __init__(
        self,
        first: Side,
        second: Side,
        view: View,
        start: int,
        until: int | None,
        every: int | None,
        context: int,
        progress: Progress | None,
    ) -> None:
        self.sides = first, second
        self.view = view
        self.start, self.until, self.every = start, until, every
        self.context = context
        self.progress = progress
        self.looks = 0
        self.remade = 0

    def run(self, *, sets_aside: bool) -> Outcome:
        """The three parts of the search."""
        scanned = self._pair_at(self.start, "starting")
        aside: list[Difference] = []
        if sets_aside:
            aside = self.view.differences(*scanned.guests)
            self.view = self.view.without(*scanned.guests) if aside else self.view
        divergence: Divergence | None = None
        if not self._is_same(scanned):
            divergence = self._divergence(scanned, self.start, ((), ()), span=0)
        else:
            found = self._scan(scanned)
            if found is not None:
                divergence = self._locate(*found)
        return Outcome(
            divergence,
            tuple(aside),
            scanned.guests,
            scanned.stops,
            self.view,
            self.looks,
            self.remade,
        )

    # --- comparing -----------------------------------------------------------------------------

    def _is_same(self, pair: _Pair) -> bool:
        """Whether two runs agree where they are, in everything."""
        self.looks += 1
        if not pair.end_alike:
            return False
        return pair.have_broken_off or self.view.same(*pair.guests)

    def _is_nearly_same(self, pair: _Pair) -> bool:
        """Whether their processors agree."""
        self.looks += 1
        return pair.have_broken_off or self.view.same_processor(*pair.guests)

    def _pair_at(self, count: int, what: str) -> _Pair:
        """Both runs made again and stopped after so many instructions."""
        pair = _Pair(self.sides)
        self.remade += 1
        self._tell(what, count)
        pair.advance(count)
        return pair

    def _tell(self, what: str, count: int) -> None:
        if self.progress is not None:
            self.progress(what, count)

    # --- the three parts -----------------------------------------------------------------------

    def _scan(self, pair: _Pair) -> tuple[int, int] | None:
        """The interval that holds the first difference that lasts; None if there is none."""
        equal = self.start
        while not pair.have_ended and (self.until is None or equal < self.until):
            target = equal + max(_FIRST_STEP, equal // _SPREAD)
            if self.until is not None:
                target = min(target, self.until)
            self._tell("comparing", equal)
            point = target if self.every is None else self._differs_by(pair, equal, target)
            if point < target:
                return equal, pair.differ_by(point)
            pair.advance(target)
            if not self._is_same(pair):
                return equal, pair.differ_by(target)
            if pair.have_broken_off:
                return self._before_the_break(equal, pair.guests[0].guest_instructions)
            equal = target
        return None

    def _differs_by(self, pair: _Pair, equal: int, target: int) -> int:
        """Look at the processors every `every` instructions; where they differ, or `target`."""
        for count in range(equal + (self.every or 1), target, self.every or 1):
            pair.advance(count)
            if not self._is_nearly_same(pair):
                return count
            if pair.have_ended:
                break
        return target

    def _before_the_break(self, equal: int, last: int) -> tuple[int, int] | None:
        """Compare at the last instruction of runs that broke off after it."""
        if last <= equal or self._is_same(self._pair_at(last, "looking at the end")):
            return None
        return equal, last

    def _locate(self, equal: int, different: int) -> Divergence:
        """The instruction in an interval after which the runs differ."""
        while different - equal > _POINTS:
            narrowed = self._narrow(equal, different)
            if narrowed is None:
                return self._inexact(equal, different)
            equal, different = narrowed
        found = self._lockstep(max(self.start, equal - LOCKSTEP_BEFORE), different)
        return self._inexact(equal, different) if found is None else found

    def _narrow(self, equal: int, different: int) -> tuple[int, int] | None:
        """Compare at points of an interval; the smaller interval around the first difference."""
        pair = self._pair_at(equal, "narrowing down")
        step = -(-(different - equal) // _POINTS)
        for count in range(equal + step, different + step, step):
            point = min(count, different)
            pair.advance(point)
            if not self._is_same(pair):
                return equal, point
            equal = point
        return None

    def _lockstep(self, first: int, different: int) -> Divergence | None:
        """Compare after every instruction."""
        remembered = max(self.context, 1)
        pair = self._pair_at(first, "instruction by instruction")
        trails: tuple[deque[Step], deque[Step]] = deque(maxlen=remembered), deque(maxlen=remembered)
        for count in range(first, different):
            for trail, guest in zip(trails, pair.guests, strict=True):
                trail.append(_next_step(guest))
            pair.advance(count + 1)
            if not self._is_same(pair):
                return self._divergence(pair, count, (tuple(trails[0]), tuple(trails[1])))
        return None

    def _inexact(self, equal: int, different: int) -> Divergence:
        """The difference of an interval in which it does not show at closer points."""
        pair = self._pair_at(equal, "stopping less often")
        steps = tuple((_next_step(guest),) for guest in pair.guests)
        pair.advance(different)
        span = different - equal
        return self._divergence(pair, equal, (steps[0], steps[1]), is_exact=False, span=span)

    # --- the answer ----------------------------------------------------------------------------

    def _divergence(
        self,
        pair: _Pair,
        count: int,
        trails: tuple[tuple[Step, ...], tuple[Step, ...]],
        *,
        is_exact: bool = True,
        span: int = 1,
    ) -> Divergence:
        found = self.view.differences(*pair.guests)
        if pair.stops[0].reason is not pair.stops[1].reason:
            found.append(Difference("stop", *(_in_words(stop) for stop in pair.stops)))
        views = tuple(
            _view_of(side.name, guest, trail, stop)
            for side, guest, trail, stop in zip(
                self.sides, pair.guests, trails, pair.stops, strict=True
            )
        )
        return Divergence(count, (views[0], views[1]), tuple(found), is_exact, span)


def _in_words(stop: Stop) -> str:
    if stop.reason is StopReason.BUDGET:
        return "(goes on)"
    return f"{stop.reason.value} ({stop.detail})" if stop.detail else stop.reason.value


def linear_eip(state: ProcessorState) -> int:
    """The linear address of the next instruction."""
    return state.segments[CS].base + state.eip & 0xFFFFFFFF


def _next_step(guest: Technique) -> Step:
    state = guest.processor_state()
    return Step(guest.guest_instructions, state.eip, linear_eip(state), guest.instruction_text())


def _view_of(name: str, guest: Visible, executed: tuple[Step, ...], stop: Stop) -> SideView:
    state = guest.processor_state()
    return SideView(
        name=name,
        executed=executed,
        eip=state.eip,
        address=linear_eip(state),
        code=guest.read_code(_CODE_BYTES),
        code_bits=guest.code_bits,
        completed=guest.guest_instructions,
        state=state,
        console=guest.console,
        stop=stop,
    )
