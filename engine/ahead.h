/* Fetching what the next chunks need while this one is worked on. */
#ifndef ENGINE_AHEAD_H
#define ENGINE_AHEAD_H

#include "engine/chunk.h"
#include "engine/request.h"

/* Requests whose lines are asked for before their turn: enough to hide a line's way from another
 * core's cache behind the work on those in between. */
#define AHEAD_REQUESTS 8u

/* ahead_begin: chunks[0..n) were popped, and are worked on in this order. */
static inline void ahead_begin(struct chunk *const *chunks, uint32_t n)
{
    chunks_prefetch(chunks, n);
    for (uint32_t i = 0; i < n && i < AHEAD_REQUESTS; i++)
        request_prefetch(chunks[i]->request);
}

/* ahead_next: chunks[at] is about to be worked on. */
static inline void ahead_next(struct chunk *const *chunks, uint32_t n, uint32_t at)
{
    if (at + AHEAD_REQUESTS < n)
        request_prefetch(chunks[at + AHEAD_REQUESTS]->request);
}

#endif
