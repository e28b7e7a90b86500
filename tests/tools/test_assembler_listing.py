"""The listing: nasm's columns, final addresses, macros filled in."""

from __future__ import annotations

from tools.assembler import assemble_file, assemble_text

SOURCE = """\
; a comment
%macro pair 2
    db %1, %2
%endmacro
    org 0x7c00
    bits 16
start:
    mov ax, start
    pair 1, 'é'
    times 3 nop
    db 'a long line of text'
%if 0
    hlt
%endif
section .bss
room: resb 16
"""

LISTING = """\
     1                                  ; a comment
     2                                  %macro pair 2
     3                                      db %1, %2
     4                                  %endmacro
     5                                      org 0x7c00
     6                                      bits 16
     7                                  start:
     8 00007C00 B8007C                      mov ax, start
     9                                      pair 1, 'é'
     3 00007C03 01C3A9              <1> db 1, 'é'
    10 00007C06 90<rep 3h>                  times 3 nop
    11 00007C09 61206C6F6E67206C69-         db 'a long line of text'
    11 00007C12 6E65206F6620746578-
    11 00007C1B 74
    12                                  %if 0
    13                                      hlt
    14                                  %endif
    15                                  section .bss
    16 00007C1C <res 10h>               room: resb 16
"""


def test_the_listing_has_nasms_columns():
    assert assemble_text(SOURCE).listing() == LISTING


def test_included_lines_are_marked(tmp_path):
    (tmp_path / "part.inc").write_text("nop\n")
    source = tmp_path / "main.asm"
    source.write_text("%include 'part.inc'\nhlt\n")
    assert assemble_file(source).listing() == (
        "     1                                  %include 'part.inc'\n"
        "     1 00000000 90                  <1> nop\n"
        "     2 00000001 F4                      hlt\n"
    )


def test_much_content_is_only_counted(tmp_path):
    (tmp_path / "large.bin").write_bytes(bytes(100_000))
    source = tmp_path / "main.asm"
    source.write_text("incbin 'large.bin'\ntimes 1000000 db 0\n")
    listing = assemble_file(source).listing()
    assert "00000000 <bin 186A0h>" in listing
    assert "000186A0 00<rep F4240h>" in listing
    assert len(listing.splitlines()) == 2


def test_every_line_read_is_listed_in_order():
    text = "%rep 2\n nop\n%endrep\n%define X 1\n db X\n"
    numbers = [int(line[:6]) for line in assemble_text(text).listing().splitlines()]
    assert numbers == [1, 2, 3, 2, 2, 4, 5]
