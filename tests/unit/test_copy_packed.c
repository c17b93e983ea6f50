/* stages/copy.h, what the GPU decodes: few batches however many requests there are, one at a time,
 * and nothing else waits for them. The GPU is slow here, and ends when the test says so. */
#include "stages/copy_batch.h"
#include "unit/flow_packed.h"

#define LATENCY 40 /* steps that a batch takes which decodes, of however many tiles */

static struct flow flow;

static void open_with(const struct flow_options *options)
{
    struct flow_options o = *options;

    o.kind = COPY_KIND_GPU;
    pack_make();
    flow_open(&flow, &o);
}

static uint32_t poll_all(struct ds_queue *queue, struct ds_result *results, uint32_t max)
{
    uint32_t n = ds_queue_poll(queue, results, max);

    for (uint32_t i = 0; i < n; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
    return n;
}

/* What the tickets that have not ended decode: chunks, and batches of them. */
static uint32_t batches_under_way(void)
{
    uint32_t n = 0;

    for (uint64_t t = flow.gpu.ended + 1; t <= flow.gpu.submitted; t++)
        n += flow.gpu.packed_in[t % FAKE_TICKETS] > 0;
    return n;
}

/* A GPU that takes one submission after the other: LATENCY steps for one that decodes. */
struct slow_gpu {
    uint64_t at;      /* the ticket that it works on */
    uint32_t left;    /* steps */
    uint32_t tiles, batches, most_batches;
};

static void slow_gpu_step(struct slow_gpu *slow)
{
    uint32_t tiles;

    slow->most_batches = (uint32_t)max_u64(slow->most_batches, batches_under_way());
    if (slow->at <= flow.gpu.ended) {
        if (flow.gpu.ended == flow.gpu.submitted)
            return;
        slow->at = flow.gpu.ended + 1;
        tiles = flow.gpu.packed_in[slow->at % FAKE_TICKETS];
        slow->tiles += tiles;
        slow->batches += tiles > 0;
        slow->left = tiles > 0 ? LATENCY : 1;
    }
    if (--slow->left == 0)
        fake_gpu_end(&flow.gpu, 1);
}

/* Enqueues n, steps, and takes results. Returns their number. The decode stage takes two turns for
 * a chunk. */
static uint32_t stream_step(struct ds_queue *queue, struct slow_gpu *slow, uint32_t n)
{
    struct ds_result results[64];

    for (uint32_t i = 0; i < n; i++)
        flow_enqueue(queue, packed_read(i));
    ds_queue_submit(queue);
    for (uint32_t i = 0; i < 2; i++)
        flow_step(&flow, 25000);
    slow_gpu_step(slow);
    return poll_all(queue, results, 64);
}

/* One request a step, for ever: what comes while a batch decodes is the next one. */
Test(copy_packed, a_flood_of_small_requests_takes_few_batches)
{
    enum { N = 400 };
    struct slow_gpu slow = {.at = 0};
    struct ds_queue *queue;
    uint32_t sent = 0, done = 0;

    open_with(&(struct flow_options){.scratch_bytes = 8 << 20, .regions_max = 256});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 512));
    for (uint32_t step = 0; done < N; step++) {
        cr_assert_lt(step, 100 * N, "it never ends");
        done += stream_step(queue, &slow, sent < N ? 1 : 0);
        sent += sent < N ? 1 : 0;
    }
    cr_assert_eq(slow.tiles, N);
    cr_assert_eq(flow.copy.decode_batches, slow.batches);
    cr_assert_leq(slow.batches, N / LATENCY + 3, "%u batches", slow.batches);
    cr_assert_eq(slow.most_batches, 1, "%u at the same time", slow.most_batches);
    flow_close(&flow);
}

static int64_t disk_with_tiles(struct flow *f, const struct chunk *chunk)
{
    (void)f;
    memcpy(packed_staged(chunk), packed, packed_n);
    return chunk->io_bytes;
}

/* A burst that comes one by one, turn after turn, finds an idle GPU: it is one batch. */
Test(copy_packed, the_first_of_a_burst_does_not_go_alone)
{
    enum { N = 10 };
    struct ds_result results[N];
    struct ds_request request;
    struct ds_queue *queue;

    open_with(&(struct flow_options){.scratch_bytes = 1 << 20, .flush_ns = 100000});
    flow.disk_result = disk_with_tiles;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 32));
    for (uint32_t i = 0; i < N; i++) {
        request = packed_read(i);
        request.source = NULL;
        flow_enqueue(queue, request);
        ds_queue_submit(queue);
        flow_step(&flow, 1000);
    }
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.submitted, 1);
    cr_assert_eq(flow.gpu.packed_in[1], N, "%u", flow.gpu.packed_in[1]);
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, N), N);
    flow_close(&flow);
}

/* Whoever keeps 32 requests under way gets them decoded 32 at a time, nearly, and not in two groups
 * that take turns. */
Test(copy_packed, a_constant_depth_is_one_batch)
{
    enum { N = 640, DEPTH = 32 };
    struct slow_gpu slow = {.at = 0};
    struct ds_queue *queue;
    uint32_t sent = 0, done = 0;

    open_with(&(struct flow_options){.scratch_bytes = 8 << 20, .regions_max = 256,
                                     .flush_ns = 10000000});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 512));
    for (uint32_t step = 0; done < N; step++) {
        uint32_t n = min_u32(N - sent, DEPTH - (sent - done));

        cr_assert_lt(step, 100 * N, "it never ends");
        sent += n;
        done += stream_step(queue, &slow, n);
    }
    cr_assert_eq(slow.tiles, N);
    cr_assert_leq(slow.batches, N / DEPTH + 3, "%u batches", slow.batches);
    flow_close(&flow);
}

/* But they do not wait for others for longer than flush_ns, and REALTIME ones not at all. */
Test(copy_packed, those_that_do_not_come_are_not_waited_for)
{
    struct ds_queue *ordinary, *realtime;

    open_with(&(struct flow_options){.scratch_bytes = 1 << 20, .flush_ns = 50000});
    ordinary = flow_queue(&flow, ds_queue_config(.capacity = 32));
    realtime = flow_queue(&flow, ds_queue_config(.capacity = 16,
                                                 .priority = DS_PRIORITY_REALTIME));
    for (uint32_t round = 0; round < 2; round++) {
        struct ds_queue *queue = round == 0 ? ordinary : realtime;
        uint64_t before;

        for (uint32_t i = 0; i < 6; i++)
            flow_enqueue(ordinary, packed_read(i));
        ds_queue_submit(ordinary);
        flow_settle(&flow);
        fake_gpu_end(&flow.gpu, 1);
        flow_settle(&flow);
        before = flow.gpu.submits;
        cr_assert_gt(flow.gpu.packed_in[flow.gpu.submitted % FAKE_TICKETS], 1);
        flow_enqueue(queue, packed_read(7));
        ds_queue_submit(queue);
        flow_settle(&flow);
        cr_assert_eq(copy_packed_n(&flow.copy), 1);
        fake_gpu_end(&flow.gpu, 1);
        flow_step(&flow, 1);
        if (round == 0) {
            cr_assert_eq(flow.gpu.submits, before, "there may be more");
            cr_assert_eq(copy_stage_ops.waiting(&flow.copy), STAGE_WAIT_POLL);
            flow_step(&flow, 40000);
            cr_assert_eq(flow.gpu.submits, before, "not yet");
            flow_step(&flow, 20000);
        }
        cr_assert_eq(flow.gpu.submits, before + 1, "flush_ns has passed, or does not count");
        flow_finish(&flow);
    }
    flow_close(&flow);
}

/* A batch that decodes has all of the scratch memory, and no more. */
Test(copy_packed, a_batch_has_what_the_scratch_memory_holds)
{
    enum { N = 24, FIT = 8 };
    struct ds_result results[N];
    struct ds_queue *queue;

    open_with(&(struct flow_options){.scratch_bytes = FIT * TILE_BYTES, .regions_max = 256,
                                     .bytes_max = 1});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 64));
    for (uint32_t i = 0; i < N; i++)
        flow_enqueue(queue, packed_read(i));
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.submits, 1, "what was there first");
    for (uint32_t left = N - flow.gpu.packed_in[1], ticket = 2; left > 0; ticket++) {
        fake_gpu_end(&flow.gpu, 1);
        flow_settle(&flow);
        cr_assert_eq(flow.gpu.submits, ticket, "one after the other");
        cr_assert_eq(flow.gpu.packed_in[ticket], min_u32(left, FIT));
        left -= flow.gpu.packed_in[ticket];
    }
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, N), N);
    cr_assert_eq(flow.gpu.scratch_used, 0);
    flow_close(&flow);
}

/* Batches may end while others wait for scratch memory: that of plain copies, of whatever class. */
Test(copy_packed, plain_reads_pass_what_waits_for_scratch_memory)
{
    struct ds_queue *ordinary, *realtime;
    struct ds_result results[16];

    open_with(&(struct flow_options){.scratch_bytes = 2 * TILE_BYTES});
    ordinary = flow_queue(&flow, ds_queue_config(.capacity = 16));
    realtime = flow_queue(&flow, ds_queue_config(.capacity = 16,
                                                 .priority = DS_PRIORITY_REALTIME));
    for (uint32_t i = 0; i < 8; i++)
        flow_enqueue(ordinary, packed_read(i));
    ds_queue_submit(ordinary);
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.submitted, 1);
    cr_assert_geq(copy_packed_n(&flow.copy), 6, "they wait");
    flow_enqueue(ordinary, flow_read_gpu(100, 0, 5000));
    ds_queue_submit(ordinary);
    flow_enqueue(realtime, flow_read_gpu(200, 0, 5000));
    ds_queue_submit(realtime);
    flow_settle(&flow);
    cr_assert_eq(copy_fifo_n(&flow.copy.stalled), 0);
    cr_assert_geq(flow.gpu.submitted, 2, "copies go while others wait");
    cr_assert_eq(batches_under_way(), 1);
    fake_gpu_end(&flow.gpu, flow.gpu.submitted - flow.gpu.ended);
    flow_settle(&flow);
    cr_assert_eq(poll_all(realtime, results, 16), 1);
    cr_assert_eq(results[0].user_data, 200);
    cr_assert_geq(copy_packed_n(&flow.copy), 4, "they still wait");
    flow_finish(&flow);
    cr_assert_eq(poll_all(ordinary, results, 16), 9);
    flow_close(&flow);
}

/* A copy finds no more than one batch ahead of it that decodes, and goes before the next one. */
Test(copy_packed, copies_go_before_the_next_batch_that_decodes)
{
    struct ds_result results[32];
    struct ds_queue *queue;

    open_with(&(struct flow_options){.scratch_bytes = 4 * TILE_BYTES, .flush_ns = 1000000});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 32));
    for (uint32_t i = 0; i < 12; i++)
        flow_enqueue(queue, packed_read(i));
    ds_queue_submit(queue);
    flow_settle(&flow);
    for (uint32_t i = 0; i < 3; i++) {
        flow_enqueue(queue, flow_read_gpu(100 + i, 0, 1000));
        ds_queue_submit(queue);
        for (uint32_t k = 0; k < 20; k++)
            flow_step(&flow, i < 2 ? 100000 : 1); /* the first two go out, in the end */
    }
    cr_assert(flow.copy.held, "copies are held back while the GPU is busy");
    cr_assert_eq(batches_under_way(), 1);
    fake_gpu_end(&flow.gpu, 1);
    flow_step(&flow, 1);
    cr_assert_eq(flow.copy.open, NULL, "but not behind the next that decodes");
    cr_assert_gt(flow.gpu.packed_in[flow.gpu.submitted % FAKE_TICKETS], 0, "which is the last");
    cr_assert_eq(flow.gpu.packed_in[(flow.gpu.submitted - 1) % FAKE_TICKETS], 0);
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, 32), 15);
    flow_close(&flow);
}

/* That a batch decodes is no reason to hold a copy for longer than flush_ns. */
Test(copy_packed, a_held_copy_goes_out_after_flush_ns)
{
    struct ds_queue *queue;
    uint64_t before;

    open_with(&(struct flow_options){.scratch_bytes = 1 << 20, .flush_ns = 50000});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 16));
    flow_enqueue(queue, packed_read(0));
    ds_queue_submit(queue);
    flow_settle(&flow);
    flow_enqueue(queue, packed_read(1)); /* waits */
    for (uint32_t i = 0; i < 2; i++) {
        flow_enqueue(queue, flow_read_gpu(10 + i, 0, 100));
        ds_queue_submit(queue);
        for (uint32_t k = 0; k < 5; k++)
            flow_step(&flow, 1);
    }
    before = flow.gpu.submits;
    cr_assert(flow.copy.held);
    flow_step(&flow, 20000);
    cr_assert_eq(flow.gpu.submits, before, "not yet");
    flow_step(&flow, 40000);
    cr_assert_eq(flow.gpu.submits, before + 1, "flush_ns has passed");
    cr_assert_eq(batches_under_way(), 1);
    flow_close(&flow);
}

Test(copy_packed, realtime_requests_are_decoded_first)
{
    struct ds_queue *ordinary, *realtime;
    struct ds_result results[32];

    open_with(&(struct flow_options){.scratch_bytes = 2 * TILE_BYTES});
    ordinary = flow_queue(&flow, ds_queue_config(.capacity = 32));
    realtime = flow_queue(&flow, ds_queue_config(.capacity = 16,
                                                 .priority = DS_PRIORITY_REALTIME));
    for (uint32_t i = 0; i < 10; i++)
        flow_enqueue(ordinary, packed_read(i));
    ds_queue_submit(ordinary);
    flow_settle(&flow);
    cr_assert_geq(copy_packed_n(&flow.copy), 8);
    for (uint32_t i = 0; i < 2; i++)
        flow_enqueue(realtime, packed_read(100 + i));
    ds_queue_submit(realtime);
    flow_settle(&flow);
    for (uint32_t i = 0; i < 2; i++) {
        fake_gpu_end(&flow.gpu, 1);
        flow_settle(&flow);
    }
    cr_assert_eq(poll_all(realtime, results, 32), 2, "they waited for those that came before");
    flow_finish(&flow);
    cr_assert_eq(poll_all(ordinary, results, 32), 10);
    flow_close(&flow);
}

/* Passing is for data: a signal still comes after all that was enqueued before it. */
Test(copy_packed, signals_wait_for_what_waits_to_be_decoded)
{
    struct ds_queue *queue, *other;
    struct ds_result results[32];

    open_with(&(struct flow_options){.scratch_bytes = TILE_BYTES});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 16));
    other = flow_queue(&flow, ds_queue_config(.capacity = 16));
    for (uint32_t i = 0; i < 3; i++) {
        flow_enqueue(queue, packed_read(i));
        cr_assert_eq(ds_queue_enqueue_signal(queue, 5, i + 1, 10 + i), 0);
    }
    flow_enqueue(queue, flow_read_gpu(3, 0, 100));
    cr_assert_eq(ds_queue_enqueue_signal(queue, 5, 4, 13), 0);
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.values[5], 1, "with the batch that decodes its request");
    flow_enqueue(other, flow_read_gpu(20, 0, 100));
    cr_assert_eq(ds_queue_enqueue_signal(other, 6, 1, 21), 0);
    ds_queue_submit(other);
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.values[6], 1, "another queue has nothing to do with it");
    for (uint64_t i = 2; i <= 3; i++) {
        cr_assert_eq(flow.gpu.values[5], i - 1);
        fake_gpu_end(&flow.gpu, flow.gpu.submitted - flow.gpu.ended);
        flow_settle(&flow);
    }
    cr_assert_eq(flow.gpu.values[5], 4, "the copy went long ago");
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, 32), 8);
    cr_assert_eq(poll_all(other, results, 32), 2);
    flow_close(&flow);
}

/* Both kinds of batches get their turn, even where there is room for one at a time. */
static void check_turns(uint32_t batches_max)
{
    enum { N = 200 };
    struct slow_gpu slow = {.at = 0};
    uint32_t sent = 0, copies = 0, packed_done = 0, plain_done = 0;
    struct ds_queue *queues[2];
    struct ds_result results[64];

    open_with(&(struct flow_options){.scratch_bytes = 3 * TILE_BYTES, .regions_max = 4,
                                     .batches_max = batches_max});
    for (uint32_t i = 0; i < 2; i++)
        queues[i] = flow_queue(&flow, ds_queue_config(.capacity = 2 * N));
    /* neither ever runs out of work before both have done a part of theirs */
    for (uint32_t step = 0; packed_done < 12 || plain_done < 12; step++) {
        cr_assert_lt(step, 100 * LATENCY, "%u batches: %u decoded, %u copied", batches_max,
                     packed_done, plain_done);
        for (; sent < packed_done + 20; sent++)
            flow_enqueue(queues[0], packed_read(sent));
        for (; copies < plain_done + 40; copies++)
            flow_enqueue(queues[1], flow_read_gpu(copies, 0, 100));
        ds_queue_submit(queues[0]);
        ds_queue_submit(queues[1]);
        flow_step(&flow, 1000);
        slow_gpu_step(&slow);
        packed_done += poll_all(queues[0], results, 64);
        plain_done += poll_all(queues[1], results, 64);
    }
    flow_close(&flow);
}

Test(copy_packed, copies_and_decoding_take_turns)
{
    for (uint32_t n = 1; n <= 4; n++)
        check_turns(n);
}

/* Recorded batches wait for the caller, and the next one that decodes for the end of the last. */
Test(copy_packed, manual_batches_that_decode)
{
    struct ds_queue *queue;
    struct ds_result results[32];
    uint32_t done = 0;

    open_with(&(struct flow_options){.scratch_bytes = 4 * TILE_BYTES, .gpu_manual = true});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 32));
    for (uint32_t i = 0; i < 12; i++)
        flow_enqueue(queue, packed_read(i));
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(copy_ready_n(&flow.copy), 1);
    for (uint32_t i = 0; i < 20 && done < 12; i++) {
        cr_assert_leq(copy_ready_n(&flow.copy), 1);
        copy_submit(&flow.copy);
        flow_finish(&flow);
        done += poll_all(queue, results, 32);
    }
    cr_assert_eq(done, 12);
    flow_close(&flow);
}

/* A failed submission gives its scratch memory back, and those that wait have their turn. */
static void check_failure(bool record, bool lost)
{
    enum { N = 9 };
    struct ds_queue *queue;
    struct ds_result results[N];
    uint32_t failed = 0;

    open_with(&(struct flow_options){.scratch_bytes = 3 * TILE_BYTES});
    flow.gpu.fail_result = lost ? VK_LOST : -13;
    flow.gpu.fail_record_at = record ? 2 : 0;
    flow.gpu.fail_submit_at = record ? 0 : 2;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 16));
    for (uint32_t i = 0; i < N; i++)
        flow_enqueue(queue, packed_read(i));
    ds_queue_submit(queue);
    flow_settle(&flow);
    flow.gpu.lost = lost;
    flow_finish(&flow);
    cr_assert_eq(ds_queue_poll(queue, results, N), N);
    for (uint32_t i = 0; i < N; i++)
        failed += results[i].status != DS_STATUS_OK;
    cr_assert(lost ? failed == N : failed == 3, "%u have failed", failed);
    cr_assert_eq(flow.gpu.scratch_used, 0);
    flow.gpu.lost = false;
    flow_close(&flow);
}

Test(copy_packed, a_failing_gpu_lets_go_of_its_scratch_memory)
{
    check_failure(true, false);
    check_failure(false, false);
    check_failure(false, true);
}
