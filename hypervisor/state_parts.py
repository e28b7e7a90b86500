"""The names of everything in a guest's state: `eax`, `eflags.cf`, `cs.base`, `devices.pit`, ….

Whoever compares states or shows them goes by these names, and `Ignored` is a choice of them that
is left out. A name stands for all that begins with it and a dot, so `cs` is the selector and what
is hidden behind it, and `devices` is every device.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hypervisor.guest_state import ProcessorState
from isa import registers
from isa.errors import TrapgateError
from isa.registers import ATTR_UNUSABLE, GPR_NAMES, SEGMENT_NAMES

WHOLE: Final = -1
"""The mask of a part that is left out altogether."""

_DEBUG_REGISTERS: Final = (0, 1, 2, 3, 6, 7)  # DR4 and DR5 are other names of DR6 and DR7
_BITS_OF: Final = ("EFLAGS", "CR0", "CR4")
_RANGE: Final = re.compile(r"memory\.(0x[0-9a-f]+|\d+)(?:-(0x[0-9a-f]+|\d+))?")
_NOT_BITS: Final = ("FIXED", "STATUS", "DEFINED")

Bits = Mapping[str, int]


def _bits(register: str) -> dict[str, int]:
    """Names of the bits of EFLAGS or a control register, in lower case, lowest first."""
    prefix = f"{register}_"
    found = {
        name.removeprefix(prefix).lower(): int(getattr(registers, name))
        for name in dir(registers)
        if name.startswith(prefix) and name.removeprefix(prefix) not in _NOT_BITS
    }
    return dict(sorted(found.items(), key=lambda entry: entry[1]))


BITS: Final[Mapping[str, Bits]] = {name.lower(): _bits(name) for name in _BITS_OF}
"""Register → name of a bit or field → its mask."""


def processor_parts(state: ProcessorState, completed: int) -> dict[str, int]:
    """A processor's state by name, after so many completed instructions.

    What is hidden behind a selector that cannot be used is not part of it: nobody can tell.
    """
    parts = dict(zip(GPR_NAMES, state.gpr, strict=True))
    parts |= {"eip": state.eip, "eflags": state.eflags, "cpl": state.cpl}
    for name, segment in zip(SEGMENT_NAMES, state.segments, strict=True):
        is_usable = not segment.attributes & ATTR_UNUSABLE
        parts[name] = segment.selector
        parts[f"{name}.base"] = segment.base if is_usable else 0
        parts[f"{name}.limit"] = segment.limit if is_usable else 0
        parts[f"{name}.attributes"] = segment.attributes if is_usable else ATTR_UNUSABLE
    for name in ("cr0", "cr2", "cr3", "cr4"):
        parts[name] = getattr(state, name)
    for number, entry in enumerate(state.pdpte):
        parts[f"pdpte.{number}"] = entry
    for number in _DEBUG_REGISTERS:
        parts[f"dr{number}"] = state.dr[number]
    for name in ("gdtr", "idtr"):
        parts[f"{name}.base"] = getattr(state, name).base
        parts[f"{name}.limit"] = getattr(state, name).limit
    for name, value in zip(("cs", "esp", "eip"), state.sysenter, strict=True):
        parts[f"sysenter.{name}"] = value
    parts |= {
        "apic_base": state.apic_base,
        "tsc": completed + state.tsc_offset,
        "cpu": state.features,
        "halted": state.halted,
        "pending.shadow": state.interrupts_held,
        "pending.interrupt": state.pending_interrupt,
        "pending.traps": state.pending_traps,
        "pending.step": state.pending_step,
    }
    return parts


_PARTS: Final = (
    *GPR_NAMES,
    *("eip", "eflags", "cpl"),
    *(f"{name}{hidden}" for name in SEGMENT_NAMES for hidden in ("", ".base", ".limit")),
    *(f"{name}.attributes" for name in SEGMENT_NAMES),
    *("cr0", "cr2", "cr3", "cr4"),
    *(f"pdpte.{number}" for number in range(4)),
    *(f"dr{number}" for number in _DEBUG_REGISTERS),
    *(f"{table}.{part}" for table in ("gdtr", "idtr") for part in ("base", "limit")),
    *(f"sysenter.{name}" for name in ("cs", "esp", "eip")),
    *("apic_base", "tsc", "cpu", "halted"),
    *(f"pending.{name}" for name in ("shadow", "interrupt", "traps", "step")),
)
_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "hidden": tuple(
        f"{name}.{hidden}" for name in SEGMENT_NAMES for hidden in ("base", "limit", "attributes")
    ),
    "flags": ("eflags",),
}


@dataclass(frozen=True)
class Ignored:
    """What a comparison leaves out.

    Attributes:
        masks: part of the processor → bits left out; WHOLE for all.
        memory: ranges of guest-physical addresses, both ends included.
        devices: names of devices or of parts of their state, such as `pit.counters.0`.
        all_memory, all_devices, console: whether they are left out altogether.
    """

    masks: Mapping[str, int] = field(default_factory=dict)
    memory: tuple[tuple[int, int], ...] = ()
    devices: frozenset[str] = frozenset()
    all_memory: bool = False
    all_devices: bool = False
    console: bool = False

    @classmethod
    def parse(cls, words: Iterable[str]) -> Ignored:
        """The choice that names stand for; TrapgateError for a name that nothing has."""
        masks: dict[str, int] = {}
        memory: list[tuple[int, int]] = []
        devices: set[str] = set()
        whole: set[str] = set()
        for word in (word.strip().lower() for word in words):
            register, _, bit = word.partition(".")
            if word in ("memory", "devices", "console"):
                whole.add(word)
            elif register == "memory":
                memory.append(_memory_range(word))
            elif register == "devices":
                devices.add(bit)
            elif bit and bit in BITS.get(register, ()):
                masks[register] = masks.get(register, 0) | BITS[register][bit]
            else:
                masks |= dict.fromkeys(_parts_named(word), WHOLE)
        return cls(
            masks,
            tuple(memory),
            frozenset(devices),
            "memory" in whole,
            "devices" in whole,
            "console" in whole,
        )

    def leaves_out_device(self, path: str) -> bool:
        """Whether a device, or a part of its state, is left out."""
        return self.all_devices or any(
            path == name or path.startswith(f"{name}.") for name in self.devices
        )


def _parts_named(word: str) -> tuple[str, ...]:
    found = tuple(name for name in _PARTS if name == word or name.startswith(f"{word}."))
    found += _GROUPS.get(word, ())
    if not found:
        register = word.partition(".")[0]
        known = BITS.get(register) or (*_PARTS, *_GROUPS, "memory", "devices", "console")
        raise TrapgateError(
            f"nothing in a machine's state is called {word!r};"
            f" {f'{register} has' if register in BITS else 'there are'}: {', '.join(known)}"
        )
    return found


def _memory_range(word: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(word)
    if match is None:
        raise TrapgateError(f"{word!r} is not a range of memory: write memory.0xb8000-0xb8fff")
    first = int(match[1], 0)
    last = first if match[2] is None else int(match[2], 0)
    if last < first:
        raise TrapgateError(f"{word!r} ends before it begins")
    return first, last


def flatten(path: str, value: Any) -> dict[str, Any]:
    """The leaves of a device's state by name. Of an event only its time counts, not its turn."""
    found: dict[str, Any] = {}
    _flatten(path, value, found)
    return found


def _flatten(path: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, dict):
        if value.keys() == _EVENT:
            found[path] = value["at"]
            return
        for name, part in value.items():
            _flatten(f"{path}.{name}", part, found)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _flatten(f"{path}.{index}", part, found)
    else:
        found[path] = value


_EVENT: Final = {"at", "sequence"}
_DECIMAL: Final = frozenset({"cpl", "tsc", "halted"})
_SHORT: Final = frozenset({"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"})


def number(name: str, value: int) -> str:
    """A part of the processor's state as it is shown."""
    if name in _DECIMAL or name.startswith("pending."):
        return f"{int(value):,}"
    return f"{value:#06x}" if name in _SHORT else f"{value:#010x}"
