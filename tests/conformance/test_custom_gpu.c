/* Codecs of the application's, to GPU buffers: decoded in staging, then copied. */
#include "conformance/custom_app.h"
#include "conformance/gpu_end.h"

#define BUFFER_BYTES (8u << 20)
#define FILL 0x6d

static const struct ds_vulkan_backend_config as_it_comes;

struct gpu_rig {
    struct rig rig;
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct vk_util_buffer buffer;
    VkSemaphore semaphore;
};

static void gpu_open(struct gpu_rig *g, enum ds_topology topology,
                     struct ds_vulkan_backend_config config)
{
    int rc;

    config.struct_size = sizeof(config);
    memset(g, 0, sizeof(*g));
    vk_util_validate();
    g->vk = vk_util_open(true);
    if (g->vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    if (config.decode_path == DS_VULKAN_DECODE_GPU)
        vk_util_lend_compute(g->vk, &config);
    else
        vk_util_lend(g->vk, &config);
    rc = ds_vulkan_backend_create(&config, &g->backend);
    if (rc != 0)
        cr_skip_test("no Vulkan device that suits: %s", strerror(-rc));
    rig_open(&g->rig, topology, ds_engine_config(.vulkan = g->backend, .arena_bytes = 4 << 20,
                                                 .custom_codecs = 1));
    vk_util_buffer(g->vk, BUFFER_BYTES, 0, true, &g->buffer);
    memset(g->buffer.mapped, FILL, BUFFER_BYTES);
    g->semaphore = vk_util_timeline(g->vk, 0);
}

static void gpu_close(struct gpu_rig *g)
{
    gpu_end(&g->rig, &g->vk, &g->backend, &g->buffer, g->semaphore);
}

static struct ds_request to_buffer(struct gpu_rig *g, struct ds_request request, uint64_t at)
{
    request.gpu_buffer = ds_vulkan_buffer(g->buffer.buffer);
    request.gpu_offset = at;
    request.gpu_buffer_bytes = BUFFER_BYTES;
    return request;
}

/* One request, with a transform or without, and nothing beside it. `kept`: only so many of its
 * bytes arrive, though the application decodes all; 0 = all. */
static void one_arrives_cut(struct gpu_rig *g, uint64_t size, uint32_t transform, uint64_t at,
                            uint64_t kept)
{
    uint8_t *plain = malloc(3 * size), *packed = malloc(size);
    uint32_t codec = transform != 0 ? APP_XOR : APP_TRIPLE;
    struct ds_request request =
        to_buffer(g, custom_app_read(&g->rig, codec, 11, size, NULL, 5), at);
    uint64_t bytes = request.uncompressed_size;
    struct ds_custom_request item;
    struct ds_result result;

    custom_app_expect(codec, g->rig.content + 11, size, plain);
    if (transform != 0) {
        ds_codec_shuffle((enum ds_codec_transform)transform, g->rig.content, plain, size);
        custom_app_expect(codec, plain, size, packed);
        memcpy(plain, g->rig.content, size);
        request.file = NULL;
        request.offset = 0;
        request.source = packed;
        request.transform = transform;
    }
    request.destination_bytes = kept;
    rig_enqueue(g->rig.queue, &request);
    ds_queue_submit(g->rig.queue);
    custom_app_take(&g->rig, DS_CUSTOM_SELECT_CUSTOM, &item, 1);
    cr_assert_eq(item.destination_bytes, bytes);
    custom_app_finish(&g->rig, &item, 1);
    bytes = kept != 0 ? kept : bytes;
    rig_results(g->rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK, "%s", ds_status_name(result.status));
    cr_assert_eq(result.bytes, bytes);
    cr_assert_arr_eq(g->buffer.mapped + at, plain, bytes);
    memset(g->buffer.mapped + at, FILL, bytes);
    for (uint64_t i = 0; i < at + 4 * size; i++)
        cr_assert_eq(g->buffer.mapped[i], FILL, "byte %llu beside it", (unsigned long long)i);
    free(packed);
    free(plain);
}

static void one_arrives(struct gpu_rig *g, uint64_t size, uint32_t transform, uint64_t at)
{
    one_arrives_cut(g, size, transform, at, 0);
}

RIG_TEST(custom_gpu, requests_that_are_cut)
{
    static const uint64_t cuts[] = {1, 4095, 65536, 99999};
    struct gpu_rig g;

    gpu_open(&g, topology, as_it_comes);
    for (uint32_t i = 0; i < ARRAY_LENGTH(cuts); i++) {
        one_arrives_cut(&g, 100000, 0, 1000 + i, cuts[i]);
        one_arrives_cut(&g, 100000, DS_CODEC_TRANSFORM_BC1 + i, 2000 + i, cuts[i]);
    }
    gpu_close(&g);
}

RIG_TEST(custom_gpu, all_sizes_arrive)
{
    static const uint64_t sizes[] = {1, 4095, 65537, 600001};
    struct gpu_rig g;

    gpu_open(&g, topology, as_it_comes);
    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        one_arrives(&g, sizes[i], 0, 1000 + 4 * i);
        one_arrives(&g, sizes[i], DS_CODEC_TRANSFORM_BC1 + i, 2000 + 8 * i);
    }
    gpu_close(&g);
}

/* Where the GPU decodes what it knows, whose numbers end in the same bits. */
RIG_TEST(custom_gpu, beside_a_gpu_that_decodes)
{
    struct gpu_rig g;

    gpu_open(&g, topology,
             (struct ds_vulkan_backend_config){.decode_path = DS_VULKAN_DECODE_GPU});
    one_arrives(&g, 100001, 0, 1000);
    one_arrives(&g, 100001, DS_CODEC_TRANSFORM_BC1, 1000);
    gpu_close(&g);
}

/* The driver's memory: where the CPU does not cache it, the application is told. */
RIG_TEST(custom_gpu, memory_of_the_driver)
{
    struct gpu_rig g;

    gpu_open(&g, topology,
             (struct ds_vulkan_backend_config){.staging = DS_VULKAN_STAGING_ALLOCATE});
    one_arrives(&g, 100001, 0, 1000);
    gpu_close(&g);
}

/* Many at once by many threads: failures leave their part of the buffer alone, and the signal
 * comes after all of them. */
RIG_TEST(custom_gpu, threads_serve_a_queue_with_signals)
{
    enum { N = 200, SIZE = 7000 };
    struct custom_app app = {.fail_every = 9};
    struct ds_result results[N + 1];
    struct gpu_rig g;

    gpu_open(&g, topology, as_it_comes);
    custom_app_start(&app, g.rig.engine, DS_CUSTOM_SELECT_ALL, 3);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = custom_app_read(&g.rig, APP_TRIPLE, 1000 * i, SIZE, NULL, i);

        request = to_buffer(&g, request, 3 * SIZE * i);
        rig_enqueue(g.rig.queue, &request);
    }
    cr_assert_eq(ds_queue_enqueue_signal(g.rig.queue, ds_vulkan_semaphore(g.semaphore), 1, N), 0);
    ds_queue_submit(g.rig.queue);
    rig_results(g.rig.queue, results, N + 1);
    for (uint32_t i = 0; i < N + 1; i++) {
        uint64_t at = results[i].user_data;
        bool fails = at < N && at % 9 == 0;

        cr_assert_eq(results[i].status, fails ? DS_STATUS_DECOMPRESSION : DS_STATUS_OK);
        for (uint32_t k = 0; at < N && k < SIZE; k++)
            cr_assert_eq(g.buffer.mapped[3 * (SIZE * at + k) + 1],
                         fails ? FILL : (uint8_t)(g.rig.content[1000 * at + k] + 1));
    }
    cr_assert(vk_util_timeline_wait(g.vk, g.semaphore, 1, RIG_WAIT_NS));
    custom_app_stop(&app);
    gpu_close(&g);
}

/* A queue of a GPU program is given up in the middle. */
RIG_TEST(custom_gpu, a_queue_is_destroyed_in_the_middle)
{
    enum { N = 100, SIZE = 5000 };
    struct ds_custom_request items[5];
    struct ds_queue *queue;
    struct gpu_rig g;

    gpu_open(&g, topology, as_it_comes);
    queue = rig_queue(&g.rig, NULL);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = custom_app_read(&g.rig, APP_TRIPLE, i, SIZE, NULL, i);

        request = to_buffer(&g, request, 3 * SIZE * i);
        rig_enqueue(queue, &request);
    }
    ds_queue_submit(queue);
    custom_app_take(&g.rig, DS_CUSTOM_SELECT_CUSTOM, items, 5);
    custom_app_finish(&g.rig, items, 5);
    ds_queue_destroy(&queue);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(g.buffer.mapped[3 * SIZE * items[i].user_data],
                     g.rig.content[items[i].user_data]);
    gpu_close(&g);
}
