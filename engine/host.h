/* What an engine takes from its host: memory and a place to log. Passed down by pointer. */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include "engine/base.h"

struct host {
    struct ds_allocator allocator;
    ds_log_fn log;
    void *log_ctx;
    enum ds_log_level log_level;
};

/* host_init copies the allocator (NULL = malloc). */
void host_init(struct host *host, const struct ds_allocator *allocator, ds_log_fn log,
               void *log_ctx, enum ds_log_level level);

/* host_alloc returns zeroed memory aligned to `align` (a power of two), or NULL. */
void *host_alloc(const struct host *host, size_t bytes, size_t align);

/* host_calloc is host_alloc for an array on cache lines; NULL also when n * bytes overflows. */
void *host_calloc(const struct host *host, size_t n, size_t bytes);

/* host_free ignores NULL. */
void host_free(const struct host *host, void *memory, size_t bytes);

void host_log(const struct host *host, enum ds_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
