; bad_selectors.asm — LLDT and LTR with every kind of wrong selector.
;
; End: exit. Each attempt must raise the exception in the table below, with the selector as error
; code, and change nothing; the first that does not ends the program with EXIT_SURVIVED.
; LTR with the null selector is not among them: QEMU takes it, so it would not end alike everywhere.
; SDM volume 2, "LLDT—Load Local Descriptor Table Register" and "LTR—Load Task Register".

    bits 32
%include "common.inc"

GENERAL_PROTECTION  equ 13
NOT_PRESENT         equ 11

ATTEMPTS_EXIT       equ 0x11

; Descriptors behind those of common.inc, in a table of this file's own.
CODE_SELECTOR       equ 0x08
DATA_SELECTOR       equ 0x10
ABSENT_TSS          equ 0x18
BUSY_TSS            equ 0x20
ABSENT_LDT          equ 0x28
TSS_SELECTOR        equ 0x30
BEYOND              equ 0x38
FAR_BEYOND          equ 0xFFF8

attack:
    lgdt [.pointer]
    call idt_init
    mov eax, GENERAL_PROTECTION
    mov edx, .general_protection
    call idt_gate
    mov eax, NOT_PRESENT
    mov edx, .not_present
    call idt_gate
    mov ebx, .attempts
.next:
    mov ecx, [ebx]                      ; the instruction to try
    test ecx, ecx
    jz .done
    mov eax, [ebx + 4]                  ; the selector
    xor ebp, ebp                        ; the exception it raised
    jmp ecx
.lldt:
    lldt ax
    jmp survived
.ltr:
    ltr ax
    jmp survived
.general_protection:
    mov ebp, GENERAL_PROTECTION
    jmp .caught
.not_present:
    mov ebp, NOT_PRESENT
.caught:
    pop edx                             ; error code
    add esp, 12                         ; the frame: this handler does not return to it
    cmp ebp, [ebx + 8]
    jne survived
    cmp edx, [ebx + 12]
    jne survived
    add ebx, 16
    jmp .next
.done:
    mov esi, refused
    call print
    mov al, ATTEMPTS_EXIT
    jmp leave

    align 4
.attempts:                              ; instruction, selector, exception, error code
    dd .lldt, CODE_SELECTOR, GENERAL_PROTECTION, CODE_SELECTOR
    dd .lldt, TSS_SELECTOR, GENERAL_PROTECTION, TSS_SELECTOR
    dd .lldt, ABSENT_LDT, NOT_PRESENT, ABSENT_LDT
    dd .lldt, BEYOND, GENERAL_PROTECTION, BEYOND
    dd .lldt, 4 + CODE_SELECTOR, GENERAL_PROTECTION, 4 + CODE_SELECTOR
    dd .ltr, DATA_SELECTOR, GENERAL_PROTECTION, DATA_SELECTOR
    dd .ltr, ABSENT_TSS, NOT_PRESENT, ABSENT_TSS
    dd .ltr, BUSY_TSS, GENERAL_PROTECTION, BUSY_TSS
    dd .ltr, FAR_BEYOND, GENERAL_PROTECTION, FAR_BEYOND
    dd .ltr, 4 + TSS_SELECTOR, GENERAL_PROTECTION, 4 + TSS_SELECTOR
    dd 0

    align 8
.gdt:
    dd 0, 0
    dd 0x0000FFFF, 0x00CF9B00           ; flat code
    dd 0x0000FFFF, 0x00CF9300           ; flat data
    dd 0x00000067, 0x00000920           ; TSS, not present
    dd 0x00000067, 0x00008B20           ; TSS, busy
    dd 0x00000067, 0x00000220           ; LDT, not present
    dd 0x00000067, 0x00008920           ; TSS, available
.gdt_end:
.pointer:
    dw .gdt_end - .gdt - 1
    dd .gdt

announcement:
    db "hostile: loads LDTR and TR with wrong selectors", 10, 0
refused:
    db "hostile: all refused", 10, 0
