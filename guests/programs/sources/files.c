/* Files: made, written, read back, mapped, renamed, listed and removed, in the current directory. */
#include "calls.h"
#include "system.h"

static char buffer[8192];

static void show_error(const char *what, int result)
{
    put(what), put(" "), put_number(result), put("\n");
}

static void listing(void)
{
    int fd = open_file("made", READ_ONLY | 0200000, 0), size;
    put_line("directory", fd >= 0);
    size = call3(220, fd, (long)buffer, sizeof buffer);
    int names = 0;
    for (int at = 0; at < size; at += *(uint16_t *)(buffer + at + 16)) {
        names++;
        if (buffer[at + 19] != '.') put("  "), put(buffer + at + 19), put("\n");
    }
    put_line("entries", names);
    close_file(fd);
}

static void mapping(int fd)
{
    char *private = map_pages(0, 8192, 3, 2, fd, 0);
    char *shared = map_pages(0, 4096, 3, 1, fd, 1);
    put_bytes(private, 12);
    put_bytes(private + 4096, 5), put("\n");
    private[0] = '#';
    shared[0] = '!';
    put_line("msync", call3(144, (long)shared, 4096, 4));
    call5(180, fd, (long)buffer, 1, 0, 0);
    put_line("private change is not in the file", buffer[0]);
    call5(180, fd, (long)buffer, 1, 4096, 0);
    put_line("shared change is", buffer[0]);
    put_line("munmap", call3(91, (long)private, 8192, 0));
    put_line("munmap", call3(91, (long)shared, 4096, 0));
}

int run(int count, char **words, char **environment)
{
    uint32_t status[24];
    uint64_t position;
    int pipe[2], fd;
    (void)count, (void)words, (void)environment;
    show_error("open what is not there:", open_file("nothing", READ_ONLY, 0));
    show_error("mkdir:", call3(39, (long)"made", 0755, 0));
    show_error("mkdir again:", call3(39, (long)"made", 0755, 0));
    show_error("chdir into a file:", call3(12, (long)"made/x", 0, 0));
    fd = open_file("made/data", READ_WRITE | CREATE | TRUNCATE, 0640);
    if (fd < 0) return 1;
    put_line("write", write_some(fd, "first line\nsecond line\n", 23));
    put_line("seek", call3(19, fd, 6, 0));
    put_line("read", read_some(fd, buffer, 4));
    put_bytes(buffer, 4), put("\n");
    put_line("llseek", call5(140, fd, 0, 4090, (long)&position, 0));
    put_line("position", (int32_t)position);
    put_line("write over a page", write_some(fd, "abcdefghijkl", 12));
    put_line("fstat64", call3(197, fd, (long)status, 0));
    put_line("size", (int32_t)status[11]);
    put_line("regular", status[4] >> 12);
    mapping(fd);
    put_line("ftruncate", call3(93, fd, 11, 0));
    put_line("end", call3(19, fd, 0, 2));
    put_line("dup2", call3(63, fd, 9, 0));
    put_line("write at 9", write_some(9, "more\n", 5));
    put_line("close", close_file(fd));
    put_line("close 9", close_file(9));
    fd = open_file("made/data", WRITE_ONLY | APPEND, 0);
    put_line("append", write_some(fd, "end\n", 4));
    show_error("read what is write only:", read_some(fd, buffer, 1));
    close_file(fd);
    put_line("rename", call3(38, (long)"made/data", (long)"made/renamed", 0));
    listing();
    size_t size;
    put(read_whole("made/renamed", &size));
    put_line("pipe", call3(42, (long)pipe, 0, 0));
    write_some(pipe[1], "through", 7);
    put_line("from the pipe", read_some(pipe[0], buffer, 100));
    close_file(pipe[1]);
    put_line("its end", read_some(pipe[0], buffer, 100));
    show_error("rmdir what is not empty:", call3(40, (long)"made", 0, 0));
    put_line("unlink", call3(10, (long)"made/renamed", 0, 0));
    put_line("chdir", call3(12, (long)"made", 0, 0));
    put_line("chdir ..", call3(12, (long)"..", 0, 0));
    put_line("rmdir", call3(40, (long)"made", 0, 0));
    put_line("access", call3(33, (long)"made", 0, 0));
    return 0;
}
