/* engine/balance.h: figures in, a way out; and how the figures follow what happens. */
#include "engine/balance.h"

#include <criterion/criterion.h>

#define MB 1000000ull
#define MS 1000000ull
#define TILE 65536u

static struct balance balance;

/* 3 threads of 500 MB/s, a batch of 4 ms: 9 MB are decoded within one and a half. */
static void three_threads(void)
{
    balance_init(&balance, 0, 1500 * MB, 3, 4 * MS);
}

Test(balance, the_cpu_has_what_it_does_sooner)
{
    three_threads();
    cr_expect_eq(balance_limit_bytes(&balance), 9 * MB);
    cr_expect_not(balance_rule(&balance, 0, TILE));
    cr_expect_not(balance_rule(&balance, 9 * MB - TILE, TILE));
    cr_expect(balance_rule(&balance, 9 * MB - TILE + 1, TILE));
    cr_expect(balance_rule(&balance, 100 * MB, 1));
}

/* A request that takes the CPU longer than the GPU is the GPU's, even if nothing is in front. */
Test(balance, a_large_request_is_the_gpus)
{
    three_threads();
    cr_expect_not(balance_rule(&balance, 0, 9 * MB));
    cr_expect(balance_rule(&balance, 0, 9 * MB + 1));
}

Test(balance, a_given_limit_is_taken_as_it_is)
{
    balance_init(&balance, 5 * TILE, 1500 * MB, 3, 4 * MS);
    for (uint32_t i = 0; i < 100; i++) {
        balance_batch(&balance, 50 * MS);
        balance_drained(&balance, MB, MS);
    }
    cr_expect_not(balance_rule(&balance, 4 * TILE, TILE));
    cr_expect(balance_rule(&balance, 4 * TILE + 1, TILE));
}

Test(balance, guesses_where_nothing_was_measured)
{
    balance_init(&balance, 0, 0, 4, 0);
    cr_expect_eq(balance.cpu_bytes_per_s, 4ull * BALANCE_THREAD_BYTES_PER_S);
    cr_expect_eq(balance.batch_ns, BALANCE_BATCH_NS);
    balance_init(&balance, 0, 0, 0, 0);
    cr_expect_gt(balance_limit_bytes(&balance), 0, "nobody decodes, but nothing overflows either");
    balance_init(&balance, 0, UINT64_MAX, 64, UINT64_MAX);
    cr_expect_eq(balance.batch_ns, BALANCE_BATCH_MAX_NS);
    cr_expect_eq(balance_limit_bytes(&balance), 1500000 * MB);
}

/* Half way after five batches or six, nearly there after forty; up and down. */
Test(balance, the_batch_time_follows)
{
    three_threads();
    balance_batch(&balance, 12 * MS);
    cr_expect_eq(balance.batch_ns, 5 * MS);
    for (uint32_t i = 0; i < 40; i++)
        balance_batch(&balance, 12 * MS);
    cr_expect(balance.batch_ns > 11900000 && balance.batch_ns <= 12 * MS, "%lu", balance.batch_ns);
    for (uint32_t i = 0; i < 40; i++)
        balance_batch(&balance, 2 * MS);
    cr_expect(balance.batch_ns < 2100000 && balance.batch_ns >= 2 * MS, "%lu", balance.batch_ns);
    balance_batch(&balance, UINT64_MAX);
    cr_expect_leq(balance.batch_ns, 2100000 + BALANCE_BATCH_MAX_NS / 8);
}

static void cpu_times(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        balance_chose(&balance, false);
}

/* A GPU that was busy once is tried again, as if half of that had passed. */
Test(balance, a_long_batch_is_forgotten)
{
    uint64_t batch_ns;

    three_threads();
    balance_batch(&balance, 804 * MS);
    cr_assert_eq(balance.batch_ns, 104 * MS);
    cpu_times(BALANCE_STALE_N - 1);
    cr_expect_eq(balance.batch_ns, 104 * MS);
    balance_chose(&balance, true);
    cr_expect_eq(balance.batch_ns, 104 * MS, "one for the GPU is none for the CPU");
    cpu_times(1);
    cr_expect_eq(balance.batch_ns, 54 * MS);
    cpu_times(BALANCE_STALE_N - 1);
    balance_batch(&balance, 54 * MS);
    batch_ns = balance.batch_ns;
    cpu_times(BALANCE_STALE_N - 1);
    cr_expect_eq(balance.batch_ns, batch_ns, "the batch was just seen");
    cpu_times(100 * BALANCE_STALE_N);
    cr_expect_eq(balance.batch_ns, 4 * MS, "what it was at the start, and no less");
}

Test(balance, a_short_batch_is_not_forgotten)
{
    three_threads();
    for (uint32_t i = 0; i < 100; i++)
        balance_batch(&balance, MS);
    cpu_times(10 * BALANCE_STALE_N);
    cr_expect_lt(balance.batch_ns, 1100000);
}

Test(balance, the_cpus_rate_follows)
{
    three_threads();
    for (uint32_t i = 0; i < 200; i++)
        balance_drained(&balance, 10 * MB, 20 * MS); /* 500 MB/s */
    cr_expect(balance.cpu_bytes_per_s >= 500 * MB && balance.cpu_bytes_per_s < 505 * MB, "%lu",
              balance.cpu_bytes_per_s);
    for (uint32_t i = 0; i < 200; i++)
        balance_drained(&balance, 10 * MB, 5 * MS);
    cr_expect(balance.cpu_bytes_per_s > 1980 * MB && balance.cpu_bytes_per_s <= 2000 * MB, "%lu",
              balance.cpu_bytes_per_s);
}

/* A hundred requests that were skipped, or a thread that was held up for a second. */
Test(balance, one_odd_sample_counts_for_little)
{
    three_threads();
    balance_drained(&balance, 1000 * MB, 1);
    cr_expect_leq(balance.cpu_bytes_per_s, 1600 * MB);
    three_threads();
    balance_drained(&balance, MB, 1000 * MS);
    cr_expect_geq(balance.cpu_bytes_per_s, 1450 * MB);
    for (uint32_t i = 0; i < 10000; i++)
        balance_drained(&balance, 1, BALANCE_BATCH_MAX_NS);
    cr_expect_gt(balance.cpu_bytes_per_s, 0);
    cr_expect_gt(balance_limit_bytes(&balance), 0);
    balance_drained(&balance, UINT64_MAX, 0);
    cr_expect_gt(balance.cpu_bytes_per_s, 0);
}
