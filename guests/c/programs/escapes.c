/* escapes.c — leaving nested calls at once by setjmp and longjmp, coroutine-like and as exceptions. */
#include "guest.h"

const char program_name[] = "escapes";

static void *handlers[8][5];
static int depth;
static volatile uint32_t trail;

static __attribute__((noinline, noreturn)) void escape(void)
{
    __builtin_longjmp(handlers[--depth], 1);
}

static __attribute__((noinline)) uint32_t parse(const char **at, uint32_t nesting)
{
    uint32_t sum = 0;

    for (; **at && **at != ')'; ++*at) {
        trail = trail * 5 + (uint32_t)**at;
        if (**at == '(') {
            ++*at;
            sum += 3 * parse(at, nesting + 1);
            if (**at != ')')
                escape();
        } else if (**at == '!')
            escape();
        else
            sum += (uint32_t)(**at - '0') << nesting;
    }
    return sum;
}

static __attribute__((noinline)) uint32_t tried(const char *text)
{
    const char *at = text;

    if (__builtin_setjmp(handlers[depth++]))
        return 0xE0000000u ^ trail;
    uint32_t sum = parse(&at, 0);
    depth--;
    return *at ? 0xF0000000u : sum;
}

static __attribute__((noinline)) uint32_t nested(int level)
{
    if (__builtin_setjmp(handlers[depth++]))
        return trail + (uint32_t)level;
    trail = trail * 7 + (uint32_t)level;
    if (level == 5)
        escape();
    uint32_t found = nested(level + 1);
    trail ^= found;
    if (level & 1)
        escape();
    depth--;
    return found * 3;
}

uint32_t compute(void)
{
    static const char *const texts[] = {"123", "1(2(3)4)5", "1(2", "(((((9)))))", "1(2!3)4", "1)2", "((!", ""};
    uint32_t sum = MIX_START;

    depth = 0;
    trail = 1;
    for (int round = 0; round < 20; round++)
        for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            sum = mix(sum, tried(texts[i]));
            sum = mix(sum, nested((int)(i % 3)));
            sum = mix(sum, (uint32_t)depth);
        }
    return sum;
}
