"""Machine: a processor with a performance counter that can interrupt it.

The counter counts instructions retired outside ring 0 and raises an external interrupt when it
reaches a chosen value, at exactly that instruction boundary. It is what software that owns the
machine uses to get control back after a given amount of guest execution.

Source: SDM vol. 3B, "Performance Monitoring" (the USR flag of IA32_PERFEVTSELx and the interrupt
on counter overflow; ours has no skid).
"""

from isa.costs import Costs
from isa.cpu_models import CpuModel
from isa.exits import Exit
from isa.processor import SLICE, Processor


class Machine:
    """One physical machine."""

    def __init__(
        self, ram_bytes: int, costs: Costs | None = None, model: CpuModel | None = None
    ) -> None:
        self.processor = Processor(ram_bytes, costs, model)
        self._counter_at: int | None = None
        self._counter_vector = 0

    @property
    def outer_retired(self) -> int:
        """Instructions retired at CPL 1 to 3: the value of the performance counter."""
        return sum(self.processor.retired[1:])

    def arm_counter(self, at: int | None, vector: int) -> None:
        """Raise `vector` once `outer_retired` reaches `at`; None disarms."""
        self._counter_at = at
        self._counter_vector = vector

    def run(self, budget: int = SLICE) -> Exit:
        """Execute up to `budget` instructions, in slices that the counter divides exactly."""
        processor = self.processor
        now = processor.retired_total
        end = now + budget
        while True:
            allowed = end - now
            if self._counter_at is not None:
                missing = self._counter_at - self.outer_retired
                if missing <= 0:
                    processor.pending_interrupt = self._counter_vector
                    self._counter_at = None
                else:
                    allowed = min(allowed, missing)
            reason = processor.run(allowed)
            if reason is not Exit.BUDGET:
                return reason
            now = processor.retired_total
            if now >= end:
                return reason
