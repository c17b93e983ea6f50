/* Registered memory (ds/memory.h): requests go by its pages without naming it, and nothing else
 * changes. Memory that may not be touched tells which way a transfer went: by its pages it arrives,
 * by its address the kernel refuses. */
#include "conformance/rig.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#define BYTES ((uint64_t)RIG_FILE_BYTES)

struct memory_rig {
    struct rig rig;
    uint8_t *memory; /* BYTES */
    struct ds_memory *registered;
};

static void memory_open(struct memory_rig *m, enum ds_topology topology,
                        const struct ds_engine_config *config)
{
    struct ds_engine_info info = {.struct_size = sizeof(info)};

    memset(m, 0, sizeof(*m));
    rig_open(&m->rig, topology, config);
    cr_assert_eq(ds_engine_get_info(m->rig.engine, &info), 0);
    m->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(m->memory, MAP_FAILED);
    if (info.read != DS_READ_URING) {
        cr_assert_eq(ds_memory_register(m->rig.engine, m->memory, BYTES, &m->registered),
                     -ENOTSUP);
        rig_close(&m->rig);
        fprintf(stderr, "skipped: %s\n", info.read_reason);
        cr_skip_test("%s", info.read_reason);
    }
}

static void memory_close(struct memory_rig *m)
{
    ds_memory_unregister(&m->registered);
    rig_close(&m->rig);
    munmap(m->memory, BYTES);
}

static void memory_register(struct memory_rig *m)
{
    int rc = ds_memory_register(m->rig.engine, m->memory, BYTES, &m->registered);

    if (rc == -ENOMEM && support_memlock_holds()) {
        fprintf(stderr, "skipped: RLIMIT_MEMLOCK is too low\n");
        cr_skip_test("RLIMIT_MEMLOCK is too low");
    }
    cr_assert_eq(rc, 0, "%s", strerror(-rc));
}

/* Sends n reads that together fill the memory, while it may not be touched. How many failed. */
static uint32_t read_untouched(struct memory_rig *m, uint32_t n)
{
    uint64_t each = BYTES / n;
    struct ds_result results[64];
    uint32_t failed = 0;

    memset(m->memory, 0, BYTES);
    cr_assert_eq(mprotect(m->memory, BYTES, PROT_NONE), 0);
    for (uint32_t i = 0; i < n; i++) {
        struct ds_request request = rig_read(&m->rig, i * each, each, m->memory + i * each, i);

        rig_enqueue(m->rig.queue, &request);
    }
    ds_queue_submit(m->rig.queue);
    rig_results(m->rig.queue, results, n);
    cr_assert_eq(mprotect(m->memory, BYTES, PROT_READ | PROT_WRITE), 0);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = results[i].user_data * each;

        if (results[i].status == DS_STATUS_OK)
            cr_assert_eq(memcmp(m->memory + at, m->rig.content + at, each), 0);
        else
            cr_assert_eq(results[i].status, DS_STATUS_ACCESS_VIOLATION);
        failed += results[i].status != DS_STATUS_OK;
    }
    return failed;
}

/* Once a process: an engine's own memory is let go some time after its end. */
static void check_use(enum ds_topology topology, const struct ds_engine_config *config,
                      uint32_t lanes)
{
    struct memory_rig m;
    uint64_t before;

    memory_open(&m, topology, config);
    before = support_pinned_bytes();
    cr_assert_eq(read_untouched(&m, 16), 16, "nothing is registered yet");
    memory_register(&m);
    cr_assert_eq(support_pinned_bytes(), before + lanes * BYTES);
    cr_assert_eq(read_untouched(&m, 16), 0);
    cr_assert_eq(read_untouched(&m, 2), 0, "in several chunks");
    ds_memory_unregister(&m.registered);
    cr_assert_null(m.registered);
    ds_memory_unregister(&m.registered); /* ignored */
    cr_assert_eq(read_untouched(&m, 16), 16, "it was let go");
    rig_until(&m.rig, support_pinned_bytes() == before);
    memory_close(&m);
}

RIG_TEST(memory, is_used_without_being_named)
{
    check_use(topology, ds_engine_config(.arena_bytes = 4 << 20, .direct = DS_DIRECT_OFF), 1);
}

RIG_TEST(memory, is_used_by_direct_reads)
{
    check_use(topology, ds_engine_config(.arena_bytes = 4 << 20, .chunk_bytes = 65536), 1);
}

RIG_TEST(memory, is_registered_with_every_lane)
{
    if (topology != DS_TOPOLOGY_MANUAL)
        check_use(topology, ds_engine_config(.arena_bytes = 4 << 20, .read_lanes = 3), 3);
}

RIG_TEST(memory, stays_registered_with_a_new_arena)
{
    struct memory_rig m;

    memory_open(&m, topology, NULL);
    memory_register(&m);
    if (support_memlock_holds()) { /* other tests may use it up at that moment */
        fprintf(stderr, "skipped: RLIMIT_MEMLOCK holds\n");
        cr_skip_test("RLIMIT_MEMLOCK holds");
    }
    ds_queue_destroy(&m.rig.queue);
    cr_assert_eq(ds_engine_set_arena_bytes(m.rig.engine, 8 << 20), 0);
    m.rig.queue = rig_queue(&m.rig, NULL);
    cr_assert_eq(read_untouched(&m, 16), 0);
    ds_queue_destroy(&m.rig.queue);
    cr_assert_eq(ds_engine_set_arena_bytes(m.rig.engine, 1), -EINVAL, "it keeps what it has");
    m.rig.queue = rig_queue(&m.rig, NULL);
    cr_assert_eq(read_untouched(&m, 16), 0);
    memory_close(&m);
}

static void keep_line(void *ctx, enum ds_log_level level, const char *message)
{
    (void)level;
    snprintf(ctx, 256, "%s", message);
}

/* A refusal names its cause. */
Test(memory, that_is_refused_is_named)
{
    static char line[256];
    struct memory_rig m;

    memory_open(&m, DS_TOPOLOGY_SHARED,
                ds_engine_config(.arena_bytes = 4 << 20, .log = keep_line, .log_ctx = line,
                                 .log_level = DS_LOG_WARNING));
    cr_assert_eq(mprotect(m.memory, BYTES, PROT_READ), 0);
    cr_assert_eq(ds_memory_register(m.rig.engine, m.memory, BYTES, &m.registered), -EFAULT);
    cr_assert_not_null(strstr(line, "1048576 bytes at "), "%s", line);
    cr_assert_not_null(strstr(line, "mapped and writable"), "%s", line);
    cr_assert_eq(ds_memory_register(m.rig.engine, m.memory, 65ull << 30, &m.registered), -ENOSPC);
    cr_assert_not_null(strstr(line, "at most 64 pieces"), "%s", line);
    memory_close(&m);
}

RIG_TEST(memory, that_is_bad_is_refused)
{
    struct ds_memory *all[DS_MEMORY_PIECES_MAX], *more = NULL;
    struct memory_rig m;
    struct ds_engine *engine;
    uint8_t *holed;

    memory_open(&m, topology, NULL);
    engine = m.rig.engine;
    cr_assert_eq(ds_memory_register(engine, NULL, 4096, &more), -EINVAL);
    cr_assert_eq(ds_memory_register(engine, m.memory, 0, &more), -EINVAL);
    cr_assert_eq(ds_memory_register(engine, m.memory, UINT64_MAX - 4096, &more), -EINVAL);
    cr_assert_eq(ds_memory_register(engine, m.memory, 65ull << 30, &more), -ENOSPC);
    holed = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_eq(ds_memory_register(engine, holed, 65536, &more), -EFAULT);
    munmap(holed, 65536);
    for (uint32_t i = 0; i < DS_MEMORY_PIECES_MAX; i++)
        cr_assert_eq(ds_memory_register(engine, m.memory + i, 10000, &all[i]), 0, "they overlap");
    cr_assert_eq(ds_memory_register(engine, m.memory, 10000, &more), -ENOSPC);
    cr_assert_null(more);
    for (uint32_t i = 0; i < DS_MEMORY_PIECES_MAX; i += 2)
        ds_memory_unregister(&all[i]);
    memory_register(&m);
    cr_assert_eq(read_untouched(&m, 16), 0, "in a place that was used before");
    for (uint32_t i = 0; i < DS_MEMORY_PIECES_MAX; i++)
        ds_memory_unregister(&all[i]);
    memory_close(&m);
}

struct churn {
    struct memory_rig *m;
    _Atomic bool stop;
    _Atomic uint64_t n;
};

static void *churn_run(void *arg)
{
    struct churn *churn = arg;

    while (!atomic_load(&churn->stop)) {
        memory_register(churn->m);
        ds_memory_unregister(&churn->m->registered);
        atomic_fetch_add(&churn->n, 1);
    }
    return NULL;
}

static void read_all(struct memory_rig *m, struct churn *churn)
{
    enum { N = 64, EACH = RIG_FILE_BYTES / N };
    struct ds_result results[N];

    memset(m->memory, 0, BYTES);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = rig_read(&m->rig, i * EACH, EACH, m->memory + i * EACH, i);

        rig_enqueue(m->rig.queue, &request);
    }
    ds_queue_submit(m->rig.queue);
    if (churn == NULL) { /* by hand, while they are under way */
        ds_memory_unregister(&m->registered);
        memory_register(m);
    }
    rig_results(m->rig.queue, results, N);
    for (uint32_t i = 0; i < N; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
    cr_assert_eq(memcmp(m->memory, m->rig.content, BYTES), 0);
}

/* Requests that are under way while their memory is registered or let go end as ever. */
RIG_TEST(memory, comes_and_goes_under_requests)
{
    struct memory_rig m;
    struct churn churn = {.m = &m};
    pthread_t thread;

    memory_open(&m, topology, ds_engine_config(.arena_bytes = 4 << 20, .read_lanes = 2));
    for (uint32_t i = 0; i < 50 / SLOWNESS; i++)
        read_all(&m, NULL);
    if (topology != DS_TOPOLOGY_MANUAL) {
        ds_memory_unregister(&m.registered);
        cr_assert_eq(pthread_create(&thread, NULL, churn_run, &churn), 0);
        for (uint32_t i = 0; i < 100 / SLOWNESS || atomic_load(&churn.n) == 0; i++)
            read_all(&m, &churn);
        atomic_store(&churn.stop, true);
        pthread_join(thread, NULL);
        cr_assert_gt(atomic_load(&churn.n), 0);
    }
    memory_close(&m);
}
