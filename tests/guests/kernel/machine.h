/* Instructions that C has no words for. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

static inline u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
    return value;
}

static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static inline void insl(u16 port, void *to, u32 count)
{
    __asm__ volatile("cld; rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory", "cc");
}

static inline void outsl(u16 port, const void *from, u32 count)
{
    __asm__ volatile("cld; rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory", "cc");
}

static inline void stosl(void *to, u32 value, u32 count)
{
    __asm__ volatile("cld; rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory", "cc");
}
