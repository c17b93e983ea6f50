/* The device is lost under the engine: every request in flight ends once, with that status; what
 * the host notifies still fires; engine and back end can be destroyed and made anew. */
#include "contract/copy_rig.h"

#include <criterion/criterion.h>
#include <ds/ds.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES (2u << 20)
#define REQUESTS 64
#define REQUEST_BYTES (FILE_BYTES / REQUESTS)
#define WAIT_NS 120000000000u

struct loss {
    struct rig rig;
    struct ds_engine *engine;
    struct ds_queue *queue;
    struct ds_file *file;
    struct ds_status_array *array;
    struct vk_util_buffer buffer;
    uint8_t *content;
    uint8_t *packed;       /* content of REQUEST_BYTES each, for the GPU to decode; or NULL */
    size_t packed_bytes[REQUESTS], packed_bound;
};

static void loss_file(struct loss *loss)
{
    char path[] = "/var/tmp/ds-lost-XXXXXX";
    int fd = mkstemp(path);

    loss->content = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        loss->content[i] = (uint8_t)(i * 13 + (i >> 10));
    cr_assert_eq(write(fd, loss->content, FILE_BYTES), FILE_BYTES);
    cr_assert_eq(ds_file_open(loss->engine, path, NULL, &loss->file), 0);
    unlink(path);
    close(fd);
}

static void loss_pack(struct loss *loss)
{
    struct ds_codec *codec;

    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, NULL, &codec), 0);
    loss->packed_bound = ds_codec_compress_bound(codec, REQUEST_BYTES);
    loss->packed = malloc(loss->packed_bound * REQUESTS);
    for (uint32_t i = 0; i < REQUESTS; i++)
        cr_assert_eq(ds_codec_compress(codec, 1, loss->content + i * REQUEST_BYTES, REQUEST_BYTES,
                                       loss->packed + i * loss->packed_bound, loss->packed_bound,
                                       &loss->packed_bytes[i]), 0);
    ds_codec_destroy(&codec);
}

static void loss_open(struct loss *loss, enum ds_topology topology, bool decodes)
{
    struct rig_options options = {.no_validation = true, .regions_max = 4};

    if (decodes)
        options.decode_path = DS_VULKAN_DECODE_GPU;
    memset(loss, 0, sizeof(*loss));
    rig_backend(&loss->rig, &options);
    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = loss->rig.backend,
                                                   .topology = topology, .custom_codecs = 1),
                                  &loss->engine), 0);
    cr_assert_eq(ds_queue_create(loss->engine, NULL, &loss->queue), 0);
    cr_assert_eq(ds_status_array_create(loss->engine, 1, &loss->array), 0);
    loss_file(loss);
    if (decodes)
        loss_pack(loss);
    vk_util_buffer(loss->rig.util, FILE_BYTES, 0, true, &loss->buffer);
}

static void loss_close(struct loss *loss)
{
    ds_queue_destroy(&loss->queue);
    ds_status_array_destroy(&loss->array);
    ds_file_close(&loss->file);
    /* the hooks only said that it was lost: let it come to rest before the engine, which waits for
     * no device that is gone, destroys its semaphore and its memory */
    loss->rig.util->DeviceWaitIdle(loss->rig.util->device);
    ds_engine_destroy(&loss->engine);
    vk_util_buffer_free(loss->rig.util, &loss->buffer);
    free(loss->content);
    free(loss->packed);
    rig_close(&loss->rig);
}

/* Streams the file once. Returns how many requests ended with `status`; every one ends once. */
static uint32_t stream(struct loss *loss, int32_t status)
{
    bool seen[REQUESTS] = {false};
    uint32_t n = 0;

    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct ds_request request = *ds_request(
            .file = loss->file, .offset = i * REQUEST_BYTES, .size = REQUEST_BYTES, .user_data = i,
            .gpu_buffer = ds_vulkan_buffer(loss->buffer.buffer), .gpu_offset = i * REQUEST_BYTES);

        if (loss->packed != NULL) {
            request.file = NULL;
            request.fd = -1;
            request.offset = 0;
            request.source = loss->packed + i * loss->packed_bound;
            request.size = loss->packed_bytes[i];
            request.codec = DS_CODEC_GDEFLATE;
            request.uncompressed_size = REQUEST_BYTES;
        }
        cr_assert_eq(ds_queue_enqueue(loss->queue, &request), 0);
    }
    cr_assert_eq(ds_queue_enqueue_status(loss->queue, loss->array, 0), 0);
    ds_queue_submit(loss->queue);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        struct ds_result result;

        cr_assert_eq(ds_queue_wait(loss->queue, &result, 1, WAIT_NS), 1, "%u of them", i);
        cr_assert_not(seen[result.user_data], "%lu twice", result.user_data);
        seen[result.user_data] = true;
        n += result.status == status ? 1 : 0;
        cr_assert(result.status == status || result.status == DS_STATUS_OK, "%s",
                  ds_status_name(result.status));
    }
    return n;
}

static void wait_for_status(struct loss *loss, int32_t status)
{
    struct ds_result result;

    while (ds_status_array_get(loss->array, 0, NULL) == DS_STATUS_PENDING)
        ds_queue_wait(loss->queue, &result, 1, 1000000);
    cr_assert_eq(ds_status_array_get(loss->array, 0, NULL), status);
}

static void lost(enum ds_topology topology, bool at_submit, bool decodes)
{
    struct ds_error_record *record = calloc(1, sizeof(*record));
    struct loss loss;

    record->struct_size = sizeof(*record);
    loss_open(&loss, topology, decodes);
    cr_assert_eq(stream(&loss, DS_STATUS_OK), REQUESTS);
    wait_for_status(&loss, DS_STATUS_OK);
    cr_assert_eq(memcmp(loss.buffer.mapped, loss.content, FILE_BYTES), 0);
    if (at_submit)
        rig_hooks.submit_result = VK_ERROR_DEVICE_LOST;
    else
        rig_hooks.counter_result = VK_ERROR_DEVICE_LOST;
    cr_assert_gt(stream(&loss, DS_STATUS_DEVICE_LOST), 0);
    wait_for_status(&loss, DS_STATUS_DEVICE_LOST);
    cr_assert_eq(ds_queue_take_error(loss.queue, record), 0);
    cr_assert_gt(record->failures, 0);
    cr_assert_eq(record->result.status, DS_STATUS_DEVICE_LOST);
    cr_assert_eq(record->result.vk_result, VK_ERROR_DEVICE_LOST);
    free(record);
    /* lost it stays */
    cr_assert_eq(stream(&loss, DS_STATUS_DEVICE_LOST), REQUESTS);
    loss_close(&loss);
}

static void lost_and_made_anew(enum ds_topology topology, bool at_submit, bool decodes)
{
    struct loss again;

    lost(topology, at_submit, decodes);
    loss_open(&again, topology, decodes); /* which also clears the hooks */
    cr_assert_eq(stream(&again, DS_STATUS_OK), REQUESTS);
    cr_assert_eq(memcmp(again.buffer.mapped, again.content, FILE_BYTES), 0);
    loss_close(&again);
}

Test(device_lost, at_submit_shared)
{
    lost_and_made_anew(DS_TOPOLOGY_SHARED, true, false);
}

Test(device_lost, at_submit_dedicated)
{
    lost_and_made_anew(DS_TOPOLOGY_DEDICATED, true, false);
}

Test(device_lost, while_waiting_shared)
{
    lost_and_made_anew(DS_TOPOLOGY_SHARED, false, false);
}

Test(device_lost, while_waiting_dedicated)
{
    lost_and_made_anew(DS_TOPOLOGY_DEDICATED, false, false);
}

/* Takes `n` requests; the engine has a thread. */
static void take(struct loss *loss, struct ds_custom_request *requests, uint32_t n)
{
    for (uint32_t got = 0; got < n;) {
        int now = ds_custom_take(loss->engine, DS_CUSTOM_SELECT_ALL, requests + got, n - got);

        cr_assert_geq(now, 0);
        got += (uint32_t)now;
        sched_yield();
    }
}

/* What the application was decoding when the device was lost stays its own until it answers. */
static void lost_while_the_application_decodes(enum ds_topology topology)
{
    enum { N = 8 };
    struct ds_custom_request requests[N];
    struct ds_result results[N];
    struct loss loss;

    loss_open(&loss, topology, false);
    for (uint32_t i = 0; i < N; i++)
        cr_assert_eq(ds_queue_enqueue(
                         loss.queue,
                         ds_request(.file = loss.file, .size = REQUEST_BYTES,
                                    .codec = DS_CODEC_CUSTOM_0, .uncompressed_size = REQUEST_BYTES,
                                    .gpu_buffer = ds_vulkan_buffer(loss.buffer.buffer),
                                    .gpu_offset = i * REQUEST_BYTES)), 0);
    ds_queue_submit(loss.queue);
    take(&loss, requests, N);
    rig_hooks.submit_result = VK_ERROR_DEVICE_LOST;
    cr_assert_gt(stream(&loss, DS_STATUS_DEVICE_LOST), 0);
    cr_assert_eq(ds_queue_poll(loss.queue, results, 1), 0, "not before it has answered");
    for (uint32_t i = 0; i < N; i++) {
        struct ds_custom_result answer = {.id = requests[i].id};

        memcpy(requests[i].destination, requests[i].source, REQUEST_BYTES);
        cr_assert_eq(memcmp(requests[i].destination, loss.content, REQUEST_BYTES), 0);
        cr_assert_eq(ds_custom_finish(loss.engine, &answer, 1), 0);
    }
    for (uint32_t i = 0; i < N; i++) {
        cr_assert_eq(ds_queue_wait(loss.queue, results, 1, WAIT_NS), 1);
        cr_assert_eq(results[0].status, DS_STATUS_DEVICE_LOST, "%s",
                     ds_status_name(results[0].status));
    }
    loss_close(&loss);
}

Test(device_lost, while_the_application_decodes_shared)
{
    lost_while_the_application_decodes(DS_TOPOLOGY_SHARED);
}

Test(device_lost, while_the_application_decodes_dedicated)
{
    lost_while_the_application_decodes(DS_TOPOLOGY_DEDICATED);
}

/* No verdict is read then: the statuses say that the GPU has not run. */
Test(device_lost, at_submit_of_what_the_gpu_decodes)
{
    lost_and_made_anew(DS_TOPOLOGY_SHARED, true, true);
}

Test(device_lost, while_the_gpu_decodes)
{
    lost_and_made_anew(DS_TOPOLOGY_DEDICATED, false, true);
}
