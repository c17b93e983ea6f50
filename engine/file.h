/* An open file: its descriptors and what they demand. */
#ifndef ENGINE_FILE_H
#define ENGINE_FILE_H

#include "engine/host.h"

#include <ds/file.h>
#include <stdatomic.h>

#define FILES_MAX 1024

struct ds_file {
    struct ds_engine *engine;
    int buffered_fd;        /* page cache; always open */
    int direct_fd;          /* O_DIRECT, or -1 */
    int kept_fd;            /* adopted and owned, but its flags do not suit: closed with the file,
                               not used. Or -1 */
    uint32_t memory_align;  /* of direct transfers, bytes */
    uint32_t offset_align;
    uint32_t slot;          /* 0..FILES_MAX-1, unique among the open files of the engine */
    uint32_t generation;    /* of the slot: tells a lane that its registration is stale */
    bool writable;
    bool owns_buffered_fd;
    char reason[96];        /* why direct or buffered */
    char name[256];         /* the path, or "" */

    /* The kernel refused a direct transfer that statx had promised: buffered from then on. */
    _Atomic bool direct_refused;

    /* ds_file_close has begun: requests that submit has not begun yet fail with FILE_CLOSED. */
    _Atomic bool closed;

    /* Its requests. In flight: begun - ended. The struct lives until accepted = ended + dropped. */
    _Atomic uint64_t accepted CACHE_ALIGNED; /* enqueued; producers */
    _Atomic uint64_t begun CACHE_ALIGNED;    /* submit stage only */
    _Atomic uint64_t ended CACHE_ALIGNED;    /* complete stage only */
    _Atomic uint64_t dropped;                /* never submitted; ds_queue_destroy */
};

/* file_open_descriptors opens (path not NULL) or adopts (path NULL) into *file, and chooses direct
 * or buffered: fills all fields up to `reason` but engine, slot and generation. `direct` is never
 * DS_DIRECT_AUTO's "engine's default" any more: AUTO is direct where the file allows it. 0 or
 * -errno with nothing left open, and an adopted descriptor as it was. */
int file_open_descriptors(struct ds_file *file, const char *path, int fd, uint32_t flags,
                          enum ds_direct_mode direct);

/* file_close_descriptors closes what file_open_descriptors opened. */
void file_close_descriptors(struct ds_file *file);

static inline bool file_is_direct(const struct ds_file *file)
{
    return file->direct_fd >= 0 &&
           !atomic_load_explicit(&file->direct_refused, memory_order_relaxed);
}

#endif
