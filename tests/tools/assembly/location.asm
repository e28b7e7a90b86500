; Preprocessor conditions that ask for addresses.
bits 16
org 0x7C00
start:
    jmp later
    times 100 db 0
later:
%if $ - $$ > 50
    db 1
%else
    db 2
%endif
%assign size $ - start
    dw size
%assign pad 16 - size % 16
    times pad db 0xEE
%if later - start < 1000
    jmp start
%endif
%rep 3
    times 8 - ($ - $$) % 8 db 0x90
    db 7
%endrep
KNOWN equ 5
%if KNOWN == 5
    db 5
%endif
    times 510 - ($ - $$) db 0
    dw 0xAA55
