; Single-line macros, assignments, strings, conditionals.
bits 32
%define VALUE 5
%define twice(x) ((x)*2)
%define later_bound VALUE + 1
%xdefine bound_now VALUE + 1
%define VALUE 7
    db later_bound, bound_now, twice(3)
%idefine AnyCase 9
    db anycase, ANYCASE
%define join(a, b) a %+ b
join(la, bel): db join(0x, 1F)
    dd label
%define self self
self: dd self
%undef VALUE
%ifdef VALUE
    db 0xEE
%elifndef VALUE
    db 1
%else
    db 0xEE
%endif
%assign counter 0
%rep 5
    db counter
%assign counter counter + 2
%endrep
%assign counter counter * -1
    db counter
%if counter = -10 && 1
    db 2
%elif 1
    db 0xEE
%endif
%if 0
    this is skipped, whatever it says: '
%if 1
    db 0xEE
%endif
%else
    db 3
%endif
%ifidn a b, a b
    db 4
%endif
%ifidni EAX, eax
    db 5
%endif
%ifnidn 'x', "x"
    db 0xEE
%endif
%ifnum 5
    db 6
%endif
%ifnum eax
    db 0xEE
%elifid eax
    db 7
%endif
%ifstr 'abc'
    db 8
%endif
%ifempty
    db 9
%endif
%iftoken ,
    db 10
%endif
%strlen length 'hello'
%substr second 'hello' 2
%substr middle 'hello' 2, 3
%substr tail 'hello' 2, -1
%strcat whole 'ab', "cd"
%defstr name some thing
%deftok token 'VALUE_2'
%define VALUE_2 0x22
    db length, second, middle, tail, whole, name, token
%define empty
    db 1 empty
%define list 1, 2, 3
    db list
%define first(a, b) a
    db first(1, 2)
    db __LINE__
%define plus(x) x + 1
    db plus(2) * 3
%define a b
%define b 0x33
    db a
    db %[b]
suffix%[b] equ 5
    dd 1_000, 0x1_0, 10h, 0ah, 101b, 17q, 17o, 0b101, 0o17, $0f, 0d10, 10d
    dd 'a', 'ab', 'abc', 'abcd', "'", '"', `\n\t\x41\0`
    db 'strings', "too", `\r\n\e\\\'\"\101`, 0
    dw 'a', 'ab', 'abc'
    dq 'abcdefgh', 'abc', 0x1122334455667788, -1
    dd 1, \
    2, \
    3
