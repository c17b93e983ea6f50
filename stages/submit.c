/* Splitting requests into chunks, and handing out credit. */
#include "stages/submit.h"

#include "engine/clock.h"
#include "engine/file.h"
#include "engine/hist.h"

#include <errno.h>
#include <string.h>

/* Requests begun in one turn, at most: keeps a turn short when requests are tiny. */
#define SUBMIT_TURN_MAX 256
#define FD_DIRECT_ALIGN 4096u

int submit_open(struct submit_stage *stage, const struct submit_config *config)
{
    uint64_t units = config->staging->bytes / config->granularity_bytes;
    int rc;

    memset(stage, 0, sizeof(*stage));
    stage->host = config->host;
    stage->staging = config->staging;
    stage->unit_shift = (uint32_t)__builtin_ctz(config->granularity_bytes);
    stage->chunk_bytes = config->chunk_bytes;
    stage->chunks_max = config->chunks_max;
    stage->copies_data = config->copies_data;
    event_init(&stage->detached);
    rc = arena_open(&stage->arena, stage->host, (uint32_t)units);
    if (rc == 0)
        rc = ring_open(&stage->returned, stage->host, config->chunks_max);
    stage->chunks = host_calloc(stage->host, config->chunks_max, sizeof(*stage->chunks));
    stage->free_chunks = host_calloc(stage->host, config->chunks_max, sizeof(struct chunk *));
    if (rc != 0 || stage->chunks == NULL || stage->free_chunks == NULL) {
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
    arena_close(&stage->arena, stage->host);
    if (stage->returned.slots != NULL)
        ring_close(&stage->returned, stage->host);
    host_free(stage->host, stage->chunks, n * sizeof(*stage->chunks));
    host_free(stage->host, stage->free_chunks, n * sizeof(struct chunk *));
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
    /* release: pairs with the acquire in queue_at */
    atomic_store_explicit(&stage->queues[queue->index], queue, memory_order_release);
}

static struct ds_queue *queue_at(struct submit_stage *stage, uint32_t index)
{
    return atomic_load_explicit(&stage->queues[index], memory_order_acquire);
}

static void lane_flush(struct submit_stage *stage, struct submit_lane *lane)
{
    if (lane->burst_n == 0)
        return;
    ring_push_n_sp(lane->out, (void *const *)lane->burst, lane->burst_n);
    if (lane->event != NULL)
        event_signal(lane->event);
    STAT_ADD(stage->stats.counters.batches, 1);
    lane->burst_n = 0;
}

static void chunk_send(struct submit_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct submit_lane *lane = &stage->lanes[stage->next_lane];

    chunk_advance(chunk, CHUNK_FREE, CHUNK_READY);
    chunk->entered_ns = now_ns;
    lane->burst[lane->burst_n++] = chunk;
    if (lane->burst_n == SUBMIT_BURST)
        lane_flush(stage, lane);
    if (++stage->next_lane == stage->lanes_n)
        stage->next_lane = 0;
}

static void credit_account(struct submit_stage *stage)
{
    uint64_t used = (uint64_t)stage->arena.used_n << stage->unit_shift;

    __atomic_store_n(&stage->arena_used_bytes, used, __ATOMIC_RELAXED);
    STAT_MAX(stage->arena_high_water_bytes, used);
    __atomic_store_n(&stage->chunks_in_flight, (uint64_t)(stage->chunks_max - stage->free_chunks_n),
                     __ATOMIC_RELAXED);
}

/* Can this transfer use the O_DIRECT descriptor? `address` 0: staging memory. */
static bool direct_possible(const struct submit_stage *stage, const struct request *r,
                            uint64_t address, uint64_t offset, uint64_t bytes)
{
    uint32_t memory_align = FD_DIRECT_ALIGN, offset_align = FD_DIRECT_ALIGN;

    if (r->file != NULL) {
        if (!file_is_direct(r->file))
            return false;
        memory_align = r->file->memory_align;
        offset_align = r->file->offset_align;
    } else if (!r->fd_direct) {
        return false;
    }
    /* Chunks begin at multiples of chunk_bytes. */
    if (stage->chunk_bytes % offset_align != 0)
        return false;
    if (address == 0 ? memory_align > 1u << stage->unit_shift
                     : stage->chunk_bytes % memory_align != 0)
        return false;
    return address % memory_align == 0 && offset % offset_align == 0 && bytes % offset_align == 0;
}

static uint32_t direct_align(const struct request *r)
{
    return r->file != NULL ? r->file->offset_align : FD_DIRECT_ALIGN;
}

static void shape_read(const struct submit_stage *stage, struct request *r)
{
    uint64_t address = (uint64_t)(uintptr_t)r->host;

    r->in_place = r->host != NULL;
    if (direct_possible(stage, r, 0, 0, 0)) {
        r->direct = 1;
        r->align = direct_align(r);
        r->in_place = r->in_place && direct_possible(stage, r, address, r->offset, r->size);
    }
    r->in_place = r->in_place && stage->copies_data;
}

/* Chooses how the disk transfers of a request are shaped: through which descriptor, with which
 * alignment, and whether straight from or to the caller's host memory. Fixed here for all of its
 * chunks, since a file can turn buffered at any time. */
static void request_shape(const struct submit_stage *stage, struct request *r)
{
    r->direct = 0;
    r->align = 1;
    if (r->kind == REQUEST_READ) {
        shape_read(stage, r);
        return;
    }
    r->direct = direct_possible(stage, r, (uint64_t)(uintptr_t)r->host, r->offset, r->size);
    r->in_place = r->host != NULL;
}

/* Where the window of chunk 0 begins in the file. */
static uint64_t request_base(const struct request *r)
{
    return align_down_u64(r->offset, r->align);
}

/* Fills the disk and payload ranges of chunk number `index`: window [base + index * chunk_bytes,
 * + chunk_bytes) of the file, cut to the request. */
static void chunk_range(const struct submit_stage *stage, const struct request *r, uint32_t index,
                        struct chunk *chunk)
{
    uint64_t window = request_base(r) + (uint64_t)index * stage->chunk_bytes;
    uint64_t first = max_u64(window, r->offset);
    uint64_t last = min_u64(window + stage->chunk_bytes, r->offset + r->size);

    DS_ASSERT(first < last);
    chunk->file_offset = window;
    chunk->request_offset = first - r->offset;
    chunk->payload_bytes = (uint32_t)(last - first);
    chunk->io_bytes = (uint32_t)(align_up_u64(last, r->align) - window);
    DS_ASSERT(chunk->io_bytes <= stage->chunk_bytes);
}

static bool staging_take(struct submit_stage *stage, struct chunk *chunk)
{
    uint32_t units = (chunk->io_bytes + (1u << stage->unit_shift) - 1) >> stage->unit_shift;
    uint32_t unit = arena_take(&stage->arena, units);

    if (unit == ARENA_NONE)
        return false;
    chunk->arena_unit = unit;
    chunk->memory = stage->staging->memory + ((uint64_t)unit << stage->unit_shift);
    return true;
}

/* Makes and sends the next chunk of the current request. False: no credit now. */
static bool chunk_make(struct submit_stage *stage, uint64_t now_ns)
{
    struct request *r = stage->current;
    uint8_t status = __atomic_load_n(&r->status, __ATOMIC_RELAXED);
    struct chunk *chunk;

    if (stage->free_chunks_n == 0)
        return false;
    chunk = stage->free_chunks[stage->free_chunks_n - 1];
    DS_ASSERT(chunk->state == CHUNK_FREE);
    chunk->request = r;
    chunk->io_done = 0;
    chunk->arena_unit = CHUNK_NO_ARENA;
    chunk->status = DS_STATUS_OK;
    chunk->error = 0;
    chunk->direct = r->direct;
    chunk->kind = r->kind == REQUEST_READ ? CHUNK_READ
                  : r->host != NULL       ? CHUNK_WRITE
                                          : CHUNK_DOWNLOAD;
    /* Refused at its begin, or an earlier chunk has failed meanwhile: the rest need not be moved. */
    if (status != DS_STATUS_OK) {
        chunk_fail(chunk, status, 0);
        chunk->payload_bytes = 0;
        stage->free_chunks_n--;
        chunk_send(stage, chunk, now_ns);
        return true;
    }
    chunk_range(stage, r, stage->current_chunk, chunk);
    if (r->in_place)
        chunk->memory = r->host + chunk->request_offset;
    else if (!staging_take(stage, chunk))
        return false;
    stage->free_chunks_n--;
    STAT_ADD(stage->stats.counters.bytes, chunk->payload_bytes);
    chunk_send(stage, chunk, now_ns);
    return true;
}

/* A signal travels as a chunk without data. */
static bool signal_make(struct submit_stage *stage, uint64_t now_ns)
{
    struct request *r = stage->current;
    struct chunk *chunk;

    if (stage->free_chunks_n == 0)
        return false;
    chunk = stage->free_chunks[--stage->free_chunks_n];
    DS_ASSERT(chunk->state == CHUNK_FREE);
    *chunk = (struct chunk){
        .request = r,
        .kind = CHUNK_SIGNAL,
        .arena_unit = CHUNK_NO_ARENA,
        .io_bytes = r->queue->epoch_requests,
    };
    r->queue->epoch_requests = 0;
    r->queue->epoch++;
    chunk_send(stage, chunk, now_ns);
    return true;
}

/* Counts the request for its file, unless that is being closed. The order of the two accesses, and
 * of the two in ds_file_close, makes sure that either we see the mark or the closer our count. */
static bool file_begin(struct ds_file *file)
{
    atomic_fetch_add_explicit(&file->begun, 1, memory_order_seq_cst);
    return !atomic_load_explicit(&file->closed, memory_order_seq_cst);
}

static void request_begin(struct submit_stage *stage, struct request *r, uint64_t now_ns)
{
    struct ds_queue *queue = r->queue;
    uint64_t waited_ns = now_ns > r->enqueued_ns ? now_ns - r->enqueued_ns : 0;

    hist_record(&stage->stats.latency_ns, waited_ns);
    r->epoch = queue->epoch;
    r->bytes_done = 0; /* the intake used its place */
    if (r->kind != REQUEST_SIGNAL)
        queue->epoch_requests++;
    if (r->file != NULL && !file_begin(r->file))
        r->status = DS_STATUS_FILE_CLOSED;
    if (r->kind == REQUEST_SIGNAL || r->status != DS_STATUS_OK) {
        r->chunks_total = 1; /* one that carries no data */
    } else {
        uint64_t span, chunks;

        request_shape(stage, r);
        span = r->offset + r->size - request_base(r);
        chunks = (span + stage->chunk_bytes - 1) / stage->chunk_bytes;
        DS_ASSERT(chunks <= UINT32_MAX);
        r->chunks_total = (uint32_t)chunks;
    }
    STAT_ADD(stage->begun, 1);
    STAT_ADD(stage->stats.counters.items, 1);
    atomic_store_explicit(&queue->begun,
                          atomic_load_explicit(&queue->begun, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    stage->current = r;
    stage->current_chunk = 0;
}

/* Sends the chunks of the current request. False: starved. */
static bool request_continue(struct submit_stage *stage, uint64_t now_ns)
{
    struct request *r = stage->current;

    while (stage->current_chunk < r->chunks_total) {
        bool made = r->kind == REQUEST_SIGNAL ? signal_make(stage, now_ns)
                                              : chunk_make(stage, now_ns);

        if (!made)
            return false;
        stage->current_chunk++;
    }
    stage->current = NULL;
    return true;
}

/* Refills `requests` from the next queue that has something, round robin. */
static bool requests_refill(struct submit_stage *stage)
{
    if (atomic_load_explicit(&stage->ready, memory_order_relaxed) != 0) {
        /* acquire: pairs with the release in ds_queue_submit */
        stage->pending |= atomic_exchange_explicit(&stage->ready, 0, memory_order_acquire);
    }
    while (stage->pending != 0) {
        uint64_t from = stage->pending & (~(uint64_t)0 << stage->next_queue);
        uint32_t index = (uint32_t)__builtin_ctzll(from != 0 ? from : stage->pending);
        struct ds_queue *queue = queue_at(stage, index);
        uint32_t n = queue != NULL ? intake_pop(&queue->intake, stage->requests, SUBMIT_BURST) : 0;

        if (queue != NULL && atomic_load_explicit(&queue->closing, memory_order_acquire))
            stage->closing |= (uint64_t)1 << index;
        if (n < SUBMIT_BURST)
            stage->pending &= ~((uint64_t)1 << index);
        stage->next_queue = (index + 1) % QUEUES_MAX;
        if (n > 0) {
            STAT_MAX(stage->stats.counters.ring_high_water,
                     n + intake_pending(&queue->intake));
            stage->requests_n = n;
            stage->requests_at = 0;
            return true;
        }
    }
    return false;
}

static struct request *request_next(struct submit_stage *stage)
{
    if (stage->requests_at == stage->requests_n && !requests_refill(stage))
        return NULL;
    return stage->requests[stage->requests_at++];
}

static void chunk_reclaim(struct submit_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct request *r = chunk->request;

    if (chunk->state == CHUNK_FREE) {
        if (chunk->arena_unit != CHUNK_NO_ARENA)
            arena_give(&stage->arena, chunk->arena_unit);
        stage->free_chunks[stage->free_chunks_n++] = chunk;
        return;
    }
    /* The second lap of a write from a GPU buffer: its bytes are in staging now, or it failed. */
    chunk_advance(chunk, CHUNK_DONE_COPY, CHUNK_FREE);
    DS_ASSERT(chunk->kind == CHUNK_DOWNLOAD);
    chunk->kind = CHUNK_WRITE;
    chunk->file_offset = r->offset + chunk->request_offset;
    chunk->io_bytes = chunk->payload_bytes;
    chunk->io_done = 0;
    chunk_send(stage, chunk, now_ns);
}

static uint32_t submit_reclaim(struct submit_stage *stage, uint64_t now_ns)
{
    struct chunk *chunks[SUBMIT_BURST];
    uint32_t total = 0, n;

    do {
        n = ring_pop_n_sc(&stage->returned, (void **)chunks, SUBMIT_BURST);
        for (uint32_t i = 0; i < n; i++)
            chunk_reclaim(stage, chunks[i], now_ns);
        total += n;
    } while (n == SUBMIT_BURST);
    return total;
}

/* Lets go of closing queues that are at rest. `completed` is the complete stage's last touch. */
static void submit_detach(struct submit_stage *stage)
{
    uint64_t closing = stage->closing;

    while (closing != 0) {
        uint32_t index = (uint32_t)__builtin_ctzll(closing);
        struct ds_queue *queue = queue_at(stage, index);

        closing &= closing - 1;
        /* acquire: pairs with the release in the complete stage */
        if (intake_pending(&queue->intake) > 0 ||
            atomic_load_explicit(&queue->completed, memory_order_acquire) !=
                atomic_load_explicit(&queue->begun, memory_order_relaxed))
            continue;
        stage->closing &= ~((uint64_t)1 << index);
        stage->pending &= ~((uint64_t)1 << index);
        atomic_store_explicit(&stage->queues[index], NULL, memory_order_relaxed);
        /* release: our last touch of the queue; pairs with the acquire in ds_queue_destroy */
        atomic_store_explicit(&queue->detached, true, memory_order_release);
        event_signal(&stage->detached);
    }
}

static uint32_t submit_work(void *self, uint64_t now_ns)
{
    struct submit_stage *stage = self;
    uint32_t moved = submit_reclaim(stage, now_ns);
    uint32_t begun = 0;

    stage->starved = stage->current != NULL && !request_continue(stage, now_ns);
    while (!stage->starved && begun < SUBMIT_TURN_MAX) {
        struct request *r = request_next(stage);

        if (r == NULL)
            break;
        request_begin(stage, r, now_ns);
        stage->starved = !request_continue(stage, now_ns);
        begun++;
    }
    for (uint32_t i = 0; i < stage->lanes_n; i++)
        lane_flush(stage, &stage->lanes[i]);
    credit_account(stage);
    if (stage->closing != 0 && stage->current == NULL && stage->requests_at == stage->requests_n)
        submit_detach(stage);
    return moved + begun;
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

    return stage->starved ? STAGE_WAIT_CREDIT : STAGE_IDLE;
}

static bool submit_ready(void *self)
{
    struct submit_stage *stage = self;

    if (ring_count(&stage->returned) > 0)
        return true;
    return !stage->starved && (stage->pending != 0 || stage->current != NULL ||
                               stage->requests_at != stage->requests_n ||
                               atomic_load_explicit(&stage->ready, memory_order_relaxed) != 0);
}

const struct stage_ops submit_stage_ops = {
    .name = "submit",
    .work = submit_work,
    .waiting = submit_waiting,
    .ready = submit_ready,
    .stop = submit_stop,
};
