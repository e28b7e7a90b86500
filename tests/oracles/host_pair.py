"""Our processor beside the host's own: the same cases as for Unicorn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from isa.registers import EFLAGS_AC, EFLAGS_DF, EFLAGS_IF, EFLAGS_NT, EFLAGS_STATUS
from tests.oracles.host_machine import HostMachine
from tests.oracles.instruction_cases import WINDOW, WINDOW_BYTES, Case, undefined_flags
from tests.oracles.paired_machines import BASES, RAM_BYTES, Pair

INT3 = b"\xcc"


class HostPair(Pair):
    """Our processor, and one child process.

    Attributes:
        undefined: of flags the manual leaves undefined, by operation and "equal" or "different":
            cases in which the host's processor chose as ours does, or not.
    """

    eflags_always = 2 | EFLAGS_IF
    behind_code = INT3

    def make_other(self) -> HostMachine:
        self.undefined: Counter[tuple[str, str]] = Counter()
        return HostMachine(RAM_BYTES, BASES[self.bits], self.bits == 32)

    def other_selectors(self) -> Sequence[int]:
        selectors: Sequence[int] = self.other.selectors
        return selectors

    def is_left_out(self, case: Case) -> bool:
        """Branches into the data that is compared, which would have to be changed to stop there."""
        return any(WINDOW <= at < WINDOW + WINDOW_BYTES for at in self.linear_stops(case))

    def ignored_flags(self, case: Case) -> int:
        return 0

    def ignored_register_bits(self, case: Case, number: int) -> int:
        return 0

    def run_other(self, case: Case) -> int | None:
        return self.other.run(case.address, step=bool(case.form.flow))

    def _compare(
        self,
        case: Case,
        fault: int | None,
        expected: int | None,
        result: tuple[list[int], int, int],
    ) -> list[str]:
        general, eip, eflags = result
        seen = EFLAGS_STATUS | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_IF
        eflags = eflags & seen | self.ours.eflags & ~seen
        undefined = undefined_flags(case) & EFLAGS_STATUS
        if undefined and fault is None:
            same = not (eflags ^ self.ours.eflags) & undefined
            self.undefined[case.form.operation, "equal" if same else "different"] += 1
        return super()._compare(case, fault, expected, (general, eip, eflags))
