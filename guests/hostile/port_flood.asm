; port_flood.asm — every port is read, and a range nobody listens to is written, at full speed.
;
; End: exit. What the reads bring is nobody's business; that the machine lives through them is.

    bits 32
%include "common.inc"

SILENT_FIRST    equ 0x9000
SILENT_LAST     equ 0x97FF
FLOOD_EXIT      equ 0x12

attack:
    xor edx, edx
.read:
    in al, dx
    inc edx
    cmp edx, 0x10000
    jb .read
    mov edx, SILENT_FIRST
.write:
    out dx, al
    out dx, ax
    out dx, eax
    inc edx
    cmp edx, SILENT_LAST
    jb .write
    mov edx, POST_PORT
    mov esi, IMAGE_BASE
    mov ecx, 2048
    rep outsb
    mov edi, STACK_TOP
    mov ecx, 2048
    rep insb
    mov esi, lived
    call print
    mov al, FLOOD_EXIT
    jmp leave

announcement:
    db "hostile: floods the ports", 10, 0
lived:
    db "hostile: lives", 10, 0
