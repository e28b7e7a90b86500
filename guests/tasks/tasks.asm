; tasks.asm — a kernel that lets the processor switch its tasks, in every way there is.
;
; Nine task-state segments. The main task calls one that runs in ring 3 on an LDT of its own and one in
; the 80286's format, sets two others to jump to each other, waits for a timer whose handler is a task, starts a virtual-8086 task
; and waits for its end, which is a general-protection fault handled by a task. Then it lets its stack
; overflow into a page that is not there: the page fault cannot be delivered, and a task with page
; tables of its own gets the double fault, repairs the main task's stack pointer and returns to it.
;
; Each task's comment says how it is entered and left. SDM volume 3A, "Task Management".
;
; Ring compression refuses this guest: no monitor of that kind switches tasks for its guests. Bochs 2.7
; runs it, with the text sent to port E9h; QEMU 7.2 does not get the 80286's format right.

    bits 32
%include "../include/multiboot.inc"
%include "../include/ports.inc"

CODE            equ 0x08
DATA            equ 0x10
LDT             equ 0x18
USER_CODE       equ 0x04 + 3            ; in the LDT
USER_DATA       equ 0x0C + 3

; Tasks by number, and their selectors.
MAIN            equ 0
CALLED          equ 1
PING            equ 2
PONG            equ 3
TIMER           equ 4
OLD             equ 5
TRAP            equ 6
OVERFLOW        equ 7
TASKS           equ 8
FIRST_TSS       equ 0x20
%define tss_of(task) (FIRST_TSS + 8 * (task))

TSS_BYTES       equ 128                 ; of which the processor wants 104
TSS             equ 0x00200000          ; TASKS of them
STACKS          equ 0x00210000          ; for each task a page to miss and a page to use
STACK_BYTES     equ 0x2000
IDT             equ 0x00230000
DIRECTORY       equ 0x00231000
TABLE           equ 0x00232000
OTHER_DIRECTORY equ 0x00233000          ; for the task that handles double faults
OLD_CODE        equ 0x00009000          ; where the virtual-8086 program lies
OLD_CS          equ OLD_CODE >> 4
SMALL_CODE      equ 0x0000A000          ; where the program of the 80286's task lies
SMALL_TSS       equ TSS + TSS_BYTES * TASKS

; Fields of a TSS.
LINK            equ 0x00
ESP0            equ 0x04
SS0             equ 0x08
TSS_CR3         equ 0x1C
TSS_EIP         equ 0x20
TSS_EFLAGS      equ 0x24
TSS_EAX         equ 0x28
TSS_ESP         equ 0x38
TSS_ES          equ 0x48
TSS_CS          equ 0x4C
TSS_SS          equ 0x50
TSS_DS          equ 0x54
TSS_LDT         equ 0x60
TSS_IO_MAP      equ 0x66

; Fields of a TSS of the 80286: words.
SMALL_IP        equ 0x0E
SMALL_FLAGS     equ 0x10
SMALL_AX        equ 0x12
SMALL_SP        equ 0x1A
SMALL_CS        equ 0x24
SMALL_SS        equ 0x26
SMALL_DS        equ 0x28
%define field(task, name) TSS + TSS_BYTES * (task) + name

PRESENT         equ 1
WRITABLE        equ 2
USER            equ 4
PAGE            equ 4096
CR0_PG          equ 0x80000000
IOPL_3          equ 0x3000
VM              equ 0x00020000
TASK_GATE       equ 0x8500              ; present, DPL 0
INTERRUPT_GATE  equ 0x8E00

VECTOR_DF       equ 8
VECTOR_GP       equ 13
VECTOR_PF       equ 14
VECTOR_TIMER    equ 0x20

EXIT_GOOD       equ 42                  ; host exit code 85
EXIT_BAD        equ 1

    org IMAGE_BASE
start:
    jmp near begin
    multiboot_header 0

begin:
    cli
    cld
    lgdt [gdt_pointer]
    jmp CODE:.segments
.segments:
    mov eax, DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, STACKS + STACK_BYTES * (MAIN + 1)
    xor eax, eax
    mov fs, ax
    mov gs, ax
    call tasks_init
    call idt_init
    call paging_init
    mov eax, tss_of(MAIN)
    ltr ax                              ; the task that runs is now one like the others

; --- the main task ------------------------------------------------------------------------------

; CALL: the other task is nested in this one, and its IRET comes back here.
    call tss_of(CALLED):0
    mov esi, text_back
    call print
    call tss_of(CALLED):0               ; it goes on behind its IRET
    cmp dword [calls], 2
    jne near bad

; CALL of a task whose TSS holds words. It saw ones in the upper halves of its registers.
    call small_task:0
    cmp dword [small_eax], 0xFFFF1234
    jne near bad
    cmp word [SMALL_TSS + SMALL_IP], small_program_end - small_program
    jne near bad
    cmp word [SMALL_TSS + LINK], tss_of(MAIN)
    jne near bad
    mov esi, text_small
    call print

; JMP: this task is left, until somebody jumps to it.
    jmp task_gate:0
    mov esi, text_newline
    call print

; An interrupt: its handler is a task, nested in whatever it interrupts.
    call timer_start
.wait:
    sti
    hlt
    cli
    cmp dword [ticks], 0
    je .wait

; A task in virtual-8086 mode. It cannot come back, but its fault can.
    mov esi, text_old
    call print
    jmp tss_of(OLD):0

; The stack overflows. This task gets out of it with another one's help.
    mov esi, text_overflow
    call print
    call overflow
recovered:
    mov esi, text_recovered
    call print

; The task that returned to this one is free again, and this one is busy.
    test byte [gdt + tss_of(OVERFLOW) + 5], 2
    jnz near bad
    test byte [gdt + tss_of(MAIN) + 5], 2
    jz near bad
    mov al, EXIT_GOOD
    jmp leave

overflow:
    call overflow
    ret

bad:
    mov al, EXIT_BAD

; End the machine with value AL.
leave:
    out EXIT_PORT, al
.halted:
    cli
    hlt
    jmp .halted

; --- the other tasks ----------------------------------------------------------------------------

; Entered by CALL, left by IRET, twice. Ring 3, IOPL 3, with an LDT.
called_task:
    mov esi, text_called
    call print
    add dword [calls], 1
    iret
    jmp called_task

; Entered and left by JMP.
ping_task:
    mov esi, text_ping
    call print
    jmp tss_of(PONG):0
    jmp ping_task

pong_task:
    mov esi, text_pong
    call print
    sub dword [rounds], 1
    jz .over
    jmp tss_of(PING):0
    jmp pong_task
.over:
    jmp tss_of(MAIN):0

; Entered by the timer's interrupt through a task gate, left by IRET.
timer_task:
    mov al, 0x20                        ; end of interrupt
    out PIC1_COMMAND, al
    add dword [ticks], 1
    mov esi, text_tick
    call print
    iret
    jmp timer_task

; Entered by a general-protection fault, with an error code on its own stack. It expects the
; virtual-8086 task at its HLT, and starts the main task again.
trap_task:
    pop eax
    test eax, eax
    jnz near bad
    cmp word [field(TRAP, LINK)], tss_of(OLD)
    jne near bad
    cmp word [field(OLD, TSS_EIP)], old_end - old_program
    jne near bad
    test dword [field(OLD, TSS_EFLAGS)], VM
    jz near bad
    cmp word [field(OLD, TSS_EAX)], OLD_CS
    jne near bad
    mov esi, text_trap
    call print
    jmp tss_of(MAIN):0

; Entered by a double fault, left by IRET to a task that can run again.
overflow_task:
    pop eax
    test eax, eax
    jnz near bad
    cmp word [field(OVERFLOW, LINK)], tss_of(MAIN)
    jne near bad
    cmp dword [field(MAIN, TSS_ESP)], STACKS + STACK_BYTES * MAIN + PAGE
    jne near bad
    mov eax, cr3
    cmp eax, OTHER_DIRECTORY
    jne near bad
    mov esi, text_repair
    call print
    mov dword [field(MAIN, TSS_ESP)], STACKS + STACK_BYTES * (MAIN + 1)
    mov dword [field(MAIN, TSS_EIP)], recovered
    iret

; The program of the virtual-8086 task.
    bits 16
old_program:
    mov ax, cs
    push ax
    pop bx
old_end:
    hlt                                 ; not for ring 3
old_program_end:

; The program of the task in the 80286's format. Entered by CALL, left by IRET.
small_program:
    mov ebx, small_eax
    mov [ebx], eax
    iret
small_program_end:
    bits 32

; --- setting up ---------------------------------------------------------------------------------

; Every task gets its stack, its page tables, flat segments and its entry.
tasks_init:
    mov edi, TSS
    mov ecx, TASKS * TSS_BYTES / 4
    xor eax, eax
    rep stosd
    xor ecx, ecx
    mov ebx, TSS
    mov edx, STACKS + STACK_BYTES
.task:
    mov eax, [entries + ecx * 4]
    mov [ebx + TSS_EIP], eax
    mov [ebx + TSS_ESP], edx
    mov [ebx + ESP0], edx
    mov dword [ebx + SS0], DATA
    mov dword [ebx + TSS_CR3], DIRECTORY
    mov dword [ebx + TSS_EFLAGS], 2
    mov dword [ebx + TSS_CS], CODE
    mov dword [ebx + TSS_ES], DATA
    mov dword [ebx + TSS_SS], DATA
    mov dword [ebx + TSS_DS], DATA
    mov word [ebx + TSS_IO_MAP], 104    ; no I/O bitmap
    add ebx, TSS_BYTES
    add edx, STACK_BYTES
    add ecx, 1
    cmp ecx, TASKS
    jb .task

    mov dword [field(CALLED, TSS_LDT)], LDT
    mov dword [field(CALLED, TSS_CS)], USER_CODE
    mov dword [field(CALLED, TSS_ES)], USER_DATA
    mov dword [field(CALLED, TSS_SS)], USER_DATA
    mov dword [field(CALLED, TSS_DS)], USER_DATA
    mov dword [field(CALLED, TSS_EFLAGS)], IOPL_3 + 2
    mov dword [field(OVERFLOW, TSS_CR3)], OTHER_DIRECTORY
    mov dword [field(OLD, TSS_EFLAGS)], VM + 2
    mov dword [field(OLD, TSS_EIP)], 0
    mov dword [field(OLD, TSS_CS)], OLD_CS
    mov dword [field(OLD, TSS_SS)], OLD_CS
    mov dword [field(OLD, TSS_ESP)], 0x800
    mov esi, old_program
    mov edi, OLD_CODE
    mov ecx, old_program_end - old_program
    rep movsb

    mov edi, SMALL_TSS
    mov ecx, 44 / 4
    xor eax, eax
    rep stosd
    mov word [SMALL_TSS + SMALL_FLAGS], 2
    mov word [SMALL_TSS + SMALL_AX], 0x1234
    mov word [SMALL_TSS + SMALL_SP], 0x800
    mov word [SMALL_TSS + SMALL_CS], small_code
    mov word [SMALL_TSS + SMALL_SS], small_data
    mov word [SMALL_TSS + SMALL_DS], DATA
    mov esi, small_program
    mov edi, SMALL_CODE
    mov ecx, small_program_end - small_program
    rep movsb
    ret

; Task gates for the timer and for the two faults that tasks handle, a dead end for page faults.
idt_init:
    mov edi, IDT
    mov ecx, (VECTOR_TIMER + 1) * 2
    xor eax, eax
    rep stosd
    mov word [IDT + 8 * VECTOR_DF + 2], tss_of(OVERFLOW)
    mov word [IDT + 8 * VECTOR_DF + 4], TASK_GATE
    mov word [IDT + 8 * VECTOR_GP + 2], tss_of(TRAP)
    mov word [IDT + 8 * VECTOR_GP + 4], TASK_GATE
    mov word [IDT + 8 * VECTOR_TIMER + 2], tss_of(TIMER)
    mov word [IDT + 8 * VECTOR_TIMER + 4], TASK_GATE
    mov eax, bad
    mov [IDT + 8 * VECTOR_PF], ax
    mov word [IDT + 8 * VECTOR_PF + 2], CODE
    mov word [IDT + 8 * VECTOR_PF + 4], INTERRUPT_GATE
    shr eax, 16
    mov [IDT + 8 * VECTOR_PF + 6], ax
    lidt [idt_pointer]
    ret

; The first 4 MiB where they are, for everybody, but for the page below the main task's stack.
paging_init:
    mov edi, TABLE
    mov eax, PRESENT + WRITABLE + USER
.page:
    stosd
    add eax, PAGE
    cmp eax, 1024 * PAGE
    jb .page
    mov dword [TABLE + (STACKS + STACK_BYTES * MAIN) / PAGE * 4], 0
    mov dword [DIRECTORY], TABLE + PRESENT + WRITABLE + USER
    mov dword [OTHER_DIRECTORY], TABLE + PRESENT + WRITABLE + USER
    mov eax, DIRECTORY
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    ret

; One tick, after a thousand periods of the timer's input, on vector 20h.
timer_start:
    mov al, 0x11                        ; initialisation in four words
    out PIC1_COMMAND, al
    mov al, VECTOR_TIMER
    out PIC1_DATA, al
    mov al, 4
    out PIC1_DATA, al
    mov al, 1
    out PIC1_DATA, al
    mov al, 0xFE                        ; line 0 alone
    out PIC1_DATA, al
    mov al, 0x30                        ; channel 0, both bytes, mode 0: once
    out PIT_CONTROL, al
    mov al, 1000 & 0xFF
    out PIT_CHANNEL0, al
    mov al, 1000 >> 8
    out PIT_CHANNEL0, al
    ret

; Print the zero-terminated text at ESI. Changes EAX, EDX.
print:
    mov edx, COM1_LSR
.wait:
    in al, dx
    test al, LSR_THR_EMPTY
    jz .wait
    lodsb
    test al, al
    jz .done
    mov edx, COM1_DATA
    out dx, al
    jmp print
.done:
    ret

; --- data ---------------------------------------------------------------------------------------

entries:                                ; the main task runs already
    dd bad, called_task, ping_task, pong_task, timer_task, 0, trap_task, overflow_task
calls:
    dd 0
small_eax:
    dd 0
rounds:
    dd 3
ticks:
    dd 0

text_called:
    db "tasks: called in ring 3", 10, 0
text_back:
    db "tasks: back by interrupt return", 10, 0
text_small:
    db "tasks: called in 16 bits", 10, 0
text_ping:                              ; "ping pong ping pong ping pong over"
    db "ping ", 0
text_pong:
    db "pong ", 0
text_newline:
    db "over", 10, 0
text_tick:
    db "tasks: the timer's task runs", 10, 0
text_old:
    db "tasks: into virtual-8086 mode", 10, 0
text_trap:
    db "tasks: out of it by a fault", 10, 0
text_overflow:
    db "tasks: the stack overflows", 10, 0
text_repair:
    db "tasks: a double fault, repaired", 10, 0
text_recovered:
    db "tasks: the main task goes on", 10, 0

    align 8
gdt:
    dd 0, 0
    dd 0x0000FFFF, 0x00CF9B00           ; flat code and data, DPL 0, accessed
    dd 0x0000FFFF, 0x00CF9300
    dw ldt_end - ldt - 1, ldt - start + (IMAGE_BASE & 0xFFFF)
    db IMAGE_BASE >> 16, 0x82, 0, 0     ; the LDT of the called task
%assign task 0
%rep TASKS
    dw 103, (TSS + TSS_BYTES * task) & 0xFFFF
    db TSS >> 16, 0x89, 0, 0            ; available, DPL 0
%assign task task + 1
%endrep
task_gate equ $ - gdt                   ; a way to a task that needs no TSS selector
    dw 0, tss_of(PING)
    dw TASK_GATE, 0
small_task equ $ - gdt                  ; 16-bit TSS, available, DPL 0
    dw 43, SMALL_TSS & 0xFFFF
    db SMALL_TSS >> 16, 0x81, 0, 0
small_code equ $ - gdt                  ; 16-bit code and data of 64 KiB, DPL 0, accessed
    dw 0xFFFF, SMALL_CODE & 0xFFFF
    db SMALL_CODE >> 16, 0x9B, 0, 0
small_data equ $ - gdt
    dw 0xFFFF, SMALL_CODE & 0xFFFF
    db SMALL_CODE >> 16, 0x93, 0, 0
gdt_end:
ldt:
    dd 0x0000FFFF, 0x00CFFB00           ; flat code and data, DPL 3, accessed
    dd 0x0000FFFF, 0x00CFF300
ldt_end:
gdt_pointer:
    dw gdt_end - gdt - 1
    dd gdt
idt_pointer:
    dw (VECTOR_TIMER + 1) * 8 - 1
    dd IDT
