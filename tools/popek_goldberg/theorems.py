"""Popek and Goldberg's three theorems, decided for a set of classified forms.

Theorem 1: a virtual machine monitor may be constructed if the sensitive instructions are a subset
of the privileged ones.
Theorem 2: the machine is recursively virtualizable if it is virtualizable and a monitor without
timing dependencies can be constructed for it. Here: if besides no instruction tells the time
without trapping, because a monitor under a monitor runs slower and must not see it.
Theorem 3: a hybrid monitor, which interprets all of virtual supervisor mode, may be constructed if
the user-sensitive instructions are a subset of the privileged ones.

The conditions are sufficient; the paper says itself that they are not necessary. "No" means that
the theorem promises nothing.

Source: Popek and Goldberg, "Formal Requirements", sections 5 to 7.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tools.popek_goldberg.classes import INNOCUOUS, PRIVILEGED, USER

STATEMENTS: Final = {
    "virtualizable": "every sensitive instruction is privileged",
    "recursively_virtualizable": (
        "it is virtualizable, and no instruction tells the time without trapping"
    ),
    "hybrid_virtualizable": "every user-sensitive instruction is privileged",
}
THEOREMS: Final = {
    "virtualizable": 1,
    "recursively_virtualizable": 2,
    "hybrid_virtualizable": 3,
}


@dataclass(frozen=True)
class Theorem:
    """A theorem and whether its condition holds.

    Attributes:
        against: forms that contradict the condition.
    """

    name: str
    number: int
    statement: str
    holds: bool
    against: tuple[str, ...]


@dataclass(frozen=True)
class Classified:
    """What the theorems look at: a form, its classes, and whether it depends on time."""

    form: str
    classes: tuple[str, ...]
    tells_time: bool = False


def decide(forms: Iterable[Classified]) -> list[Theorem]:
    """The three theorems for all forms of a processor."""
    known = list(forms)
    unprivileged = [form for form in known if PRIVILEGED not in form.classes]
    critical = [form.form for form in unprivileged if INNOCUOUS not in form.classes]
    timed = [form.form for form in unprivileged if form.tells_time]
    in_user_mode = [form.form for form in unprivileged if USER in form.classes]
    return [
        _theorem("virtualizable", critical),
        _theorem("recursively_virtualizable", list(dict.fromkeys(critical + timed))),
        _theorem("hybrid_virtualizable", in_user_mode),
    ]


def _theorem(name: str, against: Sequence[str]) -> Theorem:
    return Theorem(name, THEOREMS[name], STATEMENTS[name], not against, tuple(against))
