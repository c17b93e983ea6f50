/* The staging allocator: contiguous runs of units, two-level segregated fit (after Masmano et al.,
 * "TLSF: a new dynamic memory allocator for real-time systems", 2004): O(1), merges at once.
 *
 * Belongs to the submit stage alone: no locks, no atomics. It manages unit numbers, never memory.
 * When everything is free there is one run again, so a request that fits the arena will fit once
 * those before it have ended: waiting for credit cannot deadlock. */
#ifndef ENGINE_ARENA_H
#define ENGINE_ARENA_H

#include "engine/host.h"

#define ARENA_NONE UINT32_MAX
#define ARENA_SUB_BITS 3
#define ARENA_SUB (1u << ARENA_SUB_BITS)
#define ARENA_OCTAVES 32

/* One per unit; meaningful at the first unit of a run, and `units` at its last unit too. */
struct arena_run {
    uint32_t units;
    uint32_t is_free;
    uint32_t next, prev; /* among the free runs of one class */
};

struct arena {
    struct arena_run *runs;
    uint32_t units_n;
    uint32_t used_n;
    uint32_t octaves;                   /* bit o: an octave has a free run */
    uint32_t classes[ARENA_OCTAVES];    /* bit s: class (o, s) has a free run */
    uint32_t heads[ARENA_OCTAVES][ARENA_SUB];
};

/* arena_open makes an arena of 1..2^31 free units. 0 or -ENOMEM. */
int arena_open(struct arena *arena, const struct host *host, uint32_t units);
void arena_close(struct arena *arena, const struct host *host);

/* arena_take returns the first unit of a run of `units` >= 1 units, or ARENA_NONE. */
uint32_t arena_take(struct arena *arena, uint32_t units);

/* arena_give returns a run by its first unit. */
void arena_give(struct arena *arena, uint32_t unit);

/* arena_check walks everything and asserts the invariants; for tests. */
void arena_check(const struct arena *arena);

#endif
