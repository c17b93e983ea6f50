/* stages/copy.h: signals keep their order, batches go out in time and come back, errors travel, and
 * nothing waits for a GPU that has nothing to do with it. */
#include "unit/flow.h"

#include <errno.h>

#define MANY_SIGNALS (3000 / SLOWNESS)

static struct flow flow;

static uint32_t poll_all(struct ds_queue *queue, struct ds_result *results, uint32_t max)
{
    return ds_queue_poll(queue, results, max);
}

Test(copy, gpu_requests_end_when_their_ticket_does)
{
    struct ds_queue *queue;
    struct ds_result results[4];

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 16));
    flow_enqueue(queue, flow_read_gpu(7, 3, 5000));
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.submitted, 1);
    cr_assert_eq(poll_all(queue, results, 4), 0, "the GPU is still at it");
    fake_gpu_end(&flow.gpu, 1);
    flow_settle(&flow);
    cr_assert_eq(poll_all(queue, results, 4), 1);
    cr_assert(results[0].user_data == 7 && results[0].bytes == 5000 &&
              results[0].status == DS_STATUS_OK);
    flow_close(&flow);
}

/* The table of batches is small: it is used again and again, and never while in use (asserted by
 * the fake). */
Test(copy, batches_are_recycled)
{
    struct ds_queue *queue;
    struct ds_result results[64];
    uint32_t done = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .batches_max = 3,
                                            .regions_max = 5, .chunk_bytes = 4096});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 256));
    for (uint32_t sent = 0; done < 2000;) {
        while (sent < 2000 && sent - done < 200)
            flow_enqueue(queue, flow_read_gpu(sent++, 0, 6000));
        ds_queue_submit(queue);
        flow_step(&flow, 1000);
        fake_gpu_end(&flow.gpu, 1 + done % 2);
        flow_step(&flow, 100000);
        done += poll_all(queue, results, 64);
    }
    cr_assert_leq(flow.gpu.chunks_max_seen, 5);
    cr_assert_gt(flow.gpu.submits, 3);
    flow_close(&flow);
}

/* A batch with enough bytes goes out, so that the GPU works on it while the next one is filled. */
Test(copy, a_batch_is_full_by_its_bytes)
{
    struct ds_queue *queue;
    struct ds_result results[8];

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .bytes_max = 10000,
                                            .batches_max = 4});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 16));
    for (uint32_t i = 0; i < 8; i++)
        flow_enqueue(queue, flow_read_gpu(i, 0, 4000));
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.chunks_max_seen, 3, "4000 + 4000 + 4000 >= 10000");
    cr_assert_geq(flow.gpu.submits, 2);
    fake_gpu_end(&flow.gpu, 4);
    flow_settle(&flow);
    fake_gpu_end(&flow.gpu, 4);
    flow_settle(&flow);
    cr_assert_eq(poll_all(queue, results, 8), 8);
    cr_assert_eq(flow.gpu.submits, 3);
    flow_close(&flow);
}

/* While the GPU is busy an open batch is held back, but only for flush_ns. */
Test(copy, a_held_batch_goes_out_after_flush_ns)
{
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .flush_ns = 50000});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 16));
    for (uint32_t i = 0; i < 2; i++) {
        flow_enqueue(queue, flow_read_gpu(i, 0, 100));
        ds_queue_submit(queue);
        flow_step(&flow, 1);
        flow_step(&flow, 1);
        flow_step(&flow, 1);
        cr_assert_eq(flow.gpu.submits, i + 1, "an idle GPU gets its work once no more comes");
    }
    flow_enqueue(queue, flow_read_gpu(2, 0, 100));
    ds_queue_submit(queue);
    flow_step(&flow, 1);
    flow_step(&flow, 1);
    flow_step(&flow, 1);
    cr_assert_eq(flow.gpu.submits, 2, "held back");
    cr_assert_eq(copy_stage_ops.waiting(&flow.copy), STAGE_WAIT_DEVICE);
    flow_enqueue(queue, flow_read_gpu(3, 0, 100));
    ds_queue_submit(queue);
    flow_step(&flow, 20000);
    flow_step(&flow, 20000);
    cr_assert_eq(flow.gpu.submits, 2, "not yet");
    flow_step(&flow, 20000);
    cr_assert_eq(flow.gpu.submits, 3, "flush_ns has passed");
    cr_assert_eq(flow.gpu.chunks_max_seen, 2, "and both went out together");
    flow_close(&flow);
}

/* A read that arrives in the next turn, ns later. */
static void arrive(struct ds_queue *queue, uint64_t user_data, uint64_t ns)
{
    flow_enqueue(queue, flow_read_gpu(user_data, 0, 100));
    ds_queue_submit(queue);
    flow_step(&flow, ns);
}

/* The disk completes in bursts, which arrive over some turns; a trickle keeps nobody waiting. */
Test(copy, a_burst_is_one_submission)
{
    static const struct { uint32_t flush_ns, ns, turns; } rows[] = {
        {0, 1000, 16}, {0, 6000, 5}, {5000, 6000, 2}}; /* the first comes in the first turn */

    for (uint32_t row = 0; row < 3; row++) {
        struct ds_queue *queue;
        uint32_t n = 0;

        flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .regions_max = 64,
                                                .flush_ns = rows[row].flush_ns});
        queue = flow_queue(&flow, ds_queue_config(.capacity = 32));
        while (flow.gpu.submits == 0 && n < 16)
            arrive(queue, n++, rows[row].ns);
        cr_assert_eq(n, rows[row].turns, "row %u: %u", row, n);
        arrive(queue, n++, rows[row].ns);
        flow_settle(&flow);
        cr_assert_eq(flow.gpu.submits, row == 0 ? 1 : 2, "row %u", row);
        flow_close(&flow);
    }
}

/* What goes to host memory has nothing to wait for, however busy the GPU is. */
Test(copy, host_and_failed_chunks_never_wait_for_the_gpu)
{
    struct ds_queue *queue;
    struct ds_result results[32];
    static uint8_t memory[100];

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .batches_max = 1,
                                            .regions_max = 2});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 32));
    for (uint32_t i = 0; i < 8; i++)
        flow_enqueue(queue, flow_read_gpu(i, 0, 100));
    flow_enqueue(queue, (struct ds_request){.struct_size = sizeof(struct ds_request),
                                            .host = memory, .size = 100, .user_data = 99});
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.submits, 1, "no batch is free");
    cr_assert_eq(poll_all(queue, results, 32), 1, "the host request waits for the GPU");
    cr_assert_eq(results[0].user_data, 99);
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, 32), 8);
    flow_close(&flow);
}

static bool hold_user_1(struct flow *f, const struct chunk *chunk)
{
    return *(bool *)f->ctx && chunk->request->user_data == 1;
}

/* Many signals behind one slow request: none fires before it, all fire after it, in order, through
 * batches with room for four. */
Test(copy, many_signals_behind_one_slow_request)
{
    static struct ds_result results[MANY_SIGNALS + 8];
    struct ds_queue *queue;
    bool hold = true;
    uint32_t n = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .regions_max = 4,
                                            .chunks_max = 8192});
    flow.disk_holds = hold_user_1;
    flow.ctx = &hold;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4096));
    flow_enqueue(queue, flow_read_gpu(1, 0, 100));
    for (uint32_t i = 1; i <= MANY_SIGNALS; i++)
        cr_assert_eq(ds_queue_enqueue_signal(queue, 5, i, 1000 + i), 0);
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(flow.gpu.submits, 0);
    cr_assert_eq(poll_all(queue, results, 8), 0);
    hold = false;
    flow_finish(&flow);
    cr_assert_eq(flow.gpu.values[5], MANY_SIGNALS);
    n = poll_all(queue, results, MANY_SIGNALS + 8);
    cr_assert_eq(n, MANY_SIGNALS + 1);
    cr_assert_eq(results[0].user_data, 1);
    for (uint32_t i = 1; i < n; i++)
        cr_assert_eq(results[i].user_data, 1000 + i, "signals end in order");
    flow_close(&flow);
}

Test(copy, a_signal_alone_is_a_submission)
{
    struct ds_queue *queue;
    struct ds_result result;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    cr_assert_eq(ds_queue_enqueue_signal(queue, 9, 3, 42), 0);
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(flow.gpu.values[9], 3);
    cr_assert_eq(poll_all(queue, &result, 1), 1);
    cr_assert(result.user_data == 42 && result.status == DS_STATUS_OK && result.bytes == 0);
    flow_close(&flow);
}

/* The nil copy accepts any destination, and so it accepts signals. */
Test(copy, the_nil_copy_ends_signals_in_order)
{
    struct ds_queue *queue;
    struct ds_result results[4];
    bool hold = true;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_NIL});
    flow.disk_holds = hold_user_1;
    flow.ctx = &hold;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    flow_enqueue(queue, flow_read_gpu(1, 0, 100));
    cr_assert_eq(ds_queue_enqueue_signal(queue, 9, 3, 42), 0);
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(poll_all(queue, results, 4), 0);
    hold = false;
    flow_settle(&flow);
    cr_assert_eq(poll_all(queue, results, 4), 2, "the signal never ended");
    cr_assert(results[0].user_data == 1 && results[1].user_data == 42);
    flow_close(&flow);
}

/* Errors. Each row: what fails, and what the result must say. */
struct failure {
    const char *what;
    uint64_t fail_record_at, fail_submit_at, lost_after;
    int vk;
    enum ds_status status;
    int32_t error, vk_result;
};

static const struct failure failures[] = {
    {"record", 1, 0, 0, -13, DS_STATUS_VULKAN_ERROR, 0, -13},
    {"submit", 0, 1, 0, -13, DS_STATUS_VULKAN_ERROR, 0, -13},
    {"submit, lost", 0, 1, 0, VK_LOST, DS_STATUS_DEVICE_LOST, 0, VK_LOST},
    {"submit, no host memory", 0, 1, 0, -1, DS_STATUS_NO_MEMORY, -ENOMEM, 0},
    {"submit, no device memory", 0, 1, 0, -2, DS_STATUS_NO_MEMORY, -ENOMEM, 0},
    {"lost later", 0, 0, 1, 0, DS_STATUS_DEVICE_LOST, 0, VK_LOST},
};

static void check_failure(const struct failure *f, bool write)
{
    struct ds_request request = flow_read_gpu(1, 0, 200000);
    struct ds_queue *queue;
    struct ds_result results[4];

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    flow.gpu.fail_record_at = f->fail_record_at;
    flow.gpu.fail_submit_at = f->fail_submit_at;
    flow.gpu.lost_after = f->lost_after;
    flow.gpu.fail_result = f->vk;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 8));
    request.op = write ? DS_OP_WRITE : DS_OP_READ;
    flow_enqueue(queue, request);
    cr_assert_eq(ds_queue_enqueue_signal(queue, 9, 3, 2), 0);
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, 4), 2, "%s%s: never ended", f->what,
                 write ? " (write)" : "");
    cr_assert_eq(results[0].user_data, 1);
    cr_expect_eq(results[0].status, (int32_t)f->status, "%s: %s", f->what,
                 ds_status_name(results[0].status));
    cr_expect_eq(results[0].error, f->error, "%s: %d", f->what, results[0].error);
    cr_expect_eq(results[0].vk_result, f->vk_result, "%s: %d", f->what, results[0].vk_result);
    cr_expect_lt(results[0].bytes, 200000);
    flow.gpu.lost = false;
    flow_close(&flow);
}

Test(copy, a_failing_gpu_fails_reads_and_the_signals_behind_them_end)
{
    for (size_t i = 0; i < ARRAY_LENGTH(failures); i++)
        check_failure(&failures[i], false);
}

Test(copy, a_failing_gpu_fails_writes_and_the_signals_behind_them_end)
{
    for (size_t i = 0; i < ARRAY_LENGTH(failures); i++)
        check_failure(&failures[i], true);
}

Test(copy, after_a_failed_submission_the_next_ones_go_on)
{
    struct ds_queue *queue;
    struct ds_result results[64];
    uint32_t failed = 0, n = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .regions_max = 2});
    flow.gpu.fail_submit_at = 3;
    flow.gpu.fail_result = -13;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 64));
    for (uint32_t i = 0; i < 40; i++)
        flow_enqueue(queue, flow_read_gpu(i, 0, 100));
    ds_queue_submit(queue);
    flow_finish(&flow);
    n = poll_all(queue, results, 64);
    cr_assert_eq(n, 40);
    for (uint32_t i = 0; i < n; i++)
        failed += results[i].status == DS_STATUS_VULKAN_ERROR;
    cr_assert_eq(failed, 2, "only those of the one submission");
    flow_close(&flow);
}

/* A write from a GPU buffer: down to staging first, then to the disk. */
static void count_download(void *ctx, const struct chunk *chunk)
{
    cr_assert_eq(chunk->kind, CHUNK_DOWNLOAD);
    *(uint64_t *)ctx += chunk->payload_bytes;
}

struct laps {
    uint64_t downloaded, written;
};

static int64_t count_write(struct flow *f, const struct chunk *chunk)
{
    struct laps *laps = f->ctx;

    cr_assert_eq(chunk->kind, CHUNK_WRITE);
    cr_assert_eq(chunk->file_offset, chunk->request->offset + chunk->request_offset);
    cr_assert_leq(laps->written + chunk->io_bytes, laps->downloaded, "written before it came");
    laps->written += chunk->io_bytes;
    return chunk->io_bytes;
}

Test(copy, a_write_from_the_gpu_makes_two_laps)
{
    struct ds_request request = flow_read_gpu(1, 12345, 3000000); /* more than the arena */
    struct laps laps = {0, 0};
    struct ds_queue *queue;
    struct ds_result result;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    flow.gpu.on_chunk = count_download;
    flow.gpu.ctx = &laps.downloaded;
    flow.disk_result = count_write;
    flow.ctx = &laps;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    request.op = DS_OP_WRITE;
    flow_enqueue(queue, request);
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, &result, 1), 1);
    cr_assert(result.status == DS_STATUS_OK && result.bytes == 3000000);
    cr_assert(laps.downloaded == 3000000 && laps.written == 3000000);
    flow_close(&flow);
}

/* A read into a mapping needs no batch, but the signal behind it does, and waits for it. */
Test(copy, a_mapped_read_takes_no_batch)
{
    struct ds_request request = flow_read_gpu(1, 0, 100);
    struct ds_queue *queue;
    struct ds_result results[4];
    static uint8_t memory[100];
    bool hold = true;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    flow.disk_holds = hold_user_1;
    flow.ctx = &hold;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 8));
    request.gpu_mapped = memory;
    flow_enqueue(queue, request);
    request.user_data = 2;
    flow_enqueue(queue, request);
    cr_assert_eq(ds_queue_enqueue_signal(queue, 9, 3, 42), 0);
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(poll_all(queue, results, 4), 1);
    cr_assert(results[0].user_data == 2 && results[0].bytes == 100);
    cr_assert_eq(flow.gpu.submits, 0);
    hold = false;
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.submits, 1, "the signal's");
    cr_assert_eq(flow.gpu.chunks_max_seen, 0);
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, 4), 2);
    cr_assert(results[0].user_data == 1 && results[1].user_data == 42);
    flow_close(&flow);
}

/* A disk that cannot write to mappings, and an arena that is full. */
#define STEAL_FIRST 100u /* user_data of the small reads that come later */

static bool hold_from(struct flow *f, const struct chunk *chunk)
{
    return chunk->request->user_data >= *(uint64_t *)f->ctx &&
           chunk->request->user_data < STEAL_FIRST;
}

static int64_t fault_into_mappings(struct flow *f, const struct chunk *chunk)
{
    (void)f;
    return chunk->arena_unit == CHUNK_NO_ARENA ? -EFAULT : (int64_t)chunk->io_bytes;
}

static void enqueue_many(struct ds_queue *queue, uint64_t first, uint32_t n, uint64_t bytes)
{
    for (uint32_t i = 0; i < n; i++)
        flow_enqueue(queue, flow_read_gpu(first + i, (first + i) << 20, bytes));
}

/* Its chunk is under way, so whatever staging comes back is for it, and not for those behind it
 * that ask for less. */
Test(copy, a_mapped_read_that_failed_is_the_next_to_get_staging)
{
    struct ds_request mapped = flow_read_gpu(99, 0, 65536);
    struct ds_queue *queue;
    struct ds_result results[300];
    static uint8_t memory[65536];
    uint64_t held_from = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .chunks_max = 512});
    flow.disk_holds = hold_from;
    flow.disk_result = fault_into_mappings;
    flow.ctx = &held_from;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 512));
    mapped.gpu_mapped = memory;
    mapped.user_data = STEAL_FIRST;
    enqueue_many(queue, 0, 16, 4096);
    enqueue_many(queue, 16, 31, 65536);
    flow_enqueue(queue, mapped);
    enqueue_many(queue, STEAL_FIRST + 1, 200, 4096);
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, 300), 0, "there is no staging");
    for (held_from = 1; held_from < 16; held_from++) {
        flow_finish(&flow);
        cr_assert_eq(poll_all(queue, results, 300), 1, "others took what it waits for");
    }
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, 300), 202);
    held_from = UINT64_MAX;
    flow_finish(&flow);
    cr_assert_eq(poll_all(queue, results, 300), 31);
    flow_close(&flow);
}

/* DS_VULKAN_QUEUE_MANUAL: recorded batches wait for copy_submit, by another hand. */
Test(copy, manual_batches_wait_for_the_caller)
{
    struct ds_queue *queue;
    struct ds_result results[64];
    uint32_t done = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .regions_max = 4,
                                            .gpu_manual = true});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 64));
    for (uint32_t i = 0; i < 40; i++)
        flow_enqueue(queue, flow_read_gpu(i, 0, 100));
    cr_assert_eq(ds_queue_enqueue_signal(queue, 9, 3, 99), 0);
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(flow.gpu.submits, 0);
    cr_assert_eq(copy_ready_n(&flow.copy), 4, "all batches are recorded");
    for (uint32_t i = 0; i < 100 && done < 41; i++) {
        copy_submit(&flow.copy);
        cr_assert_eq(copy_ready_n(&flow.copy), 0);
        flow_finish(&flow);
        done += poll_all(queue, results, 64);
    }
    cr_assert_eq(done, 41);
    flow_close(&flow);
}
