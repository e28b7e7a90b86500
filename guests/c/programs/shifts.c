/* shifts.c — shifts and rotations by variables, in all widths, and a generator made of nothing else. */
#include "guest.h"

const char program_name[] = "shifts";

static uint32_t left(uint32_t value, uint32_t count)
{
    return value << count | value >> (-count & 31);
}

static uint16_t left16(uint16_t value, uint32_t count)
{
    return (uint16_t)(value << (count & 15) | value >> (-count & 15));
}

static uint8_t right8(uint8_t value, uint32_t count)
{
    return (uint8_t)(value >> (count & 7) | value << (-count & 7));
}

static uint64_t left64(uint64_t value, uint32_t count)
{
    return value << (count & 63) | value >> (-count & 63);
}

uint32_t compute(void)
{
    uint32_t random = 2463534242u;
    uint64_t wide = 88172645463325252u;
    uint32_t sum = MIX_START;

    for (uint32_t i = 0; i < 500; i++) {
        uint32_t count = i & 31;

        random ^= random << 13, random ^= random >> 17, random ^= random << 5;
        wide ^= wide << 13, wide ^= wide >> 7, wide ^= wide << 17;
        sum = mix(sum, left(random, count) + (random << count ^ random >> count));
        sum = mix(sum, (uint32_t)((int32_t)random >> count));
        sum = mix(sum, (uint32_t)left16((uint16_t)random, i) << 16 | right8((uint8_t)random, i));
        sum = mix(sum, (uint32_t)((int16_t)random >> (i & 15)) + (uint32_t)((int8_t)random >> (i & 7)));
        sum = mix64(sum, left64(wide, i) ^ (uint64_t)((int64_t)wide >> (i & 63)));
        sum = mix64(sum, wide << (i * 5 & 63) | wide >> (i * 3 & 63));
    }
    return sum;
}
