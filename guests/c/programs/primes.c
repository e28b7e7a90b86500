/* primes.c — the primes below a limit by the sieve of Eratosthenes. */
#include "guest.h"

#define LIMIT 20000

const char program_name[] = "primes";

static uint8_t composite[LIMIT];

uint32_t compute(void)
{
    uint32_t sum = MIX_START;
    uint32_t count = 0;

    for (uint32_t i = 0; i < LIMIT; i++)
        composite[i] = 0;
    for (uint32_t i = 2; i < LIMIT; i++) {
        if (composite[i])
            continue;
        count++;
        sum ^= i * count;
        for (uint32_t j = i + i; j < LIMIT; j += i)
            composite[j] = 1;
    }
    return mix(sum, count);
}
