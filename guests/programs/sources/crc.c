/* CRC-32 of files, or of standard input: the polynomial of IEEE 802.3, bits reversed. */
#include "system.h"

static uint32_t table[256];

static void make_table(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t c = n;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
        table[n] = c;
    }
}

static uint32_t crc_of(int fd, const char *path, uint32_t *size)
{
    static unsigned char buffer[16384];
    uint32_t crc = 0xFFFFFFFFu;
    int got;
    *size = 0;
    while ((got = read_some(fd, buffer, sizeof buffer)) > 0) {
        for (int i = 0; i < got; i++) crc = table[(crc ^ buffer[i]) & 255] ^ crc >> 8;
        *size += (uint32_t)got;
    }
    if (got < 0) fail("cannot read", path);
    return ~crc;
}

static void show(int fd, const char *path)
{
    uint32_t size, crc = crc_of(fd, path, &size);
    put_hex(crc, 8);
    put(" ");
    put_number((int32_t)size);
    put(" ");
    put(path);
    put("\n");
}

int run(int count, char **words, char **environment)
{
    (void)environment;
    make_table();
    if (count < 2) show(0, "-");
    for (int i = 1; i < count; i++) {
        int fd = open_file(words[i], READ_ONLY, 0);
        if (fd < 0) fail("cannot open", words[i]);
        show(fd, words[i]);
        close_file(fd);
    }
    return 0;
}
