/* engine/config.h: defaults, and a refusal for each field that is out of its range. */
#include "engine/config.h"

#include "unit/support.h"

#include <errno.h>

#define MIB ((uint64_t)1 << 20)

static int resolve(const struct ds_engine_config *caller)
{
    struct ds_engine_config config;

    return config_resolve(caller, &config);
}

#define REFUSED(...) cr_expect_eq(resolve(ds_engine_config(__VA_ARGS__)), -EINVAL, #__VA_ARGS__)
#define ALLOWED(...) cr_expect_eq(resolve(ds_engine_config(__VA_ARGS__)), 0, #__VA_ARGS__)

Test(config, null_means_the_documented_defaults)
{
    struct ds_engine_config c;

    cr_assert_eq(config_resolve(NULL, &c), 0);
    cr_assert_eq(c.arena_bytes, 64 * MIB);
    cr_assert_eq(c.arena_granularity_bytes, 4096);
    cr_assert_eq(c.chunk_bytes, MIB);
    cr_assert_eq(c.chunks_max, 4096);
    cr_assert_eq(c.io_depth_max, 256);
    cr_assert_eq(c.read_lanes, 1);
    cr_assert_eq(c.pread_threads, 8);
    cr_assert_eq(c.flush_ns, 100000);
    cr_assert_eq(c.topology, DS_TOPOLOGY_AUTO);
}

Test(config, zero_fields_mean_the_same_defaults)
{
    struct ds_engine_config null_config, zero_config;

    cr_assert_eq(config_resolve(NULL, &null_config), 0);
    cr_assert_eq(config_resolve(ds_engine_config(), &zero_config), 0);
    cr_assert_arr_eq(&null_config, &zero_config, sizeof(null_config));
}

Test(config, sizes_out_of_range_are_refused)
{
    REFUSED(.arena_bytes = MIB - 1);
    REFUSED(.arena_bytes = 65536 * MIB + 1);
    REFUSED(.arena_granularity_bytes = 256);
    REFUSED(.arena_granularity_bytes = 4097);
    REFUSED(.arena_granularity_bytes = 12288, .chunk_bytes = 12288);
    REFUSED(.arena_granularity_bytes = 2 * MIB, .chunk_bytes = 2 * MIB);
    REFUSED(.chunk_bytes = 2048, .arena_granularity_bytes = 512);
    REFUSED(.chunk_bytes = 4096 + 512, .arena_granularity_bytes = 512);
    REFUSED(.chunk_bytes = 65536 + 4096, .arena_granularity_bytes = 65536);
    REFUSED(.chunk_bytes = 33 * MIB);
    REFUSED(.chunks_max = 7);
    REFUSED(.chunks_max = 65537);
    REFUSED(.io_depth_max = 4097);
    REFUSED(.read_lanes = DS_READ_LANES_MAX + 1);
    REFUSED(.pread_threads = 65);
    REFUSED(.decode_threads = DS_DECODE_THREADS_MAX + 1);
    REFUSED(.decode_threads = DS_DECODE_APPLICATION - 1);
    REFUSED(.custom_codecs = 2);
}

Test(config, the_ends_of_the_ranges_are_allowed)
{
    ALLOWED(.arena_bytes = MIB);
    ALLOWED(.arena_bytes = 65536 * MIB);
    ALLOWED(.arena_granularity_bytes = 512);
    ALLOWED(.arena_granularity_bytes = MIB);
    ALLOWED(.chunk_bytes = 4096);
    ALLOWED(.chunk_bytes = 32 * MIB);
    ALLOWED(.chunks_max = 8);
    ALLOWED(.chunks_max = 65536);
    ALLOWED(.io_depth_max = 1);
    ALLOWED(.io_depth_max = 4096);
    ALLOWED(.read_lanes = DS_READ_LANES_MAX);
    ALLOWED(.pread_threads = 64);
    ALLOWED(.decode_threads = DS_DECODE_THREADS_MAX);
    ALLOWED(.decode_threads = DS_DECODE_APPLICATION);
    ALLOWED(.decode_threads = DS_DECODE_INLINE);
    ALLOWED(.custom_codecs = 1);
    ALLOWED(.spin_ns = UINT32_MAX, .flush_ns = UINT32_MAX);
}

Test(config, unknown_enums_are_refused)
{
    REFUSED(.topology = DS_TOPOLOGY_HYBRID + 1);
    REFUSED(.topology = (enum ds_topology)(-1));
    REFUSED(.read_backend = DS_READ_NIL + 1);
    REFUSED(.uring_poll = DS_URING_POLL_IOPOLL + 1);
    REFUSED(.copy_backend = DS_COPY_NIL + 1);
    REFUSED(.direct = DS_DIRECT_OFF + 1);
    REFUSED(.pin = DS_PIN_LIST + 1);
    REFUSED(.log_level = DS_LOG_DEBUG + 1);
}

Test(config, a_struct_without_a_size_is_refused)
{
    const struct ds_engine_config none = {.struct_size = 0}, three = {.struct_size = 3};

    cr_expect_eq(resolve(&none), -EINVAL);
    cr_expect_eq(resolve(&three), -EINVAL);
}

Test(config, pointers)
{
    struct counting counting = {0};
    struct ds_allocator table = counting_table(&counting);
    int anything = 0;

    REFUSED(.next = &anything);
    ALLOWED(.allocator = &table);
    table.free = NULL;
    REFUSED(.allocator = &table);
    table = counting_table(&counting);
    table.alloc = NULL;
    REFUSED(.allocator = &table);
}

/* An older program: its struct ends somewhere in the middle of ours. */
Test(config, a_shorter_struct_has_defaults_beyond_its_end)
{
    struct ds_engine_config caller = {
        .struct_size = offsetof(struct ds_engine_config, chunks_max),
        .arena_bytes = 8 * MIB,
        .chunks_max = 99, /* beyond its end */
    };
    struct ds_engine_config config;

    cr_assert_eq(config_resolve(&caller, &config), 0);
    cr_assert_eq(config.arena_bytes, 8 * MIB);
    cr_assert_eq(config.chunks_max, 4096);
}

/* A newer program: what we do not know must be zero. */
Test(config, a_longer_struct_must_be_zero_beyond_what_we_know)
{
    struct {
        struct ds_engine_config known;
        uint64_t newer;
    } caller = {.known = {.struct_size = sizeof(caller), .chunks_max = 99}};
    struct ds_engine_config config;

    cr_assert_eq(config_resolve(&caller.known, &config), 0);
    cr_assert_eq(config.chunks_max, 99);
    caller.newer = 1;
    cr_assert_eq(config_resolve(&caller.known, &config), -EINVAL);
}

Test(config, the_arena_is_rounded_up_to_2_mib)
{
    struct ds_engine_config config;

    cr_assert_eq(config_resolve(ds_engine_config(.arena_bytes = MIB), &config), 0);
    cr_assert_eq(config.arena_bytes, 2 * MIB);
    cr_assert_eq(config_resolve(ds_engine_config(.arena_bytes = 5 * MIB + 1), &config), 0);
    cr_assert_eq(config.arena_bytes, 6 * MIB);
}

/* A small arena: the default chunk must be one that the same call allows. */
Test(config, the_default_chunk_suits_every_arena_and_granularity)
{
    for (uint64_t arena_bytes = MIB; arena_bytes <= 4 * MIB; arena_bytes += MIB / 8) {
        for (uint32_t granularity = 512; granularity <= arena_bytes / 2 && granularity <= MIB;
             granularity *= 2)
            cr_expect_eq(resolve(ds_engine_config(.arena_bytes = arena_bytes,
                                                  .arena_granularity_bytes = granularity)),
                         0, "arena %llu, granularity %u", (unsigned long long)arena_bytes,
                         granularity);
    }
}
