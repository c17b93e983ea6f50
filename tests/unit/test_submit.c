/* stages/submit.h: chunks tile their request exactly, credit runs out and comes back, closed files
 * are refused, and the last credit is taken back at the end. */
#include "unit/flow.h"

#include "engine/file.h"

#include <ds/file.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

#define SHAPES (3000 / SLOWNESS)
#define CHUNK_BYTES 65536u

static struct flow flow;

/* A file as the submit stage sees it: nobody opens it here. */
static struct ds_file fake_file(bool direct, uint32_t align)
{
    struct ds_file file = {
        .direct_fd = direct ? 1000 : -1,
        .buffered_fd = 1001,
        .memory_align = align,
        .offset_align = align,
        .writable = true,
    };

    return file;
}

/* What the chunks of one request covered, and what they must obey. */
struct tiling {
    const struct ds_request *request;
    bool direct;
    uint32_t align;
    uint64_t next;      /* payload seen so far: one lane, so they come in order */
    uint64_t chunks;
};

static void check_memory(struct flow *f, const struct tiling *t, const struct chunk *chunk)
{
    const uint8_t *host = t->request->host;

    if (chunk->arena_unit == CHUNK_NO_ARENA) {
        cr_assert_not_null(host);
        cr_assert_eq(chunk->memory + (t->request->offset + chunk->request_offset -
                                      chunk->file_offset),
                     host + chunk->request_offset, "in place, but elsewhere");
        return;
    }
    cr_assert_geq(chunk->memory, f->staging.memory);
    cr_assert_leq(chunk->memory + chunk->io_bytes, f->staging.memory + f->staging.bytes);
}

static int64_t check_chunk(struct flow *f, const struct chunk *chunk)
{
    struct tiling *t = f->ctx;
    uint64_t first = t->request->offset + chunk->request_offset;

    cr_assert_eq(chunk->request_offset, t->next, "a gap or an overlap");
    cr_assert_geq(chunk->payload_bytes, 1);
    cr_assert_leq(chunk->io_bytes, CHUNK_BYTES);
    cr_assert_leq(chunk->file_offset, first);
    cr_assert_geq(chunk->file_offset + chunk->io_bytes, first + chunk->payload_bytes);
    if (chunk->direct) {
        cr_assert(t->direct, "a direct transfer of a buffered file");
        cr_assert_eq(chunk->file_offset % t->align, 0);
        cr_assert_eq(chunk->io_bytes % t->align, 0);
        cr_assert_eq((uintptr_t)chunk->memory % t->align, 0);
    } else {
        cr_assert_eq(chunk->io_bytes, chunk->payload_bytes, "nothing to read beside it");
    }
    check_memory(f, t, chunk);
    t->next += chunk->payload_bytes;
    t->chunks++;
    return chunk->io_bytes;
}

static struct ds_request random_request(uint64_t *seed, struct ds_file *file, uint8_t *host,
                                        uint32_t align)
{
    struct ds_request r = {.struct_size = sizeof(r), .file = file, .user_data = 1};
    bool aligned = support_below(seed, 3) == 0;

    r.offset = support_below(seed, 1u << 20);
    r.size = 1 + support_below(seed, support_below(seed, 2) ? 400000 : 5000);
    if (aligned) {
        r.offset = align_down_u64(r.offset, align);
        r.size = align_up_u64(r.size, align);
    }
    if (support_below(seed, 2) == 0)
        r.host = host + (aligned ? 0 : support_below(seed, 64));
    else
        r.gpu_buffer = 1;
    if (r.host != NULL && support_below(seed, 3) == 0)
        r.op = DS_OP_WRITE;
    return r;
}

Test(submit, chunks_tile_the_request_exactly)
{
    uint64_t seed = support_seed("tiling");
    static uint8_t host[500000] __attribute__((aligned(8192)));
    struct ds_queue *queue;
    struct tiling tiling;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .chunk_bytes = CHUNK_BYTES});
    flow.disk_result = check_chunk;
    flow.ctx = &tiling;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    for (uint32_t i = 0; i < SHAPES; i++) {
        uint32_t align = 512u << support_below(&seed, 4);
        struct ds_file file = fake_file(support_below(&seed, 2) == 0, align);
        struct ds_request r = random_request(&seed, &file, host, align);
        struct ds_result result;

        tiling = (struct tiling){.request = &r, .direct = file.direct_fd >= 0, .align = align};
        flow_enqueue(queue, r);
        ds_queue_submit(queue);
        flow_finish(&flow);
        cr_assert_eq(tiling.next, r.size);
        cr_assert_eq(ds_queue_poll(queue, &result, 1), 1);
        cr_assert(result.status == DS_STATUS_OK && result.bytes == r.size);
        cr_assert_eq(atomic_load(&file.accepted), 1);
        cr_assert(atomic_load(&file.begun) == 1 && atomic_load(&file.ended) == 1);
    }
    flow_close(&flow);
}

/* A write, cut at chunk boundaries, must still be aligned where it is direct. */
Test(submit, a_write_is_direct_only_if_every_chunk_can_be)
{
    static uint8_t host[65536] __attribute__((aligned(8192)));
    struct ds_file file = fake_file(true, 8192);
    struct ds_request r = {.struct_size = sizeof(r), .file = &file, .op = DS_OP_WRITE,
                           .host = host, .size = sizeof(host)};
    struct tiling tiling = {.request = &r, .direct = true, .align = 8192};
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_HOST, .chunk_bytes = 4096});
    flow.disk_result = check_chunk;
    flow.ctx = &tiling;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    flow_enqueue(queue, r);
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(tiling.next, sizeof(host));
    flow_close(&flow);
}

static bool hold_all(struct flow *f, const struct chunk *chunk)
{
    (void)chunk;
    return *(bool *)f->ctx;
}

/* The arena is used up: submit waits for credit, says so, and goes on where it stopped. */
Test(submit, starves_without_staging_and_recovers)
{
    struct ds_queue *queue;
    struct ds_result results[2];
    bool hold = true;
    uint32_t n = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    flow.disk_holds = hold_all;
    flow.ctx = &hold;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 8));
    flow_enqueue(queue, flow_read_gpu(1, 17, (uint64_t)20 << 20)); /* ten times the arena */
    flow_enqueue(queue, flow_read_gpu(2, 0, 1));
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(submit_stage_ops.waiting(&flow.submit), STAGE_WAIT_CREDIT);
    cr_assert_not(submit_stage_ops.ready(&flow.submit));
    cr_assert_leq(flow.submit.arena.units_n - flow.submit.arena.used_n, 16);
    hold = false;
    flow_finish(&flow);
    cr_assert_eq(submit_stage_ops.waiting(&flow.submit), STAGE_IDLE);
    n = ds_queue_poll(queue, results, 2);
    cr_assert_eq(n, 2);
    cr_assert_eq(results[0].bytes, (uint64_t)20 << 20);
    flow_close(&flow);
}

Test(submit, starves_without_chunks_and_recovers)
{
    struct ds_queue *queue;
    struct ds_result results[64];

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .chunks_max = 8,
                                            .chunk_bytes = 4096});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 64));
    for (uint32_t i = 0; i < 20; i++) {
        flow_enqueue(queue, flow_read_gpu(i, 0, 20000));
        cr_assert_eq(ds_queue_enqueue_signal(queue, 3, i + 1, 100 + i), 0);
    }
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(ds_queue_poll(queue, results, 64), 40);
    for (uint32_t i = 0; i < 40; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK);
    flow_close(&flow);
}

/* One queue with much to do does not keep another from its turn. */
Test(submit, queues_take_turns)
{
    struct ds_queue *busy, *other;
    struct ds_result results[8];
    uint32_t turns = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_NIL, .chunks_max = 4096});
    busy = flow_queue(&flow, ds_queue_config(.capacity = 4096));
    other = flow_queue(&flow, ds_queue_config(.capacity = 4));
    for (uint32_t i = 0; i < 4096; i++)
        flow_enqueue(busy, flow_read_gpu(i, 0, 100));
    ds_queue_submit(busy);
    flow_step(&flow, 1);
    flow_enqueue(other, flow_read_gpu(9, 0, 100));
    ds_queue_submit(other);
    while (ds_queue_poll(other, results, 1) == 0) {
        flow_step(&flow, 1);
        cr_assert_lt(++turns, 8);
    }
    flow_close(&flow);
}

/* ds_file_close has begun: what submit has not begun yet fails, with no transfer. */
static int64_t no_transfer(struct flow *f, const struct chunk *chunk)
{
    (void)f;
    cr_assert_fail("a transfer of a closed file, request %llu",
                   (unsigned long long)chunk->request->user_data);
    return 0;
}

static void check_closed(struct ds_request r)
{
    struct ds_file file = fake_file(true, 4096);
    struct ds_queue *queue;
    struct ds_result results[2];

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    flow.disk_result = no_transfer;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    r.file = &file;
    r.size = 1000000;
    flow_enqueue(queue, r);
    cr_assert_eq(ds_queue_enqueue_signal(queue, 3, 1, 2), 0);
    atomic_store(&file.closed, true);
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(ds_queue_poll(queue, results, 2), 2);
    cr_assert_eq(results[0].status, DS_STATUS_FILE_CLOSED);
    cr_assert_eq(results[0].bytes, 0);
    cr_assert_eq(results[1].status, DS_STATUS_OK, "the signal behind it fires");
    cr_assert_eq(flow.gpu.records, 1);
    cr_assert_eq(atomic_load(&file.ended), 1);
    flow_close(&flow);
}

Test(submit, requests_of_a_closed_file_fail_without_a_transfer)
{
    static uint8_t host[1000000];
    struct ds_request r = flow_read_gpu(1, 0, 1);

    check_closed(r);
    r.op = DS_OP_WRITE;
    check_closed(r);
    r.host = host;
    check_closed(r);
    r.op = DS_OP_READ;
    check_closed(r);
}

/* The first error is the one reported, and the rest of the request is not read any more. */
static int64_t fail_some(struct flow *f, const struct chunk *chunk)
{
    uint32_t *transfers = f->ctx;

    ++*transfers;
    if (chunk->request_offset == 65536)
        return -ENOSPC;
    return chunk->request_offset >= 131072 ? -EIO : (int64_t)chunk->io_bytes;
}

Test(submit, the_first_error_is_kept)
{
    uint32_t transfers = 0;
    struct ds_queue *queue;
    struct ds_result result;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    flow.disk_result = fail_some;
    flow.ctx = &transfers;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    flow_enqueue(queue, flow_read_gpu(1, 0, (uint64_t)64 << 20));
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(ds_queue_poll(queue, &result, 1), 1);
    cr_assert_eq(result.status, DS_STATUS_NO_SPACE);
    cr_assert_eq(result.error, -ENOSPC);
    cr_assert_eq(result.bytes, 65536);
    cr_assert_lt(transfers, 200, "all 1024 chunks were read for a request that had failed");
    flow_close(&flow);
}

/* The counters as ds/counters.h documents them. */
Test(submit, its_items_are_requests)
{
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    flow_enqueue(queue, flow_read_gpu(1, 0, 300000));
    flow_enqueue(queue, flow_read_gpu(2, 0, 300000));
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(flow.submit.stats.counters.items, 2);
    cr_assert_eq(flow.submit.stats.counters.bytes, 600000);
    cr_assert_eq(flow.submit.chunks_in_flight, 0);
    cr_assert_eq(flow.submit.arena_used_bytes, 0);
    cr_assert_geq(flow.submit.arena_high_water_bytes, 65536);
    flow_close(&flow);
}

/* While a REALTIME queue exists, other requests go in pieces that keep nobody waiting for long. */
static int64_t count_chunks(struct flow *f, const struct chunk *chunk)
{
    uint32_t *largest = f->ctx;

    *largest = chunk->io_bytes > *largest ? chunk->io_bytes : *largest;
    return (int64_t)chunk->io_bytes;
}

Test(submit, others_go_in_small_pieces_beside_a_realtime_queue)
{
    struct ds_queue *queue, *realtime;
    uint32_t largest = 0;
    struct ds_result result;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .chunk_bytes = 1 << 20});
    flow.disk_result = count_chunks;
    flow.ctx = &largest;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    flow_enqueue(queue, flow_read_gpu(1, 777, (1 << 20) + 5));
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(largest, 1 << 20);
    realtime = flow_queue(&flow, ds_queue_config(.capacity = 4, .priority = DS_PRIORITY_REALTIME));
    largest = 0;
    flow_enqueue(queue, flow_read_gpu(1, 777, (1 << 20) + 5));
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(largest, 64 << 10);
    largest = 0;
    flow_enqueue(realtime, flow_read_gpu(1, 777, 1 << 20));
    ds_queue_submit(realtime);
    flow_finish(&flow);
    cr_assert_eq(largest, 1 << 20, "its own go whole");
    cr_assert_eq(ds_queue_poll(queue, &result, 1), 1);
    cr_assert_eq(result.bytes, (1 << 20) + 5);
    cr_assert_eq(ds_queue_poll(queue, &result, 1), 1);
    cr_assert_eq(result.bytes, (1 << 20) + 5);
    flow_close(&flow);
}

static bool hold_ordinary(struct flow *f, const struct chunk *chunk)
{
    return *(bool *)f->ctx && chunk->ordinary;
}

/* Held back for a measurement: the thread must look again by itself, since nobody wakes it. */
Test(submit, what_is_held_back_beside_realtime_is_asked_again)
{
    struct ds_queue *queue, *realtime;
    struct ds_result result;
    bool hold = true;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_NIL});
    flow.disk_holds = hold_ordinary;
    flow.ctx = &hold;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    realtime = flow_queue(&flow, ds_queue_config(.capacity = 4, .priority = DS_PRIORITY_REALTIME));
    flow_enqueue(realtime, flow_read_gpu(1, 0, 4096));
    ds_queue_submit(realtime);
    flow_enqueue(queue, flow_read_gpu(2, 0, 4096));
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(ds_queue_poll(realtime, &result, 1), 1);
    cr_assert_eq(flow.submit.window.in_flight, 0, "it was sent although it is quiet");
    cr_assert_eq(submit_stage_ops.waiting(&flow.submit), STAGE_WAIT_POLL);
    flow.now_ns += WINDOW_QUIET_NS + 1;
    flow_settle(&flow);
    cr_assert_eq(flow.submit.window.in_flight, 4096);
    hold = false;
    flow_finish(&flow);
    cr_assert_eq(ds_queue_poll(queue, &result, 1), 1);
    cr_assert_eq(flow.submit.window.in_flight, 0);
    flow_close(&flow);
}

/* Dedicated threads: the last credit may come after the submit stage's last turn. */
Test(submit, credit_that_comes_after_the_last_turn_is_taken_back)
{
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_NIL});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 4));
    flow_enqueue(queue, flow_read_gpu(1, 0, 100));
    ds_queue_submit(queue);
    for (uint32_t i = 0; flow.complete.completed == 0; i++) {
        cr_assert_lt(i, 100);
        flow_step(&flow, 1);
    }
    cr_assert_not_null(submit_stage_ops.stop);
    submit_stage_ops.stop(&flow.submit);
    cr_assert_eq(flow.submit.free_chunks_n, flow.submit.chunks_max);
    flow_close(&flow);
}

/* Whoever marks a file waits for the turn that may not have seen the mark, and for no other. */
static void *settle(void *argument)
{
    _Atomic bool *settled = argument;

    submit_settle(&flow.submit);
    atomic_store(settled, true);
    return NULL;
}

Test(submit, a_mark_waits_for_the_turn_that_may_have_missed_it)
{
    _Atomic bool settled = false;
    pthread_t thread;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    submit_stage_ops.work(&flow.submit, 1);
    cr_assert_eq(atomic_load(&flow.submit.turn), 2, "one turn has begun and ended");
    submit_settle(&flow.submit); /* none is under way */
    atomic_fetch_add(&flow.submit.turn, 1);
    cr_assert_eq(atomic_load(&flow.submit.turn) % 2, 1, "a turn was left open");
    cr_assert_eq(pthread_create(&thread, NULL, settle, &settled), 0);
    nanosleep(&(struct timespec){.tv_nsec = 5 * MS_NS}, NULL);
    cr_assert_not(atomic_load(&settled), "in the middle of a turn");
    atomic_fetch_add(&flow.submit.turn, 2); /* it ended, and the next began */
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert(atomic_load(&settled));
    atomic_fetch_add(&flow.submit.turn, 1);
    flow_close(&flow);
}
