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

static bool sizes_valid(const struct ds_engine_config *c)
{
    return c->arena_bytes >= MIB && c->arena_bytes <= 65536 * MIB &&
           is_power_of_two(c->arena_granularity_bytes) && c->arena_granularity_bytes >= 512 &&
           c->arena_granularity_bytes <= MIB && c->chunk_bytes >= 4096 &&
           c->chunk_bytes % c->arena_granularity_bytes == 0 && c->chunk_bytes % 4096 == 0 &&
           c->chunk_bytes <= c->arena_bytes / 2 && c->chunks_max >= 8 && c->chunks_max <= 65536;
}

static bool enums_valid(const struct ds_engine_config *c)
{
    return (unsigned)c->topology <= DS_TOPOLOGY_MANUAL &&
           (unsigned)c->read_backend <= DS_READ_NIL && (unsigned)c->copy_backend <= DS_COPY_NIL &&
           (unsigned)c->direct <= DS_DIRECT_OFF && (unsigned)c->pin <= DS_PIN_LIST &&
           (unsigned)c->log_level <= DS_LOG_DEBUG;
}

int config_resolve(const struct ds_engine_config *caller, struct ds_engine_config *config)
{
    static const struct ds_engine_config all_defaults = {.struct_size = sizeof(all_defaults)};
    int rc = copy_struct_in(config, sizeof(*config), caller != NULL ? caller : &all_defaults);

    if (rc != 0)
        return rc;
    config_defaults(config);
    if (!sizes_valid(config) || !enums_valid(config) || config->next != NULL ||
        config->io_depth_max > 4096 || config->read_lanes > DS_READ_LANES_MAX ||
        config->pread_threads > 64 ||
        (config->decode_threads > DS_DECODE_THREADS_MAX &&
         config->decode_threads != DS_DECODE_INLINE))
        return -EINVAL;
    if (config->allocator != NULL &&
        (config->allocator->alloc == NULL || config->allocator->free == NULL))
        return -EINVAL;
    config->arena_bytes = align_up_u64(config->arena_bytes, STAGING_ALIGN);
    return 0;
}
