; hashing.asm — counting words in an open hash table: byte loops, division, probing.

    bits 32
REPEATS     equ 60
RESULT      equ 0x2B3E418C
%include "common.inc"

KEYS        equ 8192                    ; looked up in a round
KEY_BYTES   equ 8
SLOTS       equ 2039                    ; a prime
KEY         equ DATA
TABLE       equ DATA + 0x1000           ; per slot: hash, count
FNV_BASIS   equ 0x811C9DC5
FNV_PRIME   equ 0x01000193

benchmark:
    push ebp
    push edi
    push esi
    push ebx
    mov edi, TABLE
    mov ecx, SLOTS * 2
    xor eax, eax
    rep stosd
    mov dword [KEY], "word"
    mov dword [KEY + 4], "    "
    mov esi, KEYS
    mov ebp, 11                         ; the random sequence
.key:
    imul ebp, ebp, LCG_FACTOR
    add ebp, LCG_STEP
    mov eax, ebp                        ; one of 1024 words: ten bits as three letters
    shr eax, 16
    mov edx, eax
    and edx, 15
    add edx, "a"
    mov [KEY + 4], dl
    mov edx, eax
    shr edx, 4
    and edx, 15
    add edx, "a"
    mov [KEY + 5], dl
    shr eax, 8
    and eax, 3
    add eax, "a"
    mov [KEY + 6], al
    push dword KEY_BYTES
    push dword KEY
    call hash
    add esp, 8
    mov ebx, eax
    call count
    sub esi, 1
    jne .key

    mov edx, TABLE                      ; the answer mixes all slots
    xor eax, eax
.slot:
    mov ecx, [edx + 4]
    imul ecx, [edx]
    add edx, 8
    add eax, ecx
    rol eax, 1
    cmp edx, TABLE + SLOTS * 8
    jne .slot
    pop ebx
    pop esi
    pop edi
    pop ebp
    ret

; hash(bytes, count): FNV-1a
hash:
    mov edx, [esp + 4]
    mov ecx, [esp + 8]
    push ebx
    add ecx, edx
    mov eax, FNV_BASIS
    align 8
.byte:
    movzx ebx, byte [edx]
    add edx, 1
    xor eax, ebx
    imul eax, eax, FNV_PRIME
    cmp edx, ecx
    jne .byte
    pop ebx
    ret

; Count the word with hash EBX: in the first slot from its own that is empty or holds it.
count:
    mov eax, ebx
    xor edx, edx
    mov ecx, SLOTS
    div ecx
.probe:
    mov eax, [TABLE + edx * 8]
    test eax, eax
    je .found
    cmp eax, ebx
    je .found
    add edx, 1
    cmp edx, SLOTS
    jne .probe
    xor edx, edx
    jmp .probe
.found:
    mov [TABLE + edx * 8], ebx
    add dword [TABLE + edx * 8 + 4], 1
    ret
