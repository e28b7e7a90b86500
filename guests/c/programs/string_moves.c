/* string_moves.c — blocks copied, moved over themselves, filled, compared and searched. */
#include "guest.h"

#define LENGTH 3000

const char program_name[] = "string_moves";

static char one[LENGTH], other[LENGTH];

/* What <string.h> would declare: the freestanding compiler knows them, and so does the host's. */
#define copy __builtin_memcpy
#define move __builtin_memmove
#define fill __builtin_memset
#define compare __builtin_memcmp

static size_t length_of(const char *text)
{
    const char *end = text;

    while (*end)
        end++;
    return (size_t)(end - text);
}

static int place_of(const char *text, char wanted)
{
    for (int i = 0; text[i]; i++)
        if (text[i] == wanted)
            return i;
    return -1;
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

uint32_t compute(void)
{
    uint32_t random = 5;
    uint32_t sum = MIX_START;
    size_t size = LENGTH;

    for (int i = 0; i < LENGTH - 1; i++)
        one[i] = (char)('a' + next_random(&random) % 25);
    one[LENGTH - 1] = 0;
    for (int round = 0; round < 12; round++) {
        size_t shift = next_random(&random) % 200;

        OPAQUE(size);
        fill(other, round, size);
        copy(other + shift, one, size - shift);
        sum = mix(sum, (uint32_t)sign(compare(one, other, size)));
        move(other + 7, other, size - 7);
        move(other, other + shift, size - shift);
        for (size_t i = 0; i < size; i += 16)
            sum = (sum ^ (uint8_t)other[i]) * 16777619u;
        sum = mix(sum, (uint32_t)length_of(one));
        sum = mix(sum, (uint32_t)place_of(one, (char)('a' + round)) + (uint32_t)place_of(one, 'z'));
        one[next_random(&random) % (LENGTH - 1)] = 'y';
    }
    return sum;
}
