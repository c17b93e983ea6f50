/* Bounded rings of pointers, by Concurrency Kit. The only file that includes ck_ring.h.
 *
 * Progress, per operation (measured and argued in docs/ordering.md):
 *   push_sp, push_n_sp, pop_n_sc, take_n_sc   wait-free
 *   pop_mc                                    lock-free
 * Ordering: what was written before a push is visible after the pop that returns it. */
#ifndef ENGINE_RING_H
#define ENGINE_RING_H

#include "engine/host.h"

#include <ck_ring.h>
#include <errno.h>
#include <stddef.h>

/* Three lines: the consumer's, the producer's, and one that hardly changes. */
struct ring {
    ck_ring_t ck;
    ck_ring_buffer_t *slots;
    uint32_t room_until; /* the producer's: up to this tail there was room when it last looked */
} CACHE_ALIGNED;

_Static_assert(offsetof(struct ring, ck.p_tail) == CACHE_LINE &&
                   offsetof(struct ring, ck.mask) >= 2 * CACHE_LINE,
               "the ends of a ring and its constants are on three lines");

/* ring_open makes a ring that holds at least `entries` (1..2^20) entries. 0 or -ENOMEM. */
static inline int ring_open(struct ring *ring, const struct host *host, uint32_t entries)
{
    /* ck holds size - 1 entries */
    uint32_t size = round_up_power_of_two(entries + 1);

    ring->slots = host_calloc(host, size, sizeof(*ring->slots));
    if (ring->slots == NULL)
        return -ENOMEM;
    ck_ring_init(&ring->ck, size);
    ring->room_until = size - 1;
    return 0;
}

static inline void ring_close(struct ring *ring, const struct host *host)
{
    host_free(host, ring->slots, ck_ring_capacity(&ring->ck) * sizeof(*ring->slots));
    ring->slots = NULL;
}

static inline bool ring_pop_mc(struct ring *ring, void *entry)
{
    return ck_ring_dequeue_spmc(&ring->ck, ring->slots, entry);
}

/* ring_pop_n_sc pops up to max entries with one publication of the freed room. */
static inline uint32_t ring_pop_n_sc(struct ring *ring, void **entries, uint32_t max)
{
    uint32_t head = ring->ck.c_head;
    uint32_t n = ck_pr_load_uint(&ring->ck.p_tail) - head;

    if (n > max)
        n = max;
    if (n == 0)
        return 0;
    ck_pr_fence_load(); /* the tail before the slots; pairs with the store fence of the push */
    for (uint32_t i = 0; i < n; i++)
        entries[i] = ring->slots[(head + i) & ring->ck.mask].value;
    ck_pr_fence_store(); /* the slots before the head; pairs with the load fence in ring_has_room */
    ck_pr_store_uint(&ring->ck.c_head, head + n);
    return n;
}

/* ring_take_n_sc pops n entries that are there: the caller knows, by other means than the ring,
 * that they were pushed, and has acquired what the producer released after that. So it does not
 * take the line of the tail from the producer. */
static inline void ring_take_n_sc(struct ring *ring, void **entries, uint32_t n)
{
    uint32_t head = ring->ck.c_head;

    for (uint32_t i = 0; i < n; i++)
        entries[i] = ring->slots[(head + i) & ring->ck.mask].value;
    ck_pr_fence_store(); /* the slots before the head; pairs with the load fence in ring_has_room */
    ck_pr_store_uint(&ring->ck.c_head, head + n);
}

/* Is there room for n entries behind `tail`? Looks at the head, on the consumer's line, only when
 * what it saw there the last time does not say so. */
static inline bool ring_has_room(struct ring *ring, uint32_t tail, uint32_t n)
{
    if (LIKELY((int32_t)(ring->room_until - (tail + n)) >= 0))
        return true;
    ring->room_until = ck_pr_load_uint(&ring->ck.c_head) + ring->ck.mask;
    ck_pr_fence_load(); /* the head before the slots are written; pairs with the store fence of the
                           pop, which read them before */
    return (int32_t)(ring->room_until - (tail + n)) >= 0;
}

/* ring_push_n_sp publishes n entries at once. The caller knows that they fit. */
static inline void ring_push_n_sp(struct ring *ring, void *const *entries, uint32_t n)
{
    uint32_t tail = ring->ck.p_tail;

    DS_ASSERT(ring_has_room(ring, tail, n));
    for (uint32_t i = 0; i < n; i++)
        ring->slots[(tail + i) & ring->ck.mask].value = entries[i];
    ck_pr_fence_store(); /* the slots before the tail; pairs with the load fence of the pop */
    ck_pr_store_uint(&ring->ck.p_tail, tail + n);
}

/* ring_push_sp: false, there is no room. */
static inline bool ring_push_sp(struct ring *ring, void *entry)
{
    uint32_t tail = ring->ck.p_tail;

    if (!ring_has_room(ring, tail, 1))
        return false;
    ring->slots[tail & ring->ck.mask].value = entry;
    ck_pr_fence_store(); /* the slot before the tail; pairs with the load fence of the pop */
    ck_pr_store_uint(&ring->ck.p_tail, tail + 1);
    return true;
}

/* ring_count: entries now in the ring, at some moment during the call. Any thread. */
static inline uint32_t ring_count(const struct ring *ring)
{
    return ck_ring_size(&ring->ck);
}

/* Positions count pushes and pops since ring_open, modulo 2^32. */
static inline uint32_t ring_tail(const struct ring *ring)
{
    return ck_pr_load_uint(&ring->ck.p_tail);
}

static inline uint32_t ring_head(const struct ring *ring)
{
    return ck_pr_load_uint(&ring->ck.c_head);
}

#endif
