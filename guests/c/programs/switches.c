/* switches.c — jump tables, sparse cases, fall-through, and a scanner made of states. */
#include "guest.h"

const char program_name[] = "switches";

static uint32_t dense(uint32_t kind, uint32_t value)
{
    switch (kind) {
    case 0:
        return value + 1;
    case 1:
        return value * 3;
    case 2:
        value ^= 0x55AA55AA; /* fall through */
    case 3:
        return value - 7;
    case 4:
        return value << 3 | value >> 29;
    case 5:
        return ~value;
    case 6:
        return value & 1 ? value * 5 : value / 2;
    case 9:
        return value ^ value >> 16;
    default:
        return kind;
    }
}

static uint32_t sparse(int32_t value)
{
    switch (value) {
    case -1000000:
        return 1;
    case -5 ... 5:
        return 2;
    case 17:
    case 170:
    case 1700:
        return 3;
    case 65536:
        return 4;
    case 0x7FFFFFFF:
        return 5;
    default:
        return value < 0 ? 6 : 7;
    }
}

enum state { BETWEEN, WORD, NUMBER, HEX, COMMENT };

static const char text[] =
    "mov eax, 0x1F2E ; load\nadd ebx,42\n  ret;end\nlabel_1: jmp 0Xdead ;; twice\n7up 007 99 x";

static uint32_t scanned(uint32_t sum)
{
    enum state state = BETWEEN;
    uint32_t value = 0;

    for (const char *at = text;; at++) {
        unsigned char c = (unsigned char)*at;
        int digit = c >= '0' && c <= '9';
        int letter = (c | 32) >= 'a' && (c | 32) <= 'z';

        switch (state) {
        case BETWEEN:
            if (digit)
                state = NUMBER, value = c - '0';
            else if (letter)
                state = WORD, value = c;
            else if (c == ';')
                state = COMMENT;
            break;
        case WORD:
            if (letter || digit || c == '_')
                value = value * 31 + c;
            else
                sum = mix(sum, value), state = c == ';' ? COMMENT : BETWEEN;
            break;
        case NUMBER:
            if (digit)
                value = value * 10 + (c - '0');
            else if ((c | 32) == 'x' && !value)
                state = HEX;
            else
                sum = mix(sum, value), state = letter ? WORD : BETWEEN, value = c;
            break;
        case HEX:
            if (digit || ((c | 32) >= 'a' && (c | 32) <= 'f'))
                value = value << 4 | (uint32_t)(digit ? c - '0' : (c | 32) - 'a' + 10);
            else
                sum = mix(sum, value), state = BETWEEN;
            break;
        case COMMENT:
            if (c == '\n')
                state = BETWEEN;
            break;
        }
        if (!c)
            return mix(sum, state);
    }
}

uint32_t compute(void)
{
    static const int32_t values[] = {-1000000, -999999, -6, -5, 0, 5, 6, 17, 170, 1700, 65536, 0x7FFFFFFF};
    uint32_t random = 31;
    uint32_t sum = MIX_START;
    uint32_t value = 1;

    for (int i = 0; i < 2000; i++) {
        value = dense(next_random(&random) % 12, value);
        sum ^= sparse(values[value % 12]) << (i & 15);
        sum = sum << 1 | sum >> 31;
    }
    return scanned(mix(sum, value));
}
