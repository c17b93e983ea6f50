/* Sorting and joining regions keeps every byte's way. */
#include "stages/copy_regions.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define N 300
#define UNITS 4096

static uint32_t random_state = 7;

static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

/* ways[direction][buffer][gpu unit] = staging unit + 1 */
static uint32_t ways_before[2][2][UNITS];
static uint32_t ways_after[2][2][UNITS];

static void draw(uint32_t ways[2][2][UNITS], const struct copy_region *regions, uint32_t n)
{
    memset(ways, 0, sizeof(uint32_t) * 2 * 2 * UNITS);
    for (uint32_t i = 0; i < n; i++) {
        for (uint64_t u = 0; u < regions[i].bytes; u++)
            ways[regions[i].download][regions[i].gpu_buffer - 1][regions[i].gpu_offset + u] =
                (uint32_t)(regions[i].staging_offset + u + 1);
    }
}

static uint32_t make_regions(struct copy_region *regions)
{
    uint64_t gpu[2][2] = {{0}};
    uint64_t staging = 0;
    uint32_t n = 1 + next_random(N);

    for (uint32_t i = 0; i < n; i++) {
        bool download = next_random(3) == 0;
        uint32_t buffer = next_random(2);
        uint64_t bytes = 1 + next_random(8);
        uint64_t *at = &gpu[download][buffer];

        *at += next_random(3) == 0 ? next_random(4) : 0;
        staging += next_random(3) == 0 ? next_random(4) : 0;
        regions[i] = (struct copy_region){buffer + 1, *at, staging, bytes, download, 0};
        *at += bytes;
        staging += bytes;
    }
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = next_random(i);
        struct copy_region swap = regions[j];

        regions[j] = regions[i - 1];
        regions[i - 1] = swap;
    }
    return n;
}

Test(copy_regions, random)
{
    static struct copy_region regions[N], scratch[N];

    for (uint32_t round = 0; round < 500; round++) {
        uint32_t n = make_regions(regions);
        struct copy_region *sorted;
        uint32_t left;

        draw(ways_before, regions, n);
        sorted = copy_regions_sort(regions, scratch, n);
        for (uint32_t i = 1; i < n; i++)
            cr_assert(!copy_regions_before(&sorted[i], &sorted[i - 1]), "round %u", round);
        left = copy_regions_merge(sorted, n);
        cr_assert_leq(left, n);
        draw(ways_after, sorted, left);
        cr_assert_arr_eq(ways_before, ways_after, sizeof(ways_before));
        for (uint32_t i = 1; i < left; i++) {
            bool touch = sorted[i - 1].gpu_buffer == sorted[i].gpu_buffer &&
                         sorted[i - 1].download == sorted[i].download &&
                         sorted[i - 1].gpu_offset + sorted[i - 1].bytes == sorted[i].gpu_offset &&
                         sorted[i - 1].staging_offset + sorted[i - 1].bytes ==
                             sorted[i].staging_offset;

            cr_assert(!touch, "round %u: two regions that touch were not joined", round);
        }
    }
}

Test(copy_regions, only_both_sides_touching_joins)
{
    struct copy_region regions[] = {
        {1, 0, 0, 10, false, 0},
        {1, 10, 10, 10, false, 0},  /* joins */
        {1, 20, 100, 10, false, 0}, /* a gap in staging */
        {1, 31, 110, 10, false, 0}, /* a gap on the GPU */
        {2, 41, 120, 10, false, 0}, /* another buffer */
        {2, 51, 130, 10, true, 0},  /* another direction */
    };

    cr_expect_eq(copy_regions_merge(regions, 6), 5);
    cr_expect_eq(regions[0].bytes, 20);
    cr_expect_eq(copy_regions_group(regions, 0, 5), 3);
    cr_expect_eq(copy_regions_group(regions, 3, 5), 4);
    cr_expect_eq(copy_regions_group(regions, 4, 5), 5);
    cr_expect_eq(copy_regions_merge(regions, 0), 0);
}
