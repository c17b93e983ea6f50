/* Splitting requests into chunks, and handing out credit. */
#include "stages/split.h"

#include "engine/ahead.h"
#include "engine/file.h"
#include "engine/hist.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Requests begun in one turn, at most: keeps a turn short when requests are tiny. */
#define SUBMIT_TURN_MAX 256
/* Chunks of requests that are not REALTIME are no larger while a REALTIME queue exists. */
#define SMALL_BYTES (64u << 10)
/* How often submit_settle looks: a turn takes some 20 us at most. */
#define SETTLE_LOOK_NS 20000

int submit_open(struct submit_stage *stage, const struct submit_config *config)
{
    uint64_t units = config->staging->bytes / config->granularity_bytes;
    int rc;

    memset(stage, 0, sizeof(*stage));
    stage->host = config->host;
    stage->staging = config->staging;
    stage->unit_shift = (uint32_t)__builtin_ctz(config->granularity_bytes);
    stage->chunk_bytes = config->chunk_bytes;
    stage->small_bytes = min_u32(config->chunk_bytes, SMALL_BYTES);
    stage->chunks_max = config->chunks_max;
    stage->copies_data = config->copies_data;
    stage->mapped_max_bytes = config->mapped_max_bytes;
    stage->mapped_not_direct = !config->mapped_direct;
    stage->blocked = (struct blocked){.gpu = config->gpu, .gpu_self = config->gpu_self};
    event_init(&stage->detached);
    join_init(&stage->join);
    window_init(&stage->window);
    rc = arena_open(&stage->arena, stage->host, (uint32_t)units);
    if (rc == 0)
        rc = ring_open(&stage->returned, stage->host, config->chunks_max);
    stage->chunks = host_calloc(stage->host, config->chunks_max, sizeof(*stage->chunks));
    stage->free_chunks = host_calloc(stage->host, config->chunks_max, sizeof(struct chunk *));
    stage->transfers = host_calloc(stage->host, config->chunks_max, sizeof(*stage->transfers));
    if (rc != 0 || stage->chunks == NULL || stage->free_chunks == NULL ||
        stage->transfers == NULL) {
        submit_close(stage);
        return -ENOMEM;
    }
    for (uint32_t i = config->chunks_max; i-- > 0;)
        stage->free_chunks[stage->free_chunks_n++] = &stage->chunks[i];
    return 0;
}

void submit_close(struct submit_stage *stage)
{
    uint32_t n = stage->chunks_max;

    if (stage->host == NULL)
        return;
    DS_ASSERT(stage->chunks == NULL || stage->free_chunks == NULL || stage->free_chunks_n == 0 ||
              stage->free_chunks_n == n);
    DS_ASSERT(stage->window.in_flight == 0 && stage->window.realtime_n == 0);
    arena_close(&stage->arena, stage->host);
    if (stage->returned.slots != NULL)
        ring_close(&stage->returned, stage->host);
    host_free(stage->host, stage->chunks, n * sizeof(*stage->chunks));
    host_free(stage->host, stage->free_chunks, n * sizeof(struct chunk *));
    host_free(stage->host, stage->transfers, n * sizeof(*stage->transfers));
    event_fini(&stage->detached);
    stage->host = NULL;
}

void submit_add_lane(struct submit_stage *stage, struct ring *out, struct event *event)
{
    DS_ASSERT(stage->lanes_n < SUBMIT_LANES_MAX);
    stage->lanes[stage->lanes_n++] = (struct submit_lane){.out = out, .event = event};
}

void submit_attach(struct submit_stage *stage, struct ds_queue *queue)
{
    schedule_add(&stage->schedule, queue->index, (enum ds_priority)queue->priority);
    /* release: pairs with the acquire in queue_at */
    atomic_store_explicit(&stage->queues[queue->index], queue, memory_order_release);
}

static struct ds_queue *queue_at(struct submit_stage *stage, uint32_t index)
{
    return atomic_load_explicit(&stage->queues[index], memory_order_acquire);
}

void submit_lane_flush(struct submit_stage *stage, struct submit_lane *lane)
{
    if (lane->burst_n == 0)
        return;
    tally_end(&stage->stats, &stage->tally);
    ring_push_n_sp(lane->out, (void *const *)lane->burst, lane->burst_n);
    if (lane->event != NULL)
        event_signal(lane->event);
    STAT_ADD(stage->stats.counters.batches, 1);
    lane->burst_n = 0;
}

static void credit_account(struct submit_stage *stage)
{
    uint64_t used = (uint64_t)stage->arena.used_n << stage->unit_shift;

    __atomic_store_n(&stage->arena_used_bytes, used, __ATOMIC_RELAXED);
    STAT_MAX(stage->arena_high_water_bytes, used);
    __atomic_store_n(&stage->chunks_in_flight, (uint64_t)(stage->chunks_max - stage->free_chunks_n),
                     __ATOMIC_RELAXED);
}

/* The ready bits of queues become pending ones. */
static void ready_take(struct submit_stage *stage)
{
    if (atomic_load_explicit(&stage->ready, memory_order_relaxed) != 0) {
        /* acquire: pairs with the release in ds_queue_submit */
        stage->pending |= atomic_exchange_explicit(&stage->ready, 0, memory_order_acquire);
    }
}

/* The queue's next entry, or NULL: then it is not pending any more. */
static struct request *queue_next(struct submit_stage *stage, uint32_t index)
{
    struct ds_queue *queue = queue_at(stage, index);

    if (queue == NULL) {
        stage->pending &= ~((uint64_t)1 << index);
        return NULL;
    }
    if (queue->popped_at == queue->popped_n) {
        STAT_MAX(stage->stats.counters.ring_high_water, intake_pending(&queue->intake));
        queue->popped_at = 0;
        queue->popped_n = intake_pop(&queue->intake, queue->popped, ARRAY_LENGTH(queue->popped));
        ahead_requests_begin(queue->popped, queue->popped_n);
        if (atomic_load_explicit(&queue->closing, memory_order_acquire))
            stage->closing |= (uint64_t)1 << index;
    }
    if (queue->popped_n == 0) {
        stage->pending &= ~((uint64_t)1 << index);
        return NULL;
    }
    ahead_requests_next(queue->popped, queue->popped_n, queue->popped_at);
    return queue->popped[queue->popped_at++];
}

/* The next request out of the queues in `set`, or NULL. */
static struct request *request_next(struct submit_stage *stage, uint64_t set)
{
    uint64_t pending;

    while ((pending = stage->pending & set) != 0) {
        bool alone = (pending & (pending - 1)) == 0; /* no choice, and nobody to share with */
        uint32_t index = alone ? (uint32_t)__builtin_ctzll(pending)
                               : schedule_pick(&stage->schedule, pending);
        struct request *r = queue_next(stage, index);

        if (r == NULL)
            continue;
        if (!alone)
            schedule_charge(&stage->schedule, (enum ds_priority)r->queue->priority, r->size);
        return r;
    }
    return NULL;
}

/* Has the flow's next chunk room in the window, which there is beside a REALTIME queue? */
static bool flow_is_admitted(struct submit_stage *stage, const struct submit_flow *flow,
                             uint64_t now_ns)
{
    const struct request *r = flow->current;

    if (flow == &stage->realtime ||
        LIKELY(schedule_members(&stage->schedule, DS_PRIORITY_REALTIME) == 0) ||
        (r->kind != REQUEST_READ && r->kind != REQUEST_WRITE))
        return true;
    return window_admits(&stage->window,
                         (uint32_t)min_u64(r->size, request_chunk_bytes(stage, r)), now_ns);
}

/* Sends the chunks of the flow's request. False: starved. */
static bool flow_continue(struct submit_stage *stage, struct submit_flow *flow, uint64_t now_ns)
{
    while (flow->current != NULL) {
        /* Read before: once its last chunk is out, the request's slot may be in use again. */
        bool is_last = flow->chunk + 1 == flow->current->chunks_total;

        flow->starved = !flow_is_admitted(stage, flow, now_ns) ||
                        !split_next(stage, flow->current, flow->chunk, now_ns);
        if (flow->starved)
            return false;
        flow->chunk++;
        if (is_last)
            flow->current = NULL;
    }
    return true;
}

/* The usual case: nobody to share with, no window to mind, and plain requests that have been popped
 * already. Returns how many it has begun, `max` at most. */
static uint32_t flow_run_plain(struct submit_stage *stage, struct submit_flow *flow, uint64_t set,
                               uint32_t max, uint64_t now_ns)
{
    uint64_t pending = stage->pending & set;
    struct ds_queue *queue;
    uint32_t n;

    if (pending == 0 || (pending & (pending - 1)) != 0 ||
        schedule_members(&stage->schedule, DS_PRIORITY_REALTIME) != 0)
        return 0;
    queue = queue_at(stage, (uint32_t)__builtin_ctzll(pending));
    if (queue == NULL)
        return 0;
    n = split_plain(stage, flow, queue->popped + queue->popped_at,
                    min_u32(queue->popped_n - queue->popped_at, max), now_ns);
    queue->popped_at += n;
    return n;
}

/* Begins requests of the queues in `set` until there are no more, no credit, or enough for a turn.
 * Returns how many. */
static uint32_t flow_run(struct submit_stage *stage, struct submit_flow *flow, uint64_t set,
                         uint64_t now_ns)
{
    uint32_t begun = 0;

    flow->starved = false;
    while (flow_continue(stage, flow, now_ns) && begun < SUBMIT_TURN_MAX) {
        uint32_t n = flow_run_plain(stage, flow, set, SUBMIT_TURN_MAX - begun, now_ns);
        struct request *r;

        begun += n;
        if (n > 0)
            continue;
        r = request_next(stage, set);
        if (r == NULL)
            break;
        split_begin(stage, r, now_ns);
        begun++;
        if (blocked_add(&stage->blocked, r))
            continue;
        flow->current = r;
        flow->chunk = 0;
    }
    return begun;
}

/* Requests whose wait is over go first, in the flow of their priority. */
static uint32_t blocked_run(struct submit_stage *stage, uint64_t now_ns)
{
    struct request *r;
    uint32_t n = 0;

    while (stage->blocked.first != NULL && flow_continue(stage, &stage->realtime, now_ns) &&
           flow_continue(stage, &stage->ordinary, now_ns) && n < SUBMIT_TURN_MAX &&
           (r = blocked_take(&stage->blocked)) != NULL) {
        struct submit_flow *flow = r->queue->priority == DS_PRIORITY_REALTIME ? &stage->realtime
                                                                              : &stage->ordinary;

        flow->current = r;
        flow->chunk = 0;
        n++;
    }
    return n;
}

/* A read into a mapping has failed for want of memory that the kernel can write to. A GPU's own
 * memory, behind a bus, takes the copy of a buffered read but no transfer by the disk. */
static void mapping_refused(struct submit_stage *stage, struct chunk *chunk)
{
    bool *refused = chunk->direct ? &stage->mapped_not_direct : &stage->mapped_not_at_all;

    if (!*refused)
        host_log(stage->host, DS_LOG_WARNING,
                 "gpu_mapped: EFAULT on a %s read; from now on these go by way of staging%s",
                 chunk->direct ? "direct" : "buffered",
                 chunk->direct ? " (DS_DIRECT_OFF: through the page cache, straight into it)"
                               : "; is it mapped, and writable?");
    *refused = true;
    if (stage->again != NULL)
        chunk_group_link(chunk, stage->again);
    else
        chunk->group_next = 0;
    stage->again = chunk;
}

static uint32_t again_run(struct submit_stage *stage, uint64_t now_ns)
{
    uint32_t n = 0;

    while (stage->again != NULL) {
        struct chunk *chunk = stage->again, *next = chunk_group_next(chunk);

        if (!split_again(stage, chunk, now_ns))
            break;
        stage->again = next;
        n++;
    }
    return n;
}

static void chunk_reclaim(struct submit_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct request *r = chunk->request;

    if (chunk->state == CHUNK_FREE) {
        if (chunk->arena_unit != CHUNK_NO_ARENA) {
            join_returned(&stage->join, chunk);
            arena_give(&stage->arena, chunk->arena_unit);
        }
        if (chunk->ordinary)
            window_ordinary_end(&stage->window, chunk_window_bytes(chunk));
        else if (chunk->timed)
            window_realtime_end(&stage->window, &stage->transfers[chunk - stage->chunks], now_ns);
        stage->free_chunks[stage->free_chunks_n++] = chunk;
        return;
    }
    chunk_advance(chunk, CHUNK_DONE_COPY, CHUNK_FREE);
    chunk->io_done = 0;
    if (chunk->kind == CHUNK_AGAIN) {
        mapping_refused(stage, chunk);
        return;
    }
    if (chunk->kind == CHUNK_NOTICE) {
        /* A flush whose turn has come: everything before it is complete. */
        DS_ASSERT(r->kind == REQUEST_FLUSH);
        chunk->kind = CHUNK_FLUSH;
        chunk->file_offset = r->offset;
        chunk->io_bytes = 1; /* a transfer that is over with any answer but an error */
        if (r->status != DS_STATUS_OK) /* its file is closed */
            chunk_fail(chunk, r->status, 0);
    } else {
        /* The second lap of a write from a GPU buffer: its bytes are in staging, or it failed. */
        DS_ASSERT(chunk->kind == CHUNK_DOWNLOAD);
        chunk->kind = CHUNK_WRITE;
        chunk->file_offset = r->offset + chunk->request_offset;
        chunk->io_bytes = chunk->payload_bytes;
    }
    submit_send(stage, chunk, now_ns);
}

static uint32_t submit_reclaim(struct submit_stage *stage, uint64_t now_ns)
{
    struct chunk *chunks[SUBMIT_BURST];
    uint32_t total = 0, n;

    do {
        n = ring_pop_n_sc(&stage->returned, (void **)chunks, SUBMIT_BURST);
        ahead_chunks_begin(chunks, n);
        for (uint32_t i = 0; i < n; i++) {
            ahead_chunks_next(chunks, n, i);
            chunk_reclaim(stage, chunks[i], now_ns);
        }
        total += n;
    } while (n == SUBMIT_BURST);
    return total;
}

/* Nothing of the queue is left in the stages. `completed` is the complete stage's last touch. */
static bool queue_at_rest(struct ds_queue *queue)
{
    /* acquire: pairs with the release in the complete stage */
    return intake_pending(&queue->intake) == 0 && queue->popped_at == queue->popped_n &&
           atomic_load_explicit(&queue->completed, memory_order_acquire) ==
               atomic_load_explicit(&queue->begun, memory_order_relaxed);
}

/* Lets go of closing queues that are at rest. */
static void submit_detach(struct submit_stage *stage)
{
    uint64_t closing = stage->closing;

    while (closing != 0) {
        uint32_t index = (uint32_t)__builtin_ctzll(closing);
        struct ds_queue *queue = queue_at(stage, index);

        closing &= closing - 1;
        if (!queue_at_rest(queue))
            continue;
        stage->closing &= ~((uint64_t)1 << index);
        stage->pending &= ~((uint64_t)1 << index);
        schedule_remove(&stage->schedule, index);
        atomic_store_explicit(&stage->queues[index], NULL, memory_order_relaxed);
        /* release: our last touch of the queue; pairs with the acquire in ds_queue_destroy */
        atomic_store_explicit(&queue->detached, true, memory_order_release);
        event_signal(&stage->detached);
    }
}

static bool detach_is_due(struct submit_stage *stage)
{
    for (uint64_t closing = stage->closing; closing != 0; closing &= closing - 1) {
        if (queue_at_rest(queue_at(stage, (uint32_t)__builtin_ctzll(closing))))
            return true;
    }
    return false;
}

/* seq_cst: marks of files are read after it; pairs with the load in submit_settle. */
static void turn_begin(struct submit_stage *stage)
{
    uint32_t turn = atomic_load_explicit(&stage->turn, memory_order_relaxed);

    atomic_store_explicit(&stage->turn, turn + 1, memory_order_seq_cst);
}

/* release: what was begun; pairs with the loads in submit_settle */
static void turn_end(struct submit_stage *stage)
{
    uint32_t turn = atomic_load_explicit(&stage->turn, memory_order_relaxed);

    atomic_store_explicit(&stage->turn, turn + 1, memory_order_release);
}

void submit_settle(const struct submit_stage *stage)
{
    uint32_t turn = atomic_load_explicit(&stage->turn, memory_order_seq_cst);

    while (turn % 2 != 0 && atomic_load_explicit(&stage->turn, memory_order_acquire) == turn)
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_LOOK_NS}, NULL);
}

static uint32_t submit_work(void *self, uint64_t now_ns)
{
    struct submit_stage *stage = self;
    uint64_t realtime = schedule_members(&stage->schedule, DS_PRIORITY_REALTIME);
    uint32_t moved;

    turn_begin(stage);
    moved = submit_reclaim(stage, now_ns);
    ready_take(stage);
    moved += again_run(stage, now_ns);
    /* Credit that a chunk waits for which is under way already must not go to others. */
    if (LIKELY(stage->again == NULL)) {
        moved += blocked_run(stage, now_ns);
        moved += flow_run(stage, &stage->realtime, realtime, now_ns);
    }
    /* Nor what a REALTIME request waits for: one with a codec may need most of the arena. */
    if (LIKELY(stage->again == NULL) && !stage->realtime.starved)
        moved += flow_run(stage, &stage->ordinary, ~realtime, now_ns);
    for (uint32_t i = 0; i < stage->lanes_n; i++)
        submit_lane_flush(stage, &stage->lanes[i]);
    credit_account(stage);
    if (stage->closing != 0)
        submit_detach(stage);
    turn_end(stage);
    return moved;
}

/* The complete stage was stopped before this one, and may have given credit after our last turn. */
static void submit_stop(void *self)
{
    struct submit_stage *stage = self;

    submit_reclaim(stage, 0);
    DS_ASSERT(stage->free_chunks_n == stage->chunks_max && stage->arena.used_n == 0);
}

static enum stage_wait submit_waiting(void *self)
{
    const struct submit_stage *stage = self;

    if (stage->again != NULL)
        return STAGE_WAIT_CREDIT;
    if (stage->ordinary.starved && stage->window.quiet)
        return STAGE_WAIT_POLL; /* held back for a time that nobody tells the end of */
    if (stage->realtime.starved || stage->ordinary.starved)
        return STAGE_WAIT_CREDIT;
    return stage->blocked.first != NULL ? STAGE_WAIT_POLL : STAGE_IDLE;
}

static bool flow_is_ready(const struct submit_stage *stage, const struct submit_flow *flow,
                          uint64_t set)
{
    return !flow->starved && (flow->current != NULL || (stage->pending & set) != 0);
}

static bool submit_ready(void *self)
{
    struct submit_stage *stage = self;
    uint64_t realtime = schedule_members(&stage->schedule, DS_PRIORITY_REALTIME);

    if (stage->again != NULL) /* it waits for credit, and all others for it */
        return ring_count(&stage->returned) > 0;
    return ring_count(&stage->returned) > 0 || detach_is_due(stage) ||
           atomic_load_explicit(&stage->ready, memory_order_relaxed) != 0 ||
           flow_is_ready(stage, &stage->realtime, realtime) ||
           (!stage->realtime.starved && flow_is_ready(stage, &stage->ordinary, ~realtime));
}

const struct stage_ops submit_stage_ops = {
    .name = "submit",
    .work = submit_work,
    .waiting = submit_waiting,
    .ready = submit_ready,
    .stop = submit_stop,
};
