; Local labels, labels without colon, labels that look like other things.
bits 32
first:
.loop: jmp .loop
    jmp second.loop
.done jz .loop
second:
.loop:
    jmp .loop
    jmp first.done
constant equ 5
.after_equ: dd second.after_equ
$eax: dd $eax
.loop:
..@special: dd ..@special
    jmp .loop
    jmp second.loop
lab1 db 1
lab2: db 2
lab3 nop
_under: dd _under
a.b: dd a.b
question?mark: dd question?mark
at@sign#hash~tilde: dd at@sign#hash~tilde
rep movsb
repne scasb
lock xchg [eax], ebx
es lodsb
a16 lodsb
