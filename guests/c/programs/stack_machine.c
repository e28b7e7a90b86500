/* stack_machine.c — an interpreter of a small stack machine, running a program on Collatz sequences. */
#include "guest.h"

const char program_name[] = "stack_machine";

enum operation { PUSH, LOAD, STORE, ADD, SUBTRACT, MULTIPLY, SHIFT, AND, LESS, JUMP, UNLESS, MIX, END };
enum variable { START, VALUE, STEPS, VARIABLES };

#define LIMIT 100

/* Two bytes an instruction: operation, operand. */
static uint8_t program[128];
static uint32_t length;

/* Append an instruction; answers the place of its operand. */
static uint32_t emit(enum operation operation, uint32_t operand)
{
    program[length++] = (uint8_t)operation;
    program[length] = (uint8_t)operand;
    return length++;
}

/* for start in 1..LIMIT-1: count the steps of value -> odd ? 3 value + 1 : value / 2 down to 1 */
static void write_program(void)
{
    uint32_t next_start, next_value, leave, done, even, join;

    length = 0;
    emit(PUSH, 1), emit(STORE, START);
    next_start = length;
    emit(LOAD, START), emit(PUSH, LIMIT), emit(LESS, 0);
    leave = emit(UNLESS, 0);
    emit(LOAD, START), emit(STORE, VALUE), emit(PUSH, 0), emit(STORE, STEPS);
    next_value = length;
    emit(PUSH, 1), emit(LOAD, VALUE), emit(LESS, 0);
    done = emit(UNLESS, 0);
    emit(LOAD, STEPS), emit(PUSH, 1), emit(ADD, 0), emit(STORE, STEPS);
    emit(LOAD, VALUE), emit(PUSH, 1), emit(AND, 0);
    even = emit(UNLESS, 0);
    emit(LOAD, VALUE), emit(PUSH, 4), emit(MULTIPLY, 0), emit(LOAD, VALUE), emit(SUBTRACT, 0);
    emit(PUSH, 1), emit(ADD, 0);
    join = emit(JUMP, 0);
    program[even] = (uint8_t)length;
    emit(LOAD, VALUE), emit(PUSH, 1), emit(SHIFT, 0);
    program[join] = (uint8_t)length;
    emit(STORE, VALUE), emit(JUMP, next_value);
    program[done] = (uint8_t)length;
    emit(LOAD, STEPS), emit(MIX, 0);
    emit(LOAD, START), emit(PUSH, 1), emit(ADD, 0), emit(STORE, START);
    emit(JUMP, next_start);
    program[leave] = (uint8_t)length;
    emit(END, 0);
}

static uint32_t run(void)
{
    uint32_t stack[16];
    uint32_t variables[VARIABLES] = {0};
    uint32_t *top = stack;
    const uint8_t *next = program;
    uint32_t sum = MIX_START;

    for (;;) {
        uint32_t operand = next[1];

        next += 2;
        switch ((enum operation)next[-2]) {
        case PUSH:
            *top++ = operand;
            break;
        case LOAD:
            *top++ = variables[operand];
            break;
        case STORE:
            variables[operand] = *--top;
            break;
        case ADD:
            top--;
            top[-1] += *top;
            break;
        case SUBTRACT:
            top--;
            top[-1] -= *top;
            break;
        case MULTIPLY:
            top--;
            top[-1] *= *top;
            break;
        case SHIFT:
            top--;
            top[-1] >>= *top & 31;
            break;
        case AND:
            top--;
            top[-1] &= *top;
            break;
        case LESS:
            top--;
            top[-1] = top[-1] < *top;
            break;
        case JUMP:
            next = program + operand;
            break;
        case UNLESS:
            if (!*--top)
                next = program + operand;
            break;
        case MIX:
            sum = mix(sum, *--top);
            break;
        case END:
            return sum;
        }
    }
}

uint32_t compute(void)
{
    write_program();
    return run();
}
