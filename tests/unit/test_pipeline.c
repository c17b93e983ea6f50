/* The engine as a whole, without a disk and a GPU: every topology does the same work, creation
 * fails cleanly at each step, and nothing is allocated once it runs. */
#include "engine/clock.h"
#include "stages/runtime.h"
#include "unit/support.h"

#include <ds/counters.h>
#include <ds/queue.h>
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#if defined(DS_TEST_JEMALLOC)
#include <jemalloc/jemalloc.h>
#define HAS_JEMALLOC 1
#else
#define HAS_JEMALLOC 0
#endif

#define REQUESTS 5000u
#define NIL_REQUESTS (1000000u / SLOWNESS)
#define FAILURES_MAX 400

static struct ds_engine *engine_new(const struct ds_engine_config *config)
{
    struct ds_engine *engine = NULL;

    cr_assert_eq(ds_engine_create(config, &engine), 0);
    return engine;
}

static struct ds_counters *counters_of(struct ds_engine *engine)
{
    static struct ds_counters counters;

    counters.struct_size = sizeof(counters);
    cr_assert_eq(ds_engine_get_counters(engine, &counters), 0);
    return &counters;
}

/* With threads of their own, stages may still be tidying up when the last result is out. */
static void await_rest(struct ds_engine *engine)
{
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;

    while (counters_of(engine)->chunks_in_flight != 0) {
        cr_assert_lt(clock_now_ns(), end_ns, "chunks never came back");
        ds_engine_step(engine); /* -EINVAL but for MANUAL */
        sched_yield();
    }
}

static uint32_t poll_some(struct ds_queue *queue, uint8_t *seen)
{
    struct ds_result results[64];
    uint32_t n = ds_queue_wait(queue, results, 64, PATIENCE_NS);

    cr_assert_gt(n, 0, "no result");
    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(results[i].status, DS_STATUS_OK);
        cr_assert_eq(results[i].bytes, results[i].user_data % 5000 + 1);
        cr_assert_eq(seen[results[i].user_data]++, 0, "a result came twice");
    }
    return n;
}

static void run_workload(struct ds_engine *engine, const struct ds_queue_config *config)
{
    static uint8_t seen[REQUESTS];
    struct ds_queue *queue;
    uint32_t sent = 0, done = 0;

    memset(seen, 0, sizeof(seen));
    cr_assert_eq(ds_queue_create(engine, config, &queue), 0);
    while (done < REQUESTS) {
        struct ds_request request = {.struct_size = sizeof(request), .fd = -1};

        request.user_data = sent;
        request.offset = sent * 31;
        request.size = sent % 5000 + 1;
        if (sent < REQUESTS && ds_queue_enqueue(queue, &request) == 0) {
            sent++;
            continue;
        }
        ds_queue_submit(queue);
        done += poll_some(queue, seen);
    }
    ds_queue_destroy(&queue);
}

static void check_counters(struct ds_engine *engine, uint64_t requests)
{
    const struct ds_counters *c;

    await_rest(engine);
    c = counters_of(engine);
    cr_assert_eq(c->requests_accepted, requests);
    cr_assert_eq(c->requests_completed, requests);
    cr_assert_eq(c->requests_failed, 0);
    cr_assert_eq(c->latency_ns.count, requests);
    cr_assert_eq(c->arena_used_bytes, 0);
    cr_assert_eq(c->stages[DS_STAGE_SUBMIT].items, requests);
    for (uint32_t i = DS_STAGE_READ; i < DS_STAGE_COUNT; i++)
        cr_assert_eq(c->stages[i].items,
                     i == DS_STAGE_DECODE ? 0 : c->stages[DS_STAGE_READ].items, "%s",
                     ds_stage_name(i));
}

Test(pipeline, every_topology_and_number_of_lanes_does_the_same_work)
{
    for (int topology = DS_TOPOLOGY_AUTO; topology <= DS_TOPOLOGY_HYBRID; topology++) {
        for (uint32_t lanes = 1; lanes <= DS_READ_LANES_MAX; lanes += lanes < 3 ? 1 : 5) {
            struct ds_engine *engine = engine_new(ds_engine_config(
                .topology = (enum ds_topology)topology, .read_lanes = lanes,
                .read_backend = DS_READ_NIL, .copy_backend = DS_COPY_NIL,
                .arena_bytes = 2 << 20, .chunk_bytes = 8192, .io_depth_max = 16));
            struct ds_engine_info info = {.struct_size = sizeof(info)};

            run_workload(engine, ds_queue_config(.capacity = 128));
            check_counters(engine, REQUESTS);
            cr_assert_eq(ds_engine_get_info(engine, &info), 0);
            cr_assert_eq(info.read_lanes, lanes);
            cr_assert_neq(info.topology, DS_TOPOLOGY_AUTO);
            cr_assert_eq(info.threads - info.decode_threads,
                         info.topology == DS_TOPOLOGY_MANUAL   ? 0
                         : info.topology == DS_TOPOLOGY_SHARED ? 1
                         : info.topology == DS_TOPOLOGY_HYBRID ? 1 + lanes
                                                               : 4 + lanes);
            ds_engine_destroy(&engine);
            cr_assert_null(engine);
        }
    }
}

/* A given time is a fixed one; threads on few CPUs look for a short and fixed one. */
static void check_spin(const struct ds_engine *engine, uint32_t cpus_n)
{
    static const struct { uint32_t cpus_n, given_ns, least_ns, most_ns; } rows[] = {
        {1, 0, 2000, 2000},     {3, 0, 2000, 2000},     {4, 0, 20000, 100000},
        {128, 0, 20000, 100000}, {3, 5000, 5000, 5000}, {16, 30000, 30000, 30000},
        {16, UINT32_MAX, UINT32_MAX, UINT32_MAX}};
    struct spin_times ours = pipeline_spin(cpus_n, 0);

    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct spin_times times = pipeline_spin(rows[i].cpus_n, rows[i].given_ns);

        cr_expect(times.least_ns == rows[i].least_ns && times.most_ns == rows[i].most_ns,
                  "row %u: %u, %u", i, times.least_ns, times.most_ns);
    }
    for (uint32_t i = 0; i < engine->workers_n; i++)
        cr_expect(engine->workers[i].spin_ns == ours.least_ns &&
                  engine->workers[i].spin_most_ns == ours.most_ns);
}

Test(pipeline, automatic_topology_follows_cpus_and_lanes)
{
    struct ds_engine_info info = {.struct_size = sizeof(info)};
    struct ds_engine *engine;
    cpu_set_t mask;

    cr_expect_eq(pipeline_topology(1, 1), DS_TOPOLOGY_SHARED);
    cr_expect_eq(pipeline_topology(128, 1), DS_TOPOLOGY_SHARED);
    cr_expect_eq(pipeline_topology(3, 2), DS_TOPOLOGY_SHARED);
    cr_expect_eq(pipeline_topology(4, 2), DS_TOPOLOGY_HYBRID);
    cr_expect_eq(pipeline_topology(128, 8), DS_TOPOLOGY_HYBRID);
    cr_assert_eq(sched_getaffinity(0, sizeof(mask), &mask), 0);
    engine = engine_new(ds_engine_config(.read_backend = DS_READ_NIL,
                                         .copy_backend = DS_COPY_NIL));
    check_spin(engine, (uint32_t)CPU_COUNT(&mask));
    cr_assert_eq(ds_engine_get_info(engine, &info), 0);
    cr_assert_eq(info.topology, pipeline_topology((uint32_t)CPU_COUNT(&mask), 1));
    ds_engine_destroy(&engine);
}

Test(pipeline, steps_and_waits_belong_to_manual_engines)
{
    struct ds_engine *engine = engine_new(ds_engine_config(
        .topology = DS_TOPOLOGY_SHARED, .read_backend = DS_READ_NIL, .copy_backend = DS_COPY_NIL));

    cr_assert_eq(ds_engine_step(engine), -EINVAL);
    cr_assert_eq(ds_engine_wait(engine, 1000), -EINVAL);
    ds_engine_destroy(&engine);
    engine = engine_new(ds_engine_config(.topology = DS_TOPOLOGY_MANUAL,
                                         .read_backend = DS_READ_NIL, .copy_backend = DS_COPY_NIL));
    cr_assert_eq(ds_engine_step(engine), 0, "nothing to do");
    ds_engine_destroy(&engine);
    ds_engine_destroy(&engine);
}

Test(pipeline, engines_are_independent)
{
    struct ds_engine *engines[8];

    for (uint32_t i = 0; i < 8; i++)
        engines[i] = engine_new(ds_engine_config(.topology = 1 + i % 4, .read_backend = DS_READ_NIL,
                                                 .copy_backend = DS_COPY_NIL,
                                                 .arena_bytes = 2 << 20));
    for (uint32_t i = 0; i < 8; i++)
        run_workload(engines[i], NULL);
    for (uint32_t i = 0; i < 8; i++) {
        check_counters(engines[i], REQUESTS);
        ds_engine_destroy(&engines[i]);
    }
}

/* Threads that come and go at once: the last credit is on its way when the engine is destroyed. */
static void comes_and_goes(enum ds_topology topology)
{
    for (uint32_t i = 0; i < 150 / SLOWNESS; i++) {
        struct ds_engine *engine = engine_new(ds_engine_config(
            .topology = topology, .pin = DS_PIN_NONE, .read_backend = DS_READ_NIL,
            .copy_backend = DS_COPY_NIL, .arena_bytes = 2 << 20));
        struct ds_request request = {.struct_size = sizeof(request), .fd = -1, .size = 1};
        struct ds_queue *queue;

        cr_assert_eq(ds_queue_create(engine, NULL, &queue), 0);
        for (uint32_t k = 0; k < i % 50; k++)
            cr_assert_eq(ds_queue_enqueue(queue, &request), 0);
        ds_queue_submit(queue);
        ds_queue_destroy(&queue);
        ds_engine_destroy(&engine);
    }
}

Test(pipeline, comes_and_goes_with_requests_just_done)
{
    comes_and_goes(DS_TOPOLOGY_DEDICATED);
    comes_and_goes(DS_TOPOLOGY_HYBRID);
}

/* Makes an engine, a queue and a file, while call number n of the allocator fails. True: it worked
 * without meeting that call. */
static bool create_all(struct ds_engine_config config, struct counting *counting)
{
    struct ds_engine *engine = NULL;
    struct ds_queue *queue = NULL;
    struct ds_file *file = NULL;
    int rc = ds_engine_create(&config, &engine);

    if (rc == 0) {
        rc = ds_queue_create(engine, NULL, &queue);
        if (rc == 0)
            rc = ds_file_open(engine, "/proc/self/exe", NULL, &file);
        ds_file_close(&file);
        ds_queue_destroy(&queue);
    } else {
        cr_assert_null(engine, "untouched on error");
    }
    ds_engine_destroy(&engine);
    cr_assert_eq(atomic_load(&counting->live_n), 0, "call %llu: memory left behind",
                 (unsigned long long)counting->fail_at);
    cr_assert_eq(atomic_load(&counting->live_bytes), 0, "call %llu: freed with another size",
                 (unsigned long long)counting->fail_at);
    cr_assert(rc == 0 || rc == -ENOMEM, "call %llu: %d", (unsigned long long)counting->fail_at, rc);
    cr_assert_eq(rc == 0, counting->fail_at > atomic_load(&counting->calls),
                 "call %llu of %llu: a failed allocation went unnoticed",
                 (unsigned long long)counting->fail_at,
                 (unsigned long long)atomic_load(&counting->calls));
    return rc == 0;
}

static void check_every_failure(enum ds_topology topology, enum ds_read_backend read,
                                enum ds_copy_backend copy, enum ds_uring_poll uring_poll)
{
    uint64_t n = 1;
    bool worked = false;

    for (; !worked; n++) {
        struct counting counting = {.fail_at = n};
        struct ds_allocator table = counting_table(&counting);

        cr_assert_lt(n, FAILURES_MAX);
        worked = create_all(*ds_engine_config(.topology = topology, .read_backend = read,
                                              .copy_backend = copy, .allocator = &table,
                                              .uring_poll = uring_poll,
                                              .arena_bytes = 2 << 20, .read_lanes = 2,
                                              .pread_threads = 2, .chunks_max = 64,
                                              .custom_codecs = 1),
                            &counting);
    }
    cr_assert_gt(n, 10);
}

Test(pipeline, every_allocation_may_fail_nil)
{
    check_every_failure(DS_TOPOLOGY_MANUAL, DS_READ_NIL, DS_COPY_NIL, DS_URING_POLL_NONE);
    check_every_failure(DS_TOPOLOGY_SHARED, DS_READ_NIL, DS_COPY_HOST, DS_URING_POLL_NONE);
    check_every_failure(DS_TOPOLOGY_DEDICATED, DS_READ_NIL, DS_COPY_HOST, DS_URING_POLL_NONE);
    check_every_failure(DS_TOPOLOGY_HYBRID, DS_READ_NIL, DS_COPY_HOST, DS_URING_POLL_NONE);
}

Test(pipeline, every_allocation_may_fail_pread)
{
    check_every_failure(DS_TOPOLOGY_MANUAL, DS_READ_PREAD, DS_COPY_HOST, DS_URING_POLL_NONE);
    check_every_failure(DS_TOPOLOGY_DEDICATED, DS_READ_PREAD, DS_COPY_HOST, DS_URING_POLL_NONE);
}

Test(pipeline, every_allocation_may_fail_auto)
{
    check_every_failure(DS_TOPOLOGY_SHARED, DS_READ_AUTO, DS_COPY_HOST, DS_URING_POLL_NONE);
    check_every_failure(DS_TOPOLOGY_DEDICATED, DS_READ_AUTO, DS_COPY_HOST, DS_URING_POLL_NONE);
    check_every_failure(DS_TOPOLOGY_SHARED, DS_READ_AUTO, DS_COPY_HOST, DS_URING_POLL_IOPOLL);
}

Test(pipeline, vulkan_without_a_back_end_is_refused)
{
    struct ds_engine *engine = NULL;

    cr_assert_eq(ds_engine_create(ds_engine_config(.copy_backend = DS_COPY_VULKAN), &engine),
                 -ENODEV);
    cr_assert_null(engine);
}

/* Nothing is allocated while requests flow: neither from the host's table nor, on the one thread of
 * a SHARED engine, from anywhere else. */
struct flood {
    struct ds_queue *queue;
    struct counting counting;
    uint32_t sent, done, failed;
    _Atomic bool over;
    uint64_t calls_before;
    uint64_t bytes_before, bytes_after; /* allocated by this thread, ever */
};

static uint64_t thread_allocated(void)
{
#if HAS_JEMALLOC
    uint64_t bytes = 0;
    size_t size = sizeof(bytes);

    cr_assert_eq(mallctl("thread.allocated", &bytes, &size, NULL, 0), 0);
    return bytes;
#else
    return 0;
#endif
}

static void flood_enqueue(struct flood *flood)
{
    struct ds_request request = {.struct_size = sizeof(request), .fd = -1, .size = 3000};

    while (flood->sent < NIL_REQUESTS && ds_queue_enqueue(flood->queue, &request) == 0)
        flood->sent++;
    ds_queue_submit(flood->queue);
}

/* Runs on the engine's thread. */
static void flood_complete(void *ctx, const struct ds_result *results, uint32_t n)
{
    struct flood *flood = ctx;

    if (flood->done == 0) {
        flood->bytes_before = thread_allocated();
        flood->calls_before = atomic_load(&flood->counting.calls);
    }
    for (uint32_t i = 0; i < n; i++)
        flood->failed += results[i].status != DS_STATUS_OK;
    flood->done += n;
    flood_enqueue(flood);
    if (flood->done == NIL_REQUESTS) {
        flood->bytes_after = thread_allocated();
        atomic_store(&flood->over, true);
    }
}

Test(pipeline, nothing_is_allocated_while_a_million_requests_flow)
{
    struct flood flood = {.sent = 0};
    struct ds_allocator table = counting_table(&flood.counting);
    struct ds_engine *engine = engine_new(ds_engine_config(
        .topology = DS_TOPOLOGY_SHARED, .read_backend = DS_READ_NIL, .copy_backend = DS_COPY_NIL,
        .arena_bytes = 2 << 20, .allocator = &table));
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;

    cr_assert_eq(ds_queue_create(engine, ds_queue_config(.capacity = 512,
                                                         .on_complete = flood_complete,
                                                         .on_complete_ctx = &flood),
                                 &flood.queue), 0);
    flood_enqueue(&flood);
    while (!atomic_load(&flood.over)) {
        cr_assert_lt(clock_now_ns(), end_ns);
        sched_yield();
    }
    cr_assert(flood.done == NIL_REQUESTS && flood.failed == 0);
    cr_assert_eq(atomic_load(&flood.counting.calls), flood.calls_before, "from the host's table");
    cr_assert_eq(flood.bytes_after, flood.bytes_before, "from malloc");
    if (!HAS_JEMALLOC)
        fprintf(stderr, "skipped: thread.allocated needs jemalloc, which sanitizers exclude\n");
    ds_queue_destroy(&flood.queue);
    ds_engine_destroy(&engine);
    cr_assert_eq(atomic_load(&flood.counting.live_n), 0);
}
