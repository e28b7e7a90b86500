; Short and near branches: sizes that depend on one another, forward and backward.
bits 32
start:
    jmp forward_short
    jmp forward_near
    jz forward_short
    jz forward_near
    call forward_short
    times 100 nop
forward_short:
    jmp start
    jnz start
    times 200 nop
forward_near:
    jmp start
    jnz start
    loop $
    jecxz $
    loop .near, cx
.near:
    jcxz .near
    jmp short .near
    jmp near .near
    jz near .near
    jmp strict near .near
; each of these is near only because the other one is
chain1: jmp chain2 + 127
    times 120 nop
chain2: jmp chain1 - 5
    times 125 nop
    jz chain2
edge_forward: jmp edge_target
    times 127 nop
edge_target: jmp edge_target2
    times 128 nop
edge_target2:
    times 126 nop
    jmp edge_target2
    times 127 nop
    jmp $ - 126
    jmp $ - 127
    jmp $ + 129
    jmp $ + 130
    jmp 0x1000
    call 0x1000
    jz 0x1000
%assign i 0
%rep 40
    jmp mesh_%[i]
    times 3 nop
%assign i i + 1
%endrep
%rep 40
%assign i i - 1
mesh_%[i]:
    jz mesh_20
    times 2 nop
%endrep
bits 16
    jmp start16
    jz start16
    call start16
    jmp dword start16
    call dword start16
    jmp near dword start16
    times 130 nop
start16:
    jmp 0x10:start16
    jmp dword 0x10:start16
    call 0x10:start16
    jmp word 0x10:start16
bits 32
    jmp 8:start
    jmp dword 8:start
    jmp word 8:0x1234
    call 8:start
    jmp far [start]
    jmp far dword [start]
    jmp far word [start]
    call far [start]
    jmp [start]
    call [start]
    jmp near [start]
    call dword [eax*4 + start]
    jmp word [start]
    times 3 jmp $
    times 3 jz start
