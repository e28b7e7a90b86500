"""What every device has: one declared state, and the power to reset, save and restore it.

A device keeps everything the guest could ever notice in `self.state`, one `msgspec.Struct`; its
other attributes are wiring, fixed when the machine is built. So no field can be forgotten by a
save. Struct fields carry their ranges, which decoding a saved state checks.
"""

from __future__ import annotations

import copy
from typing import Annotated, Generic, TypeVar

import msgspec

Bit3 = Annotated[int, msgspec.Meta(ge=0, le=7)]
Byte = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
Word = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
DoubleWord = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
Instant = Annotated[int, msgspec.Meta(ge=0)]
"""A time of the event clock."""

StateT = TypeVar("StateT", bound=msgspec.Struct)


class Device(Generic[StateT]):
    """Base class of devices. `state_type()` without arguments is the state after a reset."""

    def __init__(self, state_type: type[StateT]) -> None:
        self.state_type = state_type
        self.state = state_type()

    def reset(self) -> None:
        """Do what the reset line does."""
        self.state = self.state_type()

    def save(self) -> StateT:
        """Return a copy of the state that later changes of the device do not touch."""
        return copy.deepcopy(self.state)

    def check(self, state: StateT) -> None:
        """Refuse, with ValueError, a saved state that cannot be this device's."""

    def restore(self, state: StateT) -> None:
        """Take over a copy of `state`. Interrupt lines are not driven: their state is saved too."""
        self.state = copy.deepcopy(state)
