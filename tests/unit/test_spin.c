/* engine/spin.h: a look becomes as long as it is worth, gives up where it is not, and keeps to its
 * bounds whatever happens. */
#include "engine/spin.h"

#include "unit/support.h"

TestSuite(spin);

#define LEAST_NS 20000u
#define MOST_NS 100000u

/* What a thread does with gaps of one length: it finds, beyond the least look, or sleeps. Returns
 * how long it has looked in vain. */
static uint64_t meet(struct spin *spin, uint64_t gap_ns, uint32_t times, uint32_t *slept)
{
    uint64_t vain_ns = 0;

    for (uint32_t i = 0; i < times; i++) {
        if (gap_ns < spin->limit_ns) {
            if (gap_ns > LEAST_NS)
                spin_found(spin, gap_ns);
            continue;
        }
        vain_ns += spin->limit_ns;
        *slept += 1;
        spin_slept(spin);
        cr_assert(spin->limit_ns >= LEAST_NS && spin->limit_ns <= MOST_NS);
    }
    return vain_ns;
}

Test(spin, a_look_becomes_as_long_as_it_is_worth)
{
    uint32_t slept = 0;
    struct spin spin;

    spin_init(&spin, LEAST_NS, MOST_NS);
    cr_assert_eq(spin.limit_ns, MOST_NS, "begins with long ones");
    meet(&spin, 40000, 100, &slept);
    cr_assert_eq(spin.limit_ns, 60000, "half as much again");
    meet(&spin, 50000, 1, &slept);
    cr_assert_eq(spin.limit_ns, 75000, "rises at once");
    meet(&spin, 22000, 200, &slept);
    cr_assert_eq(spin.limit_ns, 33000, "falls by and by");
    cr_assert_eq(slept, 0);
    meet(&spin, 90000, 2, &slept);
    cr_assert_eq(slept, 1, "tries the longest look before it gives up");
    cr_assert_gt(spin.limit_ns, 90000);
}

/* Gaps that no look spans: ever fewer long looks, so that they cost less and less. */
Test(spin, long_looks_in_vain_become_rare)
{
    uint32_t slept = 0;
    uint64_t first_ns, later_ns;
    struct spin spin;

    spin_init(&spin, LEAST_NS, MOST_NS);
    first_ns = meet(&spin, 500000, 4, &slept);
    cr_assert_eq(first_ns, 4 * MOST_NS);
    cr_assert_eq(spin.limit_ns, LEAST_NS, "four times in vain");
    meet(&spin, 500000, 10000, &slept);
    later_ns = meet(&spin, 500000, 2600, &slept);
    cr_assert_leq(later_ns, 2600 * (uint64_t)LEAST_NS + 11 * 4 * (uint64_t)(MOST_NS - LEAST_NS));
    cr_assert_eq(slept, 12604);
}

/* After a rest of any length short gaps are found again, and from then on. */
Test(spin, finds_again_what_has_become_short)
{
    struct spin spin;

    spin_init(&spin, LEAST_NS, MOST_NS);
    for (uint32_t times = 1; times < 3000; times = times * 2 + 1) {
        uint32_t slept = 0, more = 0;

        meet(&spin, 500000, times, &slept);
        slept = 0;
        meet(&spin, 60000, 300, &slept);
        cr_assert_leq(slept, 257, "rests no longer than 256 sleeps");
        meet(&spin, 60000, 100, &more);
        cr_assert_eq(more, 0);
    }
}

/* Any gaps in any order. */
Test(spin, keeps_to_its_bounds)
{
    uint64_t random = support_seed("spin");
    struct spin spin;

    spin_init(&spin, LEAST_NS, MOST_NS);
    for (uint32_t i = 0; i < 100000; i++) {
        if (support_below(&random, 2) == 0)
            spin_found(&spin, support_below(&random, 3) == 0 ? UINT64_MAX / 4
                                                             : support_below(&random, 200000));
        else
            spin_slept(&spin);
        cr_assert(spin.limit_ns >= LEAST_NS && spin.limit_ns <= MOST_NS, "%u", spin.limit_ns);
    }
}

Test(spin, a_fixed_one_stays_as_it_is)
{
    static const uint32_t most[] = {0, LEAST_NS};

    for (uint32_t k = 0; k < 2; k++) {
        struct spin spin;

        spin_init(&spin, LEAST_NS, most[k]);
        for (uint32_t i = 0; i < 1000; i++) {
            spin_slept(&spin);
            cr_assert_eq(spin.limit_ns, LEAST_NS);
            spin_found(&spin, 1000 * i);
            cr_assert_eq(spin.limit_ns, LEAST_NS);
        }
    }
}
