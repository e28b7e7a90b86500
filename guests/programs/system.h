/* What the programs of this folder may use: a handful of system calls, and what is built on them.
   system.c serves it on i386 Linux without a C library; host.c serves it from the host's own. */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <stddef.h>
#include <stdint.h>

int run(int count, char **words, char **environment);   /* the program: its exit status */

/* System calls; negative results are error numbers of i386 Linux. */
enum { READ_ONLY = 0, WRITE_ONLY = 1, READ_WRITE = 2, CREATE = 0100, TRUNCATE = 01000, APPEND = 02000 };
int open_file(const char *path, int flags, int mode);
int close_file(int fd);
int read_some(int fd, void *buffer, int size);
int write_some(int fd, const void *buffer, int size);
void quit(int status) __attribute__((noreturn));
void *more_memory(size_t size);                         /* zeroed, never given back */

/* Built on them. */
size_t length(const char *text);
int compare(const char *one, const char *other);
int is_prefix(const char *prefix, const char *text);
void put(const char *text);                             /* to standard output, through a buffer */
void put_bytes(const char *data, size_t size);
void put_number(int32_t value);
void put_hex(uint32_t value, int digits);
void put_line(const char *label, int32_t value);        /* "label: value\n" */
void flush(void);
void fail(const char *what, const char *which);         /* one line on standard error, status 2 */
char *read_whole(const char *path, size_t *size);       /* "-": standard input; ends with a zero */

#endif
