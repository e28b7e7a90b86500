/* Faults as signals: each handler says what it was told, and goes on behind the instruction. */
#include "calls.h"
#include "system.h"

struct action { void (*handler)(int, int32_t *, uint32_t *); uint32_t flags; void (*restorer)(void);
                uint32_t mask[2]; };

enum { SIGINFO = 4, RESTORER = 0x04000000, ONSTACK = 0x08000000, NODEFER = 0x40000000 };
enum { CONTEXT_EIP = 5 + 14, CONTEXT_TRAP = 5 + 12, CONTEXT_EAX = 5 + 11 };

void restore(void);
__asm__("restore: mov $173, %eax\n\tint $0x80");

static uint32_t alternate[4096];
static volatile int skipped, wants_address, was_on_alternate;

static void handler(int number, int32_t *info, uint32_t *context)
{
    char here;
    put_line("signal", number);
    put_line("  code", info[2]);
    if (wants_address) put("  address "), put_hex((uint32_t)info[3], 8), put("\n");
    put_line("  trap", (int32_t)context[CONTEXT_TRAP]);
    context[CONTEXT_EIP] += (uint32_t)skipped;
    context[CONTEXT_EAX] = 77;
    was_on_alternate = (uint32_t *)&here >= alternate && (uint32_t *)&here < alternate + 4096;
}

static int arrange(int number, uint32_t flags)
{
    struct action wanted = { handler, flags | SIGINFO | RESTORER, restore, { 0, 0 } };
    return call5(174, number, (long)&wanted, 0, 8, 0);
}

static int divide(int by)
{
    int result = 1000;
    skipped = 2;
    __asm__ volatile("cltd\n\tidiv %1" : "+a"(result) : "r"(by) : "edx");
    return result;
}

static int fetch(uint32_t address)
{
    int result;
    skipped = 2;
    __asm__ volatile("mov (%%ecx), %%eax" : "=a"(result) : "c"(address));
    return result;
}

static int store(uint32_t address)
{
    int result = 5;
    skipped = 2;
    __asm__ volatile("mov %%eax, (%%ecx)" : "+a"(result) : "c"(address) : "memory");
    return result;
}

int run(int count, char **words, char **environment)
{
    uint32_t stack[3] = { (uint32_t)alternate, 0, sizeof alternate };
    int result = 0;
    (void)environment;
    for (int number = 1; number < 16; number++)
        if (number != 9) arrange(number, number == 11 ? ONSTACK : 0);
    put_line("sigaltstack", call3(186, (long)stack, 0, 0));
    put_line("divide", divide(7));
    put_line("divide by zero", divide(0));
    wants_address = 1;
    put_line("fetch", fetch(0x10));
    put_line("on the alternate stack", was_on_alternate);
    put_line("store", store(0x20));
    char *page = map_pages(0x30000000, 4096, 1, 0x32, -1, 0);
    put_line("store to a read-only page", store((uint32_t)page));
    wants_address = 0;
    skipped = 2;
    __asm__ volatile("ud2" : "=a"(result));
    put_line("undefined", result);
    skipped = 0;
    __asm__ volatile("int3" : "=a"(result));
    put_line("breakpoint", result);
    skipped = 1;
    __asm__ volatile("hlt" : "=a"(result));
    put_line("privileged", result);
    __asm__ volatile("in %%dx, %%al" : "=a"(result) : "d"(0x60));
    put_line("port", result);
    skipped = 2;
    __asm__ volatile("int $0x81" : "=a"(result));
    put_line("gate", result);
    skipped = 0;
    put_line("kill", call3(37, call3(20, 0, 0, 0), 10, 0));
    put_line("on the alternate stack", was_on_alternate);
    flush();
    if (count > 1) {
        struct action standard = { 0, 0, 0, { 0, 0 } };
        int number = words[1][0] - '0';
        if (words[1][1]) number = 10 * number + words[1][1] - '0';
        call5(174, number, (long)&standard, 0, 8, 0);
        if (number == 11) fetch(0);
        call3(37, call3(20, 0, 0, 0), number, 0);
    }
    return 0;
}
