/* start.S — from the boot loader to C, in 32-bit protected mode.
 *
 * A multiboot-1 header with load addresses, so that the program starts as an ELF file and as the flat
 * bytes of its one segment. The word `repeats` lies 28h bytes into the segment, as in the assembled
 * loops; it may be changed there. Nothing of what the loader left in the registers is relied on
 * except the flat segments. */

    .intel_syntax noprefix
    .set MULTIBOOT_MAGIC, 0x1BADB002
    .set MULTIBOOT_ADDRESSES, 0x00010000

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
    .long data_end                  /* load end */
    .long image_end                 /* end of the zeroed memory behind it */
    .long _start

    .globl repeats, rounds_asked
    .org 0x28
repeats:
rounds_asked:
    .long REPEATS

begin:
    cli
    cld
    lea esp, stack_top
    xor ebp, ebp
    call guest_main
halted:                             /* a machine without the exit port comes here */
    cli
    hlt
    jmp halted

    .bss
    .balign 16
    .skip 65536
stack_top:

    .section .note.GNU-stack, "", @progbits
