; boot_sector.asm — 512 bytes that a BIOS loads: print a line, and read it back from the screen.
;
; INT 10h AH=0Eh writes the line to the screen; AH=08h reads the screen, character by character, and
; what it reads goes to the debug console. So the console shows what the screen shows. A second line
; says how much memory INT 12h reports. Ends with exit value 10h (host 33).
;
;     trapgate run guests/boot_sector
;     nasm -f bin boot_sector.asm -o boot.img

    bits 16
    org 0x7C00

DEBUG_PORT          equ 0xE9
EXIT_PORT           equ 0xF4
LINE                equ 40              ; characters that are read back at most

start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7C00
    sti
    cld
    mov ax, 0x0003                      ; text, 80 x 25, and an empty screen
    int 0x10
    mov si, greeting
    call print
    int 0x12
    call print_number
    mov si, kibibytes
    call print
    xor dh, dh
    call echo_row
    inc dh
    call echo_row
    mov al, 0x10
    out EXIT_PORT, al
.halted:
    hlt
    jmp .halted

; SI: text that ends in 0, to the screen.
print:
    lodsb
    test al, al
    jz .done
    mov ah, 0x0E
    mov bx, 0x0007
    int 0x10
    jmp print
.done:
    ret

; AX in decimal.
print_number:
    mov bx, 10
    xor cx, cx
.digit:
    xor dx, dx
    div bx
    push dx
    inc cx
    test ax, ax
    jnz .digit
.print:
    pop ax
    add al, '0'
    mov ah, 0x0E
    mov bx, 0x0007
    int 0x10
    loop .print
    ret

; Row DH of the screen, up to its last character, to the debug console.
echo_row:
    xor dl, dl
    mov bh, 0
    mov di, buffer
    mov bp, di                          ; behind the last character that is no space
.next:
    mov ah, 0x02
    int 0x10
    mov ah, 0x08
    int 0x10
    stosb
    cmp al, ' '
    je .space
    mov bp, di
.space:
    inc dl
    cmp dl, LINE
    jb .next
    mov si, buffer
.out:
    cmp si, bp
    je .end
    lodsb
    out DEBUG_PORT, al
    jmp .out
.end:
    mov al, 10
    out DEBUG_PORT, al
    ret

greeting:
    db "Hello from real mode", 13, 10, 0
kibibytes:
    db " KiB of base memory", 0

    times 510 - ($ - $$) db 0
    dw 0xAA55

buffer              equ 0x7E00
