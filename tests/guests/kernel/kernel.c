/* The kernel: every step prints a line, and the lines are what the test expects. */

#include "machine.h"

#define KERNEL_BASE 0x80000000u
#define MULTIBOOT 0x2BADB002u
#define USER_CODE 0x40000000u
#define IRQ_BASE 32
#define SYSTEM_CALL 64

struct frame {
    u32 edi, esi, ebp, esp, ebx, edx, ecx, eax, es, ds, number, error, eip, cs, eflags;
};

struct gate {
    u16 low, selector, flags, high;
};

struct task_state {
    u32 link, esp0, ss0, rest[22];
    u16 trap, map;
};

struct pointer {
    u16 limit;
    u32 base;
} __attribute__((packed));

extern u32 entry_directory[1024];
extern u8 user_program[], user_program_end[];
extern void vector13(void), vector14(void), vector32(void), vector33(void), vector46(void);
extern void vector64(void);
extern void enter_user(u32 eip, u32 esp);

static volatile u32 ticks, disk_interrupts;
static volatile u8 key;
static struct gate idt[256];
static struct task_state tss;
static unsigned long long gdt[6];
static u8 frames[2][4096] __attribute__((aligned(4096)));
static u32 user_table[1024] __attribute__((aligned(4096)));
static u32 buffer[128];
static u32 row = 160 * 2;

/* --- printing --------------------------------------------------------------------------------- */

static void put(char c)
{
    u8 *screen = (u8 *)(KERNEL_BASE + 0xB8000);
    while (!(inb(0x3FD) & 0x20))
        ;
    outb(0x3F8, c);
    if (c == '\n') {
        row += 160 - row % 160;
        return;
    }
    screen[row++] = c;
    screen[row++] = 0x07;
}

static void print(const char *text)
{
    while (*text)
        put(*text++);
}

static void print_hex(u32 value, int digits)
{
    while (digits--)
        put("0123456789ABCDEF"[value >> 4 * digits & 15]);
}

static void line(const char *text, u32 value, int digits)
{
    print(text);
    print_hex(value, digits);
    put('\n');
}

static void leave(u8 value)
{
    outb(0xF4, value);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* --- tables ----------------------------------------------------------------------------------- */

static void set_gate(int number, void (*handler)(void), u16 flags)
{
    u32 address = (u32)handler;
    idt[number] = (struct gate){address, 8, flags, address >> 16};
}

static void set_tables(void)
{
    u32 base = (u32)&tss;
    gdt[1] = 0x00CF9A000000FFFFull;
    gdt[2] = 0x00CF92000000FFFFull;
    gdt[3] = 0x00CFFA000000FFFFull;
    gdt[4] = 0x00CFF2000000FFFFull;
    gdt[5] = (sizeof tss - 1) | (unsigned long long)(base & 0xFFFFFF) << 16 | 0x89ull << 40
           | (unsigned long long)(base >> 24) << 56;
    struct pointer table = {sizeof gdt - 1, (u32)gdt};
    __asm__ volatile("lgdt %0; ljmp $8, $1f; 1:" : : "m"(table));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" : : "r"(16));
    tss.ss0 = 16;
    tss.map = sizeof tss;
    __asm__ volatile("ltr %w0" : : "r"(5 * 8));
    set_gate(13, vector13, 0x8E00);
    set_gate(14, vector14, 0x8E00);
    set_gate(32, vector32, 0x8E00);
    set_gate(33, vector33, 0x8E00);
    set_gate(46, vector46, 0x8E00);
    set_gate(SYSTEM_CALL, vector64, 0xEF00); /* a trap gate for ring 3: interrupts stay on */
    struct pointer vectors = {sizeof idt - 1, (u32)idt};
    __asm__ volatile("lidt %0" : : "m"(vectors));
}

static void set_interrupts(void)
{
    static const u8 words[] = {0x11, IRQ_BASE, 4, 1};
    for (int index = 0; index < 4; index++) {
        outb(index ? 0x21 : 0x20, words[index]);
        outb(index ? 0xA1 : 0xA0, index == 1 ? IRQ_BASE + 8 : index == 2 ? 2 : words[index]);
    }
    outb(0x21, ~(1 | 2 | 4));
    outb(0xA1, ~0x40);
    outb(0x43, 0x34);
    outb(0x40, 11932 & 0xFF);
    outb(0x40, 11932 >> 8);
}

/* --- traps ------------------------------------------------------------------------------------ */

static void system_call(struct frame *frame)
{
    if ((frame->cs & 3) != 3 || !(frame->eflags & 0x200))
        leave(0x12);
    switch (frame->eax) {
    case 1:
        print((const char *)frame->ebx);
        break;
    case 2:
        line("user: sum ", frame->ebx, 8);
        break;
    default:
        print("user: done\n");
        leave(0x10);
    }
}

static void page_fault(void)
{
    u32 address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    line("page fault at ", address, 8);
    entry_directory[address >> 22] = 0x00000083; /* the first 4 MiB once more */
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

void trap(struct frame *frame)
{
    switch (frame->number) {
    case IRQ_BASE:
        ticks++;
        outb(0x20, 0x20);
        break;
    case IRQ_BASE + 1:
        key = inb(0x60);
        outb(0x20, 0x20);
        break;
    case IRQ_BASE + 14:
        inb(0x1F7);
        disk_interrupts++;
        outb(0xA0, 0x20);
        outb(0x20, 0x20);
        break;
    case 14:
        page_fault();
        break;
    case SYSTEM_CALL:
        system_call(frame);
        break;
    default:
        line("trap ", frame->number, 2);
        leave(0x13);
    }
}

/* --- devices ---------------------------------------------------------------------------------- */

static void wait_for_disk(void)
{
    while ((inb(0x1F7) & 0xC0) != 0x40)
        ;
}

static void start_disk(u32 sector, u8 command)
{
    wait_for_disk();
    outb(0x3F6, 0);
    outb(0x1F2, 1);
    outb(0x1F3, sector);
    outb(0x1F4, sector >> 8);
    outb(0x1F5, sector >> 16);
    outb(0x1F6, 0xE0 | 1 << 4); /* the second disk */
    outb(0x1F7, command);
}

static void wait_for_interrupt(u32 before)
{
    while (disk_interrupts == before)
        __asm__ volatile("sti; hlt");
}

static void read_sector(u32 sector)
{
    u32 before = disk_interrupts;
    start_disk(sector, 0x20);
    wait_for_interrupt(before);
    insl(0x1F0, buffer, 128);
}

static void write_sector(u32 sector)
{
    u32 before = disk_interrupts;
    start_disk(sector, 0x30);
    outsl(0x1F0, buffer, 128);
    wait_for_interrupt(before);
}

static void test_disk(void)
{
    read_sector(3);
    line("disk: read ", buffer[0], 8);
    stosl(buffer, 0x12345678, 128);
    write_sector(5);
    stosl(buffer, 0, 128);
    read_sector(5);
    line("disk: written ", buffer[127], 8);
}

static void test_clock(void)
{
    print("clock: ");
    static const u8 registers[] = {0x32, 9, 8, 7};
    for (int index = 0; index < 4; index++) {
        do
            outb(0x70, 0x0A);
        while (inb(0x71) & 0x80);
        outb(0x70, registers[index]);
        print_hex(inb(0x71), 2);
    }
    put('\n');
}

static void test_keyboard(void)
{
    print("keyboard: press a key\n");
    while (!key)
        __asm__ volatile("hlt");
    line("keyboard: ", key, 2);
}

static u32 read_flags(void)
{
    u32 flags;
    __asm__ volatile("pushfl; popl %0" : "=r"(flags));
    return flags;
}

static void test_user(void)
{
    u32 directory = (u32)user_table - KERNEL_BASE;
    u8 *code = frames[0];
    for (u32 index = 0; user_program + index < user_program_end; index++)
        code[index] = user_program[index];
    user_table[0] = ((u32)frames[0] - KERNEL_BASE) | 7;
    user_table[1] = ((u32)frames[1] - KERNEL_BASE) | 7;
    entry_directory[USER_CODE >> 22] = directory | 7;
    static u8 stack[4096];
    tss.esp0 = (u32)(stack + sizeof stack);
    enter_user(USER_CODE, USER_CODE + 0x2000);
}

static void test_multiboot(u32 *information)
{
    information = (u32 *)((u8 *)information + KERNEL_BASE);
    print("multiboot: ");
    print((const char *)(information[4] + KERNEL_BASE));
    print(", modules ");
    print_hex(information[5], 1);
    if (information[5]) {
        u32 *module = (u32 *)(information[6] + KERNEL_BASE);
        put(' ');
        for (u32 at = module[0]; at < module[1]; at++)
            put(*(char *)(at + KERNEL_BASE));
    }
    put('\n');
}

void kernel_main(u32 magic, u32 *information)
{
    print("kernel: in the upper half\n");
    if (magic == MULTIBOOT)
        test_multiboot(information);
    set_tables();
    set_interrupts();
    line("kernel: interrupts are off ", read_flags() & 0x200, 3);
    __asm__ volatile("sti");
    while (ticks < 3)
        __asm__ volatile("hlt");
    print("timer: three ticks\n");
    volatile u32 lock = 0;
    u32 old = 1;
    __asm__ volatile("lock; xchgl %0, %1" : "+m"(lock), "+r"(old));
    line("lock: ", old << 4 | lock, 2);
    line("memory: ", *(volatile u32 *)0xC0100000 & 0xFFFF, 4);
    test_disk();
    test_clock();
    test_keyboard();
    test_user();
}
