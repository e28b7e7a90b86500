/* matrix.c — product of two matrices of integers. */
#include "guest.h"

#define SIZE 40

const char program_name[] = "matrix";

static int32_t left[SIZE][SIZE], right[SIZE][SIZE], product[SIZE][SIZE];

uint32_t compute(void)
{
    uint32_t random = 7;
    uint32_t sum = MIX_START;

    for (int row = 0; row < SIZE; row++)
        for (int column = 0; column < SIZE; column++) {
            left[row][column] = (int32_t)(next_random(&random) % 2001) - 1000;
            right[row][column] = (int32_t)(next_random(&random) % 2001) - 1000;
        }
    for (int round = 0; round < 3; round++) {
        for (int row = 0; row < SIZE; row++)
            for (int column = 0; column < SIZE; column++) {
                int32_t total = 0;

                for (int k = 0; k < SIZE; k++)
                    total += left[row][k] * right[k][column];
                product[row][column] = total;
            }
        for (int row = 0; row < SIZE; row++)
            for (int column = 0; column < SIZE; column++) {
                sum ^= (uint32_t)product[row][column];
                sum = sum << 5 | sum >> 27;
                left[row][column] = product[row][column] % 1000;
            }
    }
    return mix(sum, (uint32_t)product[SIZE - 1][SIZE - 1]);
}
