"""Models of processors: which features one has and how it presents itself, from a small TOML file.

A model is named as `p6`, or with features added and left out: `486+cpuid`, `p6-pge+umip`. It is
fixed when a machine is made. What depends on features: `NEEDS` in the instruction table's columns
for the opcodes that exist, isa/features.py for the bits of registers, isa/model_specific.py for
CPUID and the model-specific registers.

Source: SDM vol. 2, "CPUID"; vol. 3B, "Architecture Compatibility".
"""

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from isa.errors import TrapgateError
from isa.registers import FEATURE_386, FEATURE_WP, FEATURES_IMPLEMENTED
from isa.vocabulary import FEATURES, GENERATION_FEATURES

if TYPE_CHECKING:
    from isa.state import State

DEFAULT: Final = "p6"
GENERATIONS: Final = ("386", *GENERATION_FEATURES)
_NAME: Final = re.compile(r"([a-z0-9]+)((?:[+-][a-z0-9]+)*)")
_KEYS: Final = frozenset(
    {"summary", "generation", "features", "family", "model", "stepping", "last_leaf", "vendor"}
)
_NUMBERS: Final = {"family": 15, "model": 15, "stepping": 15, "last_leaf": 2}


@dataclass(frozen=True)
class CpuModel:
    """One model.

    Attributes:
        features: FEATURE bits of isa.registers.
        signature: family, model and stepping as CPUID leaf 1 gives them in EAX.
        last_leaf: the highest leaf of CPUID.
        vendor: the twelve letters of CPUID leaf 0.
    """

    name: str
    summary: str
    features: int
    signature: int
    last_leaf: int
    vendor: bytes

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features that are not implied by the generation."""
        return tuple(name for name, bit in FEATURES.items() if self.features & bit)

    def install(self, cpu: "State") -> None:
        """Make a processor's state one of this model."""
        from isa import state  # late: the command lists models without loading numpy

        cpu[state.FEATURES] = self.features
        cpu[state.CPUID_SIGNATURE] = self.signature
        cpu[state.CPUID_LAST_LEAF] = self.last_leaf
        for word in range(3):
            letters = self.vendor[4 * word : 4 * word + 4]
            cpu[state.CPUID_VENDOR + word] = int.from_bytes(letters, "little")

    def identify(self, leaf: int) -> tuple[int, int, int, int]:
        """EAX, EBX, ECX, EDX of CPUID: leaves above the highest are the highest."""
        leaf = min(leaf, self.last_leaf)
        if leaf == 0:
            words = [int.from_bytes(self.vendor[at : at + 4], "little") for at in (0, 4, 8)]
            return self.last_leaf, words[0], words[2], words[1]
        if leaf == 1:
            return self.signature, 0, 0, self.features & 0xFFFFFFFF
        return 1, 0, 0, 0  # no descriptor of a cache or TLB

    def with_write_protection(self) -> "CpuModel":
        """The model with CR0.WP, which software that keeps shadow page tables cannot do without."""
        return replace(self, features=self.features | FEATURE_WP)


def model_names() -> list[str]:
    """The models that ship with the project, oldest first."""
    names = [p.name[:-5] for p in (files("isa") / "models").iterdir() if p.name.endswith(".toml")]
    return sorted(names, key=lambda name: _read(name).features)


@cache
def load_model(text: str = DEFAULT) -> CpuModel:
    """The model of a name with features added (`+`) and left out (`-`), in that order."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise TrapgateError(f"{text!r} is not a CPU model: write p6, 486+cpuid or p6-pge")
    model = _read(match[1])
    features = model.features
    for sign, word in re.findall(r"([+-])([a-z0-9]+)", match[2]):
        bit = FEATURES.get(word.upper())
        if bit is None:
            known = ", ".join(name.lower() for name in FEATURES)
            raise TrapgateError(f"CPU model {text}: no feature {word!r}; there are: {known}")
        if sign == "+" and not bit & FEATURES_IMPLEMENTED:
            raise TrapgateError(f"CPU model {text}: {word} is not implemented")
        features = features | bit if sign == "+" else features & ~bit
    return replace(model, name=text, features=features)


def _read(name: str) -> CpuModel:
    resource = files("isa") / "models" / f"{name}.toml"
    if not resource.is_file():
        raise TrapgateError(f"no CPU model {name!r}; there are: {', '.join(model_names())}")
    return parse_model(name, resource.read_text())


def parse_model(name: str, text: str) -> CpuModel:
    """Check the text of a model; every key is needed, nothing is unknown."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TrapgateError(f"CPU model {name}: {error}") from None
    if wrong := sorted(set(data) ^ _KEYS):
        raise TrapgateError(f"CPU model {name}: misses or invents {', '.join(wrong)}")
    for key, most in _NUMBERS.items():
        if not isinstance(data[key], int) or not 0 <= data[key] <= most:
            raise TrapgateError(f"CPU model {name}: {key} must be a number from 0 to {most}")
    vendor = str(data["vendor"]).encode("ascii", "replace")
    if len(vendor) != 12:
        raise TrapgateError(f"CPU model {name}: vendor must have 12 letters")
    return CpuModel(
        name=name,
        summary=str(data["summary"]),
        features=_features(name, data),
        signature=data["family"] << 8 | data["model"] << 4 | data["stepping"],
        last_leaf=data["last_leaf"],
        vendor=vendor,
    )


def _features(name: str, data: dict[str, Any]) -> int:
    """The bits of the features named, and of all generations up to the model's."""
    if data["generation"] not in GENERATIONS:
        raise TrapgateError(f"CPU model {name}: generation must be one of {', '.join(GENERATIONS)}")
    features = FEATURE_386
    for generation in GENERATIONS[1 : GENERATIONS.index(data["generation"]) + 1]:
        features |= GENERATION_FEATURES[generation]
    for word in data["features"]:
        if not FEATURES.get(word, 0) & FEATURES_IMPLEMENTED:
            raise TrapgateError(f"CPU model {name}: no feature {word!r}")
        features |= FEATURES[word]
    return features
