/* Two-level segregated fit over unit numbers. */
#include "engine/arena.h"

#include <errno.h>

struct arena_class {
    uint32_t octave, sub;
};

/* The class that a run of this size is filed under: sizes below 8 exactly, then 8 an octave. */
static struct arena_class class_of(uint32_t units)
{
    uint32_t octave;

    if (units < ARENA_SUB)
        return (struct arena_class){0, units};
    octave = 31u - (uint32_t)__builtin_clz(units) - ARENA_SUB_BITS;
    return (struct arena_class){octave + 1, (units >> octave) - ARENA_SUB};
}

/* The first class whose every run has at least this size. */
static struct arena_class class_covering(uint32_t units)
{
    uint32_t octave;

    if (units < ARENA_SUB)
        return class_of(units);
    octave = 31u - (uint32_t)__builtin_clz(units) - ARENA_SUB_BITS;
    return class_of(units + (1u << octave) - 1);
}

static void run_insert(struct arena *arena, uint32_t unit, uint32_t units)
{
    struct arena_class c = class_of(units);
    uint32_t *head = &arena->heads[c.octave][c.sub];
    struct arena_run *run = &arena->runs[unit];

    run->units = units;
    run->is_free = 1;
    run->prev = ARENA_NONE;
    run->next = *head;
    if (*head != ARENA_NONE)
        arena->runs[*head].prev = unit;
    *head = unit;
    arena->runs[unit + units - 1].units = units;
    arena->runs[unit + units - 1].is_free = 1;
    arena->classes[c.octave] |= 1u << c.sub;
    arena->octaves |= 1u << c.octave;
}

static void run_remove(struct arena *arena, uint32_t unit)
{
    struct arena_run *run = &arena->runs[unit];
    struct arena_class c = class_of(run->units);

    DS_ASSERT(run->is_free);
    if (run->next != ARENA_NONE)
        arena->runs[run->next].prev = run->prev;
    if (run->prev != ARENA_NONE) {
        arena->runs[run->prev].next = run->next;
        return;
    }
    arena->heads[c.octave][c.sub] = run->next;
    if (run->next == ARENA_NONE) {
        arena->classes[c.octave] &= ~(1u << c.sub);
        if (arena->classes[c.octave] == 0)
            arena->octaves &= ~(1u << c.octave);
    }
}

static void run_mark_used(struct arena *arena, uint32_t unit, uint32_t units)
{
    arena->runs[unit].units = units;
    arena->runs[unit].is_free = 0;
    arena->runs[unit].next = ARENA_RUN_OUT;
    arena->runs[unit + units - 1].units = units;
    arena->runs[unit + units - 1].is_free = 0;
}

/* A run of class c or above, or ARENA_NONE. */
static uint32_t class_search(const struct arena *arena, struct arena_class c)
{
    uint32_t subs = arena->classes[c.octave] & (~0u << c.sub);
    uint32_t octaves;

    if (subs == 0) {
        octaves = c.octave + 1 < ARENA_OCTAVES ? arena->octaves & (~0u << (c.octave + 1)) : 0;
        if (octaves == 0)
            return ARENA_NONE;
        c.octave = (uint32_t)__builtin_ctz(octaves);
        subs = arena->classes[c.octave];
    }
    return arena->heads[c.octave][__builtin_ctz(subs)];
}

/* The last resort before waiting: a run of the request's own class may be large enough, and when
 * the arena is whole again it must be found. Bounded by the length of one free list. */
static uint32_t class_walk(const struct arena *arena, uint32_t units)
{
    struct arena_class c = class_of(units);
    uint32_t unit = arena->heads[c.octave][c.sub];

    while (unit != ARENA_NONE && arena->runs[unit].units < units)
        unit = arena->runs[unit].next;
    return unit;
}

int arena_open(struct arena *arena, const struct host *host, uint32_t units)
{
    DS_ASSERT(units >= 1 && units <= 1u << 31);
    *arena = (struct arena){.units_n = units};
    arena->runs = host_calloc(host, units, sizeof(*arena->runs));
    if (arena->runs == NULL)
        return -ENOMEM;
    for (uint32_t o = 0; o < ARENA_OCTAVES; o++) {
        for (uint32_t s = 0; s < ARENA_SUB; s++)
            arena->heads[o][s] = ARENA_NONE;
    }
    run_insert(arena, 0, units);
    return 0;
}

void arena_close(struct arena *arena, const struct host *host)
{
    if (arena->runs == NULL)
        return;
    DS_ASSERT(arena->used_n == 0);
    host_free(host, arena->runs, arena->units_n * sizeof(*arena->runs));
    arena->runs = NULL;
}

/* Takes the first `units` of a free run that has as many. */
static void run_cut(struct arena *arena, uint32_t unit, uint32_t units)
{
    uint32_t rest = arena->runs[unit].units - units;

    run_remove(arena, unit);
    if (rest > 0)
        run_insert(arena, unit + units, rest);
    run_mark_used(arena, unit, units);
}

/* Takes a run off the free ones, or returns ARENA_NONE. */
static uint32_t run_take(struct arena *arena, uint32_t units)
{
    uint32_t unit = class_search(arena, class_covering(units));

    if (unit == ARENA_NONE)
        unit = class_walk(arena, units);
    if (unit != ARENA_NONE)
        run_cut(arena, unit, units);
    return unit;
}

/* Merges it with its free neighbours. */
void arena_give_merged(struct arena *arena, uint32_t unit)
{
    uint32_t units = arena->runs[unit].units;
    uint32_t next = unit + units;

    if (next < arena->units_n && arena->runs[next].is_free) {
        units += arena->runs[next].units;
        run_remove(arena, next);
    }
    if (unit > 0 && arena->runs[unit - 1].is_free) {
        uint32_t before = arena->runs[unit - 1].units;

        run_remove(arena, unit - before);
        unit -= before;
        units += before;
    }
    run_insert(arena, unit, units);
}

static void kept_merge(struct arena *arena)
{
    for (uint32_t i = 0; i < ARENA_KEPT_UNITS; i++) {
        struct arena_kept *kept = &arena->kept[i];

        for (; kept->head != kept->tail; kept->head++)
            arena_give_merged(arena, kept->units[kept->head % ARENA_KEPT_RUNS]);
    }
    arena->kept_n = 0;
}

static uint32_t kept_at(const struct arena_kept *kept, uint32_t index)
{
    return kept->units[(kept->head + index) % ARENA_KEPT_RUNS];
}

uint32_t arena_take_merged(struct arena *arena, uint32_t units)
{
    uint32_t unit;

    DS_ASSERT(units >= 1);
    if (units > arena->units_n - arena->used_n)
        return ARENA_NONE;
    unit = run_take(arena, units);
    if (unit == ARENA_NONE && arena->kept_n > 0) {
        kept_merge(arena);
        unit = run_take(arena, units);
    }
    if (unit != ARENA_NONE)
        arena->used_n += units;
    return unit;
}

uint32_t arena_take_after(struct arena *arena, uint32_t unit, uint32_t units)
{
    struct arena_kept *kept = arena_kept_of(arena, units);
    uint32_t next;

    DS_ASSERT(units >= 1 && unit < arena->units_n && arena->runs[unit].next == ARENA_RUN_OUT);
    next = unit + arena->runs[unit].units;
    if (arena_kept_n(kept) > 0 && kept_at(kept, 0) == next)
        return arena_kept_take(arena, kept, units);
    if (next >= arena->units_n || !arena->runs[next].is_free || arena->runs[next].units < units)
        return ARENA_NONE;
    run_cut(arena, next, units);
    arena->used_n += units;
    return next;
}

uint32_t arena_take_roomy(struct arena *arena, uint32_t units, uint32_t room)
{
    struct arena_kept *kept = arena_kept_of(arena, units);
    uint32_t unit = ARENA_NONE;

    DS_ASSERT(units >= 1);
    if (arena_kept_n(kept) > 1 && kept_at(kept, 1) == kept_at(kept, 0) + units)
        return arena_kept_take(arena, kept, units);
    if (room > units)
        unit = class_search(arena, class_covering(room));
    if (unit == ARENA_NONE)
        return arena_take(arena, units);
    run_cut(arena, unit, units);
    arena->used_n += units;
    return unit;
}

void arena_check(const struct arena *arena)
{
    uint32_t unit = 0, used = 0;
    bool was_free = false;

    while (unit < arena->units_n) {
        const struct arena_run *run = &arena->runs[unit];

        DS_ASSERT(run->units >= 1 && run->units <= arena->units_n - unit);
        DS_ASSERT(arena->runs[unit + run->units - 1].units == run->units);
        DS_ASSERT(arena->runs[unit + run->units - 1].is_free == run->is_free);
        DS_ASSERT(!(was_free && run->is_free));
        was_free = run->is_free;
        used += run->is_free ? 0 : run->units;
        unit += run->units;
    }
    DS_ASSERT(unit == arena->units_n && used == arena->used_n + arena->kept_n);
}
