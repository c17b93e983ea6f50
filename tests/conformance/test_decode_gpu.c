/* Requests with a codec, to GPU buffers. */
#include "conformance/gpu_end.h"
#include "conformance/packed.h"

#define BUFFER_BYTES (16u << 20)
#define FILL 0x6d

static const enum ds_codec_format formats[] = {DS_CODEC_GDEFLATE, DS_CODEC_ZSTD, DS_CODEC_LZ4};

struct gpu_rig {
    struct rig rig;
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct vk_util_buffer buffer;
    uint8_t *back;
};

static void gpu_open(struct gpu_rig *g, enum ds_topology topology, uint64_t arena_bytes)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};

    memset(g, 0, sizeof(*g));
    vk_util_validate();
    g->vk = vk_util_open(true);
    if (g->vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend(g->vk, &config);
    if (ds_vulkan_backend_create(&config, &g->backend) != 0)
        cr_skip_test("no Vulkan device that suits");
    rig_open(&g->rig, topology, ds_engine_config(.vulkan = g->backend, .decode_threads = 2,
                                                 .arena_bytes = arena_bytes));
    vk_util_buffer(g->vk, BUFFER_BYTES, 0, true, &g->buffer);
    memset(g->buffer.mapped, FILL, BUFFER_BYTES);
    g->back = malloc(BUFFER_BYTES);
}

static void gpu_close(struct gpu_rig *g)
{
    gpu_end(&g->rig, &g->vk, &g->backend, &g->buffer, VK_NULL_HANDLE);
    free(g->back);
}

static struct ds_request to_buffer(struct gpu_rig *g, struct ds_request request, uint64_t at)
{
    request.gpu_buffer = ds_vulkan_buffer(g->buffer.buffer);
    request.gpu_offset = at;
    request.gpu_buffer_bytes = BUFFER_BYTES;
    if (at % 8 == 0) /* both with and without */
        request.gpu_address = g->buffer.address;
    return request;
}

RIG_TEST(decode_gpu, all_sizes_arrive_and_nothing_beside_them)
{
    static const uint64_t sizes[] = {1, 4095, 65536, 65537, 300001, (4 << 20) + 12};
    struct gpu_rig g;

    gpu_open(&g, topology, 16 << 20);
    for (uint32_t f = 0; f < ARRAY_LENGTH(formats); f++) {
        for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
            uint64_t at = 1000 + 4 * i;
            struct ds_result result;
            struct ds_request request;
            struct packed p;

            if (!packed_make(&p, formats[f], i % 2 == 0 ? DS_CODEC_TRANSFORM_NONE
                                                        : DS_CODEC_TRANSFORM_BC3, sizes[i], i))
                continue;
            request = i % 3 == 0 ? packed_request(&p, NULL)
                                 : packed_from_file(&g.rig, &p, packed_store(&g.rig, &p), NULL);
            request = to_buffer(&g, request, at);
            rig_enqueue(g.rig.queue, &request);
            ds_queue_submit(g.rig.queue);
            rig_results(g.rig.queue, &result, 1);
            cr_assert_eq(result.status, DS_STATUS_OK, "%s", ds_status_name(result.status));
            cr_assert_eq(result.bytes, sizes[i]);
            cr_assert_arr_eq(g.buffer.mapped + at, p.plain, sizes[i]);
            cr_assert(g.buffer.mapped[at - 1] == FILL && g.buffer.mapped[at + sizes[i]] == FILL,
                      "a byte beside it was written");
            memset(g.buffer.mapped, FILL, at + sizes[i]);
            packed_free(&p);
        }
    }
    gpu_close(&g);
}

RIG_TEST(decode_gpu, damaged_data_leaves_the_buffer_alone)
{
    struct gpu_rig g;

    gpu_open(&g, topology, 4 << 20);
    for (uint32_t f = 0; f < ARRAY_LENGTH(formats); f++) {
        struct ds_result result;
        struct ds_request request;
        struct packed p;

        if (!packed_make(&p, formats[f], DS_CODEC_TRANSFORM_NONE, 500000, f))
            continue;
        request = to_buffer(&g, packed_request(&p, NULL), 16);
        request.size -= 100;
        rig_enqueue(g.rig.queue, &request);
        ds_queue_submit(g.rig.queue);
        rig_results(g.rig.queue, &result, 1);
        cr_assert_eq(result.status, DS_STATUS_DECOMPRESSION);
        for (uint32_t i = 0; i < 600000; i++)
            cr_assert_eq(g.buffer.mapped[i], FILL);
        packed_free(&p);
    }
    gpu_close(&g);
}

/* Requests that need most of the arena each, among small ones of a REALTIME queue and plain reads:
 * nothing gets stuck, whatever is waited for. */
RIG_TEST(decode_gpu, an_arena_for_one_request_at_a_time)
{
    enum { N = 60, BIG = 1200000, SMALL = 40000 };
    struct ds_result results[N];
    struct ds_queue *realtime;
    struct packed big, small;
    struct gpu_rig g;

    gpu_open(&g, topology, 2 << 20);
    realtime = rig_queue(&g.rig, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    cr_assert(packed_make(&big, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, BIG, 1));
    cr_assert(packed_make(&small, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, SMALL, 2));
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = to_buffer(&g, packed_request(i % 3 == 0 ? &big : &small, NULL),
                                              i % 3 == 0 ? 0 : (2 << 20) + i * SMALL);

        if (i % 3 == 2)
            request = to_buffer(&g, rig_read(&g.rig, i * 100, 1000000, NULL, 0), 8 << 20);
        rig_enqueue(g.rig.queue, &request);
        request = to_buffer(&g, packed_request(i % 10 == 0 ? &big : &small, NULL),
                            i % 10 == 0 ? 10 << 20 : (12 << 20) + i * SMALL);
        rig_enqueue(realtime, &request);
    }
    ds_queue_submit(g.rig.queue);
    ds_queue_submit(realtime);
    rig_results(realtime, results, N);
    rig_results(g.rig.queue, results, N);
    for (uint32_t i = 0; i < N; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK);
    cr_assert_arr_eq(g.buffer.mapped, big.plain, BIG);
    cr_assert_arr_eq(g.buffer.mapped + (10 << 20), big.plain, BIG);
    cr_assert_arr_eq(g.buffer.mapped + (12 << 20) + 59 * SMALL, small.plain, SMALL);
    ds_queue_destroy(&realtime);
    packed_free(&big);
    packed_free(&small);
    gpu_close(&g);
}
