/* real_stub.S — from the boot loader's 32-bit mode to where a real-mode program can begin.
 *
 * Copies the program, which is linked to run at offset 0 of a segment, below 1 MiB, clears the rest
 * of its segment, and goes there in 16-bit protected mode; the program leaves that mode itself. The
 * header is that of start.S. */

    .intel_syntax noprefix
    .set MULTIBOOT_MAGIC, 0x1BADB002
    .set MULTIBOOT_ADDRESSES, 0x00010000
    .set REAL_BASE, REAL_SEGMENT * 16
    .set ROUNDS_ASKED, REAL_BASE + 4

    .section .start, "awx"
    .code32
    .globl _start
_start:
    jmp begin
    .balign 4
header:
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_ADDRESSES
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_ADDRESSES)
    .long header
    .long _start
    .long data_end
    .long image_end
    .long _start

    .globl repeats
    .org 0x28
repeats:
    .long REPEATS

begin:
    cli
    cld
    lea esi, program
    mov edi, REAL_BASE
    mov ecx, OFFSET program_end
    sub ecx, esi
    rep movsb
    mov ecx, REAL_BASE + 0x10000
    sub ecx, edi
    xor eax, eax
    rep stosb
    mov eax, repeats
    mov ds:[ROUNDS_ASKED], eax
    lgdt gdt_pointer
    lidt real_idt_pointer
    mov eax, 0x10
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    ljmp 0x08, 0

    .balign 8
gdt:
    .quad 0
    .long REAL_BASE << 16 | 0xFFFF, 0x00009B00 | REAL_BASE >> 16
    .long REAL_BASE << 16 | 0xFFFF, 0x00009300 | REAL_BASE >> 16
gdt_pointer:
    .word 23
    .long gdt
real_idt_pointer:
    .word 0x3FF
    .long 0

    .balign 16
program:
    .incbin PROGRAM
program_end:

    .section .note.GNU-stack, "", @progbits
