"""Noticing a guest that takes fault after fault and completes no instruction.

Such a guest would keep its machine busy for ever without its time passing. A repeated string
instruction may also take long before it completes; its count goes down, and that is progress.
"""

from __future__ import annotations

from hypervisor.technique import FAULTS_WITHOUT_PROGRESS, StopReason, VmStopped


class Livelock:
    """Counts faults without progress."""

    def __init__(self) -> None:
        self._completed = -1
        self._repetitions = -1
        self._faults = 0

    def note(self, completed: int, repetitions: int, faults: int = 1) -> None:
        """Called whenever the guest may have faulted; raises VmStopped after too many times.

        Args:
            completed: guest instructions so far.
            repetitions: ECX.
            faults: how many there may have been.
        """
        if completed != self._completed or repetitions != self._repetitions:
            self._completed = completed
            self._repetitions = repetitions
            self._faults = 0
        self._faults += faults
        if self._faults > FAULTS_WITHOUT_PROGRESS:
            raise VmStopped(StopReason.ERROR, "fault after fault, and no instruction completes")
