/* Histograms and counters as others read them. */
#include "engine/hist.h"

uint64_t hist_bucket_end(uint32_t bucket)
{
    uint32_t octave = bucket >> HIST_SUB_BITS;
    uint64_t low;

    if (octave <= 1)
        return bucket;
    octave--;
    low = (uint64_t)(bucket - (octave << HIST_SUB_BITS)) << octave;
    return low + ((uint64_t)1 << octave) - 1;
}

void ds_histogram_record(struct ds_histogram *histogram, uint64_t value)
{
    hist_record(histogram, value);
}

uint64_t ds_histogram_quantile(const struct ds_histogram *histogram, double q)
{
    uint64_t rank, seen = 0;

    if (histogram->count == 0)
        return 0;
    q = q < 0 ? 0 : q > 1 ? 1 : q;
    rank = (uint64_t)(q * (double)histogram->count + 0.5);
    if (rank == 0)
        rank = 1;
    for (uint32_t i = 0; i < DS_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            return i == DS_HISTOGRAM_BUCKETS - 1 ? histogram->max
                                                 : min_u64(hist_bucket_end(i), histogram->max);
    }
    return histogram->max;
}

void ds_histogram_merge(struct ds_histogram *into, const struct ds_histogram *from)
{
    histogram_read(from, into);
}

void histogram_read(const struct ds_histogram *from, struct ds_histogram *into)
{
    into->count += STAT_GET(from->count);
    into->sum += STAT_GET(from->sum);
    into->max = max_u64(into->max, STAT_GET(from->max));
    for (uint32_t i = 0; i < DS_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += STAT_GET(from->buckets[i]);
}

void stage_stats_read(const struct stage_stats *stats, struct ds_stage_counters *counters,
                      struct ds_histogram *latency_ns)
{
    /* High-water marks of several lanes: the highest; everything else adds up. */
    uint64_t ring = max_u64(counters->ring_high_water, STAT_GET(stats->counters.ring_high_water));
    uint64_t device =
        max_u64(counters->device_high_water, STAT_GET(stats->counters.device_high_water));

#define READ_COUNTER(name, unit, text) counters->name += STAT_GET(stats->counters.name);
    DS_COUNTER_TABLE(READ_COUNTER)
#undef READ_COUNTER
    counters->ring_high_water = ring;
    counters->device_high_water = device;
    histogram_read(&stats->latency_ns, latency_ns);
}
