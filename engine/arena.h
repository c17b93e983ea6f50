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

/* `next` of a run that is not free. */
#define ARENA_RUN_OUT  (ARENA_NONE - 1)
#define ARENA_RUN_KEPT (ARENA_NONE - 2)

/* arena_open makes an arena of 1..2^31 free units. 0 or -ENOMEM. */
int arena_open(struct arena *arena, const struct host *host, uint32_t units);
void arena_close(struct arena *arena, const struct host *host);

/* The runs of this size that wait to be taken again, or NULL. */
static inline struct arena_kept *arena_kept_of(struct arena *arena, uint32_t units)
{
    return units <= ARENA_KEPT_UNITS ? &arena->kept[units - 1] : NULL;
}

static inline uint32_t arena_kept_n(const struct arena_kept *kept)
{
    return kept != NULL ? kept->tail - kept->head : 0;
}

/* arena_kept_take takes the oldest of them. */
static inline uint32_t arena_kept_take(struct arena *arena, struct arena_kept *kept, uint32_t units)
{
    uint32_t unit = kept->units[kept->head++ % ARENA_KEPT_RUNS];

    arena->runs[unit].next = ARENA_RUN_OUT;
    arena->kept_n -= units;
    arena->used_n += units;
    return unit;
}

/* arena_take_merged is arena_take where none of this size is kept. */
uint32_t arena_take_merged(struct arena *arena, uint32_t units);

/* arena_take returns the first unit of a run of `units` >= 1 units, or ARENA_NONE. */
static inline uint32_t arena_take(struct arena *arena, uint32_t units)
{
    struct arena_kept *kept = units != 0 ? arena_kept_of(arena, units) : NULL;

    return arena_kept_n(kept) > 0 ? arena_kept_take(arena, kept, units)
                                  : arena_take_merged(arena, units);
}

/* arena_take_after takes `units` right behind the run that begins at `unit`, which must be in use,
 * or returns ARENA_NONE where they are not free. */
uint32_t arena_take_after(struct arena *arena, uint32_t unit, uint32_t units);

/* arena_take_roomy is arena_take out of a free run of at least `room` units, if there is one: what
 * is taken next can go right behind it. */
uint32_t arena_take_roomy(struct arena *arena, uint32_t units, uint32_t room);

/* arena_give_merged returns a run that is not kept to the free ones. */
void arena_give_merged(struct arena *arena, uint32_t unit);

/* arena_give returns a run by its first unit. */
static inline void arena_give(struct arena *arena, uint32_t unit)
{
    struct arena_run *run = &arena->runs[unit];
    struct arena_kept *kept;
    uint32_t units;

    DS_ASSERT(unit < arena->units_n && !run->is_free && run->next == ARENA_RUN_OUT);
    units = run->units;
    DS_ASSERT(units >= 1 && units <= arena->used_n);
    arena->used_n -= units;
    kept = arena_kept_of(arena, units);
    if (kept == NULL || arena_kept_n(kept) == ARENA_KEPT_RUNS) {
        arena_give_merged(arena, unit);
        return;
    }
    run->next = ARENA_RUN_KEPT;
    kept->units[kept->tail++ % ARENA_KEPT_RUNS] = unit;
    arena->kept_n += units;
}

/* arena_check walks everything and asserts the invariants; for tests. */
void arena_check(const struct arena *arena);

#endif
