/* Reading an archive's content: chunks are read, decoded and compared with their checksums side by
 * side, and handed on in order. */
#ifndef DSPACK_UNPACK_H
#define DSPACK_UNPACK_H

#include "progress.h"

#include <ds/archive.h>

/* Who takes the content. Each returns false when nothing more can be done (a line was printed). */
struct unpack_ops {
    bool (*entry_begin)(void *ctx, const struct ds_archive_entry *entry);
    bool (*content)(void *ctx, const void *data, size_t bytes, uint64_t offset);
    /* good: every chunk was. Not called when nothing more can be done. */
    bool (*entry_end)(void *ctx, const struct ds_archive_entry *entry, bool good);
};

struct unpack {
    const char *path;
    int fd;
    struct ds_archive *archive;
    struct ds_archive_info info;
    const struct unpack_ops *ops;
    void *ctx;
    uint32_t threads;
    bool quiet; /* no progress bar */
    const char *verb;
    uint32_t bad_chunks; /* out */
};

/* unpack_open opens the archive at `path`: 0, or an exit status after one line. */
int unpack_open(struct unpack *unpack, const char *path);
void unpack_close(struct unpack *unpack);

/* unpack_entries goes through entries[0..n), which ascend. EXIT_OK; EXIT_DATA when a chunk was bad
 * or an op said false. Each bad chunk gives one line. */
int unpack_entries(struct unpack *unpack, const uint32_t *entries, uint32_t n);

#endif
