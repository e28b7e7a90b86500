/* real_start.S — the program's side of real mode: from 16-bit protected mode to C.
 *
 * Lies at offset 0 of the segment that is all the program has. It comes from real_stub.S with paging
 * and interrupts off, in 16-bit segments of 64 KiB at REAL_SEGMENT * 16. */

    .intel_syntax noprefix
    .set STACK_TOP, 0xFFF0

    .section .start, "awx"
    .code16
    .globl _start
_start:
    jmp begin
    .globl rounds_asked
    .org 4
rounds_asked:                       /* real_stub.S puts it here */
    .long 0

begin:
    mov eax, cr0
    and al, 0xFE
    mov cr0, eax
    ljmp REAL_SEGMENT, real
real:
    mov ax, REAL_SEGMENT
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor ax, ax
    mov fs, ax
    mov gs, ax
    mov esp, STACK_TOP
    .code16gcc                      /* as in gcc's code: a return address of four bytes */
    call guest_main
    .code16
halted:
    cli
    hlt
    jmp halted

    .section .note.GNU-stack, "", @progbits
