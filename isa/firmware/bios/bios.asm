; bios.asm — the BIOS of the machine: what a PC has in ROM at F000:8000 to F000:FFFF.
;
; It drives the devices by their ports and nothing else, so it works on any machine that has them.
; Reading order: this file, post.inc (power-on), boot.inc (INT 19h), then one file per service.
;
;     F000:8000   interrupt vectors, as power-on copies them to 0000:0000
;     F000:8400   code and tables
;     F000:FFF0   where the processor starts
;
; The addresses of services are nobody's business; only what old programs look for is where IBM had
; it (end of this file). The 32 KiB below F000:8000 are for tables of the mainboard.
;
; Sources: IBM PC/AT Technical Reference (6183355), "ROM BIOS and System Usage" and the description
; of each interrupt; IBM Personal System/2 and PC BIOS Interface Technical Reference; Phoenix
; Enhanced Disk Drive Specification 1.1; ACPI Specification, "System Address Map Interfaces".

    cpu 386
    bits 16

ROM_SEGMENT         equ 0xF000
ROM_FIRST           equ 0x8000

%include "bda.inc"
%include "ports.inc"
%include "frame.inc"

; place OFFSET — go on at this offset of the segment; code before it must end there.
%macro place 1
    times %1 - ROM_FIRST - ($ - $$) db 0
%endmacro

    org ROM_FIRST

%include "vectors.inc"
%include "dispatch.inc"
%include "post.inc"
%include "boot.inc"
%include "console.inc"
%include "interrupts.inc"
%include "clock.inc"
%include "keys.inc"
%include "keyboard.inc"
%include "keymap.inc"
%include "video.inc"
%include "video_text.inc"
%include "video_graphics.inc"
%include "video_modes.inc"
%include "video_palette.inc"
%include "disk.inc"
%include "disk_extensions.inc"
%include "ata.inc"
%include "floppy.inc"
%include "floppy_controller.inc"
%include "serial.inc"
%include "system.inc"
%include "memory.inc"
%include "font_high.inc"

    place 0xEFC7
diskette_parameters:                    ; INT 1Eh: of a drive of 1.44 MB
    db 0xAF, 0x02, 0x25, 2, 18, 0x1B, 0xFF, 0x6C, 0xF6, 0x0F, 0x08

    place 0xFA6E
%include "font_low.inc"

    place 0xFFF0
    jmp ROM_SEGMENT:power_on
    db "01/01/00"                       ; FFF5: date of the BIOS
    db 0
    db 0xFC                             ; FFFE: model, an AT
    db 0
