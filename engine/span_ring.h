/* Contiguous spans out of a ring of so many units, given back in the order in which they were
 * taken. It manages numbers, never memory. One thread. */
#ifndef ENGINE_SPAN_RING_H
#define ENGINE_SPAN_RING_H

#include "engine/base.h"

struct span_ring {
    uint64_t size;
    uint64_t head; /* where the next span begins, if it fits in front of the end */
    uint64_t used; /* units taken, what was left out at the end included */
};

/* span_ring_take takes n units, 1..size: *at is the first. Returns how many must be given back for
 * them (n, and what is left out at the end), or 0: not now. With nothing taken it never is 0. */
static inline uint64_t span_ring_take(struct span_ring *ring, uint64_t n, uint64_t *at)
{
    uint64_t left_out;

    DS_ASSERT(n >= 1 && n <= ring->size);
    if (ring->used == 0)
        ring->head = 0;
    left_out = ring->head + n > ring->size ? ring->size - ring->head : 0;
    if (ring->used + left_out + n > ring->size)
        return 0;
    *at = ring->head + n > ring->size ? 0 : ring->head;
    ring->head = *at + n;
    ring->used += left_out + n;
    return left_out + n;
}

/* span_ring_give gives the oldest n units back, or 0. */
static inline void span_ring_give(struct span_ring *ring, uint64_t n)
{
    DS_ASSERT(n <= ring->used);
    ring->used -= n;
}

#endif
