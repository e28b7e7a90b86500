/* recursion.c — Fibonacci, Ackermann, Hanoi and the eight queens. */
#include "guest.h"

const char program_name[] = "recursion";

static uint32_t moves;

static uint32_t fibonacci(uint32_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint32_t ackermann(uint32_t m, uint32_t n)
{
    if (!m)
        return n + 1;
    return ackermann(m - 1, n ? ackermann(m, n - 1) : 1);
}

static void hanoi(int disks, int from, int to, int by)
{
    if (!disks)
        return;
    hanoi(disks - 1, from, by, to);
    moves = moves * 3 + (uint32_t)(from * 4 + to);
    hanoi(disks - 1, by, to, from);
}

static uint32_t queens(uint32_t columns, uint32_t left, uint32_t right)
{
    uint32_t found = 0;

    if (columns == 0xFF)
        return 1;
    for (uint32_t free = ~(columns | left | right) & 0xFF; free; free &= free - 1) {
        uint32_t place = free & -free;

        found += queens(columns | place, (left | place) << 1, (right | place) >> 1);
    }
    return found;
}

uint32_t compute(void)
{
    uint32_t sum = MIX_START;

    moves = 1;
    hanoi(10, 1, 2, 3);
    sum = mix(sum, fibonacci(18));
    sum = mix(sum, ackermann(2, 40));
    sum = mix(sum, moves);
    return mix(sum, queens(0, 0, 0)); /* 92 */
}
