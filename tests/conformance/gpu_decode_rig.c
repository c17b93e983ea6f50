#include "conformance/gpu_decode_rig.h"

#include "conformance/gpu_end.h"
#include "engine/codec/gdeflate.h"

static void keep_error(void *ctx, enum ds_log_level level, const char *message)
{
    struct gpu_rig *g = ctx;

    if (level == DS_LOG_ERROR)
        snprintf(g->log, sizeof(g->log), "%s", message);
}

void gpu_open(struct gpu_rig *g, enum ds_topology topology, const struct gpu_options *options)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};

    memset(g, 0, sizeof(*g));
    vk_util_validate();
    g->vk = vk_util_open(true);
    if (g->vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend_compute(g->vk, &config);
    if (options->hook != NULL)
        config.get_device_proc_addr = options->hook(config.get_device_proc_addr);
    config.decode_path = options->only_copies          ? DS_VULKAN_DECODE_CPU
                         : options->backlog_bytes != 0 ? DS_VULKAN_DECODE_BALANCED
                                                       : DS_VULKAN_DECODE_GPU;
    config.decode_backlog_bytes = options->backlog_bytes;
    config.decode_scratch_bytes = options->scratch_bytes;
    config.copy_path = options->copy_path;
    config.queue_mode = options->queue_mode;
    config.batch_regions_max = options->regions_max;
    if (ds_vulkan_backend_create(&config, &g->backend) != 0)
        cr_skip_test("no Vulkan device that suits");
    g->backend->device.unified_memory = !options->gathers;
    g->manual = options->queue_mode == DS_VULKAN_QUEUE_MANUAL;
    rig_open(&g->rig, topology,
             ds_engine_config(.vulkan = g->backend, .arena_bytes = 8 << 20,
                              .decode_threads =
                                  options->decode_threads != 0 ? options->decode_threads : 2,
                              .chunk_bytes = options->chunk_bytes,
                              .log = keep_error, .log_ctx = g, .log_level = DS_LOG_ERROR));
    vk_util_buffer(g->vk, BUFFER_BYTES, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, true, &g->buffer);
    memset(g->buffer.mapped, FILL, BUFFER_BYTES);
}

void gpu_close(struct gpu_rig *g)
{
    gpu_end(&g->rig, &g->vk, &g->backend, &g->buffer, VK_NULL_HANDLE);
}

struct ds_request gpu_to_buffer(struct gpu_rig *g, struct ds_request request, uint64_t at,
                                   bool by_address)
{
    request.gpu_buffer = ds_vulkan_buffer(g->buffer.buffer);
    request.gpu_offset = at;
    request.gpu_buffer_bytes = BUFFER_BYTES;
    if (by_address)
        request.gpu_address = g->buffer.address;
    return request;
}

struct ds_counters gpu_counters(const struct gpu_rig *g)
{
    struct ds_counters c = {.struct_size = sizeof(c)};

    cr_assert_eq(ds_engine_get_counters(g->rig.engine, &c), 0);
    return c;
}

void gpu_check_place(const struct gpu_rig *g, const struct packed *p, uint64_t at,
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

bool gpu_check_cancelled(const struct ds_result *result, bool meant, bool before_submit)
{
    bool cancelled = result->status == DS_STATUS_CANCELLED;

    cr_assert(cancelled || result->status == DS_STATUS_OK);
    cr_assert(!cancelled || meant, "request %llu was not meant",
              (unsigned long long)result->user_data);
    cr_assert(cancelled || !before_submit || !meant, "it was cancelled before the submit");
    return cancelled;
}

void gpu_damage(struct packed *p, uint32_t tile)
{
    struct gdeflate_stream stream;
    struct gdeflate_tile t;

    cr_assert_eq(gdeflate_stream_parse(&stream, p->bytes, p->bytes_n), DS_CODEC_ERROR_NONE);
    t = gdeflate_stream_tile(&stream, tile);
    p->bytes[t.packed - p->bytes] |= 6; /* a block of type 3 */
}

void gpu_finish(struct gpu_rig *g, struct ds_result *results, uint32_t n)
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
        request = gpu_to_buffer(g, rig_read(&g->rig, i, 30000, NULL, i), at, i % 2 == 0);
    } else {
        request = gpu_to_buffer(g, packed_request(p, NULL), at, i / 8 % 2 == 0);
        if (p->format == DS_CODEC_GDEFLATE && p->transform == DS_CODEC_TRANSFORM_NONE)
            mix->gpu_tiles += (p->plain_bytes + TILE - 1) / TILE;
    }
    request.user_data = i;
    rig_enqueue(g->rig.queue, &request);
}

void gpu_mix_run(struct gpu_rig *g)
{
    enum { N = 40 };
    struct ds_result results[2 * N];
    struct mix mix = {.gpu_tiles = 0};
    uint8_t *plain;

    mix_make(&mix);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = gpu_to_buffer(g, rig_read(&g->rig, i * 7, 3000, NULL, N + i),
                                              197000 + i * 200000ull, i % 3 == 0);

        mix_enqueue(g, &mix, i);
        rig_enqueue(g->rig.queue, &request);
    }
    gpu_finish(g, results, 2 * N);
    for (uint32_t i = 0; i < 2 * N; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
    for (uint32_t i = 0; i < N; i++) {
        if (mix.have[i % 8])
            gpu_check_place(g, &mix.packs[i % 8], 1 + i * 200000ull, "among others");
        plain = g->buffer.mapped + 197000 + i * 200000ull;
        cr_assert_arr_eq(plain, g->rig.content + i * 7, 3000);
    }
    cr_assert_eq(gpu_counters(g).gpu_decoded_tiles, mix.gpu_tiles);
    for (uint32_t i = 0; i < 8; i++)
        packed_free(&mix.packs[i]);
}
