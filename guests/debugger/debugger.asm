; debugger.asm — a kernel that debugs itself: it steps, sets breakpoints on instructions, on data and
; on a port, protects its debug registers, and prints every debug exception it gets.
;
; A line says which of the conditions of DR6 were reported (S: a step, D: a debug register accessed,
; 0 to 3: a breakpoint), and where the exception was taken: bytes from the beginning of the exercise.
; R follows where the saved RF is set. SDM volume 3B, "Debug Registers", "Debug Exceptions".
;
; End: exit with the number of exceptions.

    bits 32

%include "../include/multiboot.inc"
%include "../include/ports.inc"

KERNEL_CS       equ 0x08
KERNEL_DS       equ 0x10
STACK_TOP       equ 0x00180000
IDT             equ 0x00181000
WATCHED         equ 0x00182000          ; memory to watch

VECTOR_DEBUG    equ 1
TF              equ 1 << 8
RF              equ 1 << 16
CR4_DE          equ 1 << 3

DR6_CLEAR       equ 0xFFFF0FF0
DR7_CLEAR       equ 0x00000400
DR7_GD          equ 1 << 13

; Fields of DR7 for breakpoint %1: enabled, condition %2, length %3.
WHEN_EXECUTED   equ 0
WHEN_WRITTEN    equ 1
WHEN_PORT       equ 2
WHEN_ACCESSED   equ 3
LENGTH_1        equ 0
LENGTH_2        equ 1
LENGTH_4        equ 3
%define breakpoint(n, condition, length) ((2 << (2 * (n))) | ((condition) | (length) << 2) << (16 + 4 * (n)))

; Use:  exercise TITLE     begins one: prints the title, counts offsets from here
%macro exercise 1
    mov esi, %%title
    call print
    jmp %%begin
%%title:
    db %1, 10, 0
%%begin:
    mov dword [origin], %%begin
%endmacro

; Use:  enable FIELDS      sets DR7
%macro enable 1
    mov eax, DR7_CLEAR | (%1)
    mov dr7, eax
%endmacro

    org IMAGE_BASE
start:
    jmp near begin
    multiboot_header WATCHED + 4096

begin:
    cli
    cld
    lgdt [gdt_pointer]
    jmp KERNEL_CS:.segments
.segments:
    mov eax, KERNEL_DS
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, STACK_TOP
    mov eax, debug
    mov [IDT + VECTOR_DEBUG * 8], ax
    mov word [IDT + VECTOR_DEBUG * 8 + 2], KERNEL_CS
    mov word [IDT + VECTOR_DEBUG * 8 + 4], 0x8E00
    shr eax, 16
    mov [IDT + VECTOR_DEBUG * 8 + 6], ax
    lidt [idt_pointer]
    mov eax, cr4
    or eax, CR4_DE
    mov cr4, eax
    mov eax, DR6_CLEAR
    mov dr6, eax

    call steps
    call instructions
    call data
    call repetitions
    call ports
    call protection
    call everything

    exercise "end"
    mov eax, [exceptions]
    out EXIT_PORT, al
.halted:
    cli
    hlt
    jmp .halted

; --- the exercises ------------------------------------------------------------------------------

steps:
    exercise "steps"
    pushfd
    or dword [esp], TF
    popfd
    nop                                 ; the first that is stepped
    mov eax, 5
    call .inside
    pushfd
    and dword [esp], ~TF
    popfd                               ; the last: it began with TF set
    ret
.inside:
    ret

instructions:
    exercise "breakpoint on an instruction"
    mov eax, .marked
    mov dr0, eax
    enable breakpoint(0, WHEN_EXECUTED, LENGTH_1)
    mov ecx, 3
.next:
    nop
.marked:
    dec ecx
    jnz .next
    enable 0
    ret

data:
    exercise "watched word"
    mov eax, WATCHED + 4
    mov dr1, eax
    enable breakpoint(1, WHEN_WRITTEN, LENGTH_4)
    mov eax, [WATCHED + 4]              ; not written
    mov [WATCHED + 4], eax
    mov [WATCHED], eax                  ; beside it
    mov byte [WATCHED + 7], 1           ; its last byte
    mov word [WATCHED + 3], 1           ; its first byte
    enable breakpoint(1, WHEN_ACCESSED, LENGTH_4)
    mov eax, [WATCHED + 4]
    inc dword [WATCHED + 4]
    xchg esp, [saved_stack]             ; a stack around the watched word
    mov esp, WATCHED + 8
    push eax
    mov esp, [saved_stack]
    enable 0
    ret

repetitions:
    exercise "watched word in repeated stores"
    mov eax, WATCHED + 8
    mov dr2, eax
    enable breakpoint(2, WHEN_WRITTEN, LENGTH_4)
    mov edi, WATCHED
    mov ecx, 5
    rep stosd                           ; stops behind the third, with two to go
    enable 0
    ret

ports:
    exercise "breakpoint on a port"
    mov eax, POST_PORT
    mov dr3, eax
    enable breakpoint(3, WHEN_PORT, LENGTH_1)
    out POST_PORT, al
    in al, POST_PORT
    out POST_PORT + 1, al               ; another one
    enable 0
    ret

protection:
    exercise "protected debug registers"
    enable DR7_GD
    mov eax, dr0                        ; reported before it happens; then GD is clear
    mov eax, dr0
    ret

everything:
    exercise "a step, and a word written by it"
    mov eax, WATCHED
    mov dr1, eax
    enable breakpoint(1, WHEN_WRITTEN, LENGTH_2)
    push dword TF | 2
    popfd
    mov [WATCHED], eax
    push dword 2
    popfd
    enable 0
    ret

; --- the handler --------------------------------------------------------------------------------

; #DB: print what DR6 says and where, clear it, and go past an instruction breakpoint.
debug:
    pushad
    inc dword [exceptions]
    mov ebx, dr6
    mov eax, DR6_CLEAR
    mov dr6, eax
    mov al, ' '
    call put
    call put
    mov edx, .names
.condition:
    movzx ecx, byte [edx]
    cmp ecx, 32
    je .place
    bt ebx, ecx
    jnc .absent
    mov al, [edx + 1]
    call put
    mov al, ' '
    call put
.absent:
    add edx, 2
    jmp .condition
.place:
    mov esi, .at
    call print
    mov eax, [esp + 32]                 ; EIP
    sub eax, [origin]
    call put_hex
    test dword [esp + 40], RF
    jz .no_resume_flag
    mov al, ' '
    call put
    mov al, 'R'
    call put
.no_resume_flag:
    mov al, 10
    call put
    test ebx, 1                         ; breakpoint 0 is the one on an instruction
    jz .done
    or dword [esp + 40], RF
.done:
    popad
    iretd
.at:
    db "at ", 0
.names:                                 ; bit of DR6, letter
    db 14, "S", 13, "D", 0, "0", 1, "1", 2, "2", 3, "3", 32

; --- the console --------------------------------------------------------------------------------

; The text at ESI.
print:
    lodsb
    test al, al
    jz .done
    call put
    jmp print
.done:
    ret

; EAX in hexadecimal.
put_hex:
    mov ecx, 8
.digit:
    rol eax, 4
    push eax
    and al, 15
    cmp al, 10
    jb .decimal
    add al, 'A' - '0' - 10
.decimal:
    add al, '0'
    call put
    pop eax
    dec ecx
    jnz .digit
    ret

; The character AL. Keeps everything.
put:
    push eax
    push edx
    mov ah, al
    mov dx, COM1_LSR
.wait:
    in al, dx
    test al, LSR_THR_EMPTY
    jz .wait
    mov dx, COM1_DATA
    mov al, ah
    out dx, al
    pop edx
    pop eax
    ret

    align 8
gdt:
    dd 0, 0
    dd 0x0000FFFF, 0x00CF9B00
    dd 0x0000FFFF, 0x00CF9300
gdt_end:
gdt_pointer:
    dw gdt_end - gdt - 1
    dd gdt
idt_pointer:
    dw 256 * 8 - 1
    dd IDT
origin:
    dd 0
saved_stack:
    dd 0
exceptions:
    dd 0
