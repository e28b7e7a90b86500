/* host.c — the frame around a program as a process of the host, for the expected checksum. */
#include "guest.h"

#include <stdio.h>

int main(void)
{
    uint32_t sum = compute();

    printf("%s: %08X\n", program_name, (unsigned)sum);
    return compute() != sum;
}
