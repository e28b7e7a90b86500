/* guest.h — what every C program of this folder offers and may use.
 *
 * A program supplies `program_name` and `compute`, which does one round of work from scratch and
 * answers with a checksum of all it computed. main.c runs it as often as the image says, checks that
 * every round gives the same, prints the checksum and ends the machine. Compiled with host.c instead,
 * the same program runs as a process of the host, whose compiler and processor are the oracle.
 *
 * Nothing here depends on the size of long or of a pointer, on the order of evaluation, or on what
 * the language leaves undefined: the checksum must be the same whoever computes it. */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern const char program_name[];
uint32_t compute(void);

/* One step of FNV-1a over the four bytes of a word. */
static inline uint32_t mix(uint32_t sum, uint32_t word)
{
    for (int shift = 0; shift < 32; shift += 8)
        sum = (sum ^ (word >> shift & 0xFF)) * 16777619u;
    return sum;
}

static inline uint32_t mix64(uint32_t sum, uint64_t word)
{
    return mix(mix(sum, (uint32_t)word), (uint32_t)(word >> 32));
}

#define MIX_START 2166136261u

/* Reproducible test data. */
static inline uint32_t next_random(uint32_t *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 8 ^ *state << 11;
}

/* Keeps the compiler from working out at compile time what is to be computed at run time. */
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))

#endif
