# Stubs of exceptions and interrupts, the way to ring 3, and the program that runs there.

    .text
    .macro stub number, has_error=0
    .globl vector\number
vector\number:
    .if \has_error == 0
    pushl $0
    .endif
    pushl $\number
    jmp all_traps
    .endm

    stub 13, 1
    stub 14, 1
    stub 32
    stub 33
    stub 46
    stub 64

all_traps:
    pushl %ds
    pushl %es
    pushal
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    cld
    pushl %esp
    call trap
    addl $4, %esp
    popal
    popl %es
    popl %ds
    addl $8, %esp
    iret

    .globl enter_user                # enter_user(eip, esp)
enter_user:
    movl 4(%esp), %eax
    movl 8(%esp), %edx
    movw $0x23, %cx
    movw %cx, %ds
    movw %cx, %es
    pushl $0x23
    pushl %edx
    pushl $0x202
    pushl $0x1B
    pushl %eax
    iret

    .globl user_program, user_program_end
user_program:                        # copied to another address: no absolute ones
    call 1f
1:  popl %ebx
    addl $(user_text - 1b), %ebx
    movl $1, %eax                    # print(text)
    int $64
    xorl %ecx, %ecx
    movl $1000, %edx
2:  addl %edx, %ecx
    decl %edx
    jnz 2b
    movl $2, %eax                    # report(sum)
    movl %ecx, %ebx
    int $64
    movl %cs, %eax
    movl $3, %eax                    # exit
    int $64
user_text:
    .asciz "user: in ring 3\n"
user_program_end:
