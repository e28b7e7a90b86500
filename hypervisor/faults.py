"""A fault that belongs to the guest: raised by software that acts for it, reflected by a monitor.

Hardware records faults in its state; a monitor is ordinary software and raises an exception. It is
always caught by the monitor, which hands it to the guest through the guest's own IDT.

Source: SDM vol. 3A, "Exception and Interrupt Reference".
"""

from __future__ import annotations

from isa import vectors


class GuestFault(Exception):
    """One exception of the guest's processor.

    Attributes:
        vector: exception number.
        error: error code, or None for exceptions without one.
        address: what CR2 becomes, for #PF.
    """

    def __init__(self, vector: int, error: int | None = None, address: int | None = None) -> None:
        name = vectors.EXCEPTION_NAMES.get(vector, f"vector {vector}")
        super().__init__(name if error is None else f"{name}({error:#x})")
        self.vector = vector
        self.error = error
        self.address = address


def general_protection(error: int = 0) -> GuestFault:
    """#GP with an error code."""
    return GuestFault(vectors.GP, error)


def undefined_opcode() -> GuestFault:
    """#UD."""
    return GuestFault(vectors.UD)


def page_fault(
    gva: int, *, present: bool, write: bool, user: bool, reserved: bool = False
) -> GuestFault:
    """#PF for an access to a linear address."""
    error = vectors.PF_PRESENT * present | vectors.PF_WRITE * write | vectors.PF_USER * user
    return GuestFault(vectors.PF, error | vectors.PF_RESERVED * reserved, gva)
