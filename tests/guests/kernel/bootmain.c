/* Loads the ELF kernel that follows the boot sector on the disk, and enters it. */

#include "machine.h"

#define SECTOR 512
#define HEADER ((struct elf *)0x10000)

struct elf {
    u32 magic;
    u8 ident[12];
    u16 type, machine;
    u32 version, entry, phoff, shoff, flags;
    u16 ehsize, phentsize, phnum;
};

struct segment {
    u32 type, offset, linear, physical, file_bytes, memory_bytes, flags, align;
};

static void wait_for_disk(void)
{
    while ((inb(0x1F7) & 0xC0) != 0x40)
        ;
}

static void read_sector(u8 *to, u32 sector)
{
    wait_for_disk();
    outb(0x1F2, 1);
    outb(0x1F3, sector);
    outb(0x1F4, sector >> 8);
    outb(0x1F5, sector >> 16);
    outb(0x1F6, sector >> 24 | 0xE0);
    outb(0x1F7, 0x20);
    wait_for_disk();
    insl(0x1F0, to, SECTOR / 4);
}

/* May read more than asked for, before and behind. */
static void read_bytes(u8 *to, u32 count, u32 offset)
{
    u8 *end = to + count;
    to -= offset % SECTOR;
    for (u32 sector = offset / SECTOR + 1; to < end; to += SECTOR, sector++)
        read_sector(to, sector);
}

void bootmain(void)
{
    read_bytes((u8 *)HEADER, 4096, 0);
    if (HEADER->magic != 0x464C457F)
        return;
    struct segment *segment = (struct segment *)((u8 *)HEADER + HEADER->phoff);
    for (int index = 0; index < HEADER->phnum; index++, segment++) {
        if (segment->type != 1)
            continue;
        u8 *to = (u8 *)segment->physical;
        read_bytes(to, segment->file_bytes, segment->offset);
        if (segment->memory_bytes > segment->file_bytes)
            for (u32 at = segment->file_bytes; at < segment->memory_bytes; at++)
                to[at] = 0;
    }
    ((void (*)(void))HEADER->entry)();
}
