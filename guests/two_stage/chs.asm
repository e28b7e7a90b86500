; chs.asm — the two-stage system, its kernel loaded by cylinder, head and sector (INT 13h AH=02h).
;
; See two_stage.inc.

    %define LOAD_BY_CHS
    %include "two_stage.inc"
