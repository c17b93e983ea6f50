/* Requests with GDeflate that the GPU decodes, forced on whatever device there is. */
#include "conformance/gpu_decode_rig.h"
#include "gpu/shader_nv.h"

#include <errno.h>

TestSuite(gpu_decode);

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
        request = gpu_to_buffer(g, request, at, i % 2 == 0);
        rig_enqueue(g->rig.queue, &request);
        ds_queue_submit(g->rig.queue);
        rig_results(g->rig.queue, &result, 1);
        cr_assert_eq(result.status, DS_STATUS_OK, "%s", ds_status_name(result.status));
        cr_assert_eq(result.bytes, size);
        gpu_check_place(g, &p, at, i % 2 == 0 ? "by address" : "through scratch memory");
        memset(g->buffer.mapped, FILL, at + size);
        tiles += (size + TILE - 1) / TILE;
        bytes += size;
        packed_free(&p);
    }
    cr_assert_eq(gpu_counters(g).gpu_decoded_tiles, tiles);
    cr_assert_eq(gpu_counters(g).gpu_decoded_bytes, bytes);
}

Test(gpu_decode, all_sizes_arrive_through_scratch_memory)
{
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_DEDICATED, &(struct gpu_options){.gathers = true});
    sizes_run(&g);
    gpu_close(&g);
}

Test(gpu_decode, all_sizes_arrive_out_of_staging_by_copy_commands)
{
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_SHARED, &(struct gpu_options){.copy_path = DS_VULKAN_PATH_COPY});
    sizes_run(&g);
    gpu_close(&g);
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
            gpu_damage(&packs[i], i / 3 % 3);
        request = gpu_to_buffer(g, packed_request(&packs[i], NULL), 1 + i * STRIDE, i % 2 == 0);
        request.user_data = i;
        rig_enqueue(g->rig.queue, &request);
    }
    gpu_finish(g, results, N);
    for (uint32_t i = 0; i < N; i++) {
        uint64_t at = results[i].user_data;
        bool bad = at % 3 == 1;

        cr_assert_eq(results[i].status, bad ? DS_STATUS_DECOMPRESSION : DS_STATUS_OK, "%s",
                     ds_status_name(results[i].status));
        cr_assert_eq(results[i].error, bad ? -EBADMSG : 0);
        cr_assert_eq(results[i].bytes, bad ? 0 : BYTES);
        if (!bad)
            gpu_check_place(g, &packs[at], 1 + at * STRIDE, "beside damaged ones");
        cr_assert_eq(g->buffer.mapped[at * STRIDE], FILL);
        for (uint64_t b = 1 + at * STRIDE + BYTES; b < (at + 1) * STRIDE; b++)
            cr_assert_eq(g->buffer.mapped[b], FILL, "byte %lu behind request %lu", b, at);
    }
    cr_assert_neq(strstr(g->log, "block type"), NULL, "%s", g->log);
    cr_assert_neq(strstr(g->log, ", tile "), NULL, "%s", g->log);
    cr_assert_eq(gpu_counters(g).gpu_decoded_tiles, (N - N / 3) * 3);
    cr_assert_eq(gpu_counters(g).stages[DS_STAGE_COMPLETE].errors, N / 3);
    for (uint32_t i = 0; i < N; i++)
        packed_free(&packs[i]);
}

RIG_TEST(gpu_decode, damaged_tiles_fail_their_requests_alone)
{
    struct gpu_rig g;

    gpu_open(&g, topology, &(struct gpu_options){.gathers = true, .regions_max = 5});
    damaged_run(&g);
    gpu_close(&g);
}

/* A container that is not in order never reaches the GPU, and its destination is untouched. */
Test(gpu_decode, bad_containers_are_refused_before_the_gpu)
{
    struct ds_result results[2];
    struct ds_request request;
    struct gpu_rig g;
    struct packed p;

    gpu_open(&g, DS_TOPOLOGY_DEDICATED, &(struct gpu_options){.gathers = false});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 100000, 1));
    request = gpu_to_buffer(&g, packed_request(&p, NULL), 16, true);
    request.size -= 100;
    rig_enqueue(g.rig.queue, &request);
    request = packed_from_file(&g.rig, &p, packed_store(&g.rig, &p), NULL);
    request = gpu_to_buffer(&g, request, 16, false);
    request.uncompressed_size++;
    rig_enqueue(g.rig.queue, &request);
    gpu_finish(&g, results, 2);
    cr_assert_eq(results[0].status, DS_STATUS_DECOMPRESSION);
    cr_assert_eq(results[1].status, DS_STATUS_DECOMPRESSION);
    for (uint32_t i = 0; i < 110000; i++)
        cr_assert_eq(g.buffer.mapped[i], FILL);
    cr_assert_eq(gpu_counters(&g).gpu_decoded_tiles, 0);
    packed_free(&p);
    gpu_close(&g);
}

RIG_TEST(gpu_decode, mixed_with_everything_else_in_little_scratch)
{
    struct gpu_rig g;

    gpu_open(&g, topology, &(struct gpu_options){.gathers = true, .scratch_bytes = 1 << 20});
    gpu_mix_run(&g);
    gpu_close(&g);
}

Test(gpu_decode, with_the_queue_in_the_callers_hand)
{
    static const struct gpu_options options = {.gathers = true, .scratch_bytes = 1 << 20,
                                           .queue_mode = DS_VULKAN_QUEUE_MANUAL,
                                           .regions_max = 7};
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_SHARED, &options);
    gpu_mix_run(&g);
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

    gpu_open(&g, DS_TOPOLOGY_SHARED, &(struct gpu_options){.scratch_bytes = 1 << 20});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, (1 << 20) + 1, 3));
    request = gpu_to_buffer(&g, packed_request(&p, NULL), 100, false);
    rig_enqueue(g.rig.queue, &request);
    gpu_finish(&g, results, 1);
    cr_assert_eq(results[0].status, DS_STATUS_OK);
    gpu_check_place(&g, &p, 100, "too large for the GPU");
    cr_assert_eq(gpu_counters(&g).gpu_decoded_tiles, 0);
    memset(g.buffer.mapped, FILL, 2 << 20);
    request = gpu_to_buffer(&g, packed_request(&p, NULL), 100, true); /* that needs none */
    rig_enqueue(g.rig.queue, &request);
    gpu_finish(&g, results, 1);
    gpu_check_place(&g, &p, 100, "straight to its place");
    cr_assert_eq(gpu_counters(&g).gpu_decoded_tiles, 17);
    packed_free(&p);
    gpu_close(&g);
}

RIG_TEST(gpu_decode, cancelled_ones_end_once_and_are_not_decoded)
{
    enum { N = 24, BYTES = 20000 };
    struct ds_result results[N];
    struct gpu_rig g;
    struct packed p;

    gpu_open(&g, topology, &(struct gpu_options){.gathers = true, .scratch_bytes = 1 << 20});
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, BYTES, 1));
    for (uint32_t round = 0; round < 3; round++) {
        bool seen[N] = {false};

        memset(g.buffer.mapped, FILL, N * 2 * BYTES);
        for (uint32_t i = 0; i < N; i++) {
            struct ds_request request =
                gpu_to_buffer(&g, packed_request(&p, NULL), i * 2 * BYTES, i % 2 == 0);

            request.user_data = i;
            request.cancel_tag = 1 + i % 4;
            rig_enqueue(g.rig.queue, &request);
        }
        if (round > 0)
            ds_queue_submit(g.rig.queue);
        if (round > 1)
            rig_pause(&g.rig);
        cr_assert_leq(ds_queue_cancel(g.rig.queue, UINT64_MAX, 2), N / 4);
        gpu_finish(&g, results, N);
        for (uint32_t i = 0; i < N; i++) {
            uint64_t at = results[i].user_data;

            cr_assert(at < N && !seen[at]);
            seen[at] = true;
            if (!gpu_check_cancelled(&results[i], at % 4 == 1, round == 0))
                gpu_check_place(&g, &p, at * 2 * BYTES, "not cancelled");
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

    gpu_open(&g, DS_TOPOLOGY_SHARED, &(struct gpu_options){.gathers = false});
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

/* Gives the extension to a rig whose engine is made anew. */
static void nv_open(struct gpu_rig *g)
{
    rig_close(&g->rig);
    if (!shader_nv_install(g->vk, g->backend))
        cr_skip_test("no software device, on which the stand-in works");
    g->backend->decode_path = DS_VULKAN_DECODE_NV;
    rig_open(&g->rig, DS_TOPOLOGY_SHARED,
             ds_engine_config(.vulkan = g->backend, .decode_threads = 2, .arena_bytes = 8 << 20));
}

Test(gpu_decode, by_the_nvidia_extension)
{
    struct gpu_rig g;
    uint64_t tiles;

    gpu_open(&g, DS_TOPOLOGY_SHARED, &(struct gpu_options){.scratch_bytes = 1 << 20,
                                                       .regions_max = 7});
    nv_open(&g);
    cr_assert_eq(ds_engine_decode_support(g.rig.engine, DS_CODEC_GDEFLATE),
                 DS_DECODE_GPU_OPTIMIZED | DS_DECODE_USES_COMPUTE_QUEUE);
    gpu_mix_run(&g);
    tiles = gpu_counters(&g).gpu_decoded_tiles;
    cr_assert_eq(shader_nv.tiles_n, tiles);
    for (uint32_t i = 0; i < tiles; i++)
        cr_assert_eq(shader_nv.statuses[i], DS_CODEC_ERROR_NONE);
    rig_close(&g.rig);
    g.vk->DeviceWaitIdle(g.vk->device);
    shader_nv_remove(g.vk, g.backend);
    g.backend->decode_path = DS_VULKAN_DECODE_CPU;
    rig_open(&g.rig, DS_TOPOLOGY_MANUAL, NULL);
    gpu_close(&g);
}

/* Who cannot is told so, and where nobody asked the CPU does it. */
Test(gpu_decode, what_is_missing_is_refused_by_name)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};
    struct ds_vulkan_backend *backend = NULL;
    struct vk_util *vk = vk_util_open(false);

    if (vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend_compute(vk, &config);
    config.has_shader_int64 = false;
    config.decode_path = DS_VULKAN_DECODE_GPU;
    cr_expect_eq(ds_vulkan_backend_create(&config, &backend), -ENOTSUP);
    config.decode_path = DS_VULKAN_DECODE_NV;
    cr_expect_eq(ds_vulkan_backend_create(&config, &backend), -ENOTSUP);
    config.decode_path = DS_VULKAN_DECODE_BALANCED;
    cr_expect_eq(ds_vulkan_backend_create(&config, &backend), -ENOTSUP);
    config.decode_path = (enum ds_vulkan_decode_path)6;
    cr_expect_eq(ds_vulkan_backend_create(&config, &backend), -EINVAL);
    config.decode_path = DS_VULKAN_DECODE_AUTO;
    config.decode_scratch_bytes = 4096;
    cr_expect_eq(ds_vulkan_backend_create(&config, &backend), -EINVAL);
    config.decode_scratch_bytes = 0;
    cr_assert_eq(ds_vulkan_backend_create(&config, &backend), 0);
    cr_assert_eq(ds_vulkan_backend_get_info(backend, &info), 0);
    cr_assert_eq(info.decode_path, DS_VULKAN_DECODE_CPU);
    cr_assert(info.decode_reason[0] != 0);
    ds_vulkan_backend_destroy(&backend);
    vk_util_close(&vk);
}

/* What AUTO has chosen for a GPU that can, as an engine with so many decode threads tells it. */
static const char *automatic_kind(struct ds_vulkan_backend *backend, uint32_t threads)
{
    struct ds_engine_info info = {.struct_size = sizeof(info)};
    struct ds_engine *engine = NULL;

    backend->decode_path = DS_VULKAN_DECODE_AUTO;
    backend->decode_forced = false;
    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = backend, .decode_threads = threads),
                                  &engine), 0);
    cr_assert_eq(ds_engine_get_info(engine, &info), 0);
    ds_engine_destroy(&engine);
    return info.decode_kind;
}

Test(gpu_decode, automatically_by_both_where_nothing_is_measured)
{
    struct ds_vulkan_backend_config config = {.struct_size = sizeof(config)};
    struct ds_vulkan_backend *backend = NULL;
    struct vk_util *vk = vk_util_open(true);

    if (vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend_compute(vk, &config);
    config.decode_path = DS_VULKAN_DECODE_GPU;
    if (ds_vulkan_backend_create(&config, &backend) != 0)
        cr_skip_test("no Vulkan device that suits");
    cr_expect_str_eq(automatic_kind(backend, 4), "balanced");
    cr_expect_str_eq(automatic_kind(backend, DS_DECODE_INLINE), "balanced");
    ds_vulkan_backend_destroy(&backend);
    vk_util_close(&vk);
}
