"""What the assembler refuses, and in which words: file, line, operand, rule."""

from __future__ import annotations

import pytest

from isa.errors import TrapgateError
from tools.assembler import AssemblyError, assemble_file, assemble_text


def messages(text: str, **arguments: object) -> list[str]:
    """The lines of the error, without the position they have in common."""
    with pytest.raises(AssemblyError) as caught:
        assemble_text(text, **arguments)  # type: ignore[arg-type]
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        # operands
        ("mvo eax, 5", "unknown instruction 'mvo'"),
        ("mov eax", "mov takes 2 operands, not 1"),
        ("mov eax, bx", "mov: operand sizes do not agree: eax, bx"),
        ("mov eax, byte 5", "mov: operand sizes do not agree: eax, byte number"),
        ("mov 5, eax", "mov does not take number, eax"),
        ("mov [ebx], 5", "memory operand is not known: write one of byte, word, dword"),
        ("inc [ebx]", "the size of the memory operand is not known"),
        ("mov al, 300", "mov: operand 0x12c does not fit in 8 bits"),
        ("add eax, byte 200", "add: 0xc8 does not fit in a sign-extended byte (-128 to 127)"),
        ("push byte 128", "push: 0x80 does not fit in a sign-extended byte"),
        ("db 256", "db: 0x100 does not fit in 8 bits"),
        ("dw x\nx equ 0x12345", "0x12345 does not fit in 16 bits"),
        ("mov cs, ax", "mov: operand 1: cs cannot be loaded by MOV"),
        ("mov eax, cr1", "there is no cr1"),
        ("o16 mov eax, ebx", "MOV r/m32, r32 has no 16-bit operand size"),
        ("mov word eax, 5", "eax is not a word register"),
        ("mov byte word [ebx], 5", "an operand cannot be byte and word"),
        ("es mov eax, [ds:ebx]", "two different segment overrides"),
        ("loop x, eax", "loop counts in cx or ecx"),
        ("lock mov", "mov takes 2 operands, not 0"),
        ("rep db 5", "a prefix cannot stand before 'db'"),
        # addresses
        ("mov eax, [ebx+cx]", "an address cannot mix 16-bit and 32-bit registers"),
        ("mov eax, [al]", "register al cannot be used in an address"),
        ("mov eax, [eax+ebx+ecx]", "an address has at most two registers"),
        ("mov eax, [eax*2+ebx*2]", "an address can multiply one register only"),
        ("mov eax, [eax*6]", "a register can be multiplied by 1, 2, 4 or 8, not by 6"),
        ("mov eax, [esp*2]", "esp cannot be an index register"),
        ("mov ax, [bx+bp]", "[bx+bp] is not an address: bx or bp, si or di, or one of each"),
        ("mov ax, [ax]", "[ax] is not an address"),
        ("mov ax, [bx*2]", "a 16-bit address cannot multiply a register"),
        ("mov eax, [word ebx+5]", "a 16-bit displacement beside a 32-bit register"),
        ("mov eax, [byte ebx+x]\nx equ 200", "displacement 0xc8 does not fit in a byte"),
        ("mov eax, [ebx:5]", "only a segment register can stand before ':' in an address"),
        ("a16 mov eax, [ebx]", "16-bit and 32-bit addressing are mixed"),
        ("mov eax, [ebx", "expected ']' at the end of the line"),
        # branches
        ("jmp short x\ntimes 200 nop\nx:", "the target is 200 bytes away, out of reach of a short"),
        ("loop x\ntimes 200 nop\nx:", "loop: the target is 200 bytes away"),
        # expressions
        ("dd 1 +", "an expression is missing at the end of the line"),
        ("dd (1", "expected ')' at the end of the line"),
        ("dd 1 2", "unexpected '2'"),
        ("dd 5 / 0", "division by zero"),
        ("dd eax", "register eax cannot be used in this expression"),
        ("x: dd x & 1", "'&' needs plain numbers: an address in .text is not one"),
        ("x: dd x * 2", "an address can be used only plus or minus a number"),
        ("x: dd -x", "-1*an address in .text is not one address and a number"),
        ("x: dd x + x", "an address can be used only plus or minus a number"),
        ("dd nowhere", "symbol 'nowhere' is not defined"),
        ("dd 0x", "'0x' is not a number"),
        ("dd 12abc", "'12abc' is not a number"),
        ("dd 1.5", "floating-point constant '1.5' is not supported"),
        ("db 'abc", "string 'abc has no closing quote"),
        ("dd seg x", "'seg' is not supported: there are no relocations"),
        ("a equ b\nb equ a\ndd a", "the value depends on itself"),
        ("a equ a\ndd a", "the value depends on itself"),
        ("dd %1", "'%1' has a meaning in macros only"),
        # lines and directives
        ("!", "expected a label or an instruction: unexpected '!'"),
        ("x:\nx:", "symbol 'x' is already defined at <text>:1"),
        ("x equ 1\nx equ 2", "symbol 'x' is already defined at <text>:1"),
        ("eax: nop", "register eax cannot be a label"),
        ("equ 5", "equ needs a name in front of it"),
        ("db", "db: a value is missing at the end of the line"),
        ("db 1,", "db: a value is missing at the end of the line"),
        ("dt 1", "'dt' is not supported"),
        ("bits 64", "bits takes 16 or 32"),
        ("org -1", "org -0x1 is outside of the 4 GiB address space"),
        ("org x\nx equ 5", "org has to be known at this point, but uses a later symbol"),
        ("org 1\norg 2", "the origin is set twice"),
        ("align 3", "alignment 3 is not a power of two"),
        ("times -1 nop", "times -1: the count is negative"),
        ("times x nop\nx equ 5", "the count of times has to be known at this point"),
        ("times 2", "times needs something to repeat"),
        ("times 2 times 2 nop", "times cannot repeat times"),
        ("x: times x nop", "the count of times has to be a plain number, not an address"),
        ("resb -5", "cannot reserve -5 units"),
        ("extern foo", "extern foo: a source stands alone here, there is no linker"),
        ("section", "section needs a name"),
        ("section .x foo", "section: unknown attribute 'foo'"),
        ("section .x align=5", "alignment 5 is not a power of two"),
        ("section .x align", "section: expected '=' and a value behind 'align'"),
        ("section .bss\ndb 1", "section .bss cannot have content, only reservations"),
        ("absolute 5\ndb 1", "an absolute section cannot have content, only reservations"),
        ("endstruc", "endstruc without struc"),
        ("istruc nothing\niend", "the count of times has to be known at this point"),
        ("at x", "at without istruc"),
        ("incbin 5", "incbin needs a file name in quotes"),
        ("incbin 'nowhere.bin'", "no file 'nowhere.bin' next to the source or in"),
        ("[bits 32", "expected a directive in brackets"),
        ("[nonsense 5]", "unknown directive 'nonsense'"),
        # preprocessor
        ("%nonsense", "unknown preprocessor directive '%nonsense'"),
        ("%include 'nowhere.inc'", "no file 'nowhere.inc' next to the source"),
        ("%include nowhere", "%include needs a file name in quotes"),
        ("%if 1", "%if without %endif"),
        ("%endif", "%endif without %if"),
        ("%if 1\n%else\n%else\n%endif", "%else after %else"),
        ("%if x\n%endif\nx:", "symbol 'x' is not defined above this line"),
        ("%if $\n%endif", "the expression has to be a plain number, not an address"),
        ("%macro", "%macro without %endmacro"),
        ("%macro x 0", "%macro without %endmacro"),
        ("%macro x\n%endmacro", "macro 'x' needs a number of parameters"),
        ("%macro x 2-1\n%endmacro", "macro 'x': impossible number of parameters"),
        ("%macro x 1\n%endmacro\nx", "macro 'x' takes 1 parameters, not 0"),
        ("%rep 5", "%rep without %endrep"),
        ("%rep 1000000\n%endrep", "%rep 1000000 is more than 100000 times"),
        ("%exitrep", "%exitrep outside of %rep"),
        ("%rotate 1", "%rotate outside of a macro"),
        ("%pop", "%pop without %push"),
        ("%push a\n%pop b", "%pop b: the innermost context is 'a'"),
        ("dd %$x", "'%$x' is outside of any %push context"),
        ("%define", "%define needs a name"),
        ("%define f(x) x\ndd f(1, 2)", "'f' takes 1 parameters, not 2"),
        ("%define f(x) x\ndd f(1", "'(' without ')'"),
        ("%assign x y", "symbol 'y' is not defined above this line"),
        ("%error stop here", "stop here"),
        ("%fatal 'stop' here", "'stop' here"),
        ("%strlen x 5", "%strlen needs strings"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(line, message):
    found = messages(line, bits=32)
    assert any(message in text for text in found), found
    assert all(text.startswith("<text>") for text in found)


def test_the_line_is_named():
    (found,) = messages("nop\n\n  mov al, 300 ; too large\n")
    assert found == "<text>:3: error: mov: operand 0x12c does not fit in 8 bits"


def test_several_mistakes_are_collected_in_one_run():
    found = messages("mvo eax\nmov eax, bx\nnop\ndd nowhere\n")
    assert [text.split(": ")[0] for text in found] == ["<text>:1", "<text>:2", "<text>:4"]


def test_twenty_mistakes_are_enough():
    assert len(messages("nonsense here\n" * 50)) == 20


def test_a_mistake_is_reported_once_although_there_are_many_passes():
    text = "a: jmp b\ndd nowhere\ntimes 200 nop\nb: jmp a\n"
    assert messages(text) == ["<text>:2: error: symbol 'nowhere' is not defined"]


def test_the_way_through_macros_is_shown():
    text = "%macro inner 1\n mov al, %1\n%endmacro\n%macro outer 0\n inner 300\n%endmacro\n outer\n"
    (found,) = messages(text)
    assert found == (
        "<text>:2: error: mov: operand 0x12c does not fit in 8 bits"
        " [in macro 'inner' expanded at <text>:5, in macro 'outer' expanded at <text>:7]"
    )


def test_the_way_through_included_files_is_shown(tmp_path):
    (tmp_path / "part.inc").write_text("nop\nbad line here\n")
    source = tmp_path / "main.asm"
    source.write_text("nop\n%include 'part.inc'\n")
    with pytest.raises(AssemblyError) as caught:
        assemble_file(source)
    part = tmp_path / "part.inc"
    assert str(caught.value) == (
        f"{part}:2: error: unknown instruction 'bad' [included at {source}:2]"
    )
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.position.line == 2
    assert diagnostic.severity == "error"


def test_skipped_lines_may_be_anything():
    text = "%if 0\nmvo 'eax\n%nonsense 0x!\n%elif 1\ndb 1\n%else\n`\n%endif\n"
    assert assemble_text(text).bytes == b"\x01"


def test_a_source_that_cannot_be_read_is_one_line(tmp_path):
    for path, reason in ((tmp_path / "none.asm", "No such file"), (tmp_path, "is not a file")):
        with pytest.raises(TrapgateError, match=reason) as caught:
            assemble_file(path)
        assert "\n" not in str(caught.value)


def test_an_error_directive_in_a_branch_that_depends_on_sizes_counts_in_the_end():
    guard = "%if $ - $$ > {}\n%error too large\n%endif\n"
    body = "start: jmp end\ntimes 100 nop\nend:\n"
    assert len(assemble_text(body + guard.format(102)).bytes) == 102
    assert messages(body + guard.format(101)) == ["<text>:5: error: too large"]


def test_sizes_that_never_settle_are_refused():
    with pytest.raises(TrapgateError, match="sizes do not settle in 1000 passes: symbol 'b' moves"):
        assemble_text("a: resb 10 - (b - a)\nb:\n")
