"""Names of instructions in NASM's language, and the forms that each name stands for.

The table has one name for each form. An assembler knows more: other spellings of the conditions,
old synonyms, and names that tell the operand size or leave it to the code.

Source: NASM manual, appendix "Instruction List".
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

from isa import vocabulary
from isa.notation import Form, load_table

CONDITIONAL_STEMS: Final = ("J", "SET", "CMOV")

ALIASES: Final = {
    "SAL": "SHL",
    "LOOPZ": "LOOPE",
    "LOOPNZ": "LOOPNE",
    "XLAT": "XLATB",
    "FWAIT": "WAIT",
    "RETN": "RET",
    "ICEBP": "INT1",
    "INT01": "INT1",
    "INT03": "INT3",
    "UD2A": "UD2",
}

# Mnemonics that name the operand size, or leave it to the code: NASM's `pushf` is the code's own
# size, `pushfw` and `pushfd` say which. The table may have one name or two.
SIZED: Final = {
    f"{stem}{suffix}": (stem, long, bits)
    for stem, long in (
        ("PUSHA", "PUSHAD"),
        ("POPA", "POPAD"),
        ("PUSHF", "PUSHFD"),
        ("POPF", "POPFD"),
        ("IRET", "IRETD"),
        ("RET", "RET"),
        ("RETF", "RETF"),
    )
    for suffix, bits in (("", 0), ("W", 16), ("D", 32))
}


@cache
def forms_by_mnemonic() -> Mapping[str, tuple[Form, ...]]:
    """The encodable forms of every mnemonic and alias, in upper case."""
    found: dict[str, list[Form]] = {}
    for form in load_table():
        if not form.decode_only:
            found.setdefault(form.mnemonic, []).append(form)
    for alias, condition in vocabulary.CONDITION_ALIASES.items():
        for stem in CONDITIONAL_STEMS:
            found[stem + alias] = found[stem + condition]
    for alias, mnemonic in ALIASES.items():
        found[alias] = found[mnemonic]
    sized = {
        name: [
            form
            for mnemonic in dict.fromkeys((short, long))
            for form in found[mnemonic]
            if bits in (0, form.encoding.operand_size)
        ]
        for name, (short, long, bits) in SIZED.items()
    }
    return {name: tuple(forms) for name, forms in (found | sized).items()}
