/* What the start-up code of a C library asks for, and what it must find. */
#include "calls.h"
#include "system.h"

struct user_desc { uint32_t number, base, limit, flags; };

static uint32_t thread_block[4] = { 0, 0x11223344, 0, 0 };

static void auxiliary_vector(char **environment)
{
    uint32_t *vector;
    while (*environment) environment++;
    vector = (uint32_t *)(environment + 1);
    for (; vector[0]; vector += 2) switch (vector[0]) {
    case 6: put_line("page size", (int32_t)vector[1]); break;
    case 4: put_line("program header size", (int32_t)vector[1]); break;
    case 3: put_line("program headers are there", *(uint32_t *)vector[1] != 0); break;
    case 17: put_line("clock ticks", (int32_t)vector[1]); break;
    case 23: put_line("secure", (int32_t)vector[1]); break;
    case 25: put_line("random bytes are there", vector[1] != 0); break;
    }
}

static void thread_storage(void)
{
    struct user_desc wanted = { 0xFFFFFFFF, (uint32_t)thread_block, 0xFFFFF, 0x51 };
    uint32_t found;
    put_line("set_thread_area", call3(243, (long)&wanted, 0, 0));
    __asm__ volatile("mov %w1, %%gs\n\tmov %%gs:4, %0" : "=r"(found) : "r"(wanted.number * 8 + 3));
    put("gs:4 = ");
    put_hex(found, 8);
    put("\n");
}

static void memory(void)
{
    int first = call3(45, 0, 0, 0);
    char *pages = map_pages(0, 3 * 4096, 3, 0x22, -1, 0);
    put_line("brk grows", call3(45, first + 5000, 0, 0) - first);
    *(char *)(intptr_t)(first + 4999) = 7;
    put_line("brk shrinks", call3(45, first, 0, 0) - first);
    pages[0] = 1, pages[8192] = 2;
    put_line("munmap", call3(91, (long)(pages + 4096), 4096, 0));
    put_line("mprotect", call3(125, (long)pages, 4096, 1));
    put_line("read only keeps", pages[0]);
    put_line("read into it", call3(355, (long)pages, 4, 0));
    char *moved = (char *)(intptr_t)call5(163, (long)(pages + 8192), 4096, 65536, 1, 0);
    put_line("mremap keeps", moved[0]);
    put_line("and is zero behind", moved[65535]);
}

int run(int count, char **words, char **environment)
{
    char name[6 * 65];
    uint32_t limit[2], robust[3] = { 0, 0, 0 };
    (void)count, (void)words;
    auxiliary_vector(environment);
    thread_storage();
    memory();
    put_line("set_tid_address is getpid", call3(258, 0, 0, 0) == call3(20, 0, 0, 0));
    put_line("set_robust_list", call3(311, (long)robust, sizeof robust, 0));
    put_line("ugetrlimit", call3(191, 3, (long)limit, 0));
    put_line("uname", call3(122, (long)name, 0, 0));
    put(name), put("\n");
    put_line("isatty of a pipe", call3(54, 1, 0x5401, (long)name));
    put_line("bad buffer", call3(4, 1, 16, 4));
    put_line("bad descriptor", call3(6, 77, 0, 0));
    put_line("no such call", call3(999, 0, 0, 0));
    return 0;
}
