/* ds/file.h - files that requests read from and write to. */
#ifndef DS_FILE_H
#define DS_FILE_H

#include <ds/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_file;

enum ds_file_flags {
    DS_FILE_WRITE = 1u << 0,  /* open for reading and writing */
    DS_FILE_CREATE = 1u << 1, /* with WRITE: create it if missing (mode 0666 & ~umask) */
    DS_FILE_OWN_FD = 1u << 2, /* ds_file_adopt: ds_file_close closes the descriptor */
};

struct ds_file_config {
    uint32_t struct_size;
    uint32_t flags;             /* enum ds_file_flags */
    /* DS_DIRECT_AUTO takes the engine's setting. */
    enum ds_direct_mode direct;
    uint32_t reserved;
};

/* ds_file_open opens a path. config NULL = read-only, engine's direct mode. On 0 the caller owns
 * *file.
 *   -EISDIR        a directory
 *   -EINVAL        unknown flag, not a regular file or block device, or direct is DS_DIRECT_ON
 *                  and the file system refuses O_DIRECT
 *   -EMFILE        all 1024 files of the engine are open
 *   -ENOENT, -EACCES, ...   as open(2)
 * Thread-safety: any thread. */
DS_API int ds_file_open(struct ds_engine *engine, const char *path,
                        const struct ds_file_config *config, struct ds_file **file);

/* ds_file_adopt wraps a descriptor. It is borrowed, and must stay open until ds_file_close, unless
 * DS_FILE_OWN_FD is set. The descriptor's offset and flags are never changed: for O_DIRECT the file
 * is opened anew through /proc/self/fd, and where that fails the descriptor is used as it is.
 * Errors as ds_file_open; -EBADF: not an open descriptor. On error the descriptor stays the
 * caller's. Thread-safety: any thread. */
DS_API int ds_file_adopt(struct ds_engine *engine, int fd, const struct ds_file_config *config,
                         struct ds_file **file);

/* ds_file_close waits for the file's requests in flight, also for those that the application is to
 * decode (ds/custom.h), closes it and sets *file to NULL. In MANUAL topology it steps the engine
 * itself. No request naming the file may be enqueued during or after the call. A NULL *file is
 * ignored. Thread-safety: any thread, not from a completion callback. */
DS_API void ds_file_close(struct ds_file **file);

struct ds_file_info {
    uint32_t struct_size;
    bool direct;                  /* reads use O_DIRECT */
    bool writable;
    uint32_t direct_memory_align; /* bytes; 1 when buffered */
    uint32_t direct_offset_align; /* bytes; 1 when buffered */
    uint64_t size;                /* bytes now, by fstat (block devices: their capacity) */
    const char *direct_reason;    /* why direct or buffered, one line; lives as long as the file */
};

/* ds_file_get_info fills *info up to info->struct_size. -EINVAL: struct_size is 0; else as
 * fstat(2). Thread-safety: any thread. */
DS_API int ds_file_get_info(const struct ds_file *file, struct ds_file_info *info);

#ifdef __cplusplus
}
#endif
#endif
