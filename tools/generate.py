"""Writes what is derived from other files: `python -m tools.generate`.

From the instruction table: form and operation numbers, column arrays, the opcode map, and the
reference for people. From its source: the BIOS. The files are committed; `--check` tells whether
they are current and changes nothing.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from isa import notation, opcode_map, vocabulary
from isa.errors import TrapgateError
from isa.notation import Form
from tools import bios_image, instruction_reference

ROOT = Path(__file__).resolve().parent.parent
WARNING = "Generated from isa/table.txt by `python -m tools.generate`; not to be edited."
LINE_LENGTH = 100
OPERANDS = 4
IMMEDIATES = 2

# How many bytes the decoder takes for each immediate, and how it extends them.
IMMEDIATE_CODES = {"ib": 1, "ibs": 9, "iw": 2, "id": 4, "cb": 9, "cw": 2, "cd": 4, "cp": 6}
IMMEDIATE_FAR16 = 5
IMMEDIATE_OFFSET = 7


def operation_numbers(forms: Iterable[Form]) -> dict[str, int]:
    """Operations in order of first appearance, from 1."""
    names = dict.fromkeys(form.operation for form in forms)
    return {name: number for number, name in enumerate(names, start=1)}


def immediate_codes(form: Form) -> tuple[int, int]:
    """The IMM column: one code per immediate, 0 where there is none."""
    codes = [IMMEDIATE_CODES[word] for word in form.encoding.immediates]
    if "ptr16:16" in form.words:
        codes = [IMMEDIATE_FAR16]
    if any(word.startswith("moffs") for word in form.words):
        codes = [IMMEDIATE_OFFSET]
    first, second = [*codes, 0, 0][:IMMEDIATES]
    return first, second


def modrm_code(form: Form) -> int:
    """The HAS_MODRM column: 2 when ModRM.mod is ignored."""
    return 2 if form.mod_ignored else int(form.encoding.has_modrm)


def forms_text(forms: Sequence[Form]) -> str:
    """isa/generated/forms.py: numbers and names."""
    operations = operation_numbers(forms)
    lines = [
        f'"""Numbers of forms and operations. {WARNING}"""',
        "",
        "from typing import Final",
        "",
    ]
    lines += [f"FORM_COUNT: Final = {len(forms)}", ""]
    lines += [f"F_{form.name}: Final = {form.number}" for form in forms]
    lines += ["", f"OPERATION_COUNT: Final = {len(operations) + 1}", "O_NONE: Final = 0"]
    lines += [f"O_{name}: Final = {number}" for name, number in operations.items()]
    lines += ["", "FORM_NAMES: Final[tuple[str, ...]] = ("]
    lines += [f'    "{form.name}",' for form in forms]
    lines += [")", "", "OPERATION_NAMES: Final[tuple[str, ...]] = (", '    "NONE",']
    lines += [f'    "{name}",' for name in operations]
    return "\n".join([*lines, ")", ""])


def columns_text(forms: Sequence[Form]) -> str:
    """isa/generated/columns.py: one array for each column of the table."""
    operations = operation_numbers(forms)
    cpu = {name: number for number, name in enumerate(vocabulary.PROCESSORS)}
    columns: dict[str, list[int]] = {
        "OPERATION": [operations[form.operation] for form in forms],
        "OPSIZE": [form.data_bits for form in forms],
        "KIND": [kind for form in forms for kind in _padded(form.kinds)],
        "ACCESS": [access for form in forms for access in _padded(form.access)],
        "PRIVILEGE": [vocabulary.PRIVILEGES[form.privilege] for form in forms],
        "FLAGS_READ": [form.flags.get("r", 0) for form in forms],
        "FLAGS_WRITTEN": [form.flags.get("w", 0) for form in forms],
        "FLAGS_CLEARED": [form.flags.get("0", 0) for form in forms],
        "FLAGS_SET": [form.flags.get("1", 0) for form in forms],
        "FLAGS_UNDEFINED": [form.flags.get("u", 0) for form in forms],
        "CONDITION": [form.condition for form in forms],
        "LOCKABLE": [int(form.lockable) for form in forms],
        "REP": [vocabulary.REPEATS[form.repeat] for form in forms],
        "FLOW": [vocabulary.FLOWS[form.flow] for form in forms],
        "FAR": [int(form.far) for form in forms],
        "SENSITIVE": [vocabulary.SENSITIVITIES[form.sensitive] for form in forms],
        "EXIT": [vocabulary.EXIT_REASONS.get(form.exit, -1) for form in forms],
        "EXIT_ALWAYS": [int(form.exit_always) for form in forms],
        "PM_ONLY": [int(form.protected_only) for form in forms],
        "V86_IOPL": [int(form.v86_iopl) for form in forms],
        "PROCESSOR": [cpu[form.processor] for form in forms],
        "NEEDS": [form.needs.bit_length() - 1 for form in forms],
        "IMM": [code for form in forms for code in immediate_codes(form)],
        "HAS_MODRM": [modrm_code(form) for form in forms],
    }
    widths = {"KIND": OPERANDS, "ACCESS": OPERANDS, "IMM": IMMEDIATES}
    blocks = [f'"""The table\'s columns, indexed by form. {WARNING}"""\n\nimport numpy as np\n']
    for name, values in columns.items():
        shape = f".reshape(-1, {widths[name]})" if name in widths else ""
        blocks.append(_array(name, values, "np.int64", shape))
    return "\n".join(blocks)


def opcode_map_text(forms: tuple[Form, ...]) -> str:
    """isa/generated/opcode_maps.py: both levels of the opcode map."""
    built = opcode_map.build(forms)
    head = (
        f'"""Which bytes select which form (isa/opcode_map.py). {WARNING}"""\n\n'
        f"import numpy as np\n\nGROUP_COUNT = {built.group_count}\n"
    )
    opcodes = _array("OPCODE_MAP", built.opcodes, "np.int64", "")
    groups = _array("GROUP_MAP", built.groups, "np.int64", "")
    return "\n".join([head, opcodes, groups])


def _padded(values: tuple[int, ...]) -> tuple[int, ...]:
    return values + (0,) * (OPERANDS - len(values))


def _array(name: str, values: Sequence[int], dtype: str, shape: str) -> str:
    """A literal array, its numbers in lines of the project's width."""
    lines = [f"{name} = np.array(", "    ["]
    line = "        "
    for value in values:
        word = f"{value}, "
        if len(line) + len(word) > LINE_LENGTH + 1:
            lines.append(line.rstrip())
            line = "        "
        line += word
    return "\n".join([*lines, line.rstrip(), "    ],", f"    dtype={dtype},", f"){shape}", ""])


def generated_files() -> dict[Path, bytes]:
    """Every generated file with the bytes it should have."""
    forms = notation.load_table()
    generated = ROOT / "isa" / "generated"
    texts = {
        generated / "forms.py": forms_text(forms),
        generated / "columns.py": columns_text(forms),
        generated / "opcode_maps.py": opcode_map_text(forms),
        ROOT / "docs" / "instruction-reference.md": instruction_reference.text(forms),
    }
    return {path: text.encode() for path, text in texts.items()} | bios_image.files(ROOT)


def stale_files(files: dict[Path, bytes]) -> list[Path]:
    """Files that differ from what they are derived from."""
    return [
        path for path, content in files.items() if not path.exists() or path.read_bytes() != content
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the generated files, or with --check report the stale ones; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="report stale files, write nothing")
    options = parser.parse_args(arguments)
    try:
        files = generated_files()
    except TrapgateError as error:
        print(f"trapgate: error: {error}", file=sys.stderr)
        return 2
    stale = stale_files(files)
    for path in stale:
        name = path.relative_to(ROOT).as_posix()
        if options.check:
            print(f"trapgate: error: {name}: not current, run `python -m tools.generate`")
        else:
            path.write_bytes(files[path])
            print(f"wrote {name}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
