"""Popek and Goldberg's classes, decided for one form from what it was seen to do.

privileged: in every pair of states that differ only in mode, unless both trap, the instruction
    traps in user mode and completes in supervisor mode. One user state in which it completes is
    enough to make it unprivileged; a silent no-operation completes. (Where both trap, the operand
    is wrong whatever the mode is; the paper's machine has no such traps but the memory trap.)
control-sensitive: in some state it completes and has changed M or R, or used a device.
behaviour-sensitive: in two states that differ only in M (mode-sensitive) or only in R
    (location-sensitive) it completes both times, with different effects. Not all of R is a
    location; the paper's relocation register is. On x86 the control bits share its part.
user-sensitive: control-sensitive in a user state, or location-sensitive between two user states of
    the same mode. Mode-sensitivity does not count, as a hybrid monitor runs user mode in user mode.
supervisor-sensitive: likewise in supervisor states.
innocuous: not sensitive. critical: sensitive and not privileged.

The table's columns of privilege and sensitivity are not read here, nor anywhere in this package.

Source: Popek and Goldberg, "Formal Requirements", sections 3 and 4.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from isa.notation import Form
from tools.popek_goldberg.experiment import (
    COMPLETES,
    MEMORY_TRAP,
    STOPS,
    Laboratory,
    Outcome,
    differ,
)
from tools.popek_goldberg.instances import Instance, instances_of
from tools.popek_goldberg.operands import Context
from tools.popek_goldberg.states import (
    CLOSED,
    OPEN,
    RINGS,
    SETTINGS,
    SUPERVISOR_16,
    SUPERVISORS,
    USERS,
    VIRTUAL_8086,
    Mode,
    Moved,
    Setting,
    supervisor_of,
)

PRIVILEGED: Final = "privileged"
CONTROL: Final = "control-sensitive"
BEHAVIOUR: Final = "behaviour-sensitive"
LOCATION: Final = "location-sensitive"
MODE: Final = "mode-sensitive"
USER: Final = "user-sensitive"
SUPERVISOR: Final = "supervisor-sensitive"
INNOCUOUS: Final = "innocuous"
CLASSES: Final = (PRIVILEGED, CONTROL, BEHAVIOUR, LOCATION, MODE, USER, SUPERVISOR, INNOCUOUS)

# The modes in which the first two settings are tried. The others are tried in rings 0 and 3, with
# operands for which it matters in ring 3 which of the first two it is.
_MODES: Final = {
    CLOSED: (RINGS[0], RINGS[3], RINGS[1], RINGS[2], SUPERVISOR_16, VIRTUAL_8086),
    OPEN: (RINGS[0], RINGS[3], SUPERVISOR_16, VIRTUAL_8086),
}
_ELSEWHERE: Final = (RINGS[0], RINGS[3])
# Where resources are moved; ring 3 under the open setting only if it traps under the closed one.
_MOVING: Final = ((CLOSED, RINGS[3]), (CLOSED, RINGS[0]), (OPEN, VIRTUAL_8086))


@dataclass(frozen=True)
class Evidence:
    """One or two executions that show a class.

    Attributes:
        kind: CONTROL (one execution), LOCATION or MODE (two).
        modes: of the executions.
        moved: what is moved in the second one; in the only one, if there is one.
        translations: the resource that changes is the TLB.
    """

    kind: str
    instance: Instance
    context: Context
    setting: Setting
    modes: tuple[Mode, ...]
    moved: Moved = ()
    translations: bool = False

    @property
    def in_user_mode(self) -> bool:
        return self.modes[-1].level > 0

    @property
    def rank(self) -> tuple[int, ...]:
        """Less is easier to read: rings before 8086 segments, nothing allowed, nothing moved."""
        levels = sum(mode.level not in (0, 3) for mode in self.modes)
        return (
            self.modes[-1].paragraphs,
            len(self.setting.permits),
            len(self.moved),
            levels,
        )


@dataclass
class Findings:
    """What was seen of one form.

    Attributes:
        completions: (mode, setting) in which it completed with some operands.
        only_supervisor: pairs in which it trapped in user mode only.
        evidence: the most readable of each kind, for user and for supervisor states.
        unprivileged: a completion in user mode.
    """

    form: Form
    completions: set[tuple[Mode, Setting]] = field(default_factory=set)
    only_supervisor: int = 0
    evidence: dict[tuple[str, bool], Evidence] = field(default_factory=dict)
    unprivileged: Evidence | None = None

    def note(self, evidence: Evidence) -> None:
        """Keep evidence if it is the first or the most readable of its kind."""
        key = (evidence.kind, evidence.in_user_mode)
        if key not in self.evidence or evidence.rank < self.evidence[key].rank:
            self.evidence[key] = evidence

    def wants(self, kind: str, mode: Mode) -> bool:
        """Whether evidence of a kind that is found in a mode would be news."""
        known = self.evidence.get((kind, mode.level > 0))
        return known is None or (known.modes[-1].paragraphs and not mode.paragraphs)

    def shows(self, kind: str) -> bool:
        """Whether there is evidence of a kind in any mode."""
        return (kind, True) in self.evidence or (kind, False) in self.evidence

    @property
    def privileged(self) -> bool:
        return self.only_supervisor > 0 and self.unprivileged is None

    @property
    def sensitive(self) -> bool:
        return bool(self.evidence)

    @property
    def critical(self) -> bool:
        return self.sensitive and not self.privileged

    def is_sensitive_in(self, user: bool) -> bool:
        """Whether control- or location-sensitive in user (or supervisor) states."""
        return (CONTROL, user) in self.evidence or (LOCATION, user) in self.evidence

    @property
    def classes(self) -> tuple[str, ...]:
        """All that apply, in the order of CLASSES."""
        holds = {
            PRIVILEGED: self.privileged,
            CONTROL: self.shows(CONTROL),
            BEHAVIOUR: self.shows(LOCATION) or self.shows(MODE),
            LOCATION: self.shows(LOCATION),
            MODE: self.shows(MODE),
            USER: self.is_sensitive_in(user=True),
            SUPERVISOR: self.is_sensitive_in(user=False),
            INNOCUOUS: not self.sensitive,
        }
        return tuple(name for name in CLASSES if holds[name])


def examine(laboratory: Laboratory, form: Form, contexts: list[Context]) -> Findings:
    """Try a form with all operands and contexts, in all states."""
    findings = Findings(form)
    for instance in instances_of(form):
        for context in contexts:
            _examine_context(findings, laboratory, instance, context)
        _note_translations(findings, laboratory, instance, contexts[0])
    return findings


def _examine_context(
    findings: Findings, laboratory: Laboratory, instance: Instance, context: Context
) -> None:
    """Try one instruction with one set of operands."""
    outcomes = {
        setting: _in_modes(laboratory, setting, modes, instance, context)
        for setting, modes in _MODES.items()
    }
    closed, opened = (outcomes[setting][RINGS[3]] for setting in (CLOSED, OPEN))
    moving = [outcomes[setting][mode] for setting, mode in _MOVING]
    if closed.completes != opened.completes:
        for setting in SETTINGS:
            if setting not in outcomes:
                outcomes[setting] = _in_modes(laboratory, setting, _ELSEWHERE, instance, context)
        moving.append(opened)
    for by_mode in outcomes.values():
        _note_completions(findings, by_mode, instance, context)
        _note_pairs(findings, by_mode, instance, context)
    for home in moving:
        if home.completes:
            _Move(findings, laboratory, home, instance, context).look()


def _in_modes(
    laboratory: Laboratory,
    setting: Setting,
    modes: tuple[Mode, ...],
    instance: Instance,
    context: Context,
) -> dict[Mode, Outcome]:
    return {
        mode: laboratory.execute(laboratory.template(mode, setting), instance, context)
        for mode in modes
    }


def _note_completions(
    findings: Findings, outcomes: dict[Mode, Outcome], instance: Instance, context: Context
) -> None:
    """Completions, and changes of M and R."""
    for mode in (*USERS, *SUPERVISORS):
        outcome = outcomes.get(mode)
        if outcome is None or outcome.kind not in (COMPLETES, STOPS):
            continue
        setting = outcome.template.setting
        findings.completions.add((mode, setting))
        evidence = Evidence(CONTROL, instance, context, setting, (mode,))
        if outcome.kind == STOPS or outcome.changes_resources:
            findings.note(evidence)
        if mode.level and findings.unprivileged is None:
            findings.unprivileged = evidence


def _note_pairs(
    findings: Findings, outcomes: dict[Mode, Outcome], instance: Instance, context: Context
) -> None:
    """Pairs that differ only in mode."""
    for mode in USERS:
        if mode not in outcomes:
            continue
        supervisor = outcomes[supervisor_of(mode)]
        user = outcomes[mode]
        if MEMORY_TRAP in (supervisor.kind, user.kind):
            continue
        if supervisor.completes and user.completes:
            if findings.wants(MODE, mode) and differ(supervisor, user):
                modes = (supervisor.template.mode, mode)
                setting = user.template.setting
                findings.note(Evidence(MODE, instance, context, setting, modes))
        elif supervisor.kind in (COMPLETES, STOPS) and user.kind not in (COMPLETES, STOPS):
            findings.only_supervisor += 1


@dataclass
class _Move:
    """One completed execution, to be repeated with resources moved."""

    findings: Findings
    laboratory: Laboratory
    home: Outcome
    instance: Instance
    context: Context

    def look(self) -> None:
        """Move all places at once, then all switches; where it matters find out which one."""
        mode = self.home.template.mode
        for is_place in (True, False):
            if not (self.findings.wants(LOCATION, mode) or self.findings.wants(CONTROL, mode)):
                return
            group = tuple(
                part for part in self.laboratory.resources(mode) if part.place == is_place
            )
            if self._repeat(group).completes and not self._shows(group):
                continue
            single = [part for part in group if self._shows((part,))]
            if not single and self._shows(group):
                self._note(self._smallest(group))

    def _repeat(self, moved: Moved) -> Outcome:
        home = self.home.template
        template = self.laboratory.template(home.mode, home.setting, moved)
        return self.laboratory.execute(template, self.instance, self.context)

    def _shows(self, moved: Moved) -> bool:
        """Whether moving these shows something; of single ones that is noted."""
        outcome = self._repeat(moved)
        if not outcome.completes:
            return False
        changes, matters = outcome.changes_resources, differ(self.home, outcome)
        if len(moved) == 1:
            if changes:
                self._note(moved, CONTROL)
            if matters:
                self._note(moved)
        return matters or (changes and not self.home.changes_resources)

    def _smallest(self, group: Moved) -> Moved:
        """A set of resources that matters only as a whole."""
        for part in group:
            fewer = tuple(other for other in group if other is not part)
            if len(fewer) > 1 and self._shows(fewer):
                group = fewer
        return group

    def _note(self, moved: Moved, kind: str = LOCATION) -> None:
        mode, setting = self.home.template.mode, self.home.template.setting
        modes = (mode,) if kind == CONTROL else (mode, mode)
        self.findings.note(Evidence(kind, self.instance, self.context, setting, modes, moved))


def _note_translations(
    findings: Findings, laboratory: Laboratory, instance: Instance, context: Context
) -> None:
    """The TLB is a resource, too: does a stale translation outlive the instruction?"""
    for mode in (RINGS[3], RINGS[0]):
        template = laboratory.template(mode, CLOSED)
        if laboratory.keeps_translations(template, instance, context) is False:
            findings.note(Evidence(CONTROL, instance, context, CLOSED, (mode,), translations=True))


# --- the rule by which a form traps ----------------------------------------------------------

# What may permit a form in user mode.
RULES: Final[dict[str, Callable[[Setting], bool]]] = {
    "": lambda setting: True,
    "cpl0": lambda setting: False,
    "iopl": lambda setting: setting.iopl == 3,
    "iomap": lambda setting: setting.iopl == 3 or setting.ports_open,
    "tsd": lambda setting: not setting.tsd,
    "pce": lambda setting: setting.pce,
}


def trap_rule(findings: Findings) -> str:
    """The condition under which a form completes in rings 1 to 3: a word of RULES, or "other"."""
    rings = {at for mode, at in findings.completions if mode in RINGS and mode.level}
    if {CLOSED, OPEN} <= rings or not (rings or findings.only_supervisor):
        return ""
    for word, permits in RULES.items():
        if rings == {setting for setting in SETTINGS if permits(setting)}:
            return word
    return "other"
