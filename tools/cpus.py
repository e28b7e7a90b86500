"""The verb `cpus`: the models of processors that `--cpu` takes."""

from __future__ import annotations

import json as json_text
from typing import Annotated

from cyclopts import App, Parameter

from isa.cpu_models import DEFAULT, CpuModel, load_model, model_names
from tools.arguments import Flag

app = App(
    name="cpus",
    help_epilogue="""\
Examples:
  trapgate cpus
  trapgate cpus p6-pge 486+cpuid --json

A name may add features and leave some out: 486+cpuid, p6-pge+umip. What a
model does not have is an undefined opcode, a bit that cannot be set, a
model-specific register that raises #GP.""",
)


def _record(model: CpuModel) -> dict[str, object]:
    return {
        "name": model.name,
        "summary": model.summary,
        "default": model.name == DEFAULT,
        "features": [name.lower() for name in model.feature_names],
        "signature": model.signature,
        "vendor": model.vendor.decode("ascii"),
        "last_leaf": model.last_leaf,
    }


@app.default
def cpus(
    *names: Annotated[str, Parameter(help="Which ones, as for --cpu; all models by default.")],
    json: Annotated[Flag, Parameter(help="Print JSON.")] = False,
) -> None:
    """List models of processors."""
    models = [load_model(name) for name in names or model_names()]
    if json:
        print(json_text.dumps([_record(model) for model in models], indent=2))
        return
    for model in models:
        words = " ".join(name.lower() for name in model.feature_names) or "none of them"
        print(f"{model.name:<12} {model.summary}")
        print(f"{'':<12} features: {words}")
