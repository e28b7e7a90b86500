/* Sorts lines: sort [-r] [-n] [-u] [FILE], by merging. */
#include "system.h"

static int numerically, backwards;

static long number_of(const char *text)
{
    long value = 0, sign = 1;
    while (*text == ' ' || *text == '\t') text++;
    if (*text == '-') sign = -1, text++;
    while (*text >= '0' && *text <= '9') value = 10 * value + *text++ - '0';
    return sign * value;
}

static int order(const char *one, const char *other)
{
    int found = 0;
    if (numerically) {
        long a = number_of(one), b = number_of(other);
        found = (a > b) - (a < b);
    }
    if (!found) found = compare(one, other);
    return backwards ? -found : found;
}

static void sort(char **lines, char **spare, size_t count)
{
    size_t half = count / 2, left = 0, right = half, at = 0;
    if (count < 2) return;
    sort(lines, spare, half);
    sort(lines + half, spare, count - half);
    while (left < half || right < count) {
        int takes_left = right == count || (left < half && order(lines[left], lines[right]) <= 0);
        spare[at++] = takes_left ? lines[left++] : lines[right++];
    }
    for (at = 0; at < count; at++) lines[at] = spare[at];
}

int run(int count, char **words, char **environment)
{
    const char *path = "-";
    int once = 0;
    size_t size, lines = 0, at = 0;
    (void)environment;
    for (int i = 1; i < count; i++) {
        if (!compare(words[i], "-r")) backwards = 1;
        else if (!compare(words[i], "-n")) numerically = 1;
        else if (!compare(words[i], "-u")) once = 1;
        else path = words[i];
    }
    char *data = read_whole(path, &size);
    for (size_t i = 0; i < size; i++) lines += data[i] == '\n' || i + 1 == size;
    char **table = more_memory((lines + 1) * sizeof *table);
    char **spare = more_memory((lines + 1) * sizeof *spare);
    for (size_t i = 0, first = 0; i < size; i++)
        if (data[i] == '\n' || i + 1 == size) {
            table[at++] = data + first;
            if (data[i] == '\n') data[i] = 0;
            first = i + 1;
        }
    sort(table, spare, lines);
    for (at = 0; at < lines; at++) {
        if (once && at && !compare(table[at], table[at - 1])) continue;
        put(table[at]);
        put("\n");
    }
    return 0;
}
