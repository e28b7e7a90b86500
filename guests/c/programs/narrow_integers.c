/* narrow_integers.c — char and short: promotion, truncation, sign, overflow that wraps. */
#include "guest.h"

const char program_name[] = "narrow_integers";

static int8_t signed_bytes[256];
static uint8_t bytes[256];
static int16_t signed_halves[256];
static uint16_t halves[256];

static uint8_t saturated(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static int16_t average(int16_t one, int16_t other)
{
    return (int16_t)((one + other) / 2);
}

uint32_t compute(void)
{
    uint32_t random = 8;
    uint32_t sum = MIX_START;

    for (int i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)next_random(&random);
        signed_bytes[i] = (int8_t)next_random(&random);
        halves[i] = (uint16_t)next_random(&random);
        signed_halves[i] = (int16_t)next_random(&random);
    }
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < 256; i++) {
            uint8_t j = (uint8_t)(bytes[i] + round);
            int8_t b = signed_bytes[j];
            int16_t h = signed_halves[(uint8_t)(j + 1)];

            bytes[i] = (uint8_t)(bytes[i] * 5 + b);
            signed_bytes[j]++;
            signed_bytes[i] = (int8_t)(signed_bytes[i] - (h >> 3));
            halves[j] = (uint16_t)((uint32_t)halves[j] * halves[i]);
            halves[i] = (uint16_t)(halves[i] << (b & 15) | halves[i] >> (15 - (b & 15)));
            signed_halves[i] = average(h, (int16_t)~signed_halves[i]);
            signed_halves[j] = (int16_t)(signed_halves[j] * b);
            bytes[j] = saturated(bytes[j] + b * 2);
            if (b < 0 && (uint8_t)b > bytes[i])
                halves[i] ^= 0x8001;
            if (h > b)
                bytes[i] = (uint8_t)-bytes[i];
            if (bytes[j])
                signed_halves[j] = (int16_t)(signed_halves[j] / bytes[j] + h % bytes[j]);
            if (signed_bytes[i] != 0)
                sum += (uint32_t)(b / signed_bytes[i]) + halves[i] % (bytes[1] | 1);
        }
    for (int i = 0; i < 256; i++)
        sum = mix(sum, (uint32_t)bytes[i] << 24 ^ (uint32_t)signed_bytes[i] << 12 ^ halves[i]
                          ^ (uint32_t)(signed_halves[i] * 3));
    return sum;
}
