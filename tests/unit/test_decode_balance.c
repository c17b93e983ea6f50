/* stages/decode_balance.h: which way requests go that CPU and GPU could both decode, with all
 * stages in one thread, a GPU that ends when the test says so, and the test's own time. */
#include "unit/flow.h"

#define TILE_BYTES 65536u
#define LONG_NS    (100ull * 1000000000u) /* longer than this machine may be held up */

static struct flow flow;

/* Zeros, packed, one behind the other. */
static uint8_t packs[128 << 10];
static size_t packs_bytes;

static struct ds_request from_memory(uint64_t plain_bytes)
{
    uint8_t *plain = calloc(plain_bytes, 1), *packed = packs + packs_bytes;
    struct ds_request request = flow_read_gpu(0, 0, 0);
    struct ds_codec *codec;

    cr_assert_neq(plain, NULL);
    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, NULL, &codec), 0);
    cr_assert_eq(ds_codec_compress(codec, 1, plain, plain_bytes, packed,
                                   sizeof(packs) - packs_bytes, &request.size), 0);
    ds_codec_destroy(&codec);
    free(plain);
    packs_bytes += request.size;
    request.source = packed;
    request.codec = DS_CODEC_GDEFLATE;
    request.uncompressed_size = plain_bytes;
    return request;
}

/* The disk has them. */
static int64_t disk_packed(struct flow *self, const struct chunk *chunk)
{
    (void)self;
    memcpy(chunk->memory, packs + chunk->file_offset, chunk->io_bytes);
    return chunk->io_bytes;
}

static struct ds_request from_file(uint64_t plain_bytes)
{
    struct ds_request request = from_memory(plain_bytes);

    request.offset = (uint64_t)((const uint8_t *)request.source - packs);
    request.source = NULL;
    return request;
}

static struct ds_queue *open_with(uint64_t limit_bytes, uint64_t cpu_bytes_per_s, uint64_t batch_ns)
{
    struct balance balance;

    balance_init(&balance, limit_bytes, cpu_bytes_per_s, 1, batch_ns);
    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .scratch_bytes = 64 << 20,
                                            .arena_bytes = 8 << 20, .batches_max = 4,
                                            .regions_max = 128, .balance = &balance});
    flow.disk_result = disk_packed;
    return flow_queue(&flow, ds_queue_config(.capacity = 256));
}

static void enqueue(struct ds_queue *queue, const struct ds_request *request, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        flow_enqueue(queue, *request);
    ds_queue_submit(queue);
}

static void expect_results(struct ds_queue *queue, uint32_t n)
{
    struct ds_result results[256];

    cr_assert_eq(ds_queue_poll(queue, results, 256), n);
    for (uint32_t i = 0; i < n; i++)
        cr_expect_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
}

static void expect_tiles(uint64_t cpu, uint64_t gpu)
{
    cr_expect_eq(flow.decode.balance.cpu_tiles, cpu, "CPU: %lu", flow.decode.balance.cpu_tiles);
    cr_expect_eq(flow.complete.gpu_tiles, gpu, "GPU: %lu", flow.complete.gpu_tiles);
    cr_expect_eq(flow.decode.balance.told_batch_ns, flow.decode.balance.figures.batch_ns);
    cr_expect_eq(flow.decode.balance.told_rate, flow.decode.balance.figures.cpu_bytes_per_s);
    cr_expect_eq(flow.decode.balance.told_limit_bytes,
                 balance_limit_bytes(&flow.decode.balance.figures));
    cr_expect_eq(flow.decode.balance.queued_bytes[DECODE_ORDINARY], 0);
    cr_expect_eq(flow.decode.balance.queued_bytes[DECODE_REALTIME], 0);
    cr_expect_eq(flow.decode.balance.begun_bytes, 0);
}

static void burst_run(bool memory)
{
    struct ds_queue *queue = open_with(4 * TILE_BYTES, 0, 0);
    struct ds_request request = memory ? from_memory(TILE_BYTES) : from_file(TILE_BYTES);

    enqueue(queue, &request, 10);
    flow_finish(&flow);
    expect_results(queue, 10);
    expect_tiles(4, 6);
    enqueue(queue, &request, 3); /* the row is empty again */
    flow_finish(&flow);
    expect_results(queue, 3);
    expect_tiles(7, 6);
    flow_close(&flow);
}

Test(decode_balance, what_would_wait_too_long_goes_to_the_gpu)
{
    burst_run(false);
}

Test(decode_balance, so_does_what_comes_from_memory)
{
    burst_run(true);
}

/* What waits counts although no thread has begun with it, and so does what only the CPU decodes. */
Test(decode_balance, everything_that_waits_for_the_cpu_counts)
{
    struct ds_queue *queue = open_with(8 * TILE_BYTES, 0, 0);
    struct ds_request request = from_memory(3 * TILE_BYTES);

    request.transform = DS_CODEC_TRANSFORM_BC1;
    enqueue(queue, &request, 2); /* the GPU cannot */
    request.transform = DS_CODEC_TRANSFORM_NONE;
    enqueue(queue, &request, 1); /* 9 tiles are too many */
    request = from_memory(2 * TILE_BYTES);
    enqueue(queue, &request, 1); /* 8 are not */
    flow_finish(&flow);
    expect_results(queue, 4);
    expect_tiles(2 * 3 + 2, 3);
    flow_close(&flow);
}

/* They go in front of the others, so that these are none of their business. */
Test(decode_balance, realtime_looks_at_its_own_alone)
{
    struct ds_queue *queue = open_with(4 * TILE_BYTES, 0, 0);
    struct ds_queue *urgent = flow_queue(&flow, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    struct ds_request request = from_memory(TILE_BYTES);

    enqueue(queue, &request, 4);
    for (uint32_t i = 0; i < 3; i++)
        flow_step(&flow, 1); /* they are in the row; a turn decodes one */
    cr_assert_gt(flow.decode.balance.queued_bytes[DECODE_ORDINARY], TILE_BYTES);
    enqueue(urgent, &request, 6);
    flow_step(&flow, 1);
    flow_step(&flow, 1);
    flow_finish(&flow);
    expect_results(urgent, 6);
    expect_results(queue, 4);
    expect_tiles(4 + 4, 2);
    flow_close(&flow);
}

Test(decode_balance, ordinary_ones_wait_for_realtime_too)
{
    struct ds_queue *queue = open_with(80 * TILE_BYTES, 0, 0);
    struct ds_queue *urgent = flow_queue(&flow, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    struct ds_request request = from_memory(80 * TILE_BYTES);

    enqueue(urgent, &request, 1); /* for 80 turns */
    request = from_memory(TILE_BYTES);
    enqueue(queue, &request, 1);
    flow_finish(&flow);
    expect_results(urgent, 1);
    expect_results(queue, 1);
    expect_tiles(80, 1);
    flow_close(&flow);
}

/* Nothing is left of them in the sum. */
Test(decode_balance, what_ends_early_is_not_queued_any_more)
{
    struct ds_queue *queue = open_with(4 * TILE_BYTES, 0, 0);
    struct ds_request request = from_memory(TILE_BYTES);
    struct ds_result results[8];

    request.size -= 4; /* its container is damaged */
    enqueue(queue, &request, 2);
    request.size += 4;
    request.cancel_tag = 7;
    enqueue(queue, &request, 2);
    flow_step(&flow, 1);
    ds_queue_cancel(queue, UINT64_MAX, 7);
    flow_finish(&flow);
    cr_assert_eq(ds_queue_poll(queue, results, 8), 4);
    expect_tiles(0, 0);
    flow_close(&flow);
}

/* A batch that took a second, or a hundred of them: both count as one second. */
Test(decode_balance, the_time_of_batches_is_followed)
{
    struct ds_queue *queue = open_with(0, 1000000000, 100000); /* 150 KB */
    struct ds_request request = from_memory(TILE_BYTES);

    enqueue(queue, &request, 4);
    flow_settle(&flow);
    flow.now_ns += LONG_NS;
    flow_finish(&flow);
    expect_results(queue, 4);
    expect_tiles(2, 2);
    enqueue(queue, &request, 100);
    flow_finish(&flow);
    cr_expect_eq(flow.decode.balance.figures.batch_ns,
                 (100000ull * 7 + BALANCE_BATCH_MAX_NS) / 8);
    expect_results(queue, 100);
    expect_tiles(102, 2);
    flow_close(&flow);
}

/* One tile a millisecond, where ten were promised. */
Test(decode_balance, the_rate_of_the_threads_is_followed)
{
    struct ds_queue *queue = open_with(0, 10 * TILE_BYTES * 1000ull, 100 * 1000000ull);
    struct ds_request request = from_memory(TILE_BYTES);

    enqueue(queue, &request, 60);
    for (uint32_t i = 0; i < 400; i++)
        flow_step(&flow, 500000); /* a tile, and the end of a job */
    flow_finish(&flow);
    expect_results(queue, 60);
    expect_tiles(60, 0);
    cr_expect_lt(flow.decode.balance.figures.cpu_bytes_per_s, 5 * TILE_BYTES * 1000ull);
    cr_expect_gt(flow.decode.balance.figures.cpu_bytes_per_s, TILE_BYTES * 1000ull / 2);
    flow_close(&flow);
}

/* Staging ------------------------------------------------------------------------------------- */

static struct packed_run run_of(uint64_t plain_bytes, uint8_t special)
{
    struct request r = {.size = 100, .unpacked_bytes = plain_bytes, .special = special,
                        .codec = DS_CODEC_GDEFLATE};

    return packed_run_for(&r, 512);
}

Test(decode_balance, a_run_has_room_for_both_ways)
{
    for (uint64_t bytes = 1; bytes < 5 * TILE_BYTES; bytes += bytes < 16 ? 1 : 4099) {
        struct packed_run either = run_of(bytes, 1 | SPECIAL_EITHER);
        struct packed_run chosen = run_of(bytes, 1 | SPECIAL_EITHER | SPECIAL_ON_GPU);
        struct packed_run cpu = run_of(bytes, 1), gpu = run_of(bytes, 1 | SPECIAL_ON_GPU);

        cr_assert_eq(either.decoded, cpu.decoded);
        cr_assert_geq(either.bytes, cpu.bytes);
        cr_assert_geq(either.bytes - either.statuses, gpu.bytes - gpu.statuses);
        cr_assert_geq(either.statuses, 512);
        cr_assert_eq(chosen.statuses, either.statuses, "the choice moves nothing");
        cr_assert_eq(chosen.bytes, either.bytes);
    }
}

/* One that decodes to more than the arena holds is the GPU's, however short the CPU's row; one that
 * the GPU cannot decode so is refused. */
Test(decode_balance, what_does_not_fit_both_ways_goes_the_one_that_it_fits)
{
    struct ds_queue *queue = open_with(UINT64_MAX, 0, 0);
    struct ds_request request = from_memory(flow.staging.bytes);

    request.gpu_address = 4096; /* no scratch memory is needed for what comes out */
    enqueue(queue, &request, 1);
    flow_finish(&flow);
    expect_results(queue, 1);
    expect_tiles(0, flow.staging.bytes / TILE_BYTES);
    request.transform = DS_CODEC_TRANSFORM_BC1;
    cr_expect_eq(ds_queue_enqueue(queue, &request), -EFBIG);
    flow_close(&flow);
}
