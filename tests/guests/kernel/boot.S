# The boot sector: real mode to protected mode, then C.

    .code16
    .globl start
start:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
1:  inb $0x64, %al                  # open address line 20 by the keyboard controller
    testb $2, %al
    jnz 1b
    movb $0xD1, %al
    outb %al, $0x64
2:  inb $0x64, %al
    testb $2, %al
    jnz 2b
    movb $0xDF, %al
    outb %al, $0x60
    lgdt gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmp $8, $protected

    .code32
protected:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorw %ax, %ax
    movw %ax, %fs
    movw %ax, %gs
    movl $start, %esp
    call bootmain
    movb $0x11, %al
    outb %al, $0xF4
3:  jmp 3b

    .p2align 2
gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF
    .quad 0x00CF92000000FFFF
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt
