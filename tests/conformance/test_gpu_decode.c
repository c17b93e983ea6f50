/* Requests with GDeflate that the GPU decodes, forced on whatever device there is. */
#include "conformance/packed.h"
#include "engine/codec/gdeflate.h"
#include "engine/vulkan/backend.h"
#include "gpu/vk_util.h"

#include <errno.h>

#define BUFFER_BYTES (8u << 20)
#define FILL 0x6d
#define TILE 65536u

struct gpu_rig {
    struct rig rig;
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct vk_util_buffer buffer;
    bool manual;
    char log[512];               /* the last error */
};

struct options {
    bool gathers;                /* compressed bytes reach the decoder through scratch memory */
    uint64_t scratch_bytes;
    enum ds_vulkan_copy_path copy_path;
    enum ds_vulkan_queue_mode queue_mode;
    uint32_t regions_max;
};

static void keep_error(void *ctx, enum ds_log_level level, const char *message)
{
    struct gpu_rig *g = ctx;

    if (level == DS_LOG_ERROR)
        snprintf(g->log, sizeof(g->log), "%s", message);
}

static void gpu_open(struct gpu_rig *g, enum ds_topology topology, const struct options *options)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};

    memset(g, 0, sizeof(*g));
    vk_util_validate();
    g->vk = vk_util_open(true);
    if (g->vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend(g->vk, &config);
    config.decode_path = DS_VULKAN_DECODE_GPU;
    config.decode_scratch_bytes = options->scratch_bytes;
    config.copy_path = options->copy_path;
    config.queue_mode = options->queue_mode;
    config.batch_regions_max = options->regions_max;
    if (ds_vulkan_backend_create(&config, &g->backend) != 0)
        cr_skip_test("no Vulkan device that suits");
    g->backend->device.unified_memory = !options->gathers;
    g->manual = options->queue_mode == DS_VULKAN_QUEUE_MANUAL;
    rig_open(&g->rig, topology,
             ds_engine_config(.vulkan = g->backend, .decode_threads = 2, .arena_bytes = 8 << 20,
                              .log = keep_error, .log_ctx = g, .log_level = DS_LOG_ERROR));
    vk_util_buffer(g->vk, BUFFER_BYTES, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, true, &g->buffer);
    memset(g->buffer.mapped, FILL, BUFFER_BYTES);
}

static void gpu_close(struct gpu_rig *g)
{
    rig_close(&g->rig);
    g->vk->DeviceWaitIdle(g->vk->device);
    vk_util_buffer_free(g->vk, &g->buffer);
    vk_util_close(&g->vk);
    ds_vulkan_backend_destroy(&g->backend);
    cr_assert_eq(vk_util_messages(), 0);
}

static struct ds_request to_buffer(struct gpu_rig *g, struct ds_request request, uint64_t at,
                                   bool by_address)
{
    request.gpu_buffer = ds_vulkan_buffer(g->buffer.buffer);
    request.gpu_offset = at;
    request.gpu_buffer_bytes = BUFFER_BYTES;
    if (by_address)
        request.gpu_address = g->buffer.address;
    return request;
}

static struct ds_counters counters(const struct gpu_rig *g)
{
    struct ds_counters c = {.struct_size = sizeof(c)};

    cr_assert_eq(ds_engine_get_counters(g->rig.engine, &c), 0);
    return c;
}

static void check_place(const struct gpu_rig *g, const struct packed *p, uint64_t at,
                        const char *what)
{
    const uint8_t *bytes = g->buffer.mapped;
    bool same = memcmp(bytes + at, p->plain, p->plain_bytes) == 0;

    for (uint64_t i = 0; !same && i < p->plain_bytes; i++)
        cr_assert_eq(bytes[at + i], p->plain[i], "%s: byte %llu of %llu differs", what,
                     (unsigned long long)i, (unsigned long long)p->plain_bytes);
    cr_assert(at == 0 || bytes[at - 1] == FILL, "%s: the byte before it was written", what);
    cr_assert_eq(bytes[at + p->plain_bytes], FILL, "%s: the byte behind it was written", what);
}

/* Every size by every way, at odd places, from memory and from a file. */
static void sizes_run(struct gpu_rig *g)
{
    static const uint64_t sizes[] = {1, 4095, TILE, TILE + 1, 3 * TILE, 300001};
    uint64_t tiles = 0, bytes = 0;

    for (uint32_t i = 0; i < 2 * ARRAY_LENGTH(sizes); i++) {
        uint64_t size = sizes[i / 2], at = 1000 + 3 * i;
        struct ds_result result;
        struct ds_request request;
        struct packed p;

        cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, size, i));
        request = i % 4 < 2 ? packed_request(&p, NULL)
                            : packed_from_file(&g->rig, &p, packed_store(&g->rig, &p), NULL);
        request = to_buffer(g, request, at, i % 2 == 0);
        rig_enqueue(g->rig.queue, &request);
        ds_queue_submit(g->rig.queue);
        rig_results(g->rig.queue, &result, 1);
        cr_assert_eq(result.status, DS_STATUS_OK, "%s", ds_status_name(result.status));
        cr_assert_eq(result.bytes, size);
        check_place(g, &p, at, i % 2 == 0 ? "by address" : "through scratch memory");
        memset(g->buffer.mapped, FILL, at + size);
        tiles += (size + TILE - 1) / TILE;
        bytes += size;
        packed_free(&p);
    }
    cr_assert_eq(counters(g).gpu_decoded_tiles, tiles);
    cr_assert_eq(counters(g).gpu_decoded_bytes, bytes);
}

RIG_TEST(gpu_decode, all_sizes_arrive_and_nothing_beside_them)
{
    struct gpu_rig g;

    gpu_open(&g, topology, &(struct options){.gathers = true});
    sizes_run(&g);
    gpu_close(&g);
    gpu_open(&g, topology, &(struct options){.copy_path = DS_VULKAN_PATH_COPY});
    sizes_run(&g);
    gpu_close(&g);
}

/* Damages a tile so that its container is in order and the tile is not. */
static void damage(struct packed *p, uint32_t tile)
{
    struct gdeflate_stream stream;
    struct gdeflate_tile t;

    cr_assert_eq(gdeflate_stream_parse(&stream, p->bytes, p->bytes_n), DS_CODEC_ERROR_NONE);
    t = gdeflate_stream_tile(&stream, tile);
    p->bytes[t.packed - p->bytes] |= 6; /* a block of type 3 */
}

/* Waits for n results, and drives the queue where the caller must. */
static void finish(struct gpu_rig *g, struct ds_result *results, uint32_t n)
{
    uint32_t have = 0;

    ds_queue_submit(g->rig.queue);
    while (g->manual && have < n) {
        ds_vulkan_collect(g->rig.engine, MS_NS);
        ds_vulkan_submit(g->rig.engine);
        have += (uint32_t)ds_queue_poll(g->rig.queue, results + have, n - have);
    }
    if (!g->manual)
        rig_results(g->rig.queue, results, n);
}

/* One in three requests is damaged, in another tile each: these fail, alone, and the log says where
 * the last one was. */
static void damaged_run(struct gpu_rig *g)
{
    enum { N = 12, BYTES = 2 * TILE + 5000, STRIDE = 3 * TILE };
    struct ds_result results[N];
    struct packed packs[N];

    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request;

        cr_assert(packed_make(&packs[i], DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, BYTES, i));
        if (i % 3 == 1)
            damage(&packs[i], i / 3 % 3);
        request = to_buffer(g, packed_request(&packs[i], NULL), 1 + i * STRIDE, i % 2 == 0);
        request.user_data = i;
        rig_enqueue(g->rig.queue, &request);
    }
    finish(g, results, N);
    for (uint32_t i = 0; i < N; i++) {
        uint64_t at = results[i].user_data;
        bool bad = at % 3 == 1;

        cr_assert_eq(results[i].status, bad ? DS_STATUS_DECOMPRESSION : DS_STATUS_OK, "%s",
                     ds_status_name(results[i].status));
        cr_assert_eq(results[i].error, bad ? -EBADMSG : 0);
        cr_assert_eq(results[i].bytes, bad ? 0 : BYTES);
        if (!bad)
            check_place(g, &packs[at], 1 + at * STRIDE, "beside damaged ones");
        cr_assert_eq(g->buffer.mapped[at * STRIDE], FILL);
        for (uint64_t b = 1 + at * STRIDE + BYTES; b < (at + 1) * STRIDE; b++)
            cr_assert_eq(g->buffer.mapped[b], FILL, "byte %lu behind request %lu", b, at);
    }
    cr_assert_neq(strstr(g->log, "block type"), NULL, "%s", g->log);
    cr_assert_neq(strstr(g->log, ", tile "), NULL, "%s", g->log);
    cr_assert_eq(counters(g).gpu_decoded_tiles, (N - N / 3) * 3);
    cr_assert_eq(counters(g).stages[DS_STAGE_COMPLETE].errors, N / 3);
    for (uint32_t i = 0; i < N; i++)
        packed_free(&packs[i]);
}

RIG_TEST(gpu_decode, damaged_tiles_fail_their_requests_alone)
{
    struct gpu_rig g;

    gpu_open(&g, topology, &(struct options){.gathers = true, .regions_max = 5});
    damaged_run(&g);
    gpu_close(&g);
}

/* A container that is not in order never reaches the GPU, and its destination is untouched. */
RIG_TEST(gpu_decode, bad_containers_are_refused_before_the_gpu)
{
    struct ds_result results[2];
    struct ds_request request;
    struct gpu_rig g;
    struct packed p;

    gpu_open(&g, topology, &(struct options){.gathers = false});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 100000, 1));
    request = to_buffer(&g, packed_request(&p, NULL), 16, true);
    request.size -= 100;
    rig_enqueue(g.rig.queue, &request);
    request = packed_from_file(&g.rig, &p, packed_store(&g.rig, &p), NULL);
    request = to_buffer(&g, request, 16, false);
    request.uncompressed_size++;
    rig_enqueue(g.rig.queue, &request);
    finish(&g, results, 2);
    cr_assert_eq(results[0].status, DS_STATUS_DECOMPRESSION);
    cr_assert_eq(results[1].status, DS_STATUS_DECOMPRESSION);
    for (uint32_t i = 0; i < 110000; i++)
        cr_assert_eq(g.buffer.mapped[i], FILL);
    cr_assert_eq(counters(&g).gpu_decoded_tiles, 0);
    packed_free(&p);
    gpu_close(&g);
}

/* Everything at once, with the least scratch memory that there can be: what waits for it gets it,
 * what never would goes to the CPU, and so does what the GPU cannot. */
struct mix {
    struct packed packs[8];
    bool have[8];
    uint64_t gpu_tiles;
};

static void mix_make(struct mix *mix)
{
    static const struct {
        enum ds_codec_format format;
        enum ds_codec_transform transform;
        uint64_t bytes;
    } rows[8] = {
        {DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 180001},
        {DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 5000},
        {DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_BC3, 40000}, /* CPU: a transform */
        {DS_CODEC_ZSTD, DS_CODEC_TRANSFORM_NONE, 30000},
        {DS_CODEC_LZ4, DS_CODEC_TRANSFORM_NONE, 30000},
        {DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 66000},
        {DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 190000},
        {DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 1000},
    };

    for (uint32_t i = 0; i < 8; i++)
        mix->have[i] = packed_make(&mix->packs[i], rows[i].format, rows[i].transform,
                                   rows[i].bytes, i);
}

static void mix_enqueue(struct gpu_rig *g, struct mix *mix, uint32_t i)
{
    const struct packed *p = &mix->packs[i % 8];
    uint64_t at = 1 + i * 200000ull;
    struct ds_request request;

    if (!mix->have[i % 8]) {
        request = to_buffer(g, rig_read(&g->rig, i, 30000, NULL, i), at, i % 2 == 0);
    } else {
        request = to_buffer(g, packed_request(p, NULL), at, i / 8 % 2 == 0);
        if (p->format == DS_CODEC_GDEFLATE && p->transform == DS_CODEC_TRANSFORM_NONE)
            mix->gpu_tiles += (p->plain_bytes + TILE - 1) / TILE;
    }
    request.user_data = i;
    rig_enqueue(g->rig.queue, &request);
}

static void mix_run(struct gpu_rig *g)
{
    enum { N = 40 };
    struct ds_result results[2 * N];
    struct mix mix = {.gpu_tiles = 0};
    uint8_t *plain;

    mix_make(&mix);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = to_buffer(g, rig_read(&g->rig, i * 7, 3000, NULL, N + i),
                                              197000 + i * 200000ull, i % 3 == 0);

        mix_enqueue(g, &mix, i);
        rig_enqueue(g->rig.queue, &request);
    }
    finish(g, results, 2 * N);
    for (uint32_t i = 0; i < 2 * N; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
    for (uint32_t i = 0; i < N; i++) {
        if (mix.have[i % 8])
            check_place(g, &mix.packs[i % 8], 1 + i * 200000ull, "among others");
        plain = g->buffer.mapped + 197000 + i * 200000ull;
        cr_assert_arr_eq(plain, g->rig.content + i * 7, 3000);
    }
    cr_assert_eq(counters(g).gpu_decoded_tiles, mix.gpu_tiles);
    for (uint32_t i = 0; i < 8; i++)
        packed_free(&mix.packs[i]);
}

RIG_TEST(gpu_decode, mixed_with_everything_else_in_little_scratch)
{
    struct gpu_rig g;

    gpu_open(&g, topology, &(struct options){.gathers = true, .scratch_bytes = 1 << 20});
    mix_run(&g);
    gpu_close(&g);
}

Test(gpu_decode, with_the_queue_in_the_callers_hand)
{
    static const struct options options = {.gathers = true, .scratch_bytes = 1 << 20,
                                           .queue_mode = DS_VULKAN_QUEUE_MANUAL,
                                           .regions_max = 7};
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_SHARED, &options);
    mix_run(&g);
    gpu_close(&g);
    gpu_open(&g, DS_TOPOLOGY_MANUAL, &options);
    damaged_run(&g);
    gpu_close(&g);
}

/* What could never get so much scratch memory goes to the CPU. */
Test(gpu_decode, more_than_the_scratch_memory_goes_to_the_cpu)
{
    struct ds_result results[2];
    struct ds_request request;
    struct gpu_rig g;
    struct packed p;

    gpu_open(&g, DS_TOPOLOGY_SHARED, &(struct options){.scratch_bytes = 1 << 20});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, (1 << 20) + 1, 3));
    request = to_buffer(&g, packed_request(&p, NULL), 100, false);
    rig_enqueue(g.rig.queue, &request);
    finish(&g, results, 1);
    cr_assert_eq(results[0].status, DS_STATUS_OK);
    check_place(&g, &p, 100, "too large for the GPU");
    cr_assert_eq(counters(&g).gpu_decoded_tiles, 0);
    memset(g.buffer.mapped, FILL, 2 << 20);
    request = to_buffer(&g, packed_request(&p, NULL), 100, true); /* that needs none */
    rig_enqueue(g.rig.queue, &request);
    finish(&g, results, 1);
    check_place(&g, &p, 100, "straight to its place");
    cr_assert_eq(counters(&g).gpu_decoded_tiles, 17);
    packed_free(&p);
    gpu_close(&g);
}

RIG_TEST(gpu_decode, cancelled_ones_end_once_and_are_not_decoded)
{
    enum { N = 24, BYTES = 20000 };
    struct ds_result results[N];
    struct gpu_rig g;
    struct packed p;

    gpu_open(&g, topology, &(struct options){.gathers = true, .scratch_bytes = 1 << 20});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, BYTES, 1));
    for (uint32_t round = 0; round < 3; round++) {
        bool seen[N] = {false};

        memset(g.buffer.mapped, FILL, N * 2 * BYTES);
        for (uint32_t i = 0; i < N; i++) {
            struct ds_request request =
                to_buffer(&g, packed_request(&p, NULL), i * 2 * BYTES, i % 2 == 0);

            request.user_data = i;
            request.cancel_tag = 1 + i % 4;
            rig_enqueue(g.rig.queue, &request);
        }
        if (round > 0)
            ds_queue_submit(g.rig.queue);
        if (round > 1)
            rig_pause(&g.rig);
        cr_assert_leq(ds_queue_cancel(g.rig.queue, UINT64_MAX, 2), N / 4);
        finish(&g, results, N);
        for (uint32_t i = 0; i < N; i++) {
            uint64_t at = results[i].user_data;
            bool cancelled = results[i].status == DS_STATUS_CANCELLED;

            cr_assert(at < N && !seen[at]);
            seen[at] = true;
            cr_assert(cancelled || results[i].status == DS_STATUS_OK);
            cr_assert(!cancelled || at % 4 == 1, "request %lu was not meant", at);
            cr_assert(cancelled || round > 0 || at % 4 != 1, "it was cancelled before the submit");
            if (!cancelled)
                check_place(&g, &p, at * 2 * BYTES, "not cancelled");
            else
                cr_assert_eq(g.buffer.mapped[at * 2 * BYTES + BYTES / 2], FILL);
        }
    }
    packed_free(&p);
    gpu_close(&g);
}

/* The path, and how it is told. */
Test(gpu_decode, the_path_is_told)
{
    struct ds_engine_info info = {.struct_size = sizeof(info)};
    struct ds_vulkan_info vulkan = {.struct_size = sizeof(vulkan)};
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_SHARED, &(struct options){.gathers = false});
    cr_assert_eq(ds_engine_get_info(g.rig.engine, &info), 0);
    cr_assert_str_eq(info.decode_kind, "gpu");
    cr_assert_str_eq(info.decode_reason, "asked for");
    cr_assert_eq(ds_vulkan_backend_get_info(g.backend, &vulkan), 0);
    cr_assert_eq(vulkan.decode_path, DS_VULKAN_DECODE_GPU);
    cr_assert_eq(ds_engine_decode_support(g.rig.engine, DS_CODEC_GDEFLATE),
                 DS_DECODE_GPU_FALLBACK | DS_DECODE_USES_COMPUTE_QUEUE);
    cr_assert_eq(ds_engine_decode_support(g.rig.engine, DS_CODEC_NONE), -EINVAL);
    cr_assert_eq(ds_engine_decode_support(g.rig.engine, 99), -EINVAL);
    gpu_close(&g);
}

/* What AUTO has chosen for a GPU that can, as an engine with so many decode threads tells it. */
static const char *automatic_kind(struct ds_vulkan_backend *backend, uint32_t threads)
{
    struct ds_engine_info info = {.struct_size = sizeof(info)};
    struct ds_engine *engine = NULL;

    backend->decode_path = DS_VULKAN_DECODE_GPU;
    backend->decode_forced = false;
    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = backend, .decode_threads = threads),
                                  &engine), 0);
    cr_assert_eq(ds_engine_get_info(engine, &info), 0);
    ds_engine_destroy(&engine);
    return info.decode_kind;
}

Test(gpu_decode, automatically_when_there_are_few_threads)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};
    struct ds_vulkan_backend *backend = NULL;
    struct vk_util *vk = vk_util_open(true);

    if (vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend(vk, &config);
    config.decode_path = DS_VULKAN_DECODE_GPU;
    if (ds_vulkan_backend_create(&config, &backend) != 0)
        cr_skip_test("no Vulkan device that suits");
    cr_expect_str_eq(automatic_kind(backend, 3), "gpu");
    cr_expect_str_eq(automatic_kind(backend, 4), "cpu");
    cr_expect_str_eq(automatic_kind(backend, DS_DECODE_INLINE), "gpu");
    ds_vulkan_backend_destroy(&backend);
    vk_util_close(&vk);
}
