; Multi-line macros: parameters, defaults, overloading, local labels, repetition.
bits 32
%macro nothing 0
%endmacro
    nothing
%macro one 1
    db %1
%endmacro
    one 5
    one {6, 7}
    one 'text'
%macro pair 2
    dw %1, %2
%endmacro
    pair 1, 2
%macro pair 3
    dd %1, %2, %3
%endmacro
    pair 1, 2, 3
%macro with_default 1-3 20, 30
    db %1, %2, %3, %0
%endmacro
    with_default 1
    with_default 1, 2
    with_default 1, 2, 3
%macro greedy 1+
    db %1
%endmacro
    greedy 1, 2, 3, 'and so on'
%macro greedy_second 2+
    db %1, 0xFF, %2
%endmacro
    greedy_second 1, 2, 3
%macro any_number 1-*
    db %0
%rep %0
    db %1
%rotate 1
%endrep
%endmacro
    any_number 10, 20, 30
    any_number 40
%macro backwards 0-*
%rep %0
%rotate -1
    push %1
%endrep
%endmacro
    backwards eax, ebx, ecx
%macro local_labels 1
%%again:
    dec %1
    jnz %%again
    jz %%done
    nop
%%done:
%endmacro
    local_labels eax
    local_labels ebx
%macro stub 1-2 0
stub_%1:
    push dword %1
    jmp common%2
%endmacro
common0: nop
common1: nop
%assign number 0
%rep 4
    stub number
%assign number number + 1
%endrep
    stub 9, 1
    dd stub_0, stub_3, stub_9
%macro labelled 0
%00: dd %00
%endmacro
here: labelled
%imacro AnyCase 1
    db %1
%endmacro
    anycase 1
    ANYCASE 2
%macro mov 2
%ifidn %1, %2
    nop
%else
    mov %1, %2
%endif
%endmacro
    mov eax, eax
    mov eax, ebx
%unmacro mov 2
    mov eax, eax
%macro conditional 1
    j%-1 %%skip
    j%+1 %%skip
%%skip:
%endmacro
    conditional z
    conditional ae
    conditional nle
%macro outer 1
%macro inner_%1 0
    db 0x44
%endmacro
%endmacro
    outer 5
    inner_5
%macro counted 0
%assign uses uses + 1
    db uses
%endmacro
%assign uses 0
    counted
    counted
%rep 100
%assign uses uses + 1
%if uses > 10
%exitrep
%endif
    db uses
%endrep
%macro early 1
    db %1
%if %1 > 1
%exitmacro
%endif
    db 0xAA
%endmacro
    early 1
    early 2
%push frame
%define %$size 16
%$start:
    dd %$start, %$size
%push inner
%$start:
    dd %$start, %$$start
%pop
%ifctx frame
    db 1
%endif
%pop frame
%macro block_begin 0
%push block
    jmp %$end
%endmacro
%macro block_end 0
%$end:
%pop
%endmacro
    block_begin
    block_begin
    nop
    block_end
    block_end
%macro range 3-*
    db %{2:3}
    db %{-1:1}
%endmacro
    range 1, 2, 3
%ifmacro pair 2
    db 1
%endif
%ifnmacro pair 7
    db 2
%endif
%macro glued 2
%1%2: dd %1%2
value_%1_%2 equ 5
    db value_%1_%2
%endmacro
    glued x, y
%macro in_address 2
    mov eax, [%1 + %2*4 + 8]
    mov [es:%1], %2
%endmacro
    in_address ebx, ecx
