"""Choose techniques by name and start them: the only place where the verbs meet the hypervisor.

Imported by verbs only when a guest is about to run, because it loads the compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.interrupts import deferred_interrupts
from tools.progress import prepare_machine

if TYPE_CHECKING:
    from hypervisor.technique import Technique
    from isa.boot import BootImage
    from isa.cpu_models import CpuModel


def chosen(techniques: str | None) -> list[str]:
    """The techniques of a comma-separated list, each once, in that order; all if None.

    The bare machine comes first by default: the others are measured against it.
    """
    with deferred_interrupts():
        from hypervisor.technique import available_techniques, technique_class

        if techniques is None:
            return list(available_techniques())
        wanted = list(dict.fromkeys(name.strip() for name in techniques.split(",")))
        for name in wanted:
            technique_class(name)
    return wanted


def start(
    name: str,
    image: BootImage,
    ram_bytes: int,
    model: CpuModel | None = None,
    tlb: str = "normal",
) -> Technique:
    """A machine of the given technique with the guest loaded, at its first instruction."""
    with deferred_interrupts():
        from hypervisor.technique import create

        machine = create(name, ram_bytes, model=model, tlb=tlb, devices=image.devices)
    prepare_machine()
    with deferred_interrupts():
        machine.boot(image)
    return machine
