; bytecode.asm — an interpreter of a small register machine: indirect jumps through a table.

    bits 32
REPEATS     equ 35
RESULT      equ 0x0AFBDDD4
%include "common.inc"

REGISTERS   equ DATA                    ; sixteen words
ITERATIONS  equ 16384

; One instruction is four bytes: operation, register, and a 16-bit operand.
OP_LOAD     equ 0                       ; register = operand
OP_ADD      equ 1                       ; register += register[operand], and so on
OP_SUB      equ 2
OP_XOR      equ 3
OP_AND      equ 4
OP_MUL      equ 5
OP_MOVE     equ 6
OP_SHIFT    equ 7                       ; register >>= operand
OP_LOOP     equ 8                       ; --register, and to the operand unless it is zero
OP_ZERO     equ 9                       ; to the operand if register is zero
OP_RETURN   equ 10                      ; answer register

; Use:  op NAME, REGISTER, OPERAND
%macro op 3
    db %1, %2
    dw %3
%endmacro

benchmark:
    push ebx
    mov eax, program
    align 8
.dispatch:
    movzx ebx, byte [eax]
    movzx edx, byte [eax + 1]
    movzx ecx, word [eax + 2]
    add eax, 4
    cmp ebx, OP_RETURN
    ja .dispatch                        ; unknown: skip
    jmp [.operations + ebx * 4]
.load:
    mov [REGISTERS + edx * 4], ecx
    jmp .dispatch
.add:
    and ecx, 15
    mov ecx, [REGISTERS + ecx * 4]
    add [REGISTERS + edx * 4], ecx
    jmp .dispatch
.sub:
    mov ebx, ecx
    mov ecx, [REGISTERS + edx * 4]
    and ebx, 15
    sub ecx, [REGISTERS + ebx * 4]
    mov [REGISTERS + edx * 4], ecx
    jmp .dispatch
.xor:
    and ecx, 15
    mov ecx, [REGISTERS + ecx * 4]
    xor [REGISTERS + edx * 4], ecx
    jmp .dispatch
.and:
    and ecx, 15
    mov ecx, [REGISTERS + ecx * 4]
    and [REGISTERS + edx * 4], ecx
    jmp .dispatch
.mul:
    and ecx, 15
    mov ecx, [REGISTERS + ecx * 4]
    imul ecx, [REGISTERS + edx * 4]
    mov [REGISTERS + edx * 4], ecx
    jmp .dispatch
.move:
    and ecx, 15
    mov ecx, [REGISTERS + ecx * 4]
    mov [REGISTERS + edx * 4], ecx
    jmp .dispatch
.shift:
    shr dword [REGISTERS + edx * 4], cl
    jmp .dispatch
.loop:
    sub dword [REGISTERS + edx * 4], 1
    je .dispatch
    lea eax, [program + ecx * 4]
    jmp .dispatch
.zero:
    mov edx, [REGISTERS + edx * 4]
    test edx, edx
    jne .dispatch
    lea eax, [program + ecx * 4]
    jmp .dispatch
.return:
    mov eax, [REGISTERS + edx * 4]
    pop ebx
    ret

    align 4
.operations:
    dd .load, .add, .sub, .xor, .and, .mul, .move, .shift, .loop, .zero, .return

; A random sequence, folded: the low bit of each number decides whether it is added.
program:
    op OP_LOAD, 0, ITERATIONS
    op OP_LOAD, 1, 12345
    op OP_LOAD, 2, 0
    op OP_LOAD, 3, 25173
    op OP_LOAD, 4, 13849
program_loop:
    op OP_MUL, 1, 3
    op OP_ADD, 1, 4
    op OP_MOVE, 5, 1
    op OP_SHIFT, 5, 16
    op OP_XOR, 2, 5
    op OP_LOAD, 6, 1
    op OP_AND, 6, 5
    op OP_ZERO, 6, (program_skip - program) / 4
    op OP_ADD, 2, 1
    op OP_SUB, 2, 0
program_skip:
    op OP_LOOP, 0, (program_loop - program) / 4
    op OP_RETURN, 2, 0
