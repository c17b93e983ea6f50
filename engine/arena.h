/* The staging allocator: contiguous runs of units, two-level segregated fit (after Masmano et al.,
 * "TLSF: a new dynamic memory allocator for real-time systems", 2004): O(1), merges at once.
 * But small runs that come back wait in a FIFO for each size, so that a steady flow of equal
 * requests takes them out again, in the order in which they lie in memory (neighbours are copied as
 * one). They are merged as soon as a request finds no room otherwise.
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
#define ARENA_KEPT_UNITS 16  /* the largest run that waits to be taken again */
#define ARENA_KEPT_RUNS  256 /* of each size */

/* One per unit; meaningful at the first unit of a run, and `units` at its last unit too. */
struct arena_run {
    uint32_t units;
    uint32_t is_free;
    uint32_t next, prev; /* among the free runs of one class */
};

/* Runs given back and not merged: used, as far as their neighbours know. */
struct arena_kept {
    uint32_t head, tail; /* count up, modulo 2^32 */
    uint32_t units[ARENA_KEPT_RUNS];
};

struct arena {
    struct arena_run *runs;
    uint32_t units_n;
    uint32_t used_n;                    /* not those that are kept */
    uint32_t kept_n;                    /* units in `kept` */
    uint32_t octaves;                   /* bit o: an octave has a free run */
    uint32_t classes[ARENA_OCTAVES];    /* bit s: class (o, s) has a free run */
    uint32_t heads[ARENA_OCTAVES][ARENA_SUB];
    struct arena_kept kept[ARENA_KEPT_UNITS]; /* of i + 1 units */
};

/* arena_open makes an arena of 1..2^31 free units. 0 or -ENOMEM. */
int arena_open(struct arena *arena, const struct host *host, uint32_t units);
void arena_close(struct arena *arena, const struct host *host);

/* arena_take returns the first unit of a run of `units` >= 1 units, or ARENA_NONE. */
uint32_t arena_take(struct arena *arena, uint32_t units);

/* arena_take_after takes `units` right behind the run that begins at `unit`, which must be in use,
 * or returns ARENA_NONE where they are not free. */
uint32_t arena_take_after(struct arena *arena, uint32_t unit, uint32_t units);

/* arena_take_roomy is arena_take out of a free run of at least `room` units, if there is one: what
 * is taken next can go right behind it. */
uint32_t arena_take_roomy(struct arena *arena, uint32_t units, uint32_t room);

/* arena_give returns a run by its first unit. */
void arena_give(struct arena *arena, uint32_t unit);

/* arena_check walks everything and asserts the invariants; for tests. */
void arena_check(const struct arena *arena);

#endif
