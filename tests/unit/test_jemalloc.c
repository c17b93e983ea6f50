/* ds/jemalloc.h: each engine has an arena of jemalloc's own, whose statistics are exact. */
#include "unit/support.h"

#include <ds/ds.h>

#if defined(DS_TEST_JEMALLOC)
#include <ds/jemalloc.h>

static void stream(struct ds_engine *engine)
{
    struct ds_queue *queue;
    struct ds_result result;

    cr_assert_eq(ds_queue_create(engine, NULL, &queue), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_eq(ds_queue_enqueue(queue, ds_request(.fd = -1, .size = 5000)), 0);
        ds_queue_submit(queue);
        cr_assert_eq(ds_queue_wait(queue, &result, 1, PATIENCE_NS), 1);
        cr_assert_eq(result.status, DS_STATUS_OK);
    }
    ds_queue_destroy(&queue);
}

Test(jemalloc, each_engine_has_an_arena_of_its_own)
{
    struct ds_allocator allocators[2];
    struct ds_engine *engines[2];
    uint64_t bytes[2];

    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(ds_jemalloc_allocator_init(&allocators[i]), 0);
        cr_assert_eq(ds_jemalloc_allocated_bytes(&allocators[i]), 0);
    }
    cr_assert_neq(allocators[0].ctx, allocators[1].ctx);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(ds_engine_create(ds_engine_config(.topology = DS_TOPOLOGY_SHARED,
                                                       .read_backend = DS_READ_NIL,
                                                       .copy_backend = DS_COPY_NIL,
                                                       .chunks_max = 64u << i,
                                                       .allocator = &allocators[i]),
                                      &engines[i]), 0);
        bytes[i] = ds_jemalloc_allocated_bytes(&allocators[i]);
        cr_assert_gt(bytes[i], 0, "nothing came from the arena");
        cr_assert_eq(ds_jemalloc_allocated_bytes(&allocators[0]), bytes[0], "engine 1 took from 0");
    }
    for (uint32_t i = 0; i < 2; i++) {
        stream(engines[i]);
        cr_assert_eq(ds_jemalloc_allocated_bytes(&allocators[i]), bytes[i], "it grew");
    }
    for (uint32_t i = 0; i < 2; i++) {
        ds_engine_destroy(&engines[i]);
        cr_assert_eq(ds_jemalloc_allocated_bytes(&allocators[i]), 0, "memory is left");
        ds_jemalloc_allocator_fini(&allocators[i]);
    }
}

Test(jemalloc, memory_is_aligned_as_asked)
{
    struct ds_allocator allocator;

    cr_assert_eq(ds_jemalloc_allocator_init(&allocator), 0);
    for (size_t align = 1; align <= 1u << 21; align *= 2) {
        void *memory = allocator.alloc(allocator.ctx, align * 3 / 2 + 1, align);

        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % align, 0, "%zu", align);
        allocator.free(allocator.ctx, memory, align * 3 / 2 + 1);
    }
    cr_assert_eq(ds_jemalloc_allocated_bytes(&allocator), 0);
    ds_jemalloc_allocator_fini(&allocator);
}
#else
Test(jemalloc, each_engine_has_an_arena_of_its_own)
{
    cr_skip_test("jemalloc would take the place of the sanitizer's malloc");
}
#endif
