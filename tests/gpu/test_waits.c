/* Requests that wait for a timeline semaphore before they begin. */
#include "gpu/vk_util.h"

#include <criterion/criterion.h>
#include <ds/ds.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES (4u << 20)
#define PIECES 16
#define PIECE_BYTES (FILE_BYTES / PIECES)
#define SOON_NS 30000000u
#define WAIT_NS 120000000000u

struct rig {
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct ds_engine *engine;
    struct ds_file *file;
    struct ds_queue *queue;
    VkSemaphore semaphore;
    uint8_t *content, *back;
};

static void rig_open(struct rig *rig, enum ds_topology topology)
{
    char path[] = "/var/tmp/ds-waits-XXXXXX";
    int fd;

    memset(rig, 0, sizeof(*rig));
    vk_util_validate();
    if (ds_vulkan_backend_create(NULL, &rig->backend) != 0)
        cr_skip_test("no Vulkan device");
    rig->vk = vk_util_adopt(rig->backend);
    /* an arena smaller than what waits */
    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = rig->backend, .arena_bytes = 2 << 20,
                                                   .chunk_bytes = 256 << 10,
                                                   .topology = topology),
                                  &rig->engine), 0);
    rig->content = malloc(FILE_BYTES);
    rig->back = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        rig->content[i] = (uint8_t)(i * 31 + (i >> 11));
    memset(rig->back, 0x5a, FILE_BYTES);
    fd = mkstemp(path);
    cr_assert_eq(write(fd, rig->content, FILE_BYTES), FILE_BYTES);
    cr_assert_eq(ds_file_open(rig->engine, path, NULL, &rig->file), 0);
    unlink(path);
    close(fd);
    cr_assert_eq(ds_queue_create(rig->engine, NULL, &rig->queue), 0);
    rig->semaphore = vk_util_timeline(rig->vk, 1);
}

static void rig_close(struct rig *rig)
{
    ds_queue_destroy(&rig->queue);
    ds_file_close(&rig->file);
    ds_engine_destroy(&rig->engine);
    rig->vk->DeviceWaitIdle(rig->vk->device);
    rig->vk->DestroySemaphore(rig->vk->device, rig->semaphore, NULL);
    vk_util_close_both(&rig->vk, &rig->backend);
    free(rig->content);
    free(rig->back);
    cr_assert_eq(vk_util_messages(), 0);
}

static void enqueue_waiting(struct rig *rig)
{
    struct ds_wait wait = {.struct_size = sizeof(wait),
                           .before = DS_WAIT_BEFORE_SOURCE,
                           .semaphore = ds_vulkan_semaphore(rig->semaphore),
                           .value = 5};
    struct ds_request requests[PIECES];

    for (uint32_t i = 0; i < PIECES; i++)
        requests[i] = *ds_request(.file = rig->file, .offset = i * PIECE_BYTES,
                                  .size = PIECE_BYTES, .host = rig->back + i * PIECE_BYTES,
                                  .user_data = i, .cancel_tag = 7);
    cr_assert_eq(ds_queue_enqueue_batch_after(rig->queue, requests, PIECES, &wait), PIECES);
}

static void signal_from_host(struct rig *rig, uint64_t value)
{
    VkSemaphoreSignalInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
                                  .semaphore = rig->semaphore,
                                  .value = value};

    cr_assert_eq(rig->vk->SignalSemaphore(rig->vk->device, &info), VK_SUCCESS);
}

static void take(struct rig *rig, uint32_t n, int32_t status)
{
    while (n > 0) {
        struct ds_result result;

        cr_assert_eq(ds_queue_wait(rig->queue, &result, 1, WAIT_NS), 1, "%u missing", n);
        cr_assert_eq(result.status, status, "%s", ds_status_name(result.status));
        n--;
    }
}

static void waits_and_goes_on(enum ds_topology topology)
{
    struct ds_status_array *array = NULL;
    struct ds_result result;
    uint8_t other[100];
    struct rig rig;

    rig_open(&rig, topology);
    cr_assert_eq(ds_status_array_create(rig.engine, 1, &array), 0);
    enqueue_waiting(&rig);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
    /* what comes behind is not held back */
    cr_assert_eq(ds_queue_enqueue(rig.queue, ds_request(.file = rig.file, .offset = 77,
                                                        .size = sizeof(other), .host = other,
                                                        .user_data = 99)), 0);
    ds_queue_submit(rig.queue);
    cr_assert_eq(ds_queue_wait(rig.queue, &result, 1, WAIT_NS), 1);
    cr_assert_eq(result.user_data, 99);
    signal_from_host(&rig, 4); /* not enough */
    cr_assert_eq(ds_queue_wait(rig.queue, &result, 1, SOON_NS), 0);
    cr_assert_eq(ds_status_array_get(array, 0, NULL), DS_STATUS_PENDING);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        cr_assert_eq(rig.back[i], 0x5a, "byte %u was written", i);
    signal_from_host(&rig, 5);
    take(&rig, PIECES, DS_STATUS_OK);
    cr_assert_eq(memcmp(rig.back, rig.content, FILE_BYTES), 0);
    while (ds_status_array_get(array, 0, NULL) == DS_STATUS_PENDING)
        ds_queue_wait(rig.queue, &result, 1, 1000000);
    cr_assert_eq(ds_status_array_get(array, 0, NULL), DS_STATUS_OK);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

Test(waits, shared)
{
    waits_and_goes_on(DS_TOPOLOGY_SHARED);
}

Test(waits, dedicated)
{
    waits_and_goes_on(DS_TOPOLOGY_DEDICATED);
}

Test(waits, hybrid)
{
    waits_and_goes_on(DS_TOPOLOGY_HYBRID);
}

Test(waits, manual)
{
    waits_and_goes_on(DS_TOPOLOGY_MANUAL);
}

/* Whatever moment is named, a buffer is not written before it; and the GPU may be what ends the
 * wait, through a submission of the caller's. */
static void record_nothing(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    (void)util, (void)commands, (void)ctx;
}

static void to_a_buffer(enum ds_topology topology, enum ds_wait_before before)
{
    struct vk_util_buffer buffer;
    struct ds_request requests[PIECES];
    struct ds_wait wait = {.struct_size = sizeof(wait), .before = before, .value = 5};
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, topology);
    vk_util_buffer(rig.vk, FILE_BYTES, 0, true, &buffer);
    memset(buffer.mapped, 0x5a, FILE_BYTES);
    wait.semaphore = ds_vulkan_semaphore(rig.semaphore);
    for (uint32_t i = 0; i < PIECES; i++)
        requests[i] = *ds_request(.file = rig.file, .offset = i * PIECE_BYTES,
                                  .size = PIECE_BYTES, .user_data = i,
                                  .gpu_buffer = ds_vulkan_buffer(buffer.buffer),
                                  .gpu_offset = i * PIECE_BYTES,
                                  .gpu_buffer_bytes = FILE_BYTES);
    cr_assert_eq(ds_queue_enqueue_batch_after(rig.queue, requests, PIECES, &wait), PIECES);
    ds_queue_submit(rig.queue);
    cr_assert_eq(ds_queue_wait(rig.queue, &result, 1, SOON_NS), 0);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        cr_assert_eq(buffer.mapped[i], 0x5a, "byte %u was written", i);
    vk_util_run_signal(rig.vk, record_nothing, NULL, rig.semaphore, 5);
    take(&rig, PIECES, DS_STATUS_OK);
    cr_assert_eq(memcmp(buffer.mapped, rig.content, FILE_BYTES), 0);
    vk_util_buffer_free(rig.vk, &buffer);
    rig_close(&rig);
}

Test(waits, before_the_destination)
{
    to_a_buffer(DS_TOPOLOGY_SHARED, DS_WAIT_BEFORE_DESTINATION);
}

Test(waits, before_gpu_work)
{
    to_a_buffer(DS_TOPOLOGY_DEDICATED, DS_WAIT_BEFORE_GPU_WORK);
}

Test(waits, before_the_source)
{
    to_a_buffer(DS_TOPOLOGY_MANUAL, DS_WAIT_BEFORE_SOURCE);
}

/* The queue may go away while its requests wait: it waits for them, and whoever lets them go may do
 * so from another thread. */
static void *signal_later(void *argument)
{
    struct rig *rig = argument;

    vk_util_timeline_wait(rig->vk, rig->semaphore, 5, SOON_NS); /* in vain: time to be waited for */
    signal_from_host(rig, 5);
    return NULL;
}

Test(waits, hold_back_the_end_of_their_queue)
{
    pthread_t thread;
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_SHARED);
    enqueue_waiting(&rig);
    ds_queue_submit(rig.queue);
    cr_assert_eq(pthread_create(&thread, NULL, signal_later, &rig), 0);
    ds_queue_close(rig.queue);
    take(&rig, PIECES, DS_STATUS_OK);
    cr_assert_eq(memcmp(rig.back, rig.content, FILE_BYTES), 0);
    pthread_join(thread, NULL);
    rig_close(&rig);
}

Test(waits, end_by_cancelling)
{
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_SHARED);
    enqueue_waiting(&rig);
    ds_queue_submit(rig.queue);
    cr_assert_eq(ds_queue_cancel(rig.queue, 0xff, 7), PIECES);
    take(&rig, PIECES, DS_STATUS_CANCELLED);
    cr_assert_eq(rig.back[0], 0x5a);
    rig_close(&rig);
}

Test(waits, refused)
{
    struct ds_engine *engine;
    struct ds_queue *queue;
    uint8_t byte;
    struct ds_wait wait = {.struct_size = sizeof(wait), .semaphore = 1};
    struct ds_request request = *ds_request(.file = NULL, .fd = 0, .size = 1, .host = &byte);

    cr_assert_eq(ds_engine_create(NULL, &engine), 0);
    cr_assert_eq(ds_queue_create(engine, NULL, &queue), 0);
    cr_assert_eq(ds_queue_enqueue_batch_after(queue, &request, 1, &wait), -ENODEV);
    wait.before = 3;
    cr_assert_eq(ds_queue_enqueue_batch_after(queue, &request, 1, &wait), -EINVAL);
    wait.before = 0;
    wait.semaphore = 0;
    cr_assert_eq(ds_queue_enqueue_batch_after(queue, &request, 1, &wait), -EINVAL);
    ds_queue_destroy(&queue);
    ds_engine_destroy(&engine);
}
