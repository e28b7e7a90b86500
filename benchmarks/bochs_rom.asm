; bochs_rom.asm — a firmware that does one thing: enter the flat kernel at 1 MiB in protected mode.
;
; 4 KiB at the top of the address space, in place of a BIOS; Bochs has put the kernel into memory
; before the reset (its option optramimage).

    bits 16
    org 0xF000                          ; offsets in segment F000h

start:
    cli
    cs lgdt [gdt_pointer]
    in al, 0x92                         ; address line 20 on
    or al, 2
    out 0x92, al
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 0x08:0xF0000 + protected

    bits 32
protected:
    mov eax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov gs, ax
    mov esp, 0x9000
    mov eax, 0x00100000
    jmp eax

    align 8
gdt:
    dd 0, 0
    dd 0x0000FFFF, 0x00CF9B00           ; flat code and data
    dd 0x0000FFFF, 0x00CF9300
gdt_pointer:
    dw 23
    dd 0xF0000 + gdt

    times 0xFF0 - ($ - start) db 0
    bits 16
    jmp 0xF000:start                    ; the reset vector
    times 0x1000 - ($ - start) db 0
