/* big_numbers.c — numbers of many words: factorials, powers, quotients, decimal digits. */
#include "guest.h"

#define WORDS 40

const char program_name[] = "big_numbers";

struct number {
    uint32_t words[WORDS];
};

static struct number factorial, product, other;

static void set(struct number *to, uint32_t value)
{
    *to = (struct number){{value}};
}

static uint32_t times(struct number *number, uint32_t factor)
{
    uint64_t carry = 0;

    for (int i = 0; i < WORDS; i++) {
        carry += (uint64_t)number->words[i] * factor;
        number->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return (uint32_t)carry;
}

/* By ten and the like: the rest is smaller than the divisor, so each quotient fits into a word. */
static uint32_t divided(struct number *number, uint32_t divisor)
{
    uint64_t rest = 0;

    for (int i = WORDS - 1; i >= 0; i--) {
        rest = rest << 32 | number->words[i];
        number->words[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    return (uint32_t)rest;
}

static void add(struct number *to, const struct number *from)
{
    uint32_t carry = 0;

    for (int i = 0; i < WORDS; i++)
        carry = (uint32_t)(__builtin_add_overflow(to->words[i], from->words[i], &to->words[i])
                           | __builtin_add_overflow(to->words[i], carry, &to->words[i]));
}

static int subtract(struct number *from, const struct number *what)
{
    uint32_t borrow = 0;

    for (int i = 0; i < WORDS; i++)
        borrow = (uint32_t)(__builtin_sub_overflow(from->words[i], what->words[i], &from->words[i])
                            | __builtin_sub_overflow(from->words[i], borrow, &from->words[i]));
    return (int)borrow;
}

static void multiply(struct number *to, const struct number *one, const struct number *two)
{
    set(to, 0);
    for (int i = 0; i < WORDS; i++) {
        uint64_t carry = 0;

        for (int j = 0; i + j < WORDS; j++) {
            carry += (uint64_t)one->words[i] * two->words[j] + to->words[i + j];
            to->words[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
    }
}

static uint32_t mixed(uint32_t sum, const struct number *number)
{
    for (int i = 0; i < WORDS; i++)
        sum = mix(sum, number->words[i]);
    return sum;
}

uint32_t compute(void)
{
    uint32_t sum = MIX_START;

    set(&factorial, 1);
    for (uint32_t i = 2; i <= 150; i++)
        sum += times(&factorial, i);
    sum = mixed(sum, &factorial);
    set(&other, 3);
    for (int i = 0; i < 6; i++) {
        multiply(&product, &other, &other);
        add(&product, &factorial);
        other = product;
        sum = mixed(sum, &other);
    }
    sum = mix(sum, (uint32_t)subtract(&other, &factorial));
    sum = mix(sum, (uint32_t)subtract(&factorial, &other));
    for (int i = 0; i < 60; i++)
        sum = mix(sum, divided(&other, 10) + divided(&product, 65537));
    return sum;
}
