/* division.c — signed and unsigned division, by variables and by every kind of constant. */
#include "guest.h"

const char program_name[] = "division";

static uint32_t by_constants(uint32_t u, int32_t s)
{
    uint32_t sum = MIX_START;

    sum = mix(sum, u / 3 + u % 7 + u / 10 + u % 10 + u / 641 + u % 1000003);
    sum = mix(sum, u / 8 + u % 16 + u / 0x80000000u + u / 0xFFFFFFFFu);
    sum = mix(sum, (uint32_t)(s / 3 - s % 7 + s / -10 - s % 10 + s / 8 - s % 16 + s / -1024));
    return mix(sum, (uint32_t)(s / 0x40000000 + s % 100 + s / 7));
}

static uint32_t greatest_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static uint32_t square_root(uint32_t value)
{
    uint32_t root = value / 2 + 1;

    for (int i = 0; i < 40; i++) {
        uint32_t next = (root + value / root) / 2;

        if (next >= root || !next)
            break;
        root = next;
    }
    return root;
}

static uint32_t digits(uint32_t value, uint32_t base)
{
    uint32_t sum = MIX_START;

    do
        sum = (sum ^ value % base) * 16777619u;
    while (value /= base);
    return sum;
}

uint32_t compute(void)
{
    uint32_t random = 9;
    uint32_t sum = MIX_START;

    for (int i = 0; i < 400; i++) {
        uint32_t u = next_random(&random) >> i % 32, v = (next_random(&random) >> i * 7 % 32) | 1;
        int32_t s = (int32_t)(u ^ -(v >> 4 & 1)), t = (int32_t)(v ^ -(u >> 3 & 1));

        sum = mix(sum, u / v ^ u % v << 7);
        if (t && !(t == -1 && s == INT32_MIN)) {
            sum = mix(sum, (uint32_t)(s / t));
            sum = mix(sum, (uint32_t)(s % t));
        }
        sum = mix(sum, (uint16_t)u / (uint16_t)(v | 1) + (uint8_t)u / (uint8_t)v);
        sum = mix(sum, (uint32_t)((int16_t)u / (int16_t)(v | 1) + (int8_t)u % (int8_t)(v | 1)));
        sum = mix(sum, by_constants(u, s));
        sum = mix(sum, greatest_divisor(u, v) + square_root(u));
        sum = mix(sum, digits(u, 2 + v % 35));
    }
    return sum;
}
