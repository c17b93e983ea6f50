/* Whole files in memory. */
#ifndef DSPACK_FILES_H
#define DSPACK_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data; /* never NULL after a success, even for 0 bytes */
    size_t size;
};

/* Both print one line to stderr and return false on failure. bytes_make allocates, file_read reads
 * a whole file, file_write makes one: it appears under its name only when it is complete. */
bool bytes_make(struct bytes *bytes, size_t size);
bool file_read(const char *path, struct bytes *bytes);
bool file_write(const char *path, const struct bytes *bytes);

void bytes_free(struct bytes *bytes);

/* file_fail prints "PATH: WHAT: " and what errno means, and returns false. */
bool file_fail(const char *path, const char *what);

/* file_read_at reads exactly `bytes` bytes; path is for the line on failure. */
bool file_read_at(int fd, const char *path, void *dst, size_t bytes, uint64_t offset);

#endif
