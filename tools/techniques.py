"""Choose techniques by name and start them: the only place where the verbs meet the hypervisor.

Imported by verbs only when a guest is about to run, because it loads the compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.progress import prepare_machine

if TYPE_CHECKING:
    from hypervisor.technique import Technique
    from isa.boot import BootImage


def names() -> list[str]:
    """All available techniques, the bare machine first: the others are measured against it."""
    from hypervisor.technique import available_techniques

    return list(available_techniques())


def start(name: str, image: BootImage, ram_bytes: int) -> Technique:
    """A machine of the given technique with the guest loaded, at its first instruction."""
    from hypervisor.technique import create

    machine = create(name, ram_bytes)
    prepare_machine()
    machine.boot(image)
    return machine
