/* The whole engine on a GPU, under validation: each topology with each way of sharing the queue,
 * signals that another submission waits for, writes from buffers, copies driven by the caller. */
#include "gpu/vk_util.h"

#include <criterion/criterion.h>
#include <ds/ds.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES (6u << 20)
#define WAIT_NS 120000000000u
#define REQUESTS 48

struct rig {
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct ds_engine *engine;
    struct ds_file *file;
    struct ds_queue *queue;
    struct vk_util_buffer buffer;
    uint8_t *content;
    uint8_t *back;
    char path[64];
};

struct mode {
    enum ds_topology topology;
    enum ds_vulkan_queue_mode queue_mode;
    enum ds_vulkan_staging staging;
    bool own;
    uint32_t lanes;
};

static void rig_file(struct rig *rig)
{
    uint32_t word = 0;
    int fd;

    memcpy(rig->path, "/var/tmp/ds-gpu-XXXXXX", sizeof("/var/tmp/ds-gpu-XXXXXX"));
    fd = mkstemp(rig->path);
    cr_assert_geq(fd, 0);
    rig->content = malloc(FILE_BYTES);
    rig->back = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i += 4) {
        word = word * 1664525u + 1013904223u;
        memcpy(rig->content + i, &word, 4);
    }
    cr_assert_eq(write(fd, rig->content, FILE_BYTES), FILE_BYTES);
    close(fd);
}

/* Skips the test where there is no Vulkan. */
static void rig_open(struct rig *rig, const struct mode *mode)
{
    struct ds_vulkan_backend_config config = {
        .struct_size = sizeof(config),
        .queue_mode = mode->queue_mode,
        .staging = mode->staging,
        .batch_regions_max = 16, /* several batches */
    };

    memset(rig, 0, sizeof(*rig));
    vk_util_validate();
    if (!mode->own) {
        rig->vk = vk_util_open(true);
        if (rig->vk == NULL)
            cr_skip_test("%s", vk_util_reason());
        vk_util_lend(rig->vk, &config);
        /* also where there is but one queue: a submission's end may be seen before it returns */
        if (mode->queue_mode == DS_VULKAN_QUEUE_LOCKED ||
            (mode->queue_mode != DS_VULKAN_QUEUE_MANUAL && rig->vk->queue == rig->vk->app_queue)) {
            config.lock_queue = vk_util_lock;
            config.unlock_queue = vk_util_unlock;
            config.lock_ctx = rig->vk;
        }
    }
    if (ds_vulkan_backend_create(&config, &rig->backend) != 0)
        cr_skip_test("no Vulkan device");
    if (mode->own)
        rig->vk = vk_util_adopt(rig->backend);
    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = rig->backend, .arena_bytes = 2 << 20,
                                                   .chunk_bytes = 256 << 10,
                                                   .read_lanes = mode->lanes,
                                                   .topology = mode->topology),
                                  &rig->engine), 0);
    rig_file(rig);
    cr_assert_eq(ds_file_open(rig->engine, rig->path, ds_file_config(.flags = DS_FILE_WRITE),
                              &rig->file), 0);
    cr_assert_eq(ds_queue_create(rig->engine, NULL, &rig->queue), 0);
    vk_util_buffer(rig->vk, FILE_BYTES, 0, false, &rig->buffer);
}

static void rig_close(struct rig *rig)
{
    ds_queue_destroy(&rig->queue);
    ds_file_close(&rig->file);
    ds_engine_destroy(&rig->engine);
    vk_util_buffer_free(rig->vk, &rig->buffer);
    vk_util_close_both(&rig->vk, &rig->backend);
    unlink(rig->path);
    free(rig->content);
    free(rig->back);
    cr_assert_eq(vk_util_messages(), 0);
}

/* Enqueues reads that together cover [0, FILE_BYTES) in uneven pieces, the last of them larger than
 * the arena's half. Returns how many. */
static uint32_t enqueue_reads(struct rig *rig)
{
    uint32_t at = 0, n = 0;

    while (at < FILE_BYTES) {
        uint32_t left = FILE_BYTES - at;
        uint32_t bytes = n < REQUESTS ? 1 + (n * 7919u) % 60000u : left;

        bytes = bytes < left ? bytes : left;
        cr_assert_eq(ds_queue_enqueue(rig->queue,
                                      ds_request(.file = rig->file, .offset = at, .size = bytes,
                                                 .gpu_buffer = ds_vulkan_buffer(rig->buffer.buffer),
                                                 .gpu_offset = at, .gpu_buffer_bytes = FILE_BYTES,
                                                 .user_data = n)), 0);
        at += bytes;
        n++;
    }
    return n;
}

static void take_results(struct rig *rig, uint32_t n)
{
    while (n > 0) {
        struct ds_result results[8];
        uint32_t got = ds_queue_wait(rig->queue, results, 8, WAIT_NS);

        cr_assert_gt(got, 0, "%u results missing", n);
        cr_assert_leq(got, n, "more results than requests");
        for (uint32_t i = 0; i < got; i++)
            cr_assert_eq(results[i].status, DS_STATUS_OK, "%s",
                         ds_status_name(results[i].status));
        n -= got;
    }
}

/* What the caller of DS_VULKAN_QUEUE_MANUAL does in a thread of its own. */
struct driver {
    struct rig *rig;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic uint32_t submitted;
};

static void *driver_main(void *argument)
{
    struct driver *driver = argument;

    while (!atomic_load(&driver->stop)) {
        int ready = ds_vulkan_collect(driver->rig->engine, 1000000000u);

        if (ready <= 0)
            continue;
        vk_util_lock(driver->rig->vk);
        atomic_fetch_add(&driver->submitted, (uint32_t)ds_vulkan_submit(driver->rig->engine));
        vk_util_unlock(driver->rig->vk);
    }
    return NULL;
}

static void driver_start(struct driver *driver, struct rig *rig)
{
    *driver = (struct driver){.rig = rig};
    pthread_create(&driver->thread, NULL, driver_main, driver);
}

static void driver_stop(struct driver *driver)
{
    atomic_store(&driver->stop, true);
    ds_vulkan_interrupt(driver->rig->engine);
    pthread_join(driver->thread, NULL);
}

static void streams_every_byte(const struct mode *mode)
{
    bool manual = mode->queue_mode == DS_VULKAN_QUEUE_MANUAL;
    struct driver driver;
    struct rig rig;

    rig_open(&rig, mode);
    if (manual)
        driver_start(&driver, &rig);
    for (int pass = 0; pass < 2; pass++) {
        uint32_t n;

        vk_util_fill(rig.vk, &rig.buffer, 0xcc);
        n = enqueue_reads(&rig);
        ds_queue_submit(rig.queue);
        take_results(&rig, n);
        vk_util_readback(rig.vk, &rig.buffer, 0, FILE_BYTES, rig.back);
        cr_assert_eq(memcmp(rig.back, rig.content, FILE_BYTES), 0, "pass %d", pass);
    }
    if (manual) {
        driver_stop(&driver);
        cr_assert_gt(atomic_load(&driver.submitted), 1);
    } else {
        cr_assert_eq(ds_vulkan_collect(rig.engine, 0), -EINVAL);
        cr_assert_eq(ds_vulkan_submit(rig.engine), -EINVAL);
    }
    rig_close(&rig);
}

#define STREAMS(name, ...)                                                                         \
    Test(engine_gpu, name)                                                                         \
    {                                                                                              \
        streams_every_byte(&(const struct mode){__VA_ARGS__});                                     \
    }

STREAMS(shared_own_device, .topology = DS_TOPOLOGY_SHARED, .own = true)
STREAMS(dedicated_own_device, .topology = DS_TOPOLOGY_DEDICATED, .own = true)
STREAMS(dedicated_three_lanes, .topology = DS_TOPOLOGY_DEDICATED, .lanes = 3)
STREAMS(hybrid_own_device, .topology = DS_TOPOLOGY_HYBRID, .own = true)
STREAMS(hybrid_three_lanes, .topology = DS_TOPOLOGY_HYBRID, .lanes = 3)
STREAMS(manual_topology, .topology = DS_TOPOLOGY_MANUAL)
STREAMS(locked_queue, .topology = DS_TOPOLOGY_DEDICATED, .queue_mode = DS_VULKAN_QUEUE_LOCKED)
STREAMS(allocated_staging, .topology = DS_TOPOLOGY_SHARED, .staging = DS_VULKAN_STAGING_ALLOCATE)
STREAMS(caller_drives_copies_shared, .topology = DS_TOPOLOGY_SHARED,
        .queue_mode = DS_VULKAN_QUEUE_MANUAL)
STREAMS(caller_drives_copies_dedicated, .topology = DS_TOPOLOGY_DEDICATED,
        .queue_mode = DS_VULKAN_QUEUE_MANUAL)
STREAMS(caller_drives_copies_hybrid, .topology = DS_TOPOLOGY_HYBRID,
        .queue_mode = DS_VULKAN_QUEUE_MANUAL)
STREAMS(caller_drives_everything, .topology = DS_TOPOLOGY_MANUAL,
        .queue_mode = DS_VULKAN_QUEUE_MANUAL)

struct copy_out {
    VkBuffer from, to;
};

static void record_copy_out(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    const struct copy_out *copy = ctx;
    VkBufferCopy region = {0, 0, FILE_BYTES};
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
    };

    util->CmdCopyBuffer(commands, copy->from, copy->to, 1, &region);
    util->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                             0, 1, &barrier, 0, NULL, 0, NULL);
}

/* The caller's submission waits on the GPU for a signal, and finds the bytes; no completion is
 * taken before. Where both share the only queue of a device its wait must not come before the
 * signal, so there the host looks first until that is there. */
Test(engine_gpu, a_submission_waits_for_a_signal)
{
    struct vk_util_buffer out;
    struct copy_out copy;
    struct rig rig;
    VkSemaphore semaphore;
    uint32_t n;

    rig_open(&rig, &(const struct mode){.topology = DS_TOPOLOGY_DEDICATED,
                                        .queue_mode = DS_VULKAN_QUEUE_LOCKED});
    semaphore = vk_util_timeline(rig.vk, 5);
    vk_util_buffer(rig.vk, FILE_BYTES, 0, true, &out);
    copy = (struct copy_out){rig.buffer.buffer, out.buffer};
    n = enqueue_reads(&rig);
    cr_assert_eq(ds_queue_enqueue_signal(rig.queue, 0, 7, 0), -EINVAL);
    cr_assert_eq(ds_queue_enqueue_signal(rig.queue, ds_vulkan_semaphore(semaphore), 7, 1000), 0);
    cr_assert_eq(vk_util_timeline_value(rig.vk, semaphore), 5);
    ds_queue_submit(rig.queue);
    if (rig.vk->queue == rig.vk->app_queue)
        cr_assert(vk_util_timeline_wait(rig.vk, semaphore, 7, WAIT_NS));
    vk_util_run(rig.vk, record_copy_out, &copy, semaphore, 7);
    cr_assert_eq(memcmp(out.mapped, rig.content, FILE_BYTES), 0);
    take_results(&rig, n + 1);
    vk_util_buffer_free(rig.vk, &out);
    /* lavapipe 22.3 still cleans up after a submission whose fence is signalled */
    vk_util_lock(rig.vk);
    rig.vk->DeviceWaitIdle(rig.vk->device);
    vk_util_unlock(rig.vk);
    rig.vk->DestroySemaphore(rig.vk->device, semaphore, NULL);
    rig_close(&rig);
}

/* Signals come in order, each after its own requests, and the result after the signal. */
Test(engine_gpu, signals_in_order)
{
    struct rig rig;
    VkSemaphore semaphore;
    uint32_t total = 0;
    uint64_t seen = 0;

    rig_open(&rig, &(const struct mode){.topology = DS_TOPOLOGY_DEDICATED});
    semaphore = vk_util_timeline(rig.vk, 0);
    for (uint64_t value = 1; value <= 40; value++) {
        for (uint32_t i = 0; i < 5; i++, total++)
            cr_assert_eq(
                ds_queue_enqueue(rig.queue,
                                 ds_request(.file = rig.file, .offset = total * 1000u,
                                            .size = 1000,
                                            .gpu_buffer = ds_vulkan_buffer(rig.buffer.buffer),
                                            .gpu_offset = total * 1000u)), 0);
        cr_assert_eq(ds_queue_enqueue_signal(rig.queue, ds_vulkan_semaphore(semaphore), value,
                                             value), 0);
        total++;
    }
    ds_queue_submit(rig.queue);
    while (total > 0) {
        struct ds_result result;

        cr_assert_eq(ds_queue_wait(rig.queue, &result, 1, WAIT_NS), 1);
        cr_assert_eq(result.status, DS_STATUS_OK);
        if (result.user_data != 0) {
            cr_assert_eq(result.user_data, ++seen, "signals out of order");
            cr_assert_geq(vk_util_timeline_value(rig.vk, semaphore), seen);
        }
        total--;
    }
    cr_assert_eq(seen, 40);
    /* lavapipe 22.3 still cleans up after a submission whose fence is signalled */
    vk_util_lock(rig.vk);
    rig.vk->DeviceWaitIdle(rig.vk->device);
    vk_util_unlock(rig.vk);
    rig.vk->DestroySemaphore(rig.vk->device, semaphore, NULL);
    rig_close(&rig);
}

static void writes_come_back(enum ds_topology topology)
{
    struct rig rig;
    uint32_t n;
    int fd;

    rig_open(&rig, &(const struct mode){.topology = topology});
    n = enqueue_reads(&rig);
    ds_queue_submit(rig.queue);
    take_results(&rig, n);
    /* shifted by an odd number of bytes, larger than the arena */
    cr_assert_eq(ds_queue_enqueue(rig.queue,
                                  ds_request(.op = DS_OP_WRITE, .file = rig.file,
                                             .offset = FILE_BYTES + 4099, .size = FILE_BYTES - 5,
                                             .gpu_buffer = ds_vulkan_buffer(rig.buffer.buffer),
                                             .gpu_offset = 5)), 0);
    ds_queue_submit(rig.queue);
    take_results(&rig, 1);
    fd = open(rig.path, O_RDONLY);
    cr_assert_eq(pread(fd, rig.back, FILE_BYTES - 5, FILE_BYTES + 4099), FILE_BYTES - 5);
    close(fd);
    cr_assert_eq(memcmp(rig.back, rig.content + 5, FILE_BYTES - 5), 0);
    rig_close(&rig);
}

Test(engine_gpu, writes_from_a_buffer)
{
    writes_come_back(DS_TOPOLOGY_SHARED);
}

Test(engine_gpu, writes_from_a_buffer_hybrid)
{
    writes_come_back(DS_TOPOLOGY_HYBRID);
}

Test(engine_gpu, writes_from_a_buffer_dedicated)
{
    writes_come_back(DS_TOPOLOGY_DEDICATED);
}

Test(engine_gpu, refuses_what_cannot_work)
{
    struct ds_engine *second = NULL;
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, &(const struct mode){.topology = DS_TOPOLOGY_SHARED});
    cr_assert_eq(ds_queue_enqueue(rig.queue,
                                  ds_request(.file = rig.file, .size = 4096,
                                             .gpu_buffer = ds_vulkan_buffer(rig.buffer.buffer),
                                             .gpu_offset = FILE_BYTES - 4095,
                                             .gpu_buffer_bytes = FILE_BYTES)), -ERANGE);
    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = rig.backend), &second), -EBUSY);
    cr_assert_null(second);
    cr_assert_eq(ds_engine_create(ds_engine_config(.copy_backend = DS_COPY_VULKAN), &second),
                 -ENODEV);
    /* the end of the file inside a request: typed, and nothing of it is copied */
    vk_util_fill(rig.vk, &rig.buffer, 0x5a);
    cr_assert_eq(ds_queue_enqueue(rig.queue,
                                  ds_request(.file = rig.file, .offset = FILE_BYTES - 1000,
                                             .size = 2000,
                                             .gpu_buffer = ds_vulkan_buffer(rig.buffer.buffer))),
                 0);
    ds_queue_submit(rig.queue);
    cr_assert_eq(ds_queue_wait(rig.queue, &result, 1, WAIT_NS), 1);
    cr_assert_eq(result.status, DS_STATUS_END_OF_FILE);
    vk_util_readback(rig.vk, &rig.buffer, 0, 2000, rig.back);
    for (int i = 0; i < 2000; i++)
        cr_assert_eq(rig.back[i], 0x5a, "byte %d", i);
    rig_close(&rig);
}
