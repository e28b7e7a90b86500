; crc32.asm — CRC-32 (IEEE 802.3) of 64 KiB by table: byte loads, one dependent chain.

    bits 32
REPEATS     equ 100
RESULT      equ 0x24BAA889
%include "common.inc"

POLYNOMIAL  equ 0xEDB88320
BUFFER      equ DATA
BYTES       equ 65536
TABLE       equ DATA + BYTES

benchmark:
    call fill
    call make_table
    push dword BYTES
    push dword BUFFER
    push dword 0
    call crc
    add esp, 12
    ret

fill:
    mov edx, BUFFER
    mov eax, 1
    align 8
.word:
    imul eax, eax, LCG_FACTOR
    add edx, 4
    add eax, LCG_STEP
    mov [edx - 4], eax
    cmp edx, BUFFER + BYTES
    jne .word
    ret

make_table:
    xor ecx, ecx
.entry:
    mov eax, ecx
    mov edx, 8
.bit:
    shr eax, 1
    jnc .even
    xor eax, POLYNOMIAL
.even:
    sub edx, 1
    jne .bit
    mov [TABLE + ecx * 4], eax
    add ecx, 1
    cmp ecx, 256
    jne .entry
    ret

; crc(seed, bytes, count)
crc:
    push ebx
    mov ebx, [esp + 16]
    mov edx, [esp + 12]
    mov eax, [esp + 8]
    not eax
    add ebx, edx
    align 8
.byte:
    movzx ecx, byte [edx]
    add edx, 1
    xor ecx, eax
    shr eax, 8
    movzx ecx, cl
    xor eax, [TABLE + ecx * 4]
    cmp edx, ebx
    jne .byte
    not eax
    pop ebx
    ret
