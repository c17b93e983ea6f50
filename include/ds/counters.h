/* ds/counters.h - what the engine counts, and histograms.
 *
 * Every counter has a single writer (its stage) and is read with relaxed loads: a snapshot takes no
 * lock, disturbs no stage, and is exact for each counter but not across counters.
 */
#ifndef DS_COUNTERS_H
#define DS_COUNTERS_H

#include <ds/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, unit, text). Each stage has all of them; read lanes are summed. */
#define DS_COUNTER_TABLE(X)                                                                        \
    X(items, "chunks", "chunks that left the stage (submit: requests begun)")                      \
    X(bytes, "bytes", "payload bytes of those chunks")                                             \
    X(batches, "batches", "groups handed on: ring batches, io_uring_enter calls, GPU submissions") \
    X(busy_ns, "ns", "time in turns that moved something")                                         \
    X(idle_ns, "ns", "time with nothing in the stage")                                             \
    X(wait_credit_ns, "ns", "time held up because the arena or the chunk table was used up")       \
    X(wait_device_ns, "ns", "time held up by the disk or the GPU with work in flight")             \
    X(errors, "chunks", "chunks that failed in this stage")                                        \
    X(retries, "operations", "operations issued again: short transfers, EINTR, EAGAIN")            \
    X(ring_high_water, "entries", "the most entries seen in the input ring")                       \
    X(device_high_water, "operations", "the most operations in flight in the disk or GPU")         \
    X(parks, "times", "times that the thread slept")

struct ds_stage_counters {
#define DS_COUNTER_FIELD_(name, unit, text) uint64_t name;
    DS_COUNTER_TABLE(DS_COUNTER_FIELD_)
#undef DS_COUNTER_FIELD_
};

/* Log-linear histogram: values below 32 exactly, above that 32 buckets an octave (3 % wide), up to
 * 2^41. Single writer. */
#define DS_HISTOGRAM_BUCKETS 1184

struct ds_histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[DS_HISTOGRAM_BUCKETS];
};

struct ds_counters {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t requests_accepted;  /* requests that the submit stage has begun */
    uint64_t requests_completed; /* results delivered, failed ones included */
    uint64_t requests_failed;
    uint64_t bytes_completed;
    uint64_t chunks_in_flight;   /* 0 on an engine at rest */
    uint64_t arena_used_bytes;
    uint64_t arena_high_water_bytes;
    struct ds_stage_counters stages[DS_STAGE_COUNT];
    struct ds_histogram stage_latency_ns[DS_STAGE_COUNT]; /* from entering to leaving, a chunk */
    struct ds_histogram latency_ns;                       /* enqueue to completion, a request */
    uint64_t gpu_decoded_tiles; /* tiles of 64 KiB that the GPU has decoded, of good requests */
    uint64_t gpu_decoded_bytes; /* what came out of them */
    uint64_t gpu_decode_batches; /* submissions that decode: the more tiles in each, the better */
    uint64_t mapped_bytes; /* of reads that went straight into the mapping of a GPU destination */
    uint64_t mapped_max_bytes; /* the largest request that may: UINT64_MAX all, 0 none */
    uint64_t mapped_alone_max_bytes; /* the same, with nothing else under way */
    uint64_t mapping_write_ns; /* measured: the CPU writes 1 MiB to the GPU's memory; else 0 */
    uint64_t staging_write_ns; /* measured: to staging */
    uint64_t submit_ns; /* measured: the CPU makes a submission */
    uint64_t decode_cpu_bytes_per_s; /* measured: a thread decodes GDeflate; else 0 */
    uint64_t decode_gpu_bytes_per_s; /* measured: the shader does */
    uint64_t decode_nv_bytes_per_s; /* measured: VK_NV_memory_decompression does */
    uint64_t decode_measure_ns; /* that measuring them took */
    uint64_t cpu_decoded_tiles; /* tiles that the decode threads have decoded, of good requests */
    uint64_t decode_threads_bytes_per_s; /* CPU and GPU share: what all threads make, of late */
    uint64_t decode_batch_ns; /* the same: what a batch of the GPU's takes */
    uint64_t decode_backlog_bytes; /* so much may be queued for the threads; else 0 */
};

/* ds_engine_get_counters fills *counters up to counters->struct_size, which the caller sets.
 * -EINVAL: struct_size is 0. Thread-safety: any thread. */
DS_API int ds_engine_get_counters(const struct ds_engine *engine, struct ds_counters *counters);

/* ds_stage_name returns "submit", "read", "decode", "copy" or "complete"; NULL for another
 * value. */
DS_API const char *ds_stage_name(uint32_t stage);

/* ds_histogram_record adds one value. Values from 2^41 on count in the last bucket. */
DS_API void ds_histogram_record(struct ds_histogram *histogram, uint64_t value);

/* ds_histogram_quantile returns the value below which the fraction q (0..1) of the records lie: the
 * upper end of its bucket, at most max. 0 for an empty histogram. */
DS_API uint64_t ds_histogram_quantile(const struct ds_histogram *histogram, double q);

/* ds_histogram_merge adds `from` to `into`. */
DS_API void ds_histogram_merge(struct ds_histogram *into, const struct ds_histogram *from);

#ifdef __cplusplus
}
#endif
#endif
