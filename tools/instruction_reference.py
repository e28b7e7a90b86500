"""The instruction reference for people, written from the table: docs/instruction-reference.md.

One entry per form, grouped by operation. It says what the table says and nothing else.
"""

from collections.abc import Iterable, Sequence

from isa import vocabulary
from isa.notation import Form

FLAG_NAMES = {
    "c": "CF",
    "p": "PF",
    "a": "AF",
    "z": "ZF",
    "s": "SF",
    "t": "TF",
    "i": "IF",
    "d": "DF",
    "o": "OF",
    "l": "IOPL",
    "n": "NT",
    "y": "RF",
    "v": "VM",
    "x": "AC",
    "q": "VIF",
    "k": "VIP",
    "j": "ID",
}
FLAG_CLASSES = {"r": "reads", "w": "writes", "0": "clears", "1": "sets", "u": "leaves undefined"}
PRIVILEGE_RULES = {
    "": "any",
    "cpl0": "CPL 0",
    "iopl": "CPL ≤ IOPL",
    "iomap": "CPL ≤ IOPL, or the port is open in the TSS's bitmap",
    "tsd": "CPL 0, or CR4.TSD clear",
    "pce": "CPL 0, or CR4.PCE set",
    "umip": "CPL 0, or CR4.UMIP clear",
}
ACCESS_WORDS = {0: "-", 1: "r", 2: "w", 3: "rw"}


def text(forms: Sequence[Form]) -> str:
    """The whole document."""
    lines = [
        "# Instruction reference",
        "",
        "Generated from `isa/table.txt` by `python -m tools.generate`; not to be edited.",
        f"{len(forms)} forms. The notation is explained at the head of the table.",
        "",
        *_classification(forms),
    ]
    operations: dict[str, list[Form]] = {}
    for form in forms:
        operations.setdefault(form.operation, []).append(form)
    lines += ["## Forms by operation", ""]
    for operation in sorted(operations):
        lines += _operation(operation, operations[operation])
    return "\n".join(lines).rstrip() + "\n"


def _classification(forms: Sequence[Form]) -> list[str]:
    """Popek and Goldberg's classes, computed from the columns."""
    sensitive = [form for form in forms if form.sensitive]
    privileged = [form for form in sensitive if form.privilege in ("cpl0", "iopl", "iomap")]
    conditional = [form for form in sensitive if form.privilege in ("tsd", "pce", "umip")]
    critical = [form for form in sensitive if not form.privilege]
    return [
        "## Sensitive instructions",
        "",
        "- Privileged, they fault where they may not run (I/O counts, as monitors keep IOPL 0): "
        + _mnemonics(privileged),
        "- Privileged when a bit of CR4 says so: " + _mnemonics(conditional),
        "- Critical, sensitive without ever faulting for privilege: " + _mnemonics(critical),
        "",
    ]


def _mnemonics(forms: Iterable[Form]) -> str:
    return ", ".join(sorted({form.operation for form in forms})) + "."


def _operation(operation: str, forms: list[Form]) -> list[str]:
    head = "| form | encoding | access | bits | since | facts |"
    lines = [f"### {operation}", "", head, "|---|---|---|---|---|---|"]
    for form in forms:
        access = " ".join(ACCESS_WORDS[value] for value in form.access)
        bits = str(form.data_bits or "")
        cells = [f"`{form.syntax}`", f"`{encoding_text(form)}`", access, bits, form.processor]
        lines.append("| " + " | ".join([*cells, "; ".join(_facts(form))]) + " |")
    return [*lines, "", *_shared(forms), ""]


def _shared(forms: list[Form]) -> list[str]:
    """Flags, privilege and implicit operands: one line for each distinct rule."""
    lines: dict[str, list[str]] = {}
    for form in forms:
        rules = [f"flags: {flags_text(form.flags) or 'none'}"]
        if form.privilege:
            rules.append(f"privilege: {PRIVILEGE_RULES[form.privilege]}")
        if form.sensitive:
            rules.append(f"sensitive: {form.sensitive.replace(' ', ' and ')}")
        lines.setdefault("; ".join(rules), []).append(form.mnemonic)
    if len(lines) == 1:
        return [f"- {rule}" for rule in lines]
    return [f"- {', '.join(dict.fromkeys(names))}: {rule}" for rule, names in lines.items()]


def encoding_text(form: Form) -> str:
    """The encoding column again, from the record."""
    encoding = form.encoding
    words = [f"{encoding.mandatory:02X}"] if encoding.mandatory else []
    words += [f"o{encoding.operand_size}"] if encoding.operand_size else []
    words += [f"a{encoding.address_size}"] if encoding.address_size else []
    words += ["0F"] if encoding.two_byte else []
    words.append(f"{encoding.opcode:02X}" + ("+r" if encoding.register_in_opcode else ""))
    if encoding.fixed_modrm is not None:
        words.append(f"{encoding.fixed_modrm:02X}")
    elif encoding.digits is not None:
        first, last = encoding.digits.start, encoding.digits.stop - 1
        words.append(f"/{first}" if first == last else f"/{first}-{last}")
    elif encoding.has_modrm:
        words.append("/r")
    return " ".join([*words, *encoding.immediates])


def flags_text(flags: dict[str, int]) -> str:
    """Which flags are read, set, cleared and left undefined, in words."""
    parts = []
    for kind, word in FLAG_CLASSES.items():
        mask = flags.get(kind, 0)
        names = [
            FLAG_NAMES[letter] for letter, bit in vocabulary.FLAG_BITS.items() if mask & bit == bit
        ]
        if names:
            parts.append(f"{word} {' '.join(names)}")
    return ", ".join(parts)


def _facts(form: Form) -> list[str]:
    facts = []
    if form.lockable:
        facts.append("LOCK")
    if form.repeat:
        facts.append("REP" if form.repeat == "rep" else "REPE/REPNE")
    if form.flow:
        facts.append(("far " if form.far else "") + form.flow)
    if form.implicit:
        touched = ", ".join(f"{name}:{ACCESS_WORDS[access]}" for name, access in form.implicit)
        facts.append(f"also {touched}")
    if form.faults:
        facts.append("faults " + " ".join(f"#{name}" for name in form.faults))
    if form.exit:
        facts.append(f"VM exit {form.exit}" + (" always" if form.exit_always else ""))
    if form.feature:
        facts.append(f"needs {form.feature}")
    if form.protected_only:
        facts.append("#UD outside protected mode")
    if form.v86_iopl:
        facts.append("IOPL-sensitive in virtual-8086 mode")
    if form.decode_only:
        facts.append("decoded, never encoded")
    return facts
