/* The host's allocator and log hook. */
#include "engine/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *malloc_alloc(void *ctx, size_t bytes, size_t align)
{
    void *memory = NULL;

    (void)ctx;
    if (align < sizeof(void *))
        align = sizeof(void *);
    return posix_memalign(&memory, align, bytes) == 0 ? memory : NULL;
}

static void malloc_free(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free(memory);
}

void host_init(struct host *host, const struct ds_allocator *allocator, ds_log_fn log,
               void *log_ctx, enum ds_log_level level)
{
    static const struct ds_allocator malloc_table = {NULL, malloc_alloc, malloc_free};

    host->allocator = allocator != NULL ? *allocator : malloc_table;
    host->log = log;
    host->log_ctx = log_ctx;
    host->log_level = level;
}

void *host_alloc(const struct host *host, size_t bytes, size_t align)
{
    void *memory = host->allocator.alloc(host->allocator.ctx, bytes, align);

    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void *host_calloc(const struct host *host, size_t n, size_t bytes)
{
    size_t total;

    if (__builtin_mul_overflow(n, bytes, &total) || total == 0)
        return NULL;
    return host_alloc(host, total, CACHE_LINE);
}

void host_free(const struct host *host, void *memory, size_t bytes)
{
    if (memory != NULL)
        host->allocator.free(host->allocator.ctx, memory, bytes);
}

void host_log(const struct host *host, enum ds_log_level level, const char *format, ...)
{
    char line[512];
    va_list arguments;

    if (host->log == NULL || level > host->log_level)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    host->log(host->log_ctx, level, line);
}
