/* The free slots of a queue: a lock-free list of indices.
 *
 * The word holds the index of the first slot, the number of slots, and a tag against ABA. A single
 * producer takes the whole list at once (wait-free) and then works off its own. */
#ifndef ENGINE_SLOTS_H
#define ENGINE_SLOTS_H

#include "engine/request.h"

#include <stdatomic.h>

#define SLOTS_MAX 65536

struct slots {
    struct request *slots;
    bool single_producer;
    _Atomic uint64_t list CACHE_ALIGNED;
    uint32_t own_first CACHE_ALIGNED; /* single producer: taken, not yet used */
    _Atomic uint32_t own_n;
};

/* slots_init makes all `capacity` (1..SLOTS_MAX) slots free. */
void slots_init(struct slots *slots, struct request *memory, uint32_t capacity,
                bool single_producer);

/* slots_take returns a free slot, or NULL. */
struct request *slots_take(struct slots *slots);

/* slots_give frees n slots; any thread. */
void slots_give(struct slots *slots, struct request **requests, uint32_t n);

/* slots_free_n: how many are free, at some moment during the call. Any thread. */
uint32_t slots_free_n(const struct slots *slots);

#endif
