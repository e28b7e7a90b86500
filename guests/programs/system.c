/* i386 Linux without a C library: the first instruction, system calls, memory. */
#include "calls.h"
#include "system.h"

__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %esp, %eax\n"
        "    and $-16, %esp\n"
        "    sub $12, %esp\n"
        "    push %eax\n"
        "    call enter\n"
        "    hlt\n");

void enter(char **stack) __attribute__((noreturn, used));

void enter(char **stack)
{
    int count = (int)(intptr_t)stack[0];
    int status = run(count, stack + 1, stack + count + 2);
    flush();
    quit(status);
}

int open_file(const char *path, int flags, int mode) { return call3(5, (long)path, flags, mode); }
int close_file(int fd) { return call3(6, fd, 0, 0); }
int read_some(int fd, void *buffer, int size) { return call3(3, fd, (long)buffer, size); }
int write_some(int fd, const void *buffer, int size) { return call3(4, fd, (long)buffer, size); }

void quit(int status)
{
    call3(252, status, 0, 0);
    for (;;) __asm__ volatile("hlt");
}

void *more_memory(size_t size)
{
    static char *free_from, *free_end;
    size = (size + 15) & ~(size_t)15;
    if ((size_t)(free_end - free_from) < size) {
        size_t step = (size + 0xFFFF) & ~(size_t)0xFFFF;
        char *end = (char *)(intptr_t)call3(45, 0, 0, 0);
        if (free_end != end) free_from = (char *)(((uintptr_t)end + 15) & ~(uintptr_t)15);
        free_end = (char *)(intptr_t)call3(45, (long)(free_from + step), 0, 0);
        if (free_end < free_from + step) fail("out of memory", 0);
    }
    char *found = free_from;
    free_from += size;
    return found;
}

/* What gcc calls by name. */
void *memcpy(void *to, const void *from, size_t size)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return start;
}

void *memset(void *to, int value, size_t size)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return start;
}
