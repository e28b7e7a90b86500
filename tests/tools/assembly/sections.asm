; Several sections in a flat image.
org 0x100
bits 16
section .data
message: db 'hello', 0
pointer: dw message, buffer, start, table
section .text
start:
    mov si, message
    mov di, buffer
    mov bx, table
    jmp other_code
    ret
section .bss
buffer: resb 64
section .rodata align=16
table: dw start, message
    align 32
    db 1
section .late follows=.text
other_code:
    call start
    jz start
    dd $ - $$, $$
section .text
    nop
    dw section..data.start, section..late.start
section .moved vstart=0x9000
moved: dw moved, $, $$
section .fixed start=0x300
    dw $, moved
section .bss
more: resw 1
section .text
    mov ax, [more]
