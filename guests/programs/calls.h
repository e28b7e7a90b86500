/* System calls of i386 Linux by INT 80h: the number in EAX, arguments in EBX, ECX, EDX, ESI, EDI, EBP. */
#ifndef CALLS_H
#define CALLS_H

static inline int call3(long number, long a, long b, long c)
{
    int result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c)
                     : "memory");
    return result;
}

static inline int call5(long number, long a, long b, long c, long d, long e)
{
    int result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory");
    return result;
}

/* mmap2 alone takes six. */
static inline void *map_pages(long address, long size, int protection, int flags, int fd, long page)
{
    void *result;
    __asm__ volatile("push %%ebp\n\tmov %7, %%ebp\n\tint $0x80\n\tpop %%ebp"
                     : "=a"(result)
                     : "a"(192), "b"(address), "c"(size), "d"(protection), "S"(flags), "D"(fd),
                       "m"(page)
                     : "memory");
    return result;
}

#endif
