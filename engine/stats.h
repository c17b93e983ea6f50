/* Single-writer counters that any thread may read. */
#ifndef ENGINE_STATS_H
#define ENGINE_STATS_H

#include "engine/base.h"

#include <ds/counters.h>

/* One writer, so load + store is enough; relaxed, so it compiles to a plain add. */
#define STAT_ADD(counter, n)                                                                       \
    __atomic_store_n(&(counter), __atomic_load_n(&(counter), __ATOMIC_RELAXED) + (n),              \
                     __ATOMIC_RELAXED)
#define STAT_MAX(counter, n)                                                                       \
    do {                                                                                           \
        uint64_t stat_n_ = (n);                                                                    \
        if (stat_n_ > __atomic_load_n(&(counter), __ATOMIC_RELAXED))                               \
            __atomic_store_n(&(counter), stat_n_, __ATOMIC_RELAXED);                               \
    } while (0)
#define STAT_GET(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

struct stage_stats {
    struct ds_stage_counters counters;
    struct ds_histogram latency_ns;
} CACHE_ALIGNED;

/* stage_stats_read adds *stats, read while its writer runs, to the two sums. */
void stage_stats_read(const struct stage_stats *stats, struct ds_stage_counters *counters,
                      struct ds_histogram *latency_ns);

/* histogram_read adds a histogram whose writer runs to `into`. */
void histogram_read(const struct ds_histogram *from, struct ds_histogram *into);

#endif
