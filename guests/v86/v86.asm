; v86.asm — a monitor of virtual-8086 mode that tries, one by one, what its programs may do.
;
; Each case is a few instructions of 16 bits, copied to 0900:0000 and entered by IRETD with CR4, EFLAGS
; and the interrupt redirection bit map of the case. It ends by INT3 or by a fault, and the exception
; handler prints what it finds: vector, error code, IP, EFLAGS, AX and BX. At the end the same is done
; for protected-mode virtual interrupts, in 32-bit code at ring 3.
;
; INT 40h to 47h are redirected to the program where CR4.VME is set; its handler loads FLAGS as it
; finds them into AX, and the image on its stack into BX. INT 48h leaves virtual-8086 mode.
;
; SDM volume 3B, "8086 Emulation". Needs CPUID.VME. Ring compression refuses this guest: virtual-8086
; mode cannot be deprivileged. Bochs 2.7 (with PORT defined as 0E9h) prints the same but for the two
; cases "pending and enabled, IOPL full", where it faults; at IOPL 3 the manual has no VIF. QEMU 7.2 has
; no VME.

    bits 32
%include "../include/multiboot.inc"
%include "../include/ports.inc"

CODE            equ 0x08
DATA            equ 0x10
USER_CODE       equ 0x18 + 3
USER_DATA       equ 0x20 + 3
TSS_SEL         equ 0x28

IDT             equ 0x00200000
TSS             equ 0x00201000
STACK           equ 0x00204000          ; downwards, for the monitor
INNER_STACK     equ 0x00208000          ; for events of programs
USER_STACK      equ 0x0020A000
V86_CODE        equ 0x00009000          ; 0900:0000
V86_DATA        equ 0x00008000          ; 0800:0000, with the stack
V86_CS          equ V86_CODE >> 4
V86_DS          equ V86_DATA >> 4
V86_SP          equ 0x0800
CASE_BYTES      equ 64
OWN_HANDLER     equ 0x100               ; offset of the program's handler in its code segment

IO_MAP          equ 0x88                ; the redirection bit map is the 32 bytes before it
TSS_LIMIT       equ IO_MAP + 0x2000

IF              equ 0x00000200
IOPL_3          equ 0x00003000
VM              equ 0x00020000
AC              equ 0x00040000
VIF             equ 0x00080000
VIP             equ 0x00100000
VME             equ 1
PVI             equ 2
CR0_AM          equ 0x00040000
CPUID_VME       equ 2

VECTOR_OWN      equ 0x40
VECTOR_MONITOR  equ 0x48
VECTORS         equ 0x49
RECORD_BYTES    equ 64

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
    mov esp, STACK
    mov eax, 1
    cpuid
    test edx, CPUID_VME
    jz bad
    call tables_init

; The next case: CR4, EFLAGS, where its code is (0 at the end), title.
next_case:
    mov esp, STACK
    mov ebp, [next]
    cmp dword [ebp + 8], 0
    je protected_cases
    add dword [next], RECORD_BYTES
    lea esi, [ebp + 12]
    call print
    mov eax, [ebp]
    mov cr4, eax
    mov esi, [ebp + 8]
    mov edi, V86_CODE
    mov ecx, CASE_BYTES
    rep movsb
    xor eax, eax
    xor ebx, ebx
    mov ecx, V86_DS
    push ecx                            ; GS FS DS ES
    push ecx
    push ecx
    push ecx
    push ecx                            ; SS ESP
    push dword V86_SP
    mov edx, [ebp + 4]
    or edx, VM | 2
    push edx
    push dword V86_CS
    push dword 0
    iretd

; The same at ring 3 in protected mode.
protected_cases:
    mov dword [next], user_cases
next_user_case:
    mov esp, STACK
    mov ebp, [next]
    cmp dword [ebp + 8], 0
    je good
    add dword [next], RECORD_BYTES
    lea esi, [ebp + 12]
    call print
    mov eax, [ebp]
    mov cr4, eax
    xor eax, eax
    xor ebx, ebx
    mov ecx, USER_DATA
    mov ds, ecx
    push ecx
    push dword USER_STACK
    mov edx, [ss:ebp + 4]
    or edx, 2
    push edx
    push dword USER_CODE
    push dword [ss:ebp + 8]
    iretd

good:
    mov al, EXIT_GOOD
    out EXIT_PORT, al
bad:
    mov al, EXIT_BAD
    out EXIT_PORT, al
    cli
    hlt

; --- events -------------------------------------------------------------------------------------

; Stubs of 16 bytes: error code (or all ones), vector.
    align 16
stubs:
%assign vector 0
%rep VECTORS
    align 16
%if vector = 8 || (vector >= 10 && vector <= 14) || vector = 17
%else
    push dword -1
%endif
    push dword vector
    jmp event
%assign vector vector + 1
%endrep

; The frame: vector, error code, EIP, CS, EFLAGS. AX and BX are the program's.
event:
    mov ecx, DATA
    mov ds, ecx
    mov es, ecx
    mov [seen_eax], eax
    mov [seen_ebx], ebx
    pop dword [seen_vector]
    pop dword [seen_error]
    pop dword [seen_eip]
    cmp dword [esp], USER_CODE
    jne .relative
    sub dword [seen_eip], user_start
.relative:
    mov eax, [esp + 4]
    mov [seen_flags], eax
    mov esi, text_vector
    mov eax, [seen_vector]
    call print_number
    mov esi, text_error
    mov eax, [seen_error]
    call print_number
    mov esi, text_at
    mov eax, [seen_eip]
    call print_number
    mov esi, text_flags
    mov eax, [seen_flags]
    call print_number
    mov esi, text_ax
    movzx eax, word [seen_eax]
    call print_number
    mov esi, text_bx
    movzx eax, word [seen_ebx]
    call print_number
    mov esi, text_end
    call print
    cmp dword [next], user_cases
    ja next_user_case
    jmp next_case

; --- tables -------------------------------------------------------------------------------------

tables_init:
    xor ecx, ecx
    mov edi, IDT
    mov eax, stubs
.gate:
    mov [edi], ax
    mov word [edi + 2], CODE
    mov [edi + 4], eax
    mov word [edi + 4], 0xEE00          ; present, DPL 3, 32-bit interrupt gate
    add eax, 16
    add edi, 8
    inc ecx
    cmp ecx, VECTORS
    jb .gate
    lidt [idt_pointer]
    mov edi, TSS
    mov ecx, (TSS_LIMIT + 1 + 3) / 4
    xor eax, eax
    rep stosd
    mov dword [TSS + 4], INNER_STACK
    mov dword [TSS + 8], DATA
    mov word [TSS + 0x66], IO_MAP
    mov dword [TSS + IO_MAP - 32 + VECTOR_MONITOR / 32 * 4], 1 << (VECTOR_MONITOR & 31)
    mov byte [TSS + IO_MAP + (COM1_DATA >> 3)], 0xFF
    mov byte [TSS + TSS_LIMIT], 0xFF
    mov eax, TSS_SEL
    ltr ax
    mov eax, cr0
    or eax, CR0_AM
    mov cr0, eax
    mov dword [VECTOR_OWN * 4], V86_CS << 16 | OWN_HANDLER
    mov dword [VECTOR_MONITOR * 4], V86_CS << 16 | OWN_HANDLER
    mov esi, own_handler
    mov edi, V86_CODE + OWN_HANDLER
    mov ecx, own_handler_end - own_handler
    rep movsb
    ret

; --- printing -----------------------------------------------------------------------------------

; Print the text at ESI, then EAX in eight hexadecimal digits.
print_number:
    push eax
    call print
    pop ebx
    mov ecx, 8
.digit:
    rol ebx, 4
    mov eax, ebx
    and eax, 15
    mov al, [digits + eax]
    call print_byte
    loop .digit
    ret

; Print the zero-terminated text at ESI. Changes EAX, EDX.
print:
    lodsb
    test al, al
    jz .done
    call print_byte
    jmp print
.done:
    ret

print_byte:
%ifdef PORT
    out PORT, al
%else
    mov ah, al
    mov edx, COM1_LSR
.wait:
    in al, dx
    test al, LSR_THR_EMPTY
    jz .wait
    mov al, ah
    mov edx, COM1_DATA
    out dx, al
%endif
    ret

; --- programs -----------------------------------------------------------------------------------

    bits 16
own_handler:
    pushf
    pop ax
    mov bp, sp
    mov bx, [bp + 4]
    iret
own_handler_end:

code_flags:                             ; what CLI and STI do is seen by PUSHF
    sti
    pushf
    pop ax
    cli
    pushf
    pop bx
    int3
code_cli:
    cli
    int3
code_sti:
    sti
    int3
code_popf:
    push 0x3202
    popf
    pushf
    pop ax
    int3
code_popf_trap:
    push 0x0102
    popf
    int3
code_pushfd:
    pushfd
    int3
code_popfd:
    push dword 2
    popfd
    int3
code_iret:
    push 0x0202
    push cs
    push .after - code_iret
    iret
.after:
    pushf
    pop ax
    int3
code_iretd:
    push dword 2
    push dword V86_CS
    push dword 0x20
    iretd
code_own:
    int VECTOR_OWN
    int3
code_monitor:
    int VECTOR_MONITOR
    int3
code_into:
    mov al, 0x7F
    inc al
    into
    int3
code_io_denied:
    mov dx, COM1_DATA
    in al, dx
    int3
code_io_allowed:
    mov al, 0
    out POST_PORT, al
    int3
code_hlt:
    hlt
code_lldt:
    lldt ax
code_aligned:
    mov ax, [2]
    mov ax, [1]
    int3
code_limit:
    mov ax, [0xFFFF]
    int3
code_stack:
    mov sp, 1
    push ax
    int3
    times CASE_BYTES int3

    bits 32
user_start:
user_flags:
    sti
    pushfd
    pop eax
    cli
    pushfd
    pop ebx
    shr eax, 16
    shr ebx, 16
    int3
user_sti:
    sti
    int3
user_cli:
    cli
    int3
user_popf:
    push dword IF
    popfd
    int3
user_aligned:
    mov eax, [USER_STACK + 4]
    mov eax, [USER_STACK + 1]
    int3

; --- data ---------------------------------------------------------------------------------------

; Use:  case CR4, EFLAGS, CODE, "title"
%macro case 4
%%record:
    dd %1, %2, %3
    db "v86: ", %4, 0
    times RECORD_BYTES - ($ - %%record) db 0
%endmacro

cases:
    case 0, IOPL_3 | IF, code_flags, "flags, IOPL full"
    case VME, IOPL_3 | IF, code_flags, "flags, IOPL full, VME"
    case VME, IF, code_flags, "flags, VME"
    case VME, VIF, code_flags, "flags, VME, IF clear"
    case 0, IF, code_cli, "cli"
    case 0, IF, code_sti, "sti"
    case PVI, IF, code_cli, "cli, PVI"
    case VME, IF | VIP, code_cli, "cli, VME, pending"
    case VME, IF | VIP, code_sti, "sti, VME, pending"
    case VME, IF | VIF | VIP, code_cli, "pending and enabled"
    case VME, IF | IOPL_3 | VIF | VIP, code_cli, "pending and enabled, IOPL full"
    case 0, IF | VIF | VIP, code_cli, "pending and enabled, no VME"
    case 0, IF, code_popf, "popf"
    case VME, IF, code_popf, "popf, VME"
    case VME, IF | VIP, code_popf, "popf, VME, pending"
    case VME, IF, code_popf_trap, "popf of TF, VME"
    case VME, IF, code_pushfd, "pushfd, VME"
    case VME, IF, code_popfd, "popfd, VME"
    case 0, IF, code_iret, "iret"
    case VME, IF, code_iret, "iret, VME"
    case VME, IF | VIP, code_iret, "iret, VME, pending"
    case 0, IF | IOPL_3, code_iret, "iret, IOPL full"
    case VME, IF, code_iretd, "iretd, VME"
    case 0, IF, code_own, "int"
    case 0, IF | IOPL_3, code_own, "int, IOPL full"
    case VME, IF, code_own, "int, VME"
    case VME, IF | VIF, code_own, "int, VME, VIF"
    case VME, IF | IOPL_3, code_own, "int, IOPL full, VME"
    case VME, IF, code_monitor, "int of the monitor, VME"
    case VME, IF | IOPL_3, code_monitor, "int of the monitor, IOPL full, VME"
    case VME, IF, code_into, "into, VME"
    case 0, IF | IOPL_3, code_io_denied, "in, IOPL full"
    case 0, IF, code_io_allowed, "out"
    case 0, IF | IOPL_3, code_hlt, "hlt, IOPL full"
    case 0, IF | IOPL_3, code_lldt, "lldt, IOPL full"
    case 0, IF | AC, code_aligned, "alignment"
    case 0, IF, code_limit, "a word at the end"
    case 0, IF, code_stack, "a push at the end"
    dd 0, 0, 0
user_cases:
    case PVI, IF, user_flags, "ring 3: flags, PVI"
    case PVI, IF | VIP, user_sti, "ring 3: sti, PVI, pending"
    case PVI, IF | VIP, user_cli, "ring 3: cli, PVI, pending"
    case VME, IF, user_cli, "ring 3: cli, VME"
    case 0, IF, user_sti, "ring 3: sti"
    case PVI, IF | VIF | VIP, user_cli, "ring 3: pending and enabled, PVI"
    case PVI, IF | IOPL_3 | VIF | VIP, user_cli, "ring 3: pending and enabled, IOPL full, PVI"
    case PVI, IF | VIP, user_popf, "ring 3: popf, PVI, pending"
    case 0, IF | AC, user_aligned, "ring 3: alignment"
    dd 0, 0, 0

text_vector:
    db ": vector ", 0
text_error:
    db ", error ", 0
text_at:
    db " at ", 0
text_flags:
    db ", flags ", 0
text_ax:
    db ", ax ", 0
text_bx:
    db ", bx ", 0
text_end:
    db 10, 0
digits:
    db "0123456789ABCDEF"

next:
    dd cases
seen_vector:
    dd 0
seen_error:
    dd 0
seen_eip:
    dd 0
seen_flags:
    dd 0
seen_eax:
    dd 0
seen_ebx:
    dd 0

    align 8
gdt:
    dd 0, 0
    dd 0x0000FFFF, 0x00CF9A00
    dd 0x0000FFFF, 0x00CF9200
    dd 0x0000FFFF, 0x00CFFA00
    dd 0x0000FFFF, 0x00CFF200
    dd (TSS & 0xFFFF) << 16 | TSS_LIMIT, TSS >> 16 | 0x8900
gdt_end:

gdt_pointer:
    dw gdt_end - gdt - 1
    dd gdt
idt_pointer:
    dw VECTORS * 8 - 1
    dd IDT
