/* What programs use beside system calls: the same code on every system. */
#include "system.h"

static char pending[4096];
static size_t filled;

size_t length(const char *text)
{
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

int compare(const char *one, const char *other)
{
    while (*one && *one == *other) one++, other++;
    return (unsigned char)*one - (unsigned char)*other;
}

int is_prefix(const char *prefix, const char *text)
{
    while (*prefix && *prefix == *text) prefix++, text++;
    return !*prefix;
}

static void write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        int done = write_some(fd, data, (int)size);
        if (done <= 0) quit(3);
        data += done;
        size -= (size_t)done;
    }
}

void flush(void)
{
    write_all(1, pending, filled);
    filled = 0;
}

void put_bytes(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (filled == sizeof pending) flush();
        pending[filled++] = data[i];
    }
}

void put(const char *text)
{
    put_bytes(text, length(text));
}

void put_number(int32_t value)
{
    char digits[12];
    int at = sizeof digits;
    uint32_t rest = value < 0 ? -(uint32_t)value : (uint32_t)value;
    do digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) digits[--at] = '-';
    put_bytes(digits + at, sizeof digits - (size_t)at);
}

void put_hex(uint32_t value, int digits)
{
    while (digits-- > 0) put_bytes(&"0123456789abcdef"[value >> 4 * digits & 15], 1);
}

void put_line(const char *label, int32_t value)
{
    put(label);
    put(": ");
    put_number(value);
    put("\n");
}

void fail(const char *what, const char *which)
{
    flush();
    write_all(2, what, length(what));
    if (which) {
        write_all(2, ": ", 2);
        write_all(2, which, length(which));
    }
    write_all(2, "\n", 1);
    quit(2);
}

char *read_whole(const char *path, size_t *size)
{
    size_t room = 1 << 16, have = 0;
    int fd = compare(path, "-") ? open_file(path, READ_ONLY, 0) : 0;
    char *data = more_memory(room);
    if (fd < 0) fail("cannot open", path);
    for (;;) {
        int got = read_some(fd, data + have, (int)(room - have - 1));
        if (got < 0) fail("cannot read", path);
        if (got == 0) break;
        have += (size_t)got;
        if (have + 1 == room) {
            char *wider = more_memory(2 * room);
            for (size_t i = 0; i < have; i++) wider[i] = data[i];
            data = wider;
            room *= 2;
        }
    }
    data[have] = 0;
    *size = have;
    if (fd > 0) close_file(fd);
    return data;
}
