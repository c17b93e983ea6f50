/* Sorting chunks into those that are done and those that the GPU must copy, and batching these. */
#include "stages/copy.h"

#include "engine/ahead.h"
#include "engine/clock.h"
#include "engine/hist.h"
#include "engine/queue.h"
#include "stages/copy_batch.h"
#include "stages/copy_host.h"

#include <errno.h>
#include <string.h>

#define COPY_POP 64        /* chunks taken from a lane at a time */
#define COPY_TURN_MAX 512  /* chunks in one turn, at most */
#define COPY_BUSY_BATCHES 2 /* with so many in flight, a batch that is not full waits for more */
#define COPY_GROW_NS 20000u /* it waits so long while more comes: less than a submission takes */
#define COPY_PARK_NS 500000u

static bool fifos_open(struct copy_stage *stage)
{
    const struct copy_config *c = &stage->config;
    bool opened = copy_fifo_open(&stage->stalled, c->host, c->chunks_max);

    for (uint32_t i = 0; stage->decodes && i < COPY_CLASSES; i++)
        opened = opened && copy_fifo_open(&stage->packed[i], c->host, c->chunks_max);
    return opened;
}

int copy_open(struct copy_stage *stage, const struct copy_config *config, uint32_t lanes)
{
    int rc = 0;

    DS_ASSERT(lanes >= 1 && lanes <= COPY_LANES_MAX);
    memset(stage, 0, sizeof(*stage));
    stage->config = *config;
    stage->lanes_n = lanes;
    if (config->kind == COPY_KIND_GPU) {
        stage->batches_n = config->gpu->batches_max(config->gpu_self);
        stage->regions_max = config->gpu->regions_max(config->gpu_self);
        stage->bytes_max = config->gpu->bytes_max(config->gpu_self);
        copy_batch_limit(stage);
        stage->manual = config->gpu->manual(config->gpu_self);
        stage->decodes = config->gpu->decode != NULL && config->gpu->decode(config->gpu_self).on;
    }
    for (uint32_t i = 0; rc == 0 && i < lanes; i++)
        rc = ring_open(&stage->in[i], config->host, config->chunks_max);
    for (uint32_t i = 0; rc == 0 && i < stage->batches_n; i++)
        rc = copy_batch_open(&stage->batches[i], config->host, stage->regions_max);
    if (rc == 0 && config->kind == COPY_KIND_GPU && !fifos_open(stage))
        rc = -ENOMEM;
    if (rc != 0)
        copy_close(stage);
    return rc;
}

void copy_close(struct copy_stage *stage)
{
    if (stage->config.host == NULL)
        return;
    for (uint32_t i = 0; i < stage->batches_n; i++)
        copy_batch_close(&stage->batches[i], stage->config.host, stage->regions_max);
    copy_fifo_close(&stage->stalled, stage->config.host);
    for (uint32_t i = 0; i < COPY_CLASSES; i++)
        copy_fifo_close(&stage->packed[i], stage->config.host);
    for (uint32_t i = 0; i < stage->lanes_n; i++) {
        if (stage->in[i].slots != NULL)
            ring_close(&stage->in[i], stage->config.host);
    }
    stage->config.host = NULL;
}

static void finished_flush(struct copy_stage *stage)
{
    if (stage->finished_n == 0)
        return;
    tally_end(&stage->stats, &stage->tally);
    ring_push_n_sp(stage->config.done, (void *const *)stage->finished, stage->finished_n);
    if (stage->config.complete_event != NULL)
        event_signal(stage->config.complete_event);
    stage->finished_n = 0;
}

static void chunk_account(struct stage_stats *stats, struct tally *tally, struct chunk *chunk,
                          uint64_t now_ns)
{
    tally_add(stats, tally, now_ns > chunk->entered_ns ? now_ns - chunk->entered_ns : 0,
              chunk->payload_bytes);
    chunk->entered_ns = now_ns;
}

static void chunk_finish(struct copy_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    chunk_account(&stage->stats, &stage->tally, chunk, now_ns);
    chunk_advance(chunk, CHUNK_IN_COPY, CHUNK_DONE_COPY);
    stage->finished[stage->finished_n++] = chunk;
    if (stage->finished_n == ARRAY_LENGTH(stage->finished))
        finished_flush(stage);
}

static bool signal_fits(const struct copy_stage *stage)
{
    return stage->open != NULL ? stage->open->signal_chunks_n < stage->regions_max
                               : copy_batch_may_begin(stage);
}

/* Signals whose requests have all been recorded join the open batch. Without a GPU they are
 * done. */
static void signals_fire(struct copy_stage *stage, struct ds_queue *queue, uint64_t now_ns)
{
    struct order_error unused = {.status = DS_STATUS_OK};
    struct chunk *chunk;

    if (stage->config.kind != COPY_KIND_GPU) {
        while ((chunk = order_fire(&queue->order, &unused)) != NULL)
            chunk_finish(stage, chunk, now_ns);
        return;
    }
    stage->unfired |= (uint64_t)1 << queue->index;
    stage->unfired_queues[queue->index] = queue;
    while (signal_fits(stage)) {
        chunk = order_fire(&queue->order, &unused);
        if (chunk == NULL) {
            stage->unfired &= ~((uint64_t)1 << queue->index);
            return;
        }
        copy_batch_signal(copy_batch_begin(stage, now_ns), chunk);
        stage->flush_wanted = true;
    }
}

/* The copy stage has done its part of this chunk: count it for the signals behind it. True: one of
 * them may fire now. */
static bool chunk_ordered(const struct chunk *chunk)
{
    struct request *r = chunk->request;

    if (chunk->kind == CHUNK_DOWNLOAD || chunk->kind == CHUNK_NOTICE ||
        chunk->kind == CHUNK_AGAIN)
        return false; /* it comes once more, even when failed, or is no request of the epoch */
    if (r->chunks_total > 1 && ++r->chunks_copied < r->chunks_total)
        return false;
    order_done(&r->queue->order, r->epoch);
    return order_waits(&r->queue->order);
}

/* Signals that found no room in an earlier turn. */
static void signals_retry(struct copy_stage *stage, uint64_t now_ns)
{
    uint64_t unfired = stage->unfired;

    while (unfired != 0) {
        signals_fire(stage, stage->unfired_queues[__builtin_ctzll(unfired)], now_ns);
        unfired &= unfired - 1;
    }
}

static bool chunk_needs_gpu(const struct copy_stage *stage, const struct chunk *chunk)
{
    /* Failed ones too: with the last chunk of a request, layouts go back to what they shall be. */
    if (stage->config.kind != COPY_KIND_GPU)
        return false;
    if (chunk->request->special && chunk->request->image != NULL)
        return true;
    return chunk->status == DS_STATUS_OK &&
           (chunk->kind == CHUNK_READ || chunk->kind == CHUNK_DOWNLOAD) &&
           (chunk->request->host == NULL || chunk->staged);
}

static void batch_add(struct copy_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    copy_batch_begin(stage, now_ns);
    copy_batch_chunk(stage, chunk);
    if (chunk_ordered(chunk))
        signals_fire(stage, chunk->request->queue, now_ns);
    if (copy_batch_is_full(stage))
        copy_batch_end(stage);
}

/* Chunks that found no room in an earlier turn. */
static void stalled_retry(struct copy_stage *stage, uint64_t now_ns)
{
    while (copy_fifo_n(&stage->stalled) > 0 && copy_batch_has_room(stage)) {
        struct chunk *chunk = copy_fifo_first(&stage->stalled);

        copy_fifo_drop_first(&stage->stalled);
        batch_add(stage, chunk, now_ns);
    }
}

static void packed_push(struct copy_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    if (copy_packed_n(stage) == 0)
        stage->packed_ns = now_ns;
    copy_fifo_push(&stage->packed[chunk->ordinary ? COPY_ORDINARY : COPY_REALTIME], chunk);
}

/* It goes into a batch, or waits for one. */
static void chunk_to_gpu(struct copy_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    if (chunk->packed && chunk->status == DS_STATUS_OK)
        packed_push(stage, chunk, now_ns);
    else if (copy_fifo_n(&stage->stalled) > 0 || !copy_batch_has_room(stage))
        copy_fifo_push(&stage->stalled, chunk);
    else
        batch_add(stage, chunk, now_ns);
}

static void chunk_route(struct copy_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct request *r = chunk->request;
    struct ds_queue *queue = r->queue;
    bool fires;

    chunk_advance(chunk, CHUNK_DONE_READ, CHUNK_IN_COPY);
    if (chunk->kind == CHUNK_SIGNAL) {
        order_signal(&r->queue->order, r->epoch, chunk->io_bytes, chunk);
        signals_fire(stage, r->queue, now_ns);
        return;
    }
    if (request_is_cancelled(r) && (chunk->kind == CHUNK_READ || chunk->kind == CHUNK_MEMORY))
        chunk_fail(chunk, DS_STATUS_CANCELLED, 0);
    if (chunk->kind == CHUNK_MEMORY && chunk->status == DS_STATUS_OK &&
        stage->config.kind != COPY_KIND_NIL)
        copy_host_source(chunk);
    if (chunk_needs_gpu(stage, chunk)) {
        chunk_to_gpu(stage, chunk, now_ns);
        return;
    }
    if (chunk->status == DS_STATUS_OK && chunk->kind == CHUNK_READ && !r->in_place &&
        stage->config.kind != COPY_KIND_NIL)
        copy_host_payload(chunk);
    fires = chunk_ordered(chunk);
    chunk_finish(stage, chunk, now_ns);
    /* After it, so as not to overtake it. The queue outlives its open signals; r may be gone. */
    if (fires)
        signals_fire(stage, queue, now_ns);
}

/* Frees batches whose ticket was reached. */
static void batches_recycle(struct copy_stage *stage, uint64_t now_ns)
{
    uint64_t submitted = atomic_load_explicit(&stage->submitted_n, memory_order_acquire);

    STAT_MAX(stage->stats.counters.device_high_water, submitted - stage->freed_n);
    if (stage->freed_n == submitted)
        return;
    stage->config.gpu->reached(stage->config.gpu_self, &stage->reached);
    while (stage->freed_n != submitted) {
        struct copy_batch *batch = &stage->batches[stage->freed_n % stage->batches_n];

        if (batch->ticket > stage->reached)
            break;
        copy_batch_free(stage, now_ns);
    }
}

/* Ends the open batch unless it pays to let it grow. A disk completes in bursts, which arrive over
 * some turns: a submission for each of these would cost more than they wait. */
static void batch_consider(struct copy_stage *stage, bool more_came, uint64_t now_ns)
{
    uint32_t patience_ns = more_came ? min_u32(COPY_GROW_NS, stage->config.flush_ns) : 0;

    if (stage->open == NULL)
        return;
    if (stage->opened_n - 1 - stage->freed_n >= COPY_BUSY_BATCHES)
        patience_ns = stage->config.flush_ns;
    stage->held = !copy_batch_is_full(stage) && !stage->manual && !stage->flush_wanted &&
                  now_ns - stage->open->opened_ns < patience_ns;
    if (!stage->held)
        copy_batch_end(stage);
}

/* Of what waits to be decoded, as much as there is room for. The first one always fits, since no
 * batch holds anything. */
static void packed_add(struct copy_stage *stage, struct copy_fifo *packed, uint64_t now_ns)
{
    struct copy_batch *batch = stage->open;
    uint32_t index = (uint32_t)(batch - stage->batches);

    while (stage->open == batch && copy_fifo_n(packed) > 0) {
        struct chunk *chunk = copy_fifo_first(packed);

        if (!stage->config.gpu->take(stage->config.gpu_self, index, chunk)) {
            DS_ASSERT(batch->chunks_n > 0);
            copy_batch_end(stage);
            return;
        }
        copy_fifo_drop_first(packed);
        batch_add(stage, chunk, now_ns);
    }
}

/* Is it worth a moment, to have more in the next batch that decodes? While turns bring more: the
 * first of a burst would go alone, and the others wait for it. And where fewer wait than there were
 * in the last batch, whose end makes those who waited for it ask for more: whoever keeps a number
 * of requests under way would else have two groups of them that take turns. */
static bool packed_gathers(const struct copy_stage *stage, bool more_came, uint64_t now_ns)
{
    uint32_t flush_ns = stage->config.flush_ns;

    if (copy_fifo_n(&stage->packed[COPY_REALTIME]) > 0 || stage->manual)
        return false;
    return (more_came && now_ns - stage->packed_ns < flush_ns) ||
           (copy_packed_n(stage) < stage->decoded_n && now_ns - stage->decoded_ns < flush_ns);
}

/* Makes a batch that decodes, when it is time for one. The copies that are there go before it: to
 * wait for more of them would be to wait for it too. */
static void packed_consider(struct copy_stage *stage, bool more_came, uint64_t now_ns)
{
    if (!copy_decodes_due(stage) || copy_batch_slots(stage) == 0 ||
        packed_gathers(stage, more_came, now_ns))
        return;
    if (stage->open != NULL)
        copy_batch_end(stage);
    copy_batch_begin(stage, now_ns)->decodes = true;
    stage->decoding = true;
    stage->decoded_last = true;
    STAT_ADD(stage->decode_batches, 1);
    for (uint32_t i = 0; stage->open != NULL && i < COPY_CLASSES; i++)
        packed_add(stage, &stage->packed[i], now_ns);
    if (stage->open != NULL)
        copy_batch_end(stage);
}

uint64_t copy_ready_n(const struct copy_stage *stage)
{
    return atomic_load_explicit(&stage->ready_n, memory_order_acquire) -
           atomic_load_explicit(&stage->submitted_n, memory_order_relaxed);
}

/* Passes a submitted batch's chunks on to complete, which waits for the ticket. */
static void batch_pass_on(struct copy_stage *stage, struct copy_batch *batch, uint64_t now_ns)
{
    struct chunk **groups[2] = {batch->chunks, batch->signal_chunks};
    uint32_t counts[2] = {batch->chunks_n, batch->signal_chunks_n};
    struct tally tally = {.items = 0};

    for (uint32_t g = 0; g < 2; g++) {
        for (uint32_t i = 0; i < counts[g]; i++) {
            struct chunk *chunk = groups[g][i];

            if (batch->vk_result != 0)
                copy_chunk_fail(chunk, batch->vk_result);
            chunk_account(&stage->submitter_stats, &tally, chunk, now_ns);
            chunk->ticket = batch->vk_result == 0 ? batch->ticket : 0;
            chunk_advance(chunk, CHUNK_IN_COPY, CHUNK_DONE_COPY);
        }
        tally_end(&stage->submitter_stats, &tally);
        ring_push_n_sp(stage->config.submitted, (void *const *)groups[g], counts[g]);
    }
    if (stage->config.complete_event != NULL)
        event_signal(stage->config.complete_event);
}

uint32_t copy_submit(struct copy_stage *stage)
{
    /* acquire: pairs with the release in copy_batch_end */
    struct ds_stage_counters *counters = &stage->submitter_stats.counters;
    uint64_t ready = atomic_load_explicit(&stage->ready_n, memory_order_acquire);
    uint64_t at = atomic_load_explicit(&stage->submitted_n, memory_order_relaxed);
    uint32_t n = 0;

    for (; at != ready; at++, n++) {
        uint32_t index = (uint32_t)(at % stage->batches_n);
        struct copy_batch *batch = &stage->batches[index];
        uint64_t now_ns = clock_now_ns();

        DS_ASSERT(atomic_load_explicit(&batch->state, memory_order_relaxed) == COPY_BATCH_READY);
        if (batch->vk_result == 0)
            batch->vk_result = stage->config.gpu->submit(stage->config.gpu_self, index,
                                                         batch->ticket, batch->signals,
                                                         batch->signals_n);
        if (batch->vk_result != 0)
            STAT_ADD(counters->errors, batch->chunks_n + batch->signal_chunks_n);
        STAT_ADD(counters->batches, 1);
        batch_pass_on(stage, batch, now_ns);
        atomic_store_explicit(&batch->state, COPY_BATCH_SUBMITTED, memory_order_relaxed);
        if (batch->vk_result != 0)
            batch->ticket = 0;
        /* release: pairs with the acquire in batches_recycle */
        atomic_store_explicit(&stage->submitted_n, at + 1, memory_order_release);
    }
    return n;
}

static uint32_t copy_pop_lane(struct copy_stage *stage, struct ring *in, uint64_t now_ns)
{
    struct chunk *chunks[COPY_POP];
    uint32_t n;

    STAT_MAX(stage->stats.counters.ring_high_water, ring_count(in));
    n = ring_pop_n_sc(in, (void **)chunks, COPY_POP);
    ahead_begin(chunks, n);
    for (uint32_t i = 0; i < n; i++) {
        ahead_next(chunks, n, i);
        chunk_route(stage, chunks[i], now_ns);
    }
    if (copy_batch_is_full(stage))
        copy_batch_end(stage);
    return n;
}

static uint32_t copy_work(void *self, uint64_t now_ns)
{
    struct copy_stage *stage = self;
    uint32_t moved = 0, empty = 0;

    if (stage->config.kind == COPY_KIND_GPU) {
        batches_recycle(stage, now_ns);
        signals_retry(stage, now_ns);
        stalled_retry(stage, now_ns);
    }
    while (empty < stage->lanes_n && moved < COPY_TURN_MAX) {
        uint32_t n = copy_pop_lane(stage, &stage->in[stage->next_lane], now_ns);

        empty = n == 0 ? empty + 1 : 0;
        moved += n;
        if (++stage->next_lane == stage->lanes_n)
            stage->next_lane = 0;
    }
    finished_flush(stage);
    if (stage->config.kind == COPY_KIND_GPU) {
        batch_consider(stage, moved > 0, now_ns);
        packed_consider(stage, moved > 0, now_ns);
        if (!stage->manual)
            moved += copy_submit(stage);
    }
    return moved;
}

static bool copy_has_input(const struct copy_stage *stage)
{
    for (uint32_t i = 0; i < stage->lanes_n; i++) {
        if (ring_count(&stage->in[i]) > 0)
            return true;
    }
    return false;
}

/* Does all that waits here wait for a batch to be decoded that the GPU has just begun with? */
static bool waits_for_young_decode(const struct copy_stage *stage)
{
    const struct copy_batch *oldest = &stage->batches[stage->freed_n % stage->batches_n];

    return stage->decoding && oldest->decodes && stage->config.gpu_batch_ns != NULL &&
           gpu_decode_is_young(oldest->opened_ns, stage->config.gpu_batch_ns);
}

static enum stage_wait copy_waiting(void *self)
{
    const struct copy_stage *stage = self;

    if (copy_decodes_due(stage) && copy_batch_slots(stage) > 0)
        return STAGE_WAIT_POLL; /* for a moment, of which nothing tells: packed_gathers */
    if (stage->held || stage->unfired != 0 || copy_fifo_n(&stage->stalled) > 0)
        return STAGE_WAIT_DEVICE;
    if (copy_packed_n(stage) == 0)
        return STAGE_IDLE;
    return waits_for_young_decode(stage) ? STAGE_WAIT_POLL : STAGE_WAIT_DEVICE;
}

static bool copy_ready(void *self)
{
    struct copy_stage *stage = self;

    if (atomic_load_explicit(&stage->interrupted, memory_order_relaxed))
        return true;
    if (stage->held && clock_now_ns() - stage->open->opened_ns >= stage->config.flush_ns)
        return true;
    if (copy_decodes_due(stage) && copy_batch_slots(stage) > 0 &&
        !packed_gathers(stage, false, clock_now_ns()))
        return true;
    return copy_has_input(stage);
}

/* While a batch is held back or something waits for one: sleep until the oldest has ended. */
static bool copy_park(void *self, uint64_t timeout_ns)
{
    struct copy_stage *stage = self;
    uint64_t submitted = atomic_load_explicit(&stage->submitted_n, memory_order_relaxed);

    if (stage->freed_n == submitted)
        return false;
    if (stage->held)
        timeout_ns = min_u64(timeout_ns, stage->config.flush_ns);
    stage->config.gpu->wait(stage->config.gpu_self,
                            stage->batches[stage->freed_n % stage->batches_n].ticket,
                            min_u64(timeout_ns, COPY_PARK_NS));
    return true;
}

const struct stage_ops copy_stage_ops = {
    .name = "copy",
    .work = copy_work,
    .waiting = copy_waiting,
    .ready = copy_ready,
    .park = copy_park,
};
