/* Requests of which some are decoded by the CPU and some by the GPU (DS_VULKAN_DECODE_BALANCED).
 * How many bytes may be queued for the CPU is given, and lies between all of the small requests
 * together and one of the large ones: so small ones are the CPU's and large ones the GPU's,
 * whatever the timing. */
#include "conformance/gpu_decode_rig.h"

#include <errno.h>

TestSuite(balanced);

#define SMALL   18000u
#define LARGE   (TILE + 60000u) /* 2 tiles */
#define BACKLOG (TILE + 50000u)
#define N       8u
#define STRIDE  (2 * TILE + 1000)

static const struct gpu_options both = {.gathers = true, .backlog_bytes = BACKLOG};

_Static_assert(N / 2 * SMALL < BACKLOG && BACKLOG < LARGE, "who is whose");

static bool is_large(uint64_t i)
{
    return i % 2 == 1;
}

static void packs_make(struct packed packs[N])
{
    for (uint32_t i = 0; i < N; i++)
        cr_assert(packed_make(&packs[i], DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE,
                              is_large(i) ? LARGE : SMALL, i));
}

static void packs_free(struct packed packs[N])
{
    for (uint32_t i = 0; i < N; i++)
        packed_free(&packs[i]);
}

/* By every way: from memory and from a file, with an address and without. */
static struct ds_request request_for(struct gpu_rig *g, const struct packed *p, uint32_t i)
{
    struct ds_request request = i / 2 % 2 == 0
                                    ? packed_request(p, NULL)
                                    : packed_from_file(&g->rig, p, packed_store(&g->rig, p), NULL);

    request = gpu_to_buffer(g, request, 1 + (uint64_t)i * STRIDE, i / 4 % 2 == 0);
    request.user_data = i;
    request.cancel_tag = 1 + i % 4;
    return request;
}

static void enqueue_all(struct gpu_rig *g, struct packed packs[N])
{
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = request_for(g, &packs[i], i);

        rig_enqueue(g->rig.queue, &request);
    }
}

static void expect_tiles(const struct gpu_rig *g, uint64_t cpu, uint64_t gpu, uint64_t gpu_bytes)
{
    struct ds_counters counters = gpu_counters(g);

    cr_expect_eq(counters.cpu_decoded_tiles, cpu, "CPU: %lu", counters.cpu_decoded_tiles);
    cr_expect_eq(counters.gpu_decoded_tiles, gpu, "GPU: %lu", counters.gpu_decoded_tiles);
    cr_expect_eq(counters.gpu_decoded_bytes, gpu_bytes);
    cr_expect_eq(counters.gpu_decode_batches > 0, gpu > 0);
    cr_expect_gt(counters.decode_backlog_bytes, 0);
    cr_expect_gt(counters.decode_batch_ns, 0);
    cr_expect_gt(counters.decode_threads_bytes_per_s, 0);
}

static void both_run(enum ds_topology topology, const struct gpu_options *options)
{
    struct ds_result results[N];
    struct packed packs[N];
    struct gpu_rig g;

    gpu_open(&g, topology, options);
    packs_make(packs);
    enqueue_all(&g, packs);
    gpu_finish(&g, results, N);
    for (uint32_t i = 0; i < N; i++) {
        uint64_t at = results[i].user_data;

        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
        cr_assert_eq(results[i].bytes, packs[at].plain_bytes);
        gpu_check_place(&g, &packs[at], 1 + at * STRIDE, is_large(at) ? "large" : "small");
    }
    if (options->decode_threads == DS_DECODE_APPLICATION)
        expect_tiles(&g, 0, N / 2 * 3, N / 2 * (LARGE + SMALL));
    else
        expect_tiles(&g, N / 2, N / 2 * 2, N / 2 * LARGE);
    packs_free(packs);
    gpu_close(&g);
}

RIG_TEST(balanced, small_by_the_cpu_and_large_by_the_gpu)
{
    both_run(topology, &both);
}

Test(balanced, without_decode_threads_and_out_of_staging)
{
    both_run(DS_TOPOLOGY_SHARED, &(struct gpu_options){.backlog_bytes = BACKLOG,
                                                       .decode_threads = DS_DECODE_INLINE});
}

/* It is offered nothing, and takes nothing: the GPU decodes all. */
Test(balanced, with_the_applications_threads)
{
    both_run(DS_TOPOLOGY_HYBRID, &(struct gpu_options){.gathers = true, .backlog_bytes = BACKLOG,
                                                       .decode_threads = DS_DECODE_APPLICATION});
}

Test(balanced, with_the_queue_in_the_callers_hand)
{
    both_run(DS_TOPOLOGY_SHARED,
             &(struct gpu_options){.gathers = true, .backlog_bytes = BACKLOG, .regions_max = 3,
                                   .queue_mode = DS_VULKAN_QUEUE_MANUAL});
}

/* Where nothing is given the figures are guesses that follow. Whoever decodes, all arrive. */
Test(balanced, by_guesses)
{
    struct ds_result results[N];
    struct ds_counters counters;
    struct packed packs[N];
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_DEDICATED, &(struct gpu_options){.backlog_bytes = 1});
    rig_close(&g.rig);
    g.backend->decode_backlog_bytes = 0;
    rig_open(&g.rig, DS_TOPOLOGY_DEDICATED,
             ds_engine_config(.vulkan = g.backend, .decode_threads = 2, .arena_bytes = 8 << 20));
    packs_make(packs);
    for (uint32_t round = 0; round < 2; round++) {
        memset(g.buffer.mapped, FILL, BUFFER_BYTES);
        enqueue_all(&g, packs);
        gpu_finish(&g, results, N);
        for (uint32_t i = 0; i < N; i++)
            gpu_check_place(&g, &packs[i], 1 + (uint64_t)i * STRIDE, "by guesses");
    }
    counters = gpu_counters(&g);
    cr_expect_eq(counters.cpu_decoded_tiles + counters.gpu_decoded_tiles, 2 * (N / 2 + N));
    packs_free(packs);
    gpu_close(&g);
}

/* Two of eight are damaged, a small one and a large one: these fail, alone, whoever finds out. */
static void damaged_run(enum ds_topology topology)
{
    struct ds_result results[N];
    struct packed packs[N];
    struct gpu_rig g;

    gpu_open(&g, topology, &both);
    packs_make(packs);
    for (uint32_t i = 0; i < N; i += 8) {
        gpu_damage(&packs[i], 0);
        gpu_damage(&packs[i + 3], 1);
    }
    enqueue_all(&g, packs);
    gpu_finish(&g, results, N);
    for (uint32_t i = 0; i < N; i++) {
        uint64_t at = results[i].user_data;
        bool bad = at % 8 == 0 || at % 8 == 3;

        cr_assert_eq(results[i].status, bad ? DS_STATUS_DECOMPRESSION : DS_STATUS_OK, "%s",
                     ds_status_name(results[i].status));
        cr_assert_eq(results[i].error, bad ? -EBADMSG : 0);
        if (!bad)
            gpu_check_place(&g, &packs[at], 1 + at * STRIDE, "beside damaged ones");
        cr_assert_eq(((uint8_t *)g.buffer.mapped)[at * STRIDE], FILL);
    }
    cr_assert_neq(strstr(g.log, "block type"), NULL, "%s", g.log);
    expect_tiles(&g, N / 2 - N / 8, (N / 2 - N / 8) * 2, (uint64_t)(N / 2 - N / 8) * LARGE);
    cr_expect_eq(gpu_counters(&g).stages[DS_STAGE_DECODE].errors, N / 8);
    cr_expect_eq(gpu_counters(&g).stages[DS_STAGE_COMPLETE].errors, N / 8);
    packs_free(packs);
    gpu_close(&g);
}

Test(balanced, damaged_tiles_are_found_on_either_way)
{
    damaged_run(DS_TOPOLOGY_DEDICATED);
    damaged_run(DS_TOPOLOGY_MANUAL);
}

/* Two of the four tags are cancelled, one of small requests and one of large ones. */
static void cancelled_run(enum ds_topology topology)
{
    struct ds_result results[N];
    struct packed packs[N];
    struct gpu_rig g;

    gpu_open(&g, topology, &both);
    packs_make(packs);
    for (uint32_t round = 0; round < 3; round++) {
        bool seen[N] = {false};

        memset(g.buffer.mapped, FILL, BUFFER_BYTES);
        enqueue_all(&g, packs);
        if (round > 0)
            ds_queue_submit(g.rig.queue);
        if (round > 1)
            rig_pause(&g.rig);
        ds_queue_cancel(g.rig.queue, UINT64_MAX, 1);
        ds_queue_cancel(g.rig.queue, UINT64_MAX, 2);
        gpu_finish(&g, results, N);
        for (uint32_t i = 0; i < N; i++) {
            uint64_t at = results[i].user_data;

            cr_assert(at < N && !seen[at]);
            seen[at] = true;
            if (!gpu_check_cancelled(&results[i], at % 4 < 2, round == 0))
                gpu_check_place(&g, &packs[at], 1 + at * STRIDE, "not cancelled");
            else
                cr_assert_eq(((uint8_t *)g.buffer.mapped)[1 + at * STRIDE + 5], FILL);
        }
    }
    packs_free(packs);
    gpu_close(&g);
}

Test(balanced, cancelled_ones_end_once)
{
    cancelled_run(DS_TOPOLOGY_SHARED);
    cancelled_run(DS_TOPOLOGY_HYBRID);
}

static void expect_told(const struct gpu_rig *g)
{
    struct ds_engine_info info = {.struct_size = sizeof(info)};
    struct ds_vulkan_info vulkan = {.struct_size = sizeof(vulkan)};

    cr_assert_eq(ds_engine_get_info(g->rig.engine, &info), 0);
    cr_expect_str_eq(info.decode_kind, "balanced");
    cr_expect_str_eq(info.decode_reason, "asked for");
    cr_assert_eq(ds_vulkan_backend_get_info(g->backend, &vulkan), 0);
    cr_expect_eq(vulkan.decode_path, DS_VULKAN_DECODE_BALANCED);
    cr_expect_eq(ds_engine_decode_support(g->rig.engine, DS_CODEC_GDEFLATE),
                 DS_DECODE_GPU_FALLBACK | DS_DECODE_USES_COMPUTE_QUEUE);
}

/* What the GPU cannot decode goes to the CPU, however large it is. */
Test(balanced, what_the_gpu_cannot_goes_to_the_cpu)
{
    struct ds_result results[2];
    struct packed cut, transformed;
    struct ds_request request;
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_SHARED, &both);
    expect_told(&g);
    cr_assert(packed_make(&cut, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, LARGE, 1));
    cr_assert(packed_make(&transformed, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_BC1, 2 * TILE, 2));
    request = gpu_to_buffer(&g, packed_request(&cut, NULL), 1, true);
    request.destination_bytes = 1000;
    rig_enqueue(g.rig.queue, &request);
    request = gpu_to_buffer(&g, packed_request(&transformed, NULL), STRIDE, false);
    rig_enqueue(g.rig.queue, &request);
    gpu_finish(&g, results, 2);
    cr_assert_eq(results[0].status, DS_STATUS_OK);
    cr_assert_eq(results[1].status, DS_STATUS_OK);
    cr_assert_arr_eq((uint8_t *)g.buffer.mapped + 1, cut.plain, 1000);
    cr_assert_eq(((uint8_t *)g.buffer.mapped)[1001], FILL);
    gpu_check_place(&g, &transformed, STRIDE, "with a transform");
    expect_tiles(&g, 4, 0, 0);
    packed_free(&cut);
    packed_free(&transformed);
    gpu_close(&g);
}

/* Of contents of 1 to 5 bytes: what lies at the place of the content is a status of 4. */
Test(balanced, tiny_contents_by_either_way)
{
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_SHARED, &(struct gpu_options){.backlog_bytes = 3});
    for (uint32_t bytes = 1; bytes <= 5; bytes++) {
        struct ds_request request;
        struct ds_result result;
        struct packed p;

        cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, bytes, bytes));
        request = gpu_to_buffer(&g, packed_request(&p, NULL), 10 * bytes, bytes % 2 == 0);
        rig_enqueue(g.rig.queue, &request);
        gpu_finish(&g, &result, 1);
        cr_assert_eq(result.status, DS_STATUS_OK);
        gpu_check_place(&g, &p, 10 * bytes, "tiny");
        packed_free(&p);
    }
    expect_tiles(&g, 3, 2, 4 + 5);
    gpu_close(&g);
}

/* In a queue of their own, each way. */
Test(balanced, realtime_by_either_way)
{
    struct ds_result results[N];
    struct ds_queue *urgent;
    struct packed packs[N];
    struct gpu_rig g;

    gpu_open(&g, DS_TOPOLOGY_DEDICATED, &both);
    packs_make(packs);
    urgent = rig_queue(&g.rig, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = request_for(&g, &packs[i], i);

        rig_enqueue(i < N / 2 ? urgent : g.rig.queue, &request);
    }
    ds_queue_submit(urgent);
    ds_queue_submit(g.rig.queue);
    rig_results(urgent, results, N / 2);
    rig_results(g.rig.queue, results + N / 2, N / 2);
    for (uint32_t i = 0; i < N; i++) {
        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
        gpu_check_place(&g, &packs[i], 1 + (uint64_t)i * STRIDE, "beside the others");
    }
    expect_tiles(&g, N / 2, N, (uint64_t)N / 2 * LARGE);
    ds_queue_destroy(&urgent);
    packs_free(packs);
    gpu_close(&g);
}
