/* sorting.c — quicksort: an array of words sorted by recursive partition. */
#include "guest.h"

#define COUNT 3000

const char program_name[] = "sorting";

static int32_t items[COUNT];

static void sort(int32_t *first, int32_t *last)
{
    while (first < last) {
        int32_t pivot = first[(last - first) / 2];
        int32_t *low = first, *high = last;

        while (low <= high) {
            while (*low < pivot)
                low++;
            while (pivot < *high)
                high--;
            if (low <= high) {
                int32_t other = *low;

                *low++ = *high;
                *high-- = other;
            }
        }
        if (high - first < last - low) {
            sort(first, high);
            first = low;
        } else {
            sort(low, last);
            last = high;
        }
    }
}

uint32_t compute(void)
{
    uint32_t random = 3;
    uint32_t sum = MIX_START;

    for (int i = 0; i < COUNT; i++)
        items[i] = (int32_t)next_random(&random);
    sort(items, items + COUNT - 1);
    for (int i = 0; i < COUNT; i++) {
        if (i && items[i - 1] > items[i])
            return 0;
        sum = (sum ^ (uint32_t)items[i]) * 16777619u;
    }
    return sum;
}
