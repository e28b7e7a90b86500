/* bit_fields.c — bit fields of all widths, packed structures, bits counted, reversed and searched. */
#include "guest.h"

const char program_name[] = "bit_fields";

static uint8_t bitmap[128];

struct descriptor { /* of a segment, as the processor has it */
    uint32_t limit_low : 16, base_low : 16;
    uint32_t base_middle : 8, type : 4, system : 1, privilege : 2, present : 1;
    uint32_t limit_high : 4, available : 1, zero : 1, big : 1, granular : 1, base_high : 8;
};

struct signs {
    int32_t one : 1, five : 5, eleven : 11, rest : 15;
};

struct __attribute__((packed)) packed {
    uint8_t first;
    uint32_t word;
    uint16_t half;
    int8_t last;
};

static uint32_t base_of(const struct descriptor *d)
{
    return d->base_low | (uint32_t)d->base_middle << 16 | (uint32_t)d->base_high << 24;
}

static uint32_t reversed(uint32_t value)
{
    value = (value >> 1 & 0x55555555) | (value & 0x55555555) << 1;
    value = (value >> 2 & 0x33333333) | (value & 0x33333333) << 2;
    value = (value >> 4 & 0x0F0F0F0F) | (value & 0x0F0F0F0F) << 4;
    return __builtin_bswap32(value);
}

static uint32_t set_bits(uint32_t value)
{
    uint32_t count = 0;

    for (; value; value &= value - 1)
        count++;
    return count;
}

uint32_t compute(void)
{
    uint32_t random = 77;
    uint32_t sum = MIX_START;

    for (unsigned i = 0; i < sizeof bitmap; i++)
        bitmap[i] = 0;
    for (int i = 0; i < 300; i++) {
        uint32_t a = next_random(&random), b = next_random(&random) | 1;
        struct descriptor d = {0};
        struct signs s;
        struct packed p;

        d.limit_low = a, d.limit_high = a >> 16;
        d.base_low = b, d.base_middle = b >> 16, d.base_high = b >> 24;
        d.type = a >> 3, d.privilege = b >> 5, d.present = 1, d.granular = a >> 31;
        d.type ^= 5, d.privilege += 1, d.system = !d.system;
        sum = mix(sum, base_of(&d));
        sum = mix(sum, (uint32_t)(d.limit_low | d.limit_high << 16));
        sum = mix(sum, (uint32_t)(d.type | d.privilege << 4 | d.system << 6 | d.granular << 7));
        s.one = (int32_t)a >> 31, s.five = (int32_t)(a & 31) - 16;
        s.eleven = (int32_t)(b & 0x7FF) - 0x400, s.rest = (int32_t)(a >> 8 & 0x7FFF) - 0x4000;
        s.five /= 3, s.eleven = -(s.eleven + 1) / 2;
        sum = mix(sum, (uint32_t)(s.one + s.five * 3 + s.eleven * 5 + s.rest * 7));
        p.first = (uint8_t)a, p.word = a * b, p.half = (uint16_t)(a >> 3), p.last = (int8_t)b;
        p.word += p.half, p.half ^= p.first, p.first -= (uint8_t)p.last;
        sum = mix(sum, p.word + p.half + p.first + (uint32_t)p.last);
        sum = mix(sum, reversed(a) ^ set_bits(b));
        sum = mix(sum, (uint32_t)(__builtin_ctz(b) + __builtin_clz(b) * 100 + __builtin_parity(a) * 10000));
        sum = mix(sum, (a << (b & 31) | a >> (-b & 31)) ^ __builtin_bswap32(b));
        bitmap[a % 1024 / 8] ^= (uint8_t)(1u << a % 8);
    }
    for (uint32_t bit = 0; bit < 1024; bit++)
        if (bitmap[bit >> 3] >> (bit & 7) & 1)
            sum = mix(sum, bit);
    return sum;
}
