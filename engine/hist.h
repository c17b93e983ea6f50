/* Log-linear histograms: the layout that ds/counters.h publishes. */
#ifndef ENGINE_HIST_H
#define ENGINE_HIST_H

#include "engine/stats.h"

#define HIST_SUB_BITS 5
#define HIST_SUB (1u << HIST_SUB_BITS)

/* hist_bucket maps a value to its bucket: below 32 one each, above that 32 an octave. */
static inline uint32_t hist_bucket(uint64_t value)
{
    uint32_t octave, bucket;

    if (value < HIST_SUB)
        return (uint32_t)value;
    octave = 63u - (uint32_t)__builtin_clzll(value) - HIST_SUB_BITS;
    bucket = (octave << HIST_SUB_BITS) + (uint32_t)(value >> octave);
    return bucket < DS_HISTOGRAM_BUCKETS ? bucket : DS_HISTOGRAM_BUCKETS - 1;
}

/* hist_bucket_end returns the largest value of a bucket. */
uint64_t hist_bucket_end(uint32_t bucket);

/* hist_record_n adds n equal values; one writer, any number of readers. */
static inline void hist_record_n(struct ds_histogram *hist, uint64_t value, uint64_t n)
{
    STAT_ADD(hist->count, n);
    STAT_ADD(hist->sum, value * n);
    STAT_MAX(hist->max, value);
    STAT_ADD(hist->buckets[hist_bucket(value)], n);
}

static inline void hist_record(struct ds_histogram *hist, uint64_t value)
{
    hist_record_n(hist, value, 1);
}

/* Equal values in a row, recorded together: what passes a stage in one turn has mostly entered it
 * in one turn. */
struct hist_run {
    uint64_t value;
    uint32_t n;
};

static inline void hist_run_end(struct ds_histogram *hist, struct hist_run *run)
{
    if (run->n > 0)
        hist_record_n(hist, run->value, run->n);
    run->n = 0;
}

static inline void hist_run_add(struct ds_histogram *hist, struct hist_run *run, uint64_t value)
{
    if (UNLIKELY(value != run->value)) {
        hist_run_end(hist, run);
        run->value = value;
    }
    run->n++;
}

/* What a stage has to account for and has not yet: it does so before it hands anything on, so that
 * nobody finds an item beyond a stage that has not counted it. */
struct tally {
    struct hist_run latency_ns;
    uint32_t items;
    uint64_t bytes;
};

static inline void tally_add(struct stage_stats *stats, struct tally *tally, uint64_t latency_ns,
                             uint64_t bytes)
{
    hist_run_add(&stats->latency_ns, &tally->latency_ns, latency_ns);
    tally->items++;
    tally->bytes += bytes;
}

static inline void tally_end(struct stage_stats *stats, struct tally *tally)
{
    if (tally->items == 0)
        return;
    hist_run_end(&stats->latency_ns, &tally->latency_ns);
    STAT_ADD(stats->counters.items, tally->items);
    STAT_ADD(stats->counters.bytes, tally->bytes);
    tally->items = 0;
    tally->bytes = 0;
}

#endif
