/* ds/jemalloc.h - a ds_allocator that gives each engine its own jemalloc arena.
 *
 * Header-only on purpose: the program that includes it links jemalloc, the library does not (a
 * library with a dynamic dependency on jemalloc cannot be opened with dlopen: static TLS).
 *
 *   struct ds_allocator allocator;
 *   ds_jemalloc_allocator_init(&allocator);
 *   ... ds_engine_create(ds_engine_config(.allocator = &allocator), &engine) ...
 *   ds_engine_destroy(&engine);
 *   ds_jemalloc_allocator_fini(&allocator);
 */
#ifndef DS_JEMALLOC_H
#define DS_JEMALLOC_H

#include <ds/base.h>

#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline int ds_jemalloc_flags_(void *ctx, size_t align)
{
    /* No thread cache: freed memory goes back to the arena, so that its statistics are exact. */
    return MALLOCX_ARENA((unsigned)(uintptr_t)ctx) | MALLOCX_TCACHE_NONE | MALLOCX_ALIGN(align);
}

static inline void *ds_jemalloc_alloc_(void *ctx, size_t bytes, size_t align)
{
    return mallocx(bytes, ds_jemalloc_flags_(ctx, align));
}

static inline void ds_jemalloc_free_(void *ctx, void *memory, size_t bytes)
{
    (void)bytes;
    dallocx(memory, ds_jemalloc_flags_(ctx, 1));
}

/* ds_jemalloc_allocator_init makes a new arena. -ENOMEM: jemalloc made none. */
static inline int ds_jemalloc_allocator_init(struct ds_allocator *allocator)
{
    unsigned arena = 0;
    size_t bytes = sizeof(arena);

    if (mallctl("arenas.create", &arena, &bytes, NULL, 0) != 0)
        return -ENOMEM;
    allocator->ctx = (void *)(uintptr_t)arena;
    allocator->alloc = ds_jemalloc_alloc_;
    allocator->free = ds_jemalloc_free_;
    return 0;
}

/* ds_jemalloc_allocator_fini gives the arena back. All that came from it must have been freed. */
static inline void ds_jemalloc_allocator_fini(struct ds_allocator *allocator)
{
    char name[64];

    snprintf(name, sizeof(name), "arena.%u.destroy", (unsigned)(uintptr_t)allocator->ctx);
    mallctl(name, NULL, NULL, NULL, 0);
}

/* ds_jemalloc_allocated_bytes returns the bytes now allocated from the arena. */
static inline uint64_t ds_jemalloc_allocated_bytes(const struct ds_allocator *allocator)
{
    char name[64];
    uint64_t epoch = 1;
    size_t small_bytes = 0, large_bytes = 0, size = sizeof(size_t);
    unsigned arena = (unsigned)(uintptr_t)allocator->ctx;

    mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
    snprintf(name, sizeof(name), "stats.arenas.%u.small.allocated", arena);
    mallctl(name, &small_bytes, &size, NULL, 0);
    snprintf(name, sizeof(name), "stats.arenas.%u.large.allocated", arena);
    mallctl(name, &large_bytes, &size, NULL, 0);
    return (uint64_t)small_bytes + large_bytes;
}

#ifdef __cplusplus
}
#endif
#endif
