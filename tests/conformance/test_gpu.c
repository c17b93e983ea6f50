/* Notifications beside a GPU: signals and statuses in one order, buffers as destinations. */
#include "conformance/gpu_end.h"
#include "conformance/rig.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct gpu_rig {
    struct rig rig;
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct vk_util_buffer buffer;
    VkSemaphore semaphore;
    struct ds_status_array *array;
};

/* Without `validate` for those that look at a semaphore while the host signals it: at times the
 * layer of 2022 then waits ten seconds for itself (UNASSIGNED-VkSemaphore-state-timeout, "most
 * likely a validation bug"). */
static void gpu_open_with(struct gpu_rig *g, enum ds_topology topology, bool validate)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};
    struct ds_engine_config engine = {.struct_size = sizeof(engine), .arena_bytes = 4 << 20,
                                      .chunk_bytes = 64 << 10};

    memset(g, 0, sizeof(*g));
    if (validate)
        vk_util_validate();
    g->vk = vk_util_open(validate);
    if (g->vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend(g->vk, &config);
    if (ds_vulkan_backend_create(&config, &g->backend) != 0)
        cr_skip_test("no Vulkan device that suits");
    engine.vulkan = g->backend;
    rig_open(&g->rig, topology, &engine);
    vk_util_buffer(g->vk, RIG_FILE_BYTES, 0, true, &g->buffer);
    g->semaphore = vk_util_timeline(g->vk, 0);
    cr_assert_eq(ds_status_array_create(g->rig.engine, 64, &g->array), 0);
}

static void gpu_open(struct gpu_rig *g, enum ds_topology topology)
{
    gpu_open_with(g, topology, true);
}

static void gpu_close(struct gpu_rig *g)
{
    ds_status_array_destroy(&g->array);
    gpu_end(&g->rig, &g->vk, &g->backend, &g->buffer, g->semaphore);
}

static struct ds_request to_buffer(struct gpu_rig *g, uint64_t offset, uint64_t bytes)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request), .file = g->rig.file,
                               .offset = offset, .size = bytes, .fd = -1,
                               .gpu_buffer = ds_vulkan_buffer(g->buffer.buffer),
                               .gpu_offset = offset, .gpu_buffer_bytes = RIG_FILE_BYTES};
}

static void signal_at(struct gpu_rig *g, uint64_t value)
{
    cr_assert_eq(ds_queue_enqueue_signal(g->rig.queue, ds_vulkan_semaphore(g->semaphore), value,
                                         value), 0);
}

static int32_t status_at(struct gpu_rig *g, uint32_t index)
{
    return ds_status_array_get(g->array, index, NULL);
}

static uint64_t reached(struct gpu_rig *g)
{
    return vk_util_timeline_value(g->vk, g->semaphore);
}

/* After each wait for a signal all that was enqueued before it must be seen; the later ones may be
 * ahead, but never out of order among themselves. */
RIG_TEST(conformance_gpu, a_signal_is_seen_after_the_status_before_it)
{
    enum { N = 60 };
    struct ds_result results[2 * N];
    struct gpu_rig g;

    gpu_open_with(&g, topology, false);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = to_buffer(&g, i * 10000, 10000);

        rig_enqueue(g.rig.queue, &request);
        cr_assert_eq(ds_queue_enqueue_status(g.rig.queue, g.array, i), 0);
        signal_at(&g, i + 1);
    }
    ds_queue_submit(g.rig.queue);
    for (uint64_t seen = 0; seen < N;) {
        seen = reached(&g);
        for (uint32_t i = 0; i < seen; i++)
            cr_assert_eq(status_at(&g, i), DS_STATUS_OK, "signal %lu came before status %u",
                         (unsigned long)seen, i);
        rig_pause(&g.rig);
    }
    rig_results(g.rig.queue, results, 2 * N);
    cr_assert_arr_eq(g.buffer.mapped, g.rig.content, N * 10000);
    gpu_close(&g);
}

/* Who waits may come first: a semaphore is waited for before anybody has enqueued its signal. */
static void *wait_for_five(void *argument)
{
    struct gpu_rig *g = argument;

    return vk_util_timeline_wait(g->vk, g->semaphore, 5, RIG_WAIT_NS) ? g : NULL;
}

RIG_TEST(conformance_gpu, a_wait_may_begin_before_its_signal_is_enqueued)
{
    struct ds_result results[2];
    struct ds_request request;
    struct gpu_rig g;
    pthread_t thread;
    void *reached_it;

    gpu_open_with(&g, topology, false);
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_five, &g), 0);
    for (uint32_t i = 0; i < 20; i++)
        rig_pause(&g.rig);
    request = to_buffer(&g, 0, RIG_FILE_BYTES);
    rig_enqueue(g.rig.queue, &request);
    signal_at(&g, 5);
    ds_queue_submit(g.rig.queue);
    rig_until(&g.rig, reached(&g) == 5);
    pthread_join(thread, &reached_it);
    cr_assert_eq(reached_it, (void *)&g);
    cr_assert_arr_eq(g.buffer.mapped, g.rig.content, RIG_FILE_BYTES);
    rig_results(g.rig.queue, results, 2);
    gpu_close(&g);
}

RIG_TEST(conformance_gpu, a_status_is_seen_after_the_signal_before_it)
{
    enum { N = 60 };
    struct ds_result results[2 * N];
    struct gpu_rig g;

    gpu_open_with(&g, topology, false);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = to_buffer(&g, i * 10000, 10000);

        rig_enqueue(g.rig.queue, &request);
        signal_at(&g, i + 1);
        cr_assert_eq(ds_queue_enqueue_status(g.rig.queue, g.array, i), 0);
        ds_queue_submit(g.rig.queue);
    }
    for (uint32_t i = 0; i < N;) {
        if (status_at(&g, i) == DS_STATUS_PENDING) {
            rig_pause(&g.rig);
            continue;
        }
        cr_assert_eq(status_at(&g, i), DS_STATUS_OK);
        cr_assert_gt(reached(&g), i, "status %u came before its signal", i);
        i++;
    }
    rig_results(g.rig.queue, results, 2 * N);
    gpu_close(&g);
}

/* Some fire before the next is enqueued, others wait together: signals by the GPU and by the host
 * take turns. */
RIG_TEST(conformance_gpu, notifications_of_all_kinds_keep_one_order)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct ds_result results[64];
    struct gpu_rig g;
    uint64_t value = 0;

    gpu_open(&g, topology);
    for (uint32_t round = 0; round < 24; round++) {
        struct ds_request request = to_buffer(&g, round * 3000, 3000);
        bool calm = round % 2 == 0; /* what was before has fired */
        uint32_t n = 2;

        cr_assert_eq(ds_queue_enqueue_status(g.rig.queue, g.array, 0), 0);
        if (calm) {
            ds_queue_submit(g.rig.queue);
            rig_until(&g.rig, status_at(&g, 0) != DS_STATUS_PENDING);
        }
        rig_enqueue(g.rig.queue, &request);
        signal_at(&g, ++value);
        if (round % 3 == 0) {
            signal_at(&g, ++value);
            n++;
        }
        cr_assert_eq(ds_queue_enqueue_event(g.rig.queue, fd), 0);
        cr_assert_eq(ds_queue_enqueue_status(g.rig.queue, g.array, 1), 0);
        ds_queue_submit(g.rig.queue);
        rig_until(&g.rig, status_at(&g, 1) != DS_STATUS_PENDING);
        cr_assert_eq(status_at(&g, 1), DS_STATUS_OK);
        cr_assert_eq(rig_eventfd_read(fd), 1);
        cr_assert_eq(reached(&g), value);
        rig_results(g.rig.queue, results, n);
    }
    close(fd);
    gpu_close(&g);
}

/* A signal behind a flush waits for the disk. */
RIG_TEST(conformance_gpu, signals_behind_flushes_and_failures_fire)
{
    struct ds_result results[64];
    uint8_t data[4096] = {7};
    struct gpu_rig g;

    gpu_open(&g, topology);
    for (uint32_t round = 0; round < 8; round++) {
        struct ds_request write = rig_read(&g.rig, 0, sizeof(data), data, 1000);
        struct ds_request flush = rig_read(&g.rig, 0, 0, NULL, 1001);
        struct ds_request bad = to_buffer(&g, 0, 100);

        write.op = DS_OP_WRITE;
        flush.op = DS_OP_FLUSH;
        bad.offset = RIG_FILE_BYTES;
        rig_enqueue(g.rig.queue, &write);
        rig_enqueue(g.rig.queue, &flush);
        signal_at(&g, 2 * round + 1);
        rig_enqueue(g.rig.queue, &bad);
        signal_at(&g, 2 * round + 2);
        ds_queue_submit(g.rig.queue);
        rig_results(g.rig.queue, results, 5);
        for (uint32_t i = 0, flushed = 0; i < 5; i++) {
            flushed += results[i].user_data == 1001 ? 1 : 0;
            cr_assert(results[i].user_data != 2 * round + 1 || flushed == 1,
                      "the signal's result came before the flush's");
        }
        cr_assert_eq(reached(&g), 2 * round + 2);
    }
    gpu_close(&g);
}

RIG_TEST(conformance_gpu, memory_is_a_source_for_buffers)
{
    static const uint64_t sizes[] = {1, 4097, 300001, RIG_FILE_BYTES};
    struct ds_result result;
    struct gpu_rig g;

    gpu_open(&g, topology);
    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct ds_request request = to_buffer(&g, 0, sizes[i]);

        request.file = NULL;
        request.source = g.rig.content;
        memset(g.buffer.mapped, 0x21, RIG_FILE_BYTES);
        rig_enqueue(g.rig.queue, &request);
        ds_queue_submit(g.rig.queue);
        rig_results(g.rig.queue, &result, 1);
        cr_assert_eq(result.status, DS_STATUS_OK);
        cr_assert_eq(result.bytes, sizes[i]);
        cr_assert_arr_eq(g.buffer.mapped, g.rig.content, sizes[i]);
        cr_assert(sizes[i] == RIG_FILE_BYTES || g.buffer.mapped[sizes[i]] == 0x21);
    }
    gpu_close(&g);
}

RIG_TEST(conformance_gpu, cancelled_requests_hold_no_signal_back)
{
    struct ds_result results[51];
    struct gpu_rig g;

    gpu_open(&g, topology);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 50; i++) {
            struct ds_request request = to_buffer(&g, i * 20000, 20000);

            request.cancel_tag = i;
            rig_enqueue(g.rig.queue, &request);
        }
        signal_at(&g, round + 1);
        ds_queue_submit(g.rig.queue);
        for (uint32_t i = 0; i < round; i++)
            rig_pause(&g.rig);
        ds_queue_cancel(g.rig.queue, 1, 1);
        rig_results(g.rig.queue, results, 51);
        cr_assert_eq(reached(&g), round + 1);
        for (uint32_t i = 0; i < 51; i++)
            cr_assert(results[i].status == DS_STATUS_OK ||
                      results[i].status == DS_STATUS_CANCELLED);
    }
    gpu_close(&g);
}
