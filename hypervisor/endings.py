"""What a guest can ask of its devices that ends the run, whatever runs it."""

from __future__ import annotations

from hypervisor.technique import StopReason, VmStopped
from isa.devices.platform import Platform


def end_if_asked(platform: Platform) -> None:
    """Raise VmStopped if the guest has left, switched off, or done what cannot be done here."""
    if platform.exit_code is not None:
        raise VmStopped(StopReason.EXIT, "the guest wrote to the exit port")
    if platform.power_off_requested:
        raise VmStopped(StopReason.POWER_OFF, "the guest switched the machine off")
    if platform.reset_requested:
        raise VmStopped(StopReason.SHUTDOWN, "the guest reset the machine")
    if platform.refused is not None:
        raise VmStopped(StopReason.ERROR, platform.refused)
