/* engine/hist.h: each value falls into the bucket that covers it, and quantiles are 3 % right. */
#include "engine/hist.h"

#include "unit/support.h"

#define VALUES (20000 / SLOWNESS)

Test(hist, buckets_tile_the_numbers)
{
    uint64_t begin = 0;

    for (uint32_t i = 0; i < DS_HISTOGRAM_BUCKETS; i++) {
        uint64_t end = hist_bucket_end(i);

        cr_assert_geq(end, begin, "bucket %u", i);
        cr_assert_eq(hist_bucket(begin), i, "first value of bucket %u", i);
        cr_assert_eq(hist_bucket(end), i, "last value of bucket %u", i);
        cr_assert(end - begin <= begin / HIST_SUB, "bucket %u is too wide", i);
        begin = end + 1;
    }
    cr_assert_geq(begin, (uint64_t)1 << 41);
    cr_assert_eq(hist_bucket(begin), DS_HISTOGRAM_BUCKETS - 1);
    cr_assert_eq(hist_bucket(UINT64_MAX), DS_HISTOGRAM_BUCKETS - 1);
}

static int compare_values(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

Test(hist, quantiles_are_those_of_the_sorted_values)
{
    static const double quantiles[] = {0, 0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    uint64_t seed = support_seed("hist");
    static uint64_t values[VALUES];
    static struct ds_histogram hist;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < VALUES; i++) {
        values[i] = support_random(&seed) >> (24 + support_below(&seed, 40));
        sum += values[i];
        ds_histogram_record(&hist, values[i]);
    }
    qsort(values, VALUES, sizeof(values[0]), compare_values);
    cr_assert_eq(hist.count, VALUES);
    cr_assert_eq(hist.sum, sum);
    cr_assert_eq(hist.max, values[VALUES - 1]);
    for (size_t i = 0; i < ARRAY_LENGTH(quantiles); i++) {
        uint64_t rank = (uint64_t)(quantiles[i] * VALUES + 0.5);
        uint64_t exact = values[rank > 0 ? rank - 1 : 0];
        uint64_t got = ds_histogram_quantile(&hist, quantiles[i]);

        cr_assert_geq(got, exact, "q %f", quantiles[i]);
        cr_assert_leq((double)got, (double)exact * 1.032, "q %f: %llu for %llu", quantiles[i],
                      (unsigned long long)got, (unsigned long long)exact);
    }
}

Test(hist, an_empty_one_has_no_quantiles_and_bad_fractions_are_cut)
{
    static struct ds_histogram hist;

    cr_assert_eq(ds_histogram_quantile(&hist, 0.5), 0);
    ds_histogram_record(&hist, 7);
    ds_histogram_record(&hist, 1000000);
    cr_assert_eq(ds_histogram_quantile(&hist, -3), 7);
    cr_assert_eq(ds_histogram_quantile(&hist, 7), 1000000, "never above the largest value");
}

Test(hist, huge_values_count_in_the_last_bucket)
{
    static struct ds_histogram hist;

    ds_histogram_record(&hist, UINT64_MAX);
    cr_assert_eq(hist.buckets[DS_HISTOGRAM_BUCKETS - 1], 1);
    cr_assert_eq(ds_histogram_quantile(&hist, 0.5), UINT64_MAX);
}

Test(hist, merging_is_recording_both)
{
    static struct ds_histogram a, b, both;
    uint64_t seed = support_seed("hist merge");

    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t value = support_random(&seed) >> support_below(&seed, 64);

        ds_histogram_record(i % 3 ? &a : &b, value);
        ds_histogram_record(&both, value);
    }
    ds_histogram_merge(&a, &b);
    cr_assert_arr_eq(&a, &both, sizeof(both));
}

Test(hist, n_equal_values_are_n_records)
{
    static struct ds_histogram once, n;

    for (uint32_t i = 0; i < 9; i++)
        hist_record(&once, 12345);
    hist_record_n(&n, 12345, 9);
    cr_assert_arr_eq(&once, &n, sizeof(n));
}

/* Lanes add up, but a high-water mark is the highest of them. */
Test(hist, stage_counters_of_lanes_are_summed)
{
    static struct stage_stats lanes[2];
    static struct ds_stage_counters sum;
    static struct ds_histogram latency_ns;

    for (uint32_t i = 0; i < 2; i++) {
        STAT_ADD(lanes[i].counters.items, 10 + i);
        STAT_MAX(lanes[i].counters.ring_high_water, 7 - i);
        STAT_MAX(lanes[i].counters.device_high_water, 3 + i);
        hist_record(&lanes[i].latency_ns, 100);
        stage_stats_read(&lanes[i], &sum, &latency_ns);
    }
    cr_assert_eq(sum.items, 21);
    cr_assert_eq(sum.ring_high_water, 7);
    cr_assert_eq(sum.device_high_water, 4);
    cr_assert_eq(latency_ns.count, 2);
}
