/* Fetching what the next chunks and requests need while the present one is worked on: a line's way
 * from another core's cache takes longer than that, and a core waits for a dozen at once, not for
 * a whole batch. */
#ifndef ENGINE_AHEAD_H
#define ENGINE_AHEAD_H

#include "engine/chunk.h"
#include "engine/request.h"

#define AHEAD_REQUESTS 6u  /* so far ahead of its turn is a request asked for */
#define AHEAD_CHUNKS   12u /* and its chunk, which names it */

/* chunks[0..n) were popped, and are worked on in this order. _begin, and then _next before
 * chunks[at]. */
static inline void ahead_chunks_begin(struct chunk *const *chunks, uint32_t n)
{
    for (uint32_t i = 0; i < n && i < AHEAD_CHUNKS; i++)
        prefetch_write(chunks[i]);
}

static inline void ahead_chunks_next(struct chunk *const *chunks, uint32_t n, uint32_t at)
{
    if (at + AHEAD_CHUNKS < n)
        prefetch_write(chunks[at + AHEAD_CHUNKS]);
}

/* As these, for a stage that needs the requests too. */
static inline void ahead_begin(struct chunk *const *chunks, uint32_t n)
{
    ahead_chunks_begin(chunks, n);
    for (uint32_t i = 0; i < n && i < AHEAD_REQUESTS; i++)
        request_prefetch(chunks[i]->request);
}

static inline void ahead_next(struct chunk *const *chunks, uint32_t n, uint32_t at)
{
    ahead_chunks_next(chunks, n, at);
    if (at + AHEAD_REQUESTS < n)
        request_prefetch(chunks[at + AHEAD_REQUESTS]->request);
}

/* As these, for requests. */
static inline void ahead_requests_begin(struct request *const *requests, uint32_t n)
{
    for (uint32_t i = 0; i < n && i < AHEAD_REQUESTS; i++)
        request_prefetch(requests[i]);
}

static inline void ahead_requests_next(struct request *const *requests, uint32_t n, uint32_t at)
{
    if (at + AHEAD_REQUESTS < n)
        request_prefetch(requests[at + AHEAD_REQUESTS]);
}

#endif
