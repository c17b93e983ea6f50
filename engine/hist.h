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

#endif
