/* engine/arena.h: runs never overlap, what fits a whole arena is found, nothing is lost. */
#include "engine/arena.h"

#include "unit/support.h"

#include <errno.h>
#include <signal.h>

#define UNITS 997 /* no power of two: the last run has an odd size */
#define STEPS (60000 / SLOWNESS)

static struct host host;

static void open_host(void)
{
    support_host(&host);
}

TestSuite(arena, .init = open_host);

/* The naive model: one byte for each unit. */
struct model {
    uint8_t used[UNITS];
    uint32_t taken[UNITS]; /* first units of the runs that are out */
    uint32_t sizes[UNITS];
    uint32_t taken_n;
};

/* The longest free run, by counting. */
static uint32_t model_longest(const struct model *model)
{
    uint32_t longest = 0, run = 0;

    for (uint32_t i = 0; i < UNITS; i++) {
        run = model->used[i] ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static void model_take(struct model *model, uint32_t unit, uint32_t units)
{
    cr_assert_leq(unit + units, UNITS);
    for (uint32_t i = unit; i < unit + units; i++) {
        cr_assert_not(model->used[i], "unit %u was handed out twice", i);
        model->used[i] = 1;
    }
    model->taken[model->taken_n] = unit;
    model->sizes[model->taken_n++] = units;
}

static uint32_t model_give(struct model *model, uint32_t which)
{
    uint32_t unit = model->taken[which];

    memset(&model->used[unit], 0, model->sizes[which]);
    model->taken_n--;
    model->taken[which] = model->taken[model->taken_n];
    model->sizes[which] = model->sizes[model->taken_n];
    return unit;
}

static uint32_t random_units(uint64_t *seed)
{
    uint64_t kind = support_below(seed, 10);

    return (uint32_t)(kind < 6   ? 1 + support_below(seed, 8)
                      : kind < 9 ? 1 + support_below(seed, 64)
                                 : 1 + support_below(seed, UNITS));
}

/* A refusal must have a reason: two-level fit may pass over a run of the request's own class at a
 * list's head, but never over one that is an eighth larger. */
static void check_refusal(const struct model *model, uint32_t units)
{
    cr_assert_lt(model_longest(model), units + units / ARENA_SUB + 1,
                 "refused %u units although there are %u in a row", units, model_longest(model));
}

Test(arena, takes_and_gives_like_a_bitmap)
{
    uint64_t seed = support_seed("arena");
    static struct model model;
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, UNITS), 0);
    for (uint32_t step = 0; step < STEPS; step++) {
        bool drain = (step / 2000) % 2;

        if (model.taken_n > 0 && support_below(&seed, 100) < (drain ? 60u : 40u)) {
            arena_give(&arena,
                       model_give(&model, (uint32_t)support_below(&seed, model.taken_n)));
        } else {
            uint32_t units = random_units(&seed);
            uint32_t unit = arena_take(&arena, units);

            if (unit == ARENA_NONE)
                check_refusal(&model, units);
            else
                model_take(&model, unit, units);
        }
        if (step % 16 == 0)
            arena_check(&arena);
    }
    while (model.taken_n > 0)
        arena_give(&arena, model_give(&model, 0));
    arena_check(&arena);
    cr_assert_eq(arena.used_n, 0);
    cr_assert_eq(arena_take(&arena, UNITS), 0, "everything is free, so it is one run again");
    arena_give(&arena, 0);
    arena_close(&arena, &host);
}

/* Waiting for credit cannot deadlock only if any size that fits a whole arena is found in it. */
Test(arena, every_size_fits_a_whole_arena_of_every_size)
{
    for (uint32_t units = 1; units <= 300; units++) {
        struct arena used;

        cr_assert_eq(arena_open(&used, &host, units), 0);
        for (uint32_t want = 1; want <= units; want++) {
            struct arena arena;
            uint32_t first, second;

            cr_assert_eq(arena_open(&arena, &host, units), 0);
            first = arena_take(&arena, want);
            cr_assert_eq(first, 0, "%u of %u", want, units);
            second = want < units ? arena_take(&arena, units - want) : ARENA_NONE;
            cr_assert(want == units || second == want, "the rest of %u after %u", units, want);
            arena_give(&arena, first);
            if (second != ARENA_NONE)
                arena_give(&arena, second);
            arena_check(&arena);
            arena_close(&arena, &host);

            first = arena_take(&used, want);
            cr_assert_neq(first, ARENA_NONE, "%u of %u after smaller ones", want, units);
            arena_give(&used, first);
            arena_check(&used);
        }
        cr_assert_eq(arena_take(&used, units + 1), ARENA_NONE);
        arena_close(&used, &host);
    }
}

Test(arena, is_exhausted_at_the_last_unit_and_whole_after_all_came_back)
{
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, 64), 0);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_neq(arena_take(&arena, 1), ARENA_NONE);
    cr_assert_eq(arena_take(&arena, 1), ARENA_NONE);
    arena_check(&arena);
    for (uint32_t i = 0; i < 64; i++) /* 0, 37, 10, ...: neighbours at last */
        arena_give(&arena, i * 37 % 64);
    arena_check(&arena);
    cr_assert_eq(arena_take(&arena, 64), 0);
    arena_give(&arena, 0);
    arena_close(&arena, &host);
}

/* Every second unit free: half of the arena, and no two in a row. */
Test(arena, fragments_are_not_one_run_until_their_neighbours_come_back)
{
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, 64), 0);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_neq(arena_take(&arena, 1), ARENA_NONE);
    for (uint32_t i = 0; i < 64; i += 2)
        arena_give(&arena, i);
    cr_assert_eq(arena_take(&arena, 2), ARENA_NONE);
    arena_give(&arena, 31);
    cr_assert_eq(arena_take(&arena, 3), 30);
    arena_give(&arena, 30);
    for (uint32_t i = 1; i < 64; i += 2) {
        if (i != 31)
            arena_give(&arena, i);
    }
    cr_assert_eq(arena_take(&arena, 64), 0);
    arena_give(&arena, 0);
    arena_close(&arena, &host);
}

/* Sizes at both sides of each class boundary: taken from a run of exactly that size. */
Test(arena, class_boundaries)
{
    for (uint32_t bits = 2; bits < 12; bits++) {
        for (int32_t off = -2; off <= 2; off++) {
            uint32_t units = (uint32_t)((int32_t)(1u << bits) + off);
            struct arena arena;
            uint32_t wall, run;

            cr_assert_eq(arena_open(&arena, &host, units + 1), 0);
            run = arena_take(&arena, units);
            wall = arena_take(&arena, 1);
            cr_assert(run == 0 && wall == units);
            arena_give(&arena, run);
            cr_assert_eq(arena_take(&arena, units + 1), ARENA_NONE);
            cr_assert_eq(arena_take(&arena, units), 0, "%u of a run of %u", units, units);
            arena_give(&arena, 0);
            arena_give(&arena, wall);
            arena_check(&arena);
            arena_close(&arena, &host);
        }
    }
}

/* The head of the class's list is too small, the run behind it is not. */
Test(arena, looks_behind_the_head_of_its_own_class)
{
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, 17 + 1 + 16 + 1), 0);
    cr_assert_eq(arena_take(&arena, 17), 0);
    cr_assert_eq(arena_take(&arena, 1), 17);
    cr_assert_eq(arena_take(&arena, 16), 18);
    cr_assert_eq(arena_take(&arena, 1), 34);
    arena_give(&arena, 0);  /* 17 units, class 16..17 */
    arena_give(&arena, 18); /* 16 units, now the head of that class */
    cr_assert_eq(arena_take(&arena, 17), 0);
    arena_give(&arena, 0);
    arena_give(&arena, 17);
    arena_give(&arena, 34);
    arena_check(&arena);
    arena_close(&arena, &host);
}

/* What a steady flow of small requests does: neighbours stay neighbours, in the order in which they
 * came back, and nothing is searched, split or merged. */
Test(arena, small_runs_come_out_again_in_the_order_of_their_return)
{
    struct arena arena;
    uint32_t octaves;

    cr_assert_eq(arena_open(&arena, &host, 64), 0);
    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(arena_take(&arena, 2), 2 * i);
    for (uint32_t i = 0; i < 8; i++)
        arena_give(&arena, 2 * i);
    cr_assert_eq(arena.used_n, 0);
    octaves = arena.octaves;
    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(arena_take(&arena, 2), 2 * i);
    cr_assert_eq(arena.octaves, octaves, "the free runs were not touched");
    cr_assert_eq(arena_take(&arena, 1), 16, "another size comes off the free runs");
    for (uint32_t i = 0; i < 8; i++)
        arena_give(&arena, 2 * i);
    arena_give(&arena, 16);
    arena_check(&arena);
    cr_assert_eq(arena_take(&arena, 64), 0, "what waits is merged when it is needed");
    arena_give(&arena, 0);
    arena_close(&arena, &host);
}

/* More of one size than are kept. */
Test(arena, keeps_no_more_than_it_has_room_for)
{
    static uint32_t units[ARENA_KEPT_RUNS + 10];
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, ARENA_KEPT_RUNS + 10), 0);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < ARRAY_LENGTH(units); i++)
            units[i] = arena_take(&arena, 1);
        cr_assert_eq(arena_take(&arena, 1), ARENA_NONE);
        for (uint32_t i = 0; i < ARRAY_LENGTH(units); i++)
            arena_give(&arena, units[i]);
        arena_check(&arena);
    }
    arena_close(&arena, &host);
}

Test(arena, giving_back_twice_is_a_bug, .signal = SIGABRT)
{
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, 8), 0);
    cr_assert_eq(arena_take(&arena, 2), 0);
    cr_assert_eq(arena_take(&arena, 2), 2);
    arena_give(&arena, 0);
    arena_give(&arena, 0);
}

Test(arena, closing_with_a_run_out_is_a_bug, .signal = SIGABRT)
{
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, 8), 0);
    cr_assert_eq(arena_take(&arena, 2), 0);
    arena_close(&arena, &host);
}

Test(arena, open_without_memory_leaves_nothing)
{
    struct counting counting = {.fail_at = 1};
    struct ds_allocator table = counting_table(&counting);
    struct arena arena;

    host_init(&host, &table, NULL, NULL, DS_LOG_ERROR);
    cr_assert_eq(arena_open(&arena, &host, 100), -ENOMEM);
    arena_close(&arena, &host);
    cr_assert_eq(atomic_load(&counting.live_n), 0);
}

Test(arena, takes_right_behind_a_run_while_it_is_free)
{
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, 32), 0);
    cr_assert_eq(arena_take(&arena, 4), 0);
    cr_assert_eq(arena_take_after(&arena, 0, 3), 4);
    cr_assert_eq(arena_take_after(&arena, 0, 1), ARENA_NONE); /* taken */
    cr_assert_eq(arena_take_after(&arena, 4, 26), ARENA_NONE); /* too long */
    cr_assert_eq(arena_take_after(&arena, 4, 25), 7);
    cr_assert_eq(arena_take_after(&arena, 7, 1), ARENA_NONE); /* the end */
    arena_check(&arena);
    arena_give(&arena, 4);
    cr_assert_eq(arena_take_after(&arena, 0, 4), ARENA_NONE);
    cr_assert_eq(arena_take_after(&arena, 0, 3), 4);
    arena_give(&arena, 0);
    arena_give(&arena, 7);
    arena_give(&arena, 4);
    arena_check(&arena);
    arena_close(&arena, &host);
}

Test(arena, takes_where_there_is_room_for_more)
{
    struct arena arena;

    cr_assert_eq(arena_open(&arena, &host, 64), 0);
    cr_assert_eq(arena_take(&arena, 2), 0);
    cr_assert_eq(arena_take(&arena, 2), 2);
    arena_give(&arena, 0);
    cr_assert_eq(arena_take_roomy(&arena, 1, 16), 4, "not in the hole of two");
    cr_assert_eq(arena_take_roomy(&arena, 2, 64), 0, "no such room: any place will do");
    cr_assert_eq(arena_take_roomy(&arena, 60, 16), ARENA_NONE);
    arena_give(&arena, 0);
    arena_give(&arena, 2);
    arena_give(&arena, 4);
    arena_check(&arena);
    arena_close(&arena, &host);
}
