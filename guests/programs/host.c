/* The same interface as a process of the host, from its C library. */
#include "system.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

int open_file(const char *path, int flags, int mode)
{
    int host = (flags & 3) == READ_WRITE ? O_RDWR : (flags & 3) == WRITE_ONLY ? O_WRONLY : O_RDONLY;
    if (flags & CREATE) host |= O_CREAT;
    if (flags & TRUNCATE) host |= O_TRUNC;
    if (flags & APPEND) host |= O_APPEND;
    int fd = open(path, host, mode);
    return fd < 0 ? -errno : fd;
}

int close_file(int fd) { return close(fd) < 0 ? -errno : 0; }

int read_some(int fd, void *buffer, int size)
{
    int got = (int)read(fd, buffer, (size_t)size);
    return got < 0 ? -errno : got;
}

int write_some(int fd, const void *buffer, int size)
{
    int done = (int)write(fd, buffer, (size_t)size);
    return done < 0 ? -errno : done;
}

void quit(int status) { _exit(status); }

void *more_memory(size_t size)
{
    void *found = calloc(size, 1);
    if (!found) fail("out of memory", 0);
    return found;
}

int main(int count, char **words)
{
    int status = run(count, words, environ);
    flush();
    return status;
}
