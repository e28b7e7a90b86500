"""The verb `version`: what a bug report needs to say."""

from __future__ import annotations

import json as json_text
import platform
from importlib import metadata
from typing import Annotated, Final

from cyclopts import App, Parameter

from tools.arguments import Flag

_PARTS: Final = ("numba", "llvmlite", "numpy", "capstone")

app = App(
    name="version",
    help_epilogue="Examples:\n  trapgate version\n  trapgate version --json",
)


def installed_version(distribution: str) -> str:
    """The version of a distribution, or what to say of one that runs from its sources."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


@app.default
def version(*, json: Annotated[Flag, Parameter(help="Print JSON.")] = False) -> None:
    """Print versions."""
    versions = {"trapgate": installed_version("trapgate")}
    versions["python"] = f"{platform.python_implementation()} {platform.python_version()}"
    versions |= {name: installed_version(name) for name in _PARTS}
    versions["platform"] = f"{platform.system()} {platform.machine()}"
    if json:
        print(json_text.dumps(versions, indent=2))
        return
    for name, text in versions.items():
        print(f"{name:<10} {text}")
