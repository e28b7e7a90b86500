; stale_segments.asm — the descriptors are overwritten while their segments are in use.
;
; End: shutdown, but only at the reload. Until then the CPU works from the hidden parts of its segment
; registers, in which the overwritten descriptors live on; a monitor that reloads segments on its
; world switches must not lose them. SDM volume 3A, "Segment Registers".

    bits 32
%include "common.inc"

attack:
    mov dword [gdt + CODE], 0
    mov dword [gdt + CODE + 4], 0
    mov dword [gdt + DATA], 0
    mov dword [gdt + DATA + 4], 0
    mov esi, still_running              ; port accesses, stack, strings: all on stale segments
    call print
    jmp CODE:.reloaded
.reloaded:
    ret

announcement:
    db "hostile: overwrites the descriptors in use", 10, 0
still_running:
    db "hostile: runs on", 10, 0
