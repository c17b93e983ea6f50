/* The files that a workload reads: given ones, or made ones. */
#ifndef DSBENCH_FILES_H
#define DSBENCH_FILES_H

#include "options.h"

#include <stdio.h>

struct input {
    char *path;
    uint64_t bytes;
};

struct inputs {
    struct input *list;
    uint32_t n;
    uint64_t bytes; /* all together */
    char *dir;      /* made for them, or NULL */
    bool keep;
};

/* inputs_open checks the given FILEs, or makes `make_n` files in a new directory, of
 * position-dependent words. 0, or -errno after a complaint with nothing left behind. */
int inputs_open(const struct options *options, uint32_t make_n, struct inputs *inputs);

/* inputs_close removes what was made, unless it is to be kept. */
void inputs_close(struct inputs *inputs);

/* inputs_warm reads everything once, past the page cache where `direct`. 0, or -errno after a
 * complaint. */
int inputs_warm(const struct inputs *inputs, bool direct);

/* file_read_exactly is pread(2) of all bytes: 0, -errno, or -ENODATA where the file ends early. */
int file_read_exactly(int fd, void *memory, uint64_t bytes, uint64_t offset);

/* file_end is the end of what is written: fflush(3), and fclose(3) but for stdout. 0 or -errno. */
int file_end(FILE *out);

/* file_complain explains -errno for a file. */
void file_complain(const char *path, int error);

#endif
