/* A file that appears under its name only when it is complete. */
#ifndef DSPACK_OUTPUT_H
#define DSPACK_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output {
    const char *path; /* for messages */
    const char *name; /* in the folder */
    int folder_fd;
    int fd;
    char temporary[48];
};

/* All print one line to stderr and return false on failure.
 *
 * output_open makes a file in the folder of `path`; output_open_in one called `name` in a folder,
 * whose descriptor it takes over even when it fails. `path` and `name` must live as long as the
 * output. */
bool output_open(struct output *output, const char *path);
bool output_open_in(struct output *output, int folder_fd, const char *name, const char *path);

bool output_write_at(struct output *output, const void *data, size_t bytes, uint64_t offset);

/* output_extend makes the file `bytes` bytes long; what is new is zero. */
bool output_extend(struct output *output, uint64_t bytes);

/* output_commit closes the file and gives it its name: what had that name is replaced. Nothing is
 * left to do afterwards, whether it succeeded or not. */
bool output_commit(struct output *output);

/* output_abandon removes what was written. After output_commit, or when none is open: nothing. */
void output_abandon(struct output *output);

#endif
