; minikernel.asm — a small preemptive kernel, written to be read.
;
; It starts seven small programs in three task slots, each in its own address space at ring 3,
; preempts them by the timer, serves their system calls, gives them memory when they touch it, kills
; the ones that misbehave, prints a transcript, leaves its results in memory and ends the machine.
;
; It may run with its kernel at ring 0 or, unknowingly, at ring 1 under a monitor. So it never uses an
; instruction that tells the rings apart without trapping (PUSHF and POPF for IF, SGDT, SIDT, SMSW,
; STR, LAR and their like), and it asks a saved frame, not a segment register, where a trap came from.
;
; The transcript does not depend on where the timer strikes: tasks print whole lines, in an order set
; by the turns of user/play.inc. How often the timer struck is kept in a separate part of the results.
;
; Reading order: this page, then the files in the order of the %include lines.
;
;   physical                                        linear, kernel          linear, task
;
;   00440000  ┌───────────────────────────────┐
;             │ frames for tasks (64)         │       through the window      heap, stack, copies
;   00400000  ├───────────────────────────────┤
;             │ (not used)                    │       003FF000 the window
;   00128000  ├───────────────────────────────┤
;             │ page directories and tables   │       same, rw
;   00118000  ├───────────────────────────────┤
;             │ kernel stack, grows down      │       same, rw
;   00116000  ├───────────────────────────────┤
;             │ (guard)                       │       not mapped
;   00115000  ├───────────────────────────────┤
;             │ results                       │       same, rw
;   00114000  ├───────────────────────────────┤
;             │ kernel page table             │       same, rw
;   00113000  ├───────────────────────────────┤
;             │ kernel page directory         │       same, rw
;   00112000  ├───────────────────────────────┤
;             │ TSS                           │       same, rw
;   00111000  ├───────────────────────────────┤
;             │ IDT                           │       same, read-only
;   00110000  ├───────────────────────────────┤
;             │ kernel data                   │       same, rw
;   00106000  ├───────────────────────────────┤
;             │ task data, the original       │                               40105000 copy on write
;   00105000  ├───────────────────────────────┤
;             │ task text                     │                               40104000 read-only
;   00104000  ├───────────────────────────────┤
;             │ kernel text, header, GDT      │       same, read-only
;   00100000  ├───────────────────────────────┤
;             │ (the loader's)                │       not mapped: null pointers fault
;   00000000  └───────────────────────────────┘
;
;   A task sees its image at 40104000, its heap from 50000000 up to its break, an alias page at
;   50100000, and its stack from 60000000 down. The top of the linear space stays empty.

    bits 32

%include "../include/multiboot.inc"
%include "../include/ports.inc"

KERNEL_TEXT         equ 0x00100000
TASK_TEXT           equ 0x00104000
TASK_DATA           equ 0x00105000
KERNEL_DATA         equ 0x00106000
IDT                 equ 0x00110000
TSS                 equ 0x00111000
KERNEL_DIRECTORY    equ 0x00112000
KERNEL_TABLE        equ 0x00113000
RESULTS             equ 0x00114000
STACK_GUARD         equ 0x00115000
KERNEL_STACK        equ 0x00116000
KERNEL_STACK_TOP    equ 0x00118000
TABLE_POOL          equ 0x00118000
KERNEL_END          equ 0x00128000
WINDOW              equ 0x003FF000
FRAME_POOL          equ 0x00400000
FRAME_COUNT         equ 64

PAGE                equ 4096

TASK_OFFSET         equ 0x40000000      ; task linear address minus image address
TASK_SPACE          equ 0x40000000      ; tasks own linear addresses from here ...
TASK_SPACE_END      equ 0x60000000      ; ... to here
HEAP                equ 0x50000000
HEAP_PAGES_MAX      equ 64
ALIAS               equ 0x50100000
STACK_TOP           equ 0x60000000
STACK_PAGES_MAX     equ 16

    org IMAGE_BASE

section .text
start:
    jmp boot
    multiboot_header KERNEL_END

section .bss
bss_start:                              ; first thing in .bss: boot clears from here

section .text
%include "boot.inc"                     ; from the loader to the first task
%include "gdt.inc"                      ; segments and the task state segment
%include "idt.inc"                      ; the ways into the kernel and out of it
%include "clock.inc"                    ; interrupt controllers and interval timer
%include "console.inc"                  ; text to the serial line
%include "paging.inc"                   ; frames, page tables, address spaces
%include "faults.inc"                   ; memory on demand, copies on write, and punishment
%include "tasks.inc"                    ; slots, scheduler, turns, idling
%include "syscall.inc"                  ; what a task may ask for
%include "results.inc"                  ; what is left behind

section .text
    times TASK_TEXT - KERNEL_TEXT - ($ - $$) db 0
%include "user/offences.inc"            ; the instructions tasks are killed for
%include "user/play.inc"                ; who speaks when
%include "user/library.inc"             ; system calls and lines of text
%include "user/sieve.inc"               ; pid 1: primes over demand-paged heap
%include "user/checksum.inc"            ; pid 2: CRC-32, ends dividing by zero
%include "user/depth.inc"               ; pid 3: deep stack, sleeps, ends reading the kernel
%include "user/offenders.inc"           ; pids 4 to 7: one offence each

    times TASK_DATA - KERNEL_TEXT - ($ - $$) db 0
%include "user/data.inc"                ; the page every task gets its own copy of
    times KERNEL_DATA - KERNEL_TEXT - ($ - $$) db 0
