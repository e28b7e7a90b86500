/* pointer_chase.c — a linked list in shuffled order, walked, reversed and walked again. */
#include "guest.h"

#define COUNT 2000

const char program_name[] = "pointer_chase";

struct node {
    struct node *next;
    uint32_t value;
};

static struct node nodes[COUNT];
static uint16_t order[COUNT];

static struct node *shuffled(uint32_t seed)
{
    for (uint32_t i = 0; i < COUNT; i++)
        order[i] = (uint16_t)i;
    for (uint32_t i = COUNT - 1; i; i--) {
        uint32_t j = next_random(&seed) % (i + 1);
        uint16_t other = order[i];

        order[i] = order[j];
        order[j] = other;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        nodes[order[i]].value = i * 2654435761u;
        nodes[order[i]].next = i + 1 < COUNT ? &nodes[order[i + 1]] : NULL;
    }
    return &nodes[order[0]];
}

static uint32_t walked(const struct node *node, uint32_t sum)
{
    for (; node; node = node->next)
        sum = (sum << 3 | sum >> 29) + node->value;
    return sum;
}

static struct node *reversed(struct node *node)
{
    struct node *before = NULL;

    while (node) {
        struct node *next = node->next;

        node->next = before;
        before = node;
        node = next;
    }
    return before;
}

uint32_t compute(void)
{
    struct node *list = shuffled(11);
    uint32_t sum = MIX_START;

    for (int round = 0; round < 20; round++) {
        sum = walked(list, sum);
        list = reversed(list);
    }
    return mix(sum, list->value);
}
