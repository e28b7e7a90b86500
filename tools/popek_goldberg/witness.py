"""The shortest witness of a critical form: what to set up, and what then happens.

A witness is evidence (tools/popek_goldberg/classes.py) with everything taken out of its initial
state that does not matter: a value is made zero, a setting closed, a resource put back, and if the
two executions still differ it stays so. All executions of a witness complete, one of them in user
mode; so it also shows that the form is not privileged.
"""

from dataclasses import dataclass, replace
from typing import Final

from isa import registers as r
from isa import state
from isa.exits import Exit
from tools.popek_goldberg.classes import CONTROL, LOCATION, MODE, Evidence, Findings
from tools.popek_goldberg.experiment import STOPS, Laboratory, Outcome, differ

FLAG_NAMES: Final = {
    r.EFLAGS_CF: "CF",
    r.EFLAGS_PF: "PF",
    r.EFLAGS_AF: "AF",
    r.EFLAGS_ZF: "ZF",
    r.EFLAGS_SF: "SF",
    r.EFLAGS_TF: "TF",
    r.EFLAGS_IF: "IF",
    r.EFLAGS_DF: "DF",
    r.EFLAGS_OF: "OF",
    r.EFLAGS_IOPL: "IOPL",
    r.EFLAGS_NT: "NT",
    r.EFLAGS_RF: "RF",
    r.EFLAGS_VM: "VM",
    r.EFLAGS_AC: "AC",
    r.EFLAGS_VIF: "VIF",
    r.EFLAGS_VIP: "VIP",
    r.EFLAGS_ID: "ID",
}
NOTHING: Final = "unchanged"
TLB: Final = "cached translations"
DEVICE: Final = "device access"
HELD_OFF: Final = "interrupts held off"
_SCALARS: Final = {
    state.EIP: "eip",
    state.CPL: "CPL",
    state.CR0: "cr0",
    state.CR2: "cr2",
    state.CR3: "cr3",
    state.CR4: "cr4",
    state.GDTR_BASE: "GDTR base",
    state.GDTR_LIMIT: "GDTR limit",
    state.IDTR_BASE: "IDTR base",
    state.IDTR_LIMIT: "IDTR limit",
    state.SYSENTER_CS: "IA32_SYSENTER_CS",
    state.SYSENTER_ESP: "IA32_SYSENTER_ESP",
    state.SYSENTER_EIP: "IA32_SYSENTER_EIP",
    state.APIC_BASE: "IA32_APIC_BASE",
    state.TSC_OFFSET: "time-stamp counter",
    state.HALTED: "halted",
    state.SHADOW_AT: HELD_OFF,
}


def _word_names() -> dict[int, str]:
    names = dict(_SCALARS)
    names.update({state.GPR + number: name for number, name in enumerate(r.GPR_NAMES)})
    names.update({state.DR + number: f"dr{number}" for number in range(8)})
    for segment, name in enumerate(r.SEGMENT_NAMES):
        names[state.SELECTOR + segment] = name
        names[state.BASE + segment] = f"{name} base"
        names[state.LIMIT + segment] = f"{name} limit"
        names[state.ATTRIBUTES + segment] = f"{name} attributes"
    return names


_REGISTER_WORDS: Final = {name: state.GPR + number for number, name in enumerate(r.GPR_NAMES)}
# In the order in which effects are told: programs see general registers first.
WORD_NAMES: Final = _word_names()


@dataclass(frozen=True)
class Witness:
    """What to set up and what happens, as people read it.

    Attributes:
        kind: LOCATION, MODE or CONTROL.
        state: what the initial state has besides its defaults.
        outcomes: (where, effects by name), one or two.
    """

    kind: str
    instruction: str
    code: str
    state: dict[str, str]
    outcomes: tuple[tuple[str, dict[str, str]], ...]
    sentence: str

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {
            "kind": self.kind,
            "instruction": self.instruction,
            "bytes": self.code,
            "state": self.state,
            "outcomes": [{"at": at, "effects": effects} for at, effects in self.outcomes],
            "sentence": self.sentence,
        }


def shortest_witness(laboratory: Laboratory, findings: Findings) -> Witness | None:
    """The witness with the least to set up, or None for a form that is not critical."""
    if not findings.critical:
        return None
    wanted = [(CONTROL, True), (MODE, True), (LOCATION, True), (CONTROL, False), (LOCATION, False)]
    found = [findings.evidence[key] for key in wanted if key in findings.evidence]
    reduced = [_reduce(laboratory, evidence) for evidence in found]
    in_user_mode = [evidence for evidence in reduced if evidence.in_user_mode]
    return _describe(laboratory, min(in_user_mode or reduced, key=_length))


def _length(evidence: Evidence) -> tuple[int, ...]:
    bits = evidence.modes[-1].bits
    said = len(evidence.context.described(bits)) + len(evidence.moved)
    return (evidence.modes[-1].paragraphs, said + len(evidence.setting.permits))


def _repeat(laboratory: Laboratory, evidence: Evidence) -> list[Outcome]:
    """Execute what the evidence says once more."""
    moved = [evidence.moved] if len(evidence.modes) == 1 else [(), evidence.moved]
    return [
        laboratory.execute(
            laboratory.template(mode, evidence.setting, parts), evidence.instance, evidence.context
        )
        for mode, parts in zip(evidence.modes, moved, strict=True)
    ]


def _holds(laboratory: Laboratory, evidence: Evidence) -> bool:
    """Whether the executions still show what they are evidence of."""
    if evidence.translations:
        template = laboratory.template(evidence.modes[0], evidence.setting)
        args = (template, evidence.instance, evidence.context)
        return laboratory.keeps_translations(*args) is False
    outcomes = _repeat(laboratory, evidence)
    if len(outcomes) == 1:
        outcome = outcomes[0]
        return outcome.kind == STOPS or (outcome.completes and outcome.changes_resources)
    one, other = outcomes
    return one.completes and other.completes and differ(one, other)


def _reduce(laboratory: Laboratory, evidence: Evidence) -> Evidence:
    """Take out of the initial state whatever does not matter."""
    bits = evidence.modes[-1].bits
    changed = True
    while changed:
        changed = False
        smaller = [replace(evidence, context=c) for c in evidence.context.simpler(bits)]
        smaller += [replace(evidence, setting=s) for s in evidence.setting.stricter()]
        for part in evidence.moved:
            fewer = tuple(other for other in evidence.moved if other is not part)
            smaller.append(replace(evidence, moved=fewer))
        for candidate in smaller:
            if _holds(laboratory, candidate):
                evidence, changed = candidate, True
                break
    return evidence


def effects_of(outcome: Outcome) -> dict[str, str]:
    """Everything an execution changed, by name, in words."""
    found: dict[str, str] = {}
    for word, name in WORD_NAMES.items():
        now = int(outcome.after[word])
        if now != outcome.before[word] and name != "eip":
            found[name] = f"{now:#x}"
    before, after = int(outcome.before[state.EFLAGS]), int(outcome.after[state.EFLAGS])
    for mask, name in FLAG_NAMES.items():
        if (before ^ after) & mask:
            found[name] = str((after & mask) >> (mask & -mask).bit_length() - 1)
    for address, new, old in outcome.stored:
        found.update(_stored_bytes(address, new, old))
    if outcome.asked:
        verb = "written" if outcome.asked[0] == Exit.PORT_OUT else "read"
        found[DEVICE] = f"port {outcome.asked[1]:#x} is {verb}"
    if outcome.after[state.EIP] != outcome.before[state.EIP]:
        found["eip"] = f"{int(outcome.after[state.EIP]):#x}"
    return found


def _stored_bytes(address: int, new: int, old: int) -> dict[str, str]:
    """The bytes of a quadword that changed, from the first to the last of them."""
    fresh = (new & (1 << 64) - 1).to_bytes(8, "little")
    stale = (old & (1 << 64) - 1).to_bytes(8, "little")
    places = [at for at in range(8) if fresh[at] != stale[at]]
    first, last = places[0], places[-1] + 1
    return {f"memory at {address + first:#x}": fresh[first:last].hex(" ")}


def _describe(laboratory: Laboratory, evidence: Evidence) -> Witness:
    mode = evidence.modes[-1]
    text = evidence.instance.text(mode.bits)
    setup = evidence.context.described(mode.bits)
    if evidence.setting.permits:
        setup["supervisor's choice"] = ", ".join(evidence.setting.permits)
    outcomes = _repeat(laboratory, evidence)
    effects = [effects_of(outcome) for outcome in outcomes]
    if evidence.translations:
        effects[0][TLB] = "forgotten"
    if len(effects) == 2:
        differing = [name for name in effects[0] | effects[1] if _differs(effects, name)]
        effects = [{name: e.get(name, NOTHING) for name in differing} for e in effects]
        for name, word in _REGISTER_WORDS.items():
            if name in differing:  # programs see a value, whether it is new or not
                for effect, outcome in zip(effects, outcomes, strict=True):
                    effect[name] = f"{int(outcome.after[word]):#x}"
        if len(differing) > 1 and "eip" in differing and evidence.kind == MODE:
            effects = [{n: v for n, v in e.items() if n != "eip"} for e in effects]
    labels = _labels(evidence)
    return Witness(
        evidence.kind,
        text,
        evidence.instance.code[mode.bits].hex(" "),
        setup,
        tuple(zip(labels, effects, strict=True)),
        _sentence(evidence, text, effects),
    )


def _differs(effects: list[dict[str, str]], name: str) -> bool:
    return effects[0].get(name) != effects[1].get(name)


def _labels(evidence: Evidence) -> list[str]:
    names = [mode.name for mode in evidence.modes]
    if evidence.kind == LOCATION:
        return [names[0], f"{names[1]} with {_moved_text(evidence)} changed"]
    if evidence.moved:
        return [f"{names[0]} with {_moved_text(evidence)} changed"]
    return names


def _moved_text(evidence: Evidence) -> str:
    return " and ".join(part.name for part in evidence.moved)


def _sentence(evidence: Evidence, text: str, effects: list[dict[str, str]]) -> str:
    """One sentence that says it all."""
    if evidence.kind == CONTROL:
        changes = {name: value for name, value in effects[0].items() if name != "eip"}
        name, value = next(iter(_resources_first(changes)), ("the machine", "stopped"))
        told = f"changes {name} to {value}" if name != DEVICE else f"uses a device: {value}"
        return f"At {_labels(evidence)[0]}, `{text}` completes and {told}."
    name = next((name for name in effects[0] if name != "esp"), "esp")
    one, other = (effect.get(name, NOTHING) for effect in effects)
    if evidence.kind == MODE:
        first, second = (mode.name for mode in evidence.modes)
        return (
            f"`{text}` completes at {first} and at {second}, and does not do the same: "
            f"{name} is {one} at {first} and {other} at {second}."
        )
    return (
        f"At {evidence.modes[1].name}, `{text}` completes and depends on {_moved_text(evidence)}: "
        f"{name} is {one}, and {other} after that changed."
    )


def _resources_first(changes: dict[str, str]) -> list[tuple[str, str]]:
    """What belongs to M and R before general registers, status flags and memory."""
    own = {*r.GPR_NAMES, "CF", "PF", "AF", "ZF", "SF", "OF", "DF", "TF", "NT", "AC", "ID", HELD_OFF}
    return sorted(changes.items(), key=lambda item: item[0] in own or "memory" in item[0])
