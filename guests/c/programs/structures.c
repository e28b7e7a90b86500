/* structures.c — structures copied, passed and returned by value; unions; trees; a hash table. */
#include "guest.h"

#define COUNT 150
#define SLOTS 64

const char program_name[] = "structures";

struct point {
    int32_t x, y;
};

struct pair {
    struct point from, to;
    char name[13];
    int16_t weight;
};

struct node {
    uint32_t key;
    struct node *left, *right;
};

struct entry {
    uint32_t key, count;
    struct entry *next;
};

union view {
    uint32_t word;
    uint16_t halves[2];
    uint8_t bytes[4];
};

static struct pair pairs[COUNT], copies[COUNT];
static struct node nodes[COUNT];
static struct entry entries[COUNT], *slots[SLOTS];

static struct point added(struct point one, struct point other)
{
    return (struct point){one.x + other.x, one.y - other.y};
}

static struct pair turned(struct pair pair)
{
    struct point from = pair.from;

    pair.from = pair.to;
    pair.to = from;
    pair.weight = (int16_t)-pair.weight;
    pair.name[pair.weight & 7]++;
    return pair;
}

static uint32_t of_pair(uint32_t sum, const struct pair *pair)
{
    sum = mix(sum, (uint32_t)(pair->from.x * 3 + pair->from.y * 5 + pair->to.x * 7 + pair->to.y));
    for (unsigned i = 0; i < sizeof pair->name; i++)
        sum = (sum ^ (uint8_t)pair->name[i]) * 16777619u;
    return mix(sum, (uint32_t)pair->weight);
}

static void insert(struct node **place, struct node *node)
{
    while (*place)
        place = node->key < (*place)->key ? &(*place)->left : &(*place)->right;
    node->left = node->right = NULL;
    *place = node;
}

static uint32_t in_order(const struct node *node, uint32_t sum, uint32_t depth)
{
    if (!node)
        return sum;
    sum = in_order(node->left, sum, depth + 1);
    sum = mix(sum, node->key + depth);
    return in_order(node->right, sum, depth + 1);
}

static struct entry *counted(uint32_t key, uint32_t *used)
{
    struct entry **slot = &slots[(key * 2654435761u >> 16) % SLOTS];

    for (struct entry *entry = *slot; entry; entry = entry->next)
        if (entry->key == key) {
            entry->count++;
            return entry;
        }
    entries[*used] = (struct entry){key, 1, *slot};
    return *slot = &entries[(*used)++];
}

uint32_t compute(void)
{
    uint32_t random = 13, used = 0;
    uint32_t sum = MIX_START;
    struct node *root = NULL;
    struct point total = {0, 0};

    for (int i = 0; i < SLOTS; i++)
        slots[i] = NULL;
    for (int i = 0; i < COUNT; i++) {
        union view view = {.word = next_random(&random)};
        struct pair pair = {{view.bytes[0], view.halves[1]}, {i, -i}, "twelve chars", (int16_t)view.word};

        pairs[i] = pair;
        copies[COUNT - 1 - i] = turned(i & 1 ? pairs[i / 2] : pair);
        total = added(total, i % 3 ? pair.from : copies[COUNT - 1 - i].to);
        nodes[i].key = view.word;
        insert(&root, &nodes[i]);
        view.halves[0] = view.bytes[3], view.bytes[2] ^= 0xFF;
        sum = mix(sum, view.word + counted(view.word % 40, &used)->count);
    }
    for (int i = 0; i < COUNT; i++)
        sum = of_pair(of_pair(sum, &pairs[i]), &copies[i]);
    for (uint32_t i = 0; i < used; i++)
        sum = mix(sum, entries[i].key << 8 | entries[i].count);
    return in_order(root, mix(sum, (uint32_t)(total.x ^ total.y)), 0);
}
