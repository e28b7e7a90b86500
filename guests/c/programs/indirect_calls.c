/* indirect_calls.c — objects with methods, and a sort that is given its comparison. */
#include "guest.h"

#define COUNT 200

const char program_name[] = "indirect_calls";

struct shape;

struct methods {
    uint32_t (*area)(const struct shape *shape);
    void (*grow)(struct shape *shape, uint32_t by);
};

struct shape {
    const struct methods *methods;
    uint32_t width, height;
};

static uint32_t square_area(const struct shape *shape)
{
    return shape->width * shape->width;
}

static void square_grow(struct shape *shape, uint32_t by)
{
    shape->width = (shape->width + by) & 0xFFF;
}

static uint32_t rectangle_area(const struct shape *shape)
{
    return shape->width * shape->height;
}

static void rectangle_grow(struct shape *shape, uint32_t by)
{
    shape->width = (shape->width + by) & 0x7FF;
    shape->height = (shape->height ^ by) & 0x7FF;
}

static uint32_t triangle_area(const struct shape *shape)
{
    return shape->width * shape->height / 2;
}

static void triangle_grow(struct shape *shape, uint32_t by)
{
    shape->height = (shape->height * 3 + by) & 0x3FF;
}

static const struct methods kinds[] = {
    {square_area, square_grow},
    {rectangle_area, rectangle_grow},
    {triangle_area, triangle_grow},
};

static struct shape shapes[COUNT];

static int by_area(const struct shape *one, const struct shape *other)
{
    uint32_t left = one->methods->area(one), right = other->methods->area(other);

    return (left > right) - (left < right);
}

static int by_width_down(const struct shape *one, const struct shape *other)
{
    return (int)other->width - (int)one->width;
}

/* Shell's sort, which is the same everywhere where the comparison is. */
static void sort(int (*compare)(const struct shape *one, const struct shape *other))
{
    for (int gap = COUNT / 2; gap; gap /= 2)
        for (int i = gap; i < COUNT; i++) {
            struct shape inserted = shapes[i];
            int j = i;

            for (; j >= gap && compare(&shapes[j - gap], &inserted) > 0; j -= gap)
                shapes[j] = shapes[j - gap];
            shapes[j] = inserted;
        }
}

uint32_t compute(void)
{
    uint32_t random = 23;
    uint32_t sum = MIX_START;

    for (int i = 0; i < COUNT; i++) {
        shapes[i].methods = &kinds[next_random(&random) % 3];
        shapes[i].width = next_random(&random) & 0xFF;
        shapes[i].height = next_random(&random) & 0xFF;
    }
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < COUNT; i++) {
            struct shape *shape = &shapes[i];

            shape->methods->grow(shape, (uint32_t)(i + round));
            sum = (sum << 7 | sum >> 25) ^ shape->methods->area(shape);
        }
        sort(round & 1 ? by_width_down : by_area);
        sum = mix(sum, shapes[COUNT / 3].width);
    }
    return sum;
}
