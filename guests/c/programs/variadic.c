/* variadic.c — variable arguments: a formatted print of words, 64-bit words, text and characters. */
#include "guest.h"

const char program_name[] = "variadic";

static char buffer[256];
static unsigned used;

static void put(char c)
{
    if (used < sizeof buffer)
        buffer[used++] = c;
}

static void put_number(uint64_t value, unsigned base, int width, char filler)
{
    char digits[24];
    int count = 0;

    do
        digits[count++] = "0123456789abcdef"[value % base];
    while (value /= base);
    for (int i = count; i < width; i++)
        put(filler);
    while (count)
        put(digits[--count]);
}

/* %c %s %d %u %x with a width, and %lld %llu %llx; what else there is stands for itself. */
static void print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    for (; *format; format++) {
        char filler = ' ';
        int width = 0, is_long = 0;
        int64_t value;

        if (*format != '%') {
            put(*format);
            continue;
        }
        if (*++format == '0')
            filler = '0';
        while (*format >= '0' && *format <= '9')
            width = width * 10 + *format++ - '0';
        for (; *format == 'l'; format++)
            is_long = 1;
        switch (*format) {
        case 'c':
            put((char)va_arg(arguments, int));
            break;
        case 's':
            for (const char *text = va_arg(arguments, const char *); *text; text++)
                put(*text);
            break;
        case 'd':
            value = is_long ? va_arg(arguments, int64_t) : va_arg(arguments, int32_t);
            if (value < 0)
                put('-');
            put_number(value < 0 ? -(uint64_t)value : (uint64_t)value, 10, width, filler);
            break;
        case 'u':
        case 'x':
            put_number(is_long ? va_arg(arguments, uint64_t) : va_arg(arguments, uint32_t),
                       *format == 'u' ? 10 : 16, width, filler);
            break;
        default:
            put(*format);
        }
    }
    va_end(arguments);
}

static uint32_t largest(int count, ...)
{
    uint32_t found = 0;
    va_list arguments, again;

    va_start(arguments, count);
    va_copy(again, arguments);
    for (int i = 0; i < count; i++) {
        uint32_t value = va_arg(arguments, uint32_t);

        found = value > found ? value : found;
    }
    for (int i = 0; i < count; i++)
        found += va_arg(again, uint32_t) == found;
    va_end(again);
    va_end(arguments);
    return found;
}

uint32_t compute(void)
{
    uint32_t random = 41;
    uint32_t sum = MIX_START;

    for (int i = 0; i < 25; i++) {
        uint32_t a = next_random(&random), b = next_random(&random);
        uint64_t wide = (uint64_t)a << 32 | b;

        used = 0;
        print("%d|%08x|%s|%c%%|%lld|", (int32_t)a, b, i & 1 ? "odd" : "", 'a' + i, (int64_t)wide);
        print("%u %llu %016llx %d%5d%%", a, wide, wide * a, i - 12, -i);
        for (unsigned at = 0; at < used; at++)
            sum = (sum ^ (uint8_t)buffer[at]) * 16777619u;
        sum = mix(sum, largest(5, a, b, a ^ b, a + b, a * b));
    }
    return sum;
}
