; lba.asm — the two-stage system, its kernel loaded by sector number (INT 13h AH=42h).
;
; See two_stage.inc.

    %include "two_stage.inc"
