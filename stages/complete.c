/* Ending chunks and requests, exactly once. */
#include "stages/complete.h"

#include "engine/ahead.h"
#include "engine/file.h"
#include "engine/gpu_decode.h"
#include "engine/hist.h"
#include "engine/image/target.h"
#include "engine/notice.h"
#include "engine/packed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define COMPLETE_PARK_NS 500000u
#define COMPLETE_TURN_MAX 512

int complete_open(struct complete_stage *stage, const struct complete_config *config)
{
    uint32_t held = round_up_power_of_two(config->chunks_max);
    int rc;

    memset(stage, 0, sizeof(*stage));
    stage->config = *config;
    event_init(&stage->files);
    stage->held_mask = held - 1;
    stage->held = host_calloc(config->host, held, sizeof(struct chunk *));
    rc = stage->held != NULL ? 0 : -ENOMEM;
    if (rc == 0)
        rc = ring_open(&stage->done, config->host, config->chunks_max);
    if (rc == 0)
        rc = ring_open(&stage->submitted, config->host, config->chunks_max);
    if (rc != 0)
        complete_close(stage);
    return rc;
}

void complete_close(struct complete_stage *stage)
{
    const struct host *host = stage->config.host;

    if (host == NULL)
        return;
    DS_ASSERT(stage->held_head == stage->held_tail && stage->credit_n == 0);
    event_fini(&stage->files);
    host_free(host, stage->held, (stage->held_mask + 1) * sizeof(struct chunk *));
    if (stage->done.slots != NULL)
        ring_close(&stage->done, host);
    if (stage->submitted.slots != NULL)
        ring_close(&stage->submitted, host);
    stage->config.host = NULL;
}

/* complete_work wakes the submit stage, once a turn. */
static void credit_flush(struct complete_stage *stage)
{
    if (stage->credit_n == 0)
        return;
    ring_push_n_sp(stage->config.returned, (void *const *)stage->credit, stage->credit_n);
    stage->credit_n = 0;
}

/* Copies the finished slots' results out, frees the slots, and calls the application: in this
 * order, so that the callback finds room to enqueue. */
static void delivery_call(struct complete_delivery *delivery)
{
    struct ds_result results[COMPLETE_BURST];
    struct ds_queue *queue = delivery->queue;

    for (uint32_t i = 0; i < delivery->n; i++)
        request_result(delivery->requests[i], &results[i]);
    queue_give_slots(queue, delivery->requests, delivery->n);
    queue->on_complete(queue->on_complete_ctx, results, delivery->n);
}

/* release: our last touch of the queue; pairs with the acquire in submit_detach */
static void queue_completed(struct ds_queue *queue, uint32_t n)
{
    atomic_store_explicit(&queue->completed,
                          atomic_load_explicit(&queue->completed, memory_order_relaxed) + n,
                          memory_order_release);
}

/* Before anybody can see the results. */
static void delivery_account(struct complete_stage *stage)
{
    tally_end(&stage->stats, &stage->tally);
    hist_run_end(&stage->latency_ns, &stage->delivery_latency_ns);
    STAT_ADD(stage->completed, stage->delivery.n);
    STAT_ADD(stage->bytes, stage->delivery_bytes);
    STAT_ADD(stage->stats.counters.batches, 1);
    stage->delivery_bytes = 0;
}

static void delivery_flush(struct complete_stage *stage)
{
    struct complete_delivery *delivery = &stage->delivery;
    struct ds_queue *queue = delivery->queue;
    uint32_t n = delivery->n;

    if (n == 0)
        return;
    delivery_account(stage);
    if (queue->on_complete != NULL)
        delivery_call(delivery);
    else
        queue_publish_results(queue, delivery->requests, n);
    queue_wake_waiters(queue);
    delivery->n = 0;
    queue_completed(queue, n);
}

static void credit_give(struct complete_stage *stage, struct chunk *chunk)
{
    stage->credit[stage->credit_n++] = chunk;
    if (stage->credit_n == COMPLETE_BURST) {
        delivery_flush(stage);
        credit_flush(stage);
    }
}

/* From now on enqueued_ns holds the latency. */
static void request_stamp(struct request *r, uint64_t now_ns)
{
    r->enqueued_ns = now_ns > r->enqueued_ns ? now_ns - r->enqueued_ns : 0;
}

/* A finished request or signal becomes a result. */
static void request_deliver(struct complete_stage *stage, struct request *r)
{
    if (stage->delivery.queue != r->queue || stage->delivery.n == COMPLETE_BURST) {
        delivery_flush(stage);
        stage->delivery.queue = r->queue;
    }
    hist_run_add(&stage->latency_ns, &stage->delivery_latency_ns, r->enqueued_ns);
    stage->delivery_bytes += r->bytes_done;
    stage->delivery.requests[stage->delivery.n++] = r;
}

/* The epoch of the signal itself is over: its failure goes to the next status entry. */
static void signal_by_host(struct complete_stage *stage, struct request *r, uint64_t now_ns)
{
    struct ds_queue *queue = r->queue;
    int vk_result =
        stage->config.gpu->signal(stage->config.gpu_self, r->gpu_buffer, r->gpu_offset);

    request_stamp(r, now_ns);
    if (vk_result != 0) {
        r->status = vk_result == -4 /* VK_ERROR_DEVICE_LOST */ ? DS_STATUS_DEVICE_LOST
                                                               : DS_STATUS_VULKAN_ERROR;
        r->error = vk_result;
        if (queue->unreported.status == DS_STATUS_OK)
            queue->unreported = (struct order_error){r->sequence, r->status, r->error};
        STAT_ADD(stage->failed, 1);
        queue_record_error(queue, r);
    }
    request_deliver(stage, r);
}

/* A notification whose turn has come. All results before it are out. */
static void notice_fire(struct complete_stage *stage, struct request *r, uint64_t now_ns)
{
    struct ds_queue *queue = r->queue;

    if (r->kind == REQUEST_STATUS) {
        status_array_set(r->array, (uint32_t)r->offset, &queue->unreported);
        queue->unreported = (struct order_error){.status = DS_STATUS_OK};
    } else if (r->kind == REQUEST_EVENT) {
        eventfd_add(r->fd);
        close(r->fd);
    } else if (r->kind == REQUEST_SIGNAL_HOST) {
        signal_by_host(stage, r, now_ns);
    }
}

/* Fires what may fire. The entries that yield no result are given back at the end, in one go: once
 * they are counted as completed the queue may go away. It may also go once the last entry's credit
 * is given, so that the next one is taken before. */
static void notices_fire(struct complete_stage *stage, struct ds_queue *queue, uint64_t now_ns)
{
    struct chunk *chunk = order_fire(&queue->notices, &queue->unreported);
    uint32_t silent = 0;

    while (chunk != NULL) {
        struct request *r = chunk->request;
        struct chunk *next;

        delivery_flush(stage);
        notice_fire(stage, r, now_ns);
        atomic_fetch_add_explicit(&queue->notices_fired, 1, memory_order_release);
        next = order_fire(&queue->notices, &queue->unreported);
        if (r->kind != REQUEST_FLUSH) /* that goes round once more, to the disk */
            chunk_advance(chunk, CHUNK_DONE_COPY, CHUNK_FREE);
        if (r->kind == REQUEST_STATUS || r->kind == REQUEST_EVENT) {
            queue_give_slots(queue, &r, 1);
            silent++;
        }
        credit_give(stage, chunk);
        chunk = next;
    }
    if (silent > 0)
        queue_completed(queue, silent);
}

static void request_failed(struct complete_stage *stage, struct request *r)
{
    struct order_error error = {r->sequence, r->status, r->error};

    STAT_ADD(stage->failed, 1);
    if (r->status == DS_STATUS_CANCELLED)
        return; /* asked for, so no failure to report */
    order_fail(&r->queue->notices, r->notice_epoch, error);
    queue_record_error(r->queue, r);
    if (r->kind == REQUEST_WRITE)
        failures_add(&r->queue->failures, r);
}

static void request_end(struct complete_stage *stage, struct request *r, uint64_t now_ns)
{
    struct ds_queue *queue = r->queue;
    struct ds_file *file = r->file;
    struct ds_image *image = r->special && r->image != NULL ? r->image->image : NULL;

    request_life_end(r);
    request_stamp(r, now_ns);
    if (r->kind == REQUEST_FLUSH)
        failures_tell(&queue->failures, r);
    if (r->status != DS_STATUS_OK)
        request_failed(stage, r);
    order_done(&queue->notices, r->notice_epoch);
    request_deliver(stage, r);
    if (file != NULL) {
        stage->file_ended = true;
        /* release: our last touch of the file; pairs with the acquire in ds_file_close */
        atomic_store_explicit(&file->ended,
                              atomic_load_explicit(&file->ended, memory_order_relaxed) + 1,
                              memory_order_release);
    }
    if (image != NULL) {
        stage->file_ended = true;
        image_request_end(image);
    }
    if (order_waits(&queue->notices))
        notices_fire(stage, queue, now_ns);
}

static void request_chunk_done(struct complete_stage *stage, const struct chunk *chunk,
                               uint64_t now_ns)
{
    struct request *r = chunk->request;

    if (chunk->status == DS_STATUS_OK) {
        r->bytes_done += chunk->payload_bytes;
        if (UNLIKELY(chunk->mapped))
            STAT_ADD(stage->mapped_bytes, chunk->payload_bytes);
    } else if (r->status == DS_STATUS_OK) {
        /* the submit stage looks at it while it still splits the request */
        __atomic_store_n(&r->status, chunk->status, __ATOMIC_RELAXED);
        r->error = chunk->error;
    }
    DS_ASSERT(r->chunks_done < r->chunks_total);
    if (++r->chunks_done == r->chunks_total)
        request_end(stage, r, now_ns);
}

/* Files a notification under the epoch that it closes. It keeps its chunk until it has fired. */
static void notice_arrives(struct complete_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct ds_queue *queue = chunk->request->queue;

    order_signal(&queue->notices, (uint32_t)chunk->file_offset, chunk->io_bytes, chunk);
    notices_fire(stage, queue, now_ns);
}

static void chunk_end(struct complete_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    tally_add(&stage->stats, &stage->tally,
              now_ns > chunk->entered_ns ? now_ns - chunk->entered_ns : 0, chunk->payload_bytes);
    DS_ASSERT(chunk->state == CHUNK_DONE_COPY);
    if (chunk->kind == CHUNK_NOTICE) {
        notice_arrives(stage, chunk, now_ns);
        return;
    }
    /* A downloaded chunk goes round again, to the disk; a failed one too, so that the copy stage
     * counts it for the signals behind it. */
    if (chunk->kind != CHUNK_DOWNLOAD && chunk->kind != CHUNK_AGAIN) {
        request_chunk_done(stage, chunk, now_ns);
        chunk_advance(chunk, CHUNK_DONE_COPY, CHUNK_FREE);
    }
    credit_give(stage, chunk);
}

static uint32_t complete_done(struct complete_stage *stage, uint64_t now_ns)
{
    struct chunk *chunks[COMPLETE_BURST];
    uint32_t total = 0, n;

    STAT_MAX(stage->stats.counters.ring_high_water, ring_count(&stage->done));
    do {
        n = ring_pop_n_sc(&stage->done, (void **)chunks, COMPLETE_BURST);
        ahead_begin(chunks, n);
        for (uint32_t i = 0; i < n; i++) {
            ahead_next(chunks, n, i);
            chunk_end(stage, chunks[i], now_ns);
        }
        total += n;
    } while (n == COMPLETE_BURST && total < COMPLETE_TURN_MAX);
    return total;
}

/* Takes what was submitted into our own FIFO, so that its head can be looked at. */
static void held_fill(struct complete_stage *stage)
{
    struct chunk *chunks[COMPLETE_BURST];
    uint32_t n;

    do {
        n = ring_pop_n_sc(&stage->submitted, (void **)chunks, COMPLETE_BURST);
        for (uint32_t i = 0; i < n; i++)
            stage->held[stage->held_tail++ & stage->held_mask] = chunks[i];
    } while (n == COMPLETE_BURST);
    DS_ASSERT(stage->held_tail - stage->held_head <= stage->held_mask + 1);
    STAT_MAX(stage->stats.counters.device_high_water, stage->held_tail - stage->held_head);
}

/* If it is the first chunk of a batch that decodes, and has ended: how long has the GPU had it? */
static void batch_tell(struct complete_stage *stage, const struct chunk *chunk, uint64_t now_ns)
{
    if (chunk->ticket == stage->gpu_ticket || now_ns <= chunk->entered_ns)
        return;
    stage->gpu_ticket = chunk->ticket;
    atomic_store_explicit(&stage->gpu_batch_ns, now_ns - chunk->entered_ns, memory_order_relaxed);
}

/* The GPU is done with a chunk, as far as the device is concerned. */
static void chunk_settle(struct complete_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    uint32_t tiles_n;

    if (!chunk->packed || chunk->status != DS_STATUS_OK)
        return;
    batch_tell(stage, chunk, now_ns);
    tiles_n = packed_settle(chunk, stage->config.host);
    if (tiles_n == 0) {
        STAT_ADD(stage->stats.counters.errors, 1);
        return;
    }
    STAT_ADD(stage->gpu_tiles, tiles_n);
    STAT_ADD(stage->gpu_bytes, chunk->payload_bytes);
}

static uint32_t complete_submitted(struct complete_stage *stage, uint64_t now_ns)
{
    uint64_t reached = 0;
    uint32_t total = 0;
    int vk_result;

    held_fill(stage);
    if (stage->held_head == stage->held_tail)
        return 0;
    vk_result = stage->config.gpu->reached(stage->config.gpu_self, &reached);
    while (stage->held_head != stage->held_tail && total < COMPLETE_TURN_MAX) {
        struct chunk *chunk = stage->held[stage->held_head & stage->held_mask];

        if (chunk->ticket > reached)
            break;
        if (vk_result != 0 && chunk->ticket != 0) {
            chunk_fail(chunk, DS_STATUS_DEVICE_LOST, vk_result);
            STAT_ADD(stage->stats.counters.errors, 1);
        }
        chunk_settle(stage, chunk, now_ns);
        stage->held_head++;
        chunk_end(stage, chunk, now_ns);
        total++;
    }
    return total;
}

static uint32_t complete_work(void *self, uint64_t now_ns)
{
    struct complete_stage *stage = self;
    uint32_t moved = complete_done(stage, now_ns);

    if (stage->config.gpu != NULL)
        moved += complete_submitted(stage, now_ns);
    delivery_flush(stage);
    tally_end(&stage->stats, &stage->tally);
    if (stage->file_ended) {
        stage->file_ended = false;
        event_signal(&stage->files);
    }
    credit_flush(stage);
    /* Last: there is credit, and submit may wait for a queue to come to rest. */
    if (moved > 0 && stage->config.submit_event != NULL)
        event_signal(stage->config.submit_event);
    return moved;
}

static enum stage_wait complete_waiting(void *self)
{
    const struct complete_stage *stage = self;
    const struct chunk *next = stage->held[stage->held_head & stage->held_mask];

    if (stage->held_head == stage->held_tail)
        return STAGE_IDLE;
    return stage->config.leaves_young && next->packed &&
                   gpu_decode_is_young(next->entered_ns, &stage->gpu_batch_ns)
               ? STAGE_WAIT_POLL
               : STAGE_WAIT_DEVICE;
}

static bool complete_ready(void *self)
{
    const struct complete_stage *stage = self;

    return ring_count(&stage->done) > 0 || ring_count(&stage->submitted) > 0;
}

static bool complete_park(void *self, uint64_t timeout_ns)
{
    struct complete_stage *stage = self;

    if (stage->held_head == stage->held_tail)
        return false;
    stage->config.gpu->wait(stage->config.gpu_self,
                            stage->held[stage->held_head & stage->held_mask]->ticket,
                            min_u64(timeout_ns, COMPLETE_PARK_NS));
    return true;
}

const struct stage_ops complete_stage_ops = {
    .name = "complete",
    .work = complete_work,
    .waiting = complete_waiting,
    .ready = complete_ready,
    .park = complete_park,
};
