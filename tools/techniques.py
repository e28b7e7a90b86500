"""Choose techniques by name and start them: the only place where the verbs meet the hypervisor.

Imported by verbs only when a guest is about to run, because it loads the compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isa.errors import TrapgateError
from tools.progress import compilation

if TYPE_CHECKING:
    from hypervisor.technique import Technique
    from isa.boot import BootImage


def names() -> list[str]:
    """All available techniques, the bare machine first: the others are measured against it."""
    from hypervisor.technique import available_techniques

    return sorted(available_techniques(), key=lambda name: name != "bare")


def check_names(wanted: Sequence[str]) -> list[str]:
    """The wanted techniques without repetitions; refuses names that do not exist."""
    known = names()
    for name in wanted:
        if name not in known:
            raise TrapgateError(f"unknown technique {name!r}: one of {', '.join(known)}")
    return list(dict.fromkeys(wanted))


def start(name: str, image: BootImage, ram_bytes: int) -> Technique:
    """A machine of the given technique with the guest loaded, at its first instruction."""
    from hypervisor.technique import available_techniques

    check_names([name])
    with compilation():
        machine = available_techniques()[name](ram_bytes)
        machine.boot(image)
    return machine
