/* Defaults and ranges of struct ds_engine_config. */
#include "engine/config.h"

#include "engine/staging.h"

#include <errno.h>

#define MIB ((uint64_t)1 << 20)

/* 1 MiB, or as much of it as half of a small arena allows, in whole units. */
static uint32_t chunk_default(const struct ds_engine_config *c)
{
    uint64_t unit = max_u64(65536, c->arena_granularity_bytes);

    return (uint32_t)min_u64(MIB, align_down_u64(c->arena_bytes / 2, unit));
}

static void config_defaults(struct ds_engine_config *c)
{
    if (c->arena_bytes == 0)
        c->arena_bytes = 64 * MIB;
    if (c->arena_granularity_bytes == 0)
        c->arena_granularity_bytes = 4096;
    if (c->chunk_bytes == 0)
        c->chunk_bytes = chunk_default(c);
    if (c->chunks_max == 0)
        c->chunks_max = 4096;
    if (c->io_depth_max == 0)
        c->io_depth_max = 256;
    if (c->read_lanes == 0)
        c->read_lanes = 1;
    if (c->pread_threads == 0)
        c->pread_threads = 8;
    if (c->flush_ns == 0)
        c->flush_ns = 100000;
}

/* One field: is it in its range, and which is that? */
struct limit {
    const char *field;
    uint64_t value;
    bool holds;
    const char *rule;
};

/* Logs the fields that are out of their range. True: none is. */
static bool limits_hold(const struct limit *limits, uint32_t n, const struct host *host)
{
    bool all = true;

    for (uint32_t i = 0; i < n; i++) {
        if (limits[i].holds)
            continue;
        all = false;
        host_log(host, DS_LOG_ERROR, "ds_engine_config.%s is %llu; it must be %s",
                 limits[i].field, (unsigned long long)limits[i].value, limits[i].rule);
    }
    return all;
}

static bool in_range(uint64_t value, uint64_t least, uint64_t most)
{
    return value >= least && value <= most;
}

#define LIMIT(c, name, holds, rule) {#name, (uint64_t)(c)->name, (holds), (rule)}

static bool sizes_valid(const struct ds_engine_config *c, const struct host *host)
{
    uint32_t unit = c->arena_granularity_bytes;
    const struct limit limits[] = {
        LIMIT(c, arena_bytes, in_range(c->arena_bytes, MIB, 65536 * MIB), "1 MiB to 64 GiB"),
        LIMIT(c, arena_granularity_bytes, is_power_of_two(unit) && in_range(unit, 512, MIB),
              "a power of two, 512 to 1 MiB"),
        LIMIT(c, chunk_bytes,
              unit != 0 && c->chunk_bytes >= 4096 && c->chunk_bytes % unit == 0 &&
                  c->chunk_bytes % 4096 == 0 && c->chunk_bytes <= c->arena_bytes / 2,
              "a multiple of 4096 and of arena_granularity_bytes, at most half of arena_bytes"),
        LIMIT(c, chunks_max, in_range(c->chunks_max, 8, 65536), "8 to 65536"),
        LIMIT(c, io_depth_max, c->io_depth_max <= 4096, "1 to 4096"),
        LIMIT(c, read_lanes, c->read_lanes <= DS_READ_LANES_MAX, "1 to DS_READ_LANES_MAX"),
        LIMIT(c, pread_threads, c->pread_threads <= 64, "1 to 64"),
        LIMIT(c, decode_threads,
              c->decode_threads <= DS_DECODE_THREADS_MAX ||
                  c->decode_threads == DS_DECODE_INLINE ||
                  c->decode_threads == DS_DECODE_APPLICATION,
              "1 to DS_DECODE_THREADS_MAX, DS_DECODE_INLINE or DS_DECODE_APPLICATION"),
        LIMIT(c, custom_codecs, c->custom_codecs <= 1, "0 or 1"),
    };

    return limits_hold(limits, ARRAY_LENGTH(limits), host);
}

static bool choices_valid(const struct ds_engine_config *c, const struct host *host)
{
    const struct ds_allocator *a = c->allocator;
    const struct limit limits[] = {
        LIMIT(c, topology, (unsigned)c->topology <= DS_TOPOLOGY_HYBRID, "an enum ds_topology"),
        LIMIT(c, read_backend, (unsigned)c->read_backend <= DS_READ_NIL,
              "an enum ds_read_backend"),
        LIMIT(c, uring_poll, (unsigned)c->uring_poll <= DS_URING_POLL_IOPOLL,
              "an enum ds_uring_poll"),
        LIMIT(c, copy_backend, (unsigned)c->copy_backend <= DS_COPY_NIL,
              "an enum ds_copy_backend"),
        LIMIT(c, direct, (unsigned)c->direct <= DS_DIRECT_OFF, "an enum ds_direct_mode"),
        LIMIT(c, pin, (unsigned)c->pin <= DS_PIN_LIST, "one of DS_PIN_*"),
        LIMIT(c, log_level, (unsigned)c->log_level <= DS_LOG_DEBUG, "an enum ds_log_level"),
        {"next", (uintptr_t)c->next, c->next == NULL, "NULL"},
        {"allocator", (uintptr_t)a, a == NULL || (a->alloc != NULL && a->free != NULL),
         "NULL, or a table with both functions"},
    };

    return limits_hold(limits, ARRAY_LENGTH(limits), host);
}

int config_resolve(const struct ds_engine_config *caller, struct ds_engine_config *config)
{
    static const struct ds_engine_config all_defaults = {.struct_size = sizeof(all_defaults)};
    int rc = copy_struct_in(config, sizeof(*config), caller != NULL ? caller : &all_defaults);
    struct host host;
    bool valid;

    if (rc != 0)
        return rc;
    config_defaults(config);
    /* without the allocator, which is not yet checked */
    host_init(&host, NULL, config->log, config->log_ctx, config->log_level);
    valid = sizes_valid(config, &host);
    if (!choices_valid(config, &host) || !valid)
        return -EINVAL;
    config->arena_bytes = align_up_u64(config->arena_bytes, STAGING_ALIGN);
    return 0;
}
