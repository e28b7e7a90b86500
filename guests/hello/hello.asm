; hello.asm — the smallest kernel: it says one line and leaves.
;
; Needs nothing of the loader but flat segments: no stack, no tables, no interrupts.
; The console is COM1, polled: a byte may be sent whenever the line status says the
; transmitter is empty.

    bits 32

%include "../include/multiboot.inc"
%include "../include/ports.inc"

    org IMAGE_BASE

start:
    jmp short main
    multiboot_header 0

main:
    cld                                 ; LODSB must walk upwards
    mov esi, message
.next:
    mov dx, COM1_LSR
.wait:
    in al, dx
    test al, LSR_THR_EMPTY
    jz .wait
    lodsb
    test al, al
    jz .done
    mov dx, COM1_DATA
    out dx, al
    jmp .next
.done:
    mov al, EXIT_VALUE
    out EXIT_PORT, al
.halted:                                ; a machine without the exit port comes here
    cli
    hlt
    jmp .halted

EXIT_VALUE  equ 0x10                    ; host exit code 33: no crash of a host program looks like it

message:
    db "Hello from ring 0", 10, 0
