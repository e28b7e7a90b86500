# Where a multiboot loader, or our boot sector, comes in: 4 MiB pages on, and up to 80000000h.

    .set KERNEL_BASE, 0x80000000

    .section .multiboot, "ax"
    .p2align 2
    .long 0x1BADB002, 3, -(0x1BADB002 + 3)

    .text
    .globl _start
    .set _start, entry - KERNEL_BASE

    .globl entry
entry:
    movl %eax, %esi                 # what the loader hands over
    movl %cr4, %eax
    orl $0x10, %eax                 # PSE
    movl %eax, %cr4
    movl $(entry_directory - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax           # PG, WP
    movl %eax, %cr0
    movl $stack_top, %esp
    movl $upper, %eax
    jmp *%eax
upper:
    pushl %ebx
    pushl %esi
    call kernel_main
1:  hlt
    jmp 1b


    .data
    .p2align 12
    .globl entry_directory
entry_directory:
    .long 0x00000083                # 0 to 4 MiB, where we still are
    .fill 511, 4, 0
    .long 0x00000083                # the same at KERNEL_BASE
    .fill 511, 4, 0

    .bss
    .p2align 4
    .skip 8192
stack_top:
