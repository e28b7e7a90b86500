/* arithmetic64.c — 64-bit integers: sums, products, quotients, shifts, comparisons, conversions. */
#include "guest.h"

const char program_name[] = "arithmetic64";

static uint64_t next64(uint32_t *state)
{
    uint64_t high = next_random(state);

    /* Many values near the borders, where carries and signs are decided. */
    switch (next_random(state) % 5) {
    case 0:
        return high % 16;
    case 1:
        return ~(high % 16);
    case 2:
        return high;
    case 3:
        return (high % 16) << 60 | next_random(state);
    default:
        return high << 32 | next_random(state);
    }
}

static uint64_t shifted(uint64_t value, unsigned count)
{
    return (value << (count & 63)) ^ (value >> (count * 7 & 63))
        ^ (uint64_t)((int64_t)value >> (count * 3 & 63));
}

static uint64_t power(uint64_t base, uint32_t exponent, uint64_t modulus)
{
    uint64_t result = 1;

    for (base %= modulus; exponent; exponent >>= 1) {
        if (exponent & 1)
            result = result * base % modulus;
        base = base * base % modulus;
    }
    return result;
}

uint32_t compute(void)
{
    uint32_t random = 64;
    uint32_t sum = MIX_START;

    for (int i = 0; i < 300; i++) {
        uint64_t a = next64(&random), b = next64(&random);
        int64_t signed_a = (int64_t)a, signed_b = (int64_t)b;

        sum = mix64(sum, a + b);
        sum = mix64(sum, a - b);
        sum = mix64(sum, a * b);
        sum = mix64(sum, -a ^ ~b);
        sum = mix64(sum, shifted(a, (unsigned)b));
        sum = mix(sum, (uint32_t)((a < b) | (a == b) << 1 | (signed_a < signed_b) << 2
                                  | (signed_a >= 0) << 3 | ((a & b) != 0) << 4));
        sum = mix64(sum, (uint64_t)(uint32_t)a * (uint32_t)b);
        sum = mix64(sum, (uint64_t)((int64_t)(int32_t)a * (int32_t)b));
        sum = mix64(sum, (uint64_t)(int8_t)a + (uint16_t)b);
        if (b) {
            sum = mix64(sum, a / b);
            sum = mix64(sum, a % b);
        }
        if (signed_b && !(signed_b == -1 && a << 1 == 0)) {
            sum = mix64(sum, (uint64_t)(signed_a / signed_b));
            sum = mix64(sum, (uint64_t)(signed_a % signed_b));
        }
    }
    return mix64(sum, power(3, 1000003, 4294967291u));
}
