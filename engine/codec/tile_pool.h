/* A few threads that share the items of one job at a time: the tiles of a stream. */
#ifndef ENGINE_CODEC_TILE_POOL_H
#define ENGINE_CODEC_TILE_POOL_H

#include "engine/host.h"

struct tile_pool;

/* Does item `item` of a job; worker is 0..threads-1, the same for no two items at a time. */
typedef void (*tile_pool_fn)(void *ctx, uint32_t worker, uint32_t item);

/* tile_pool_create starts threads - 1 threads: the caller of tile_pool_run is the remaining one.
 * -ENOMEM, or -EAGAIN when a thread could not be started. */
int tile_pool_create(const struct host *host, uint32_t threads, struct tile_pool **pool);

/* tile_pool_destroy joins the threads and sets *pool to NULL; a NULL *pool is ignored. */
void tile_pool_destroy(const struct host *host, struct tile_pool **pool);

/* tile_pool_run calls fn once for each item 0..count-1, in no particular order, and returns when
 * all are done. One call at a time. */
void tile_pool_run(struct tile_pool *pool, tile_pool_fn fn, void *ctx, uint32_t count);

#endif
