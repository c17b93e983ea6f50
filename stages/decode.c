/* Handing chunks out to be decoded, and taking them back. */
#include "stages/decode.h"

#include "engine/hist.h"
#include "engine/queue.h"

#include <errno.h>
#include <string.h>

/* Chunks that go to the application or come from it in one turn, at most. */
#define CUSTOM_TURN_MAX 256u

static int stage_alloc(struct decode_stage *stage)
{
    const struct decode_config *c = &stage->config;
    uint32_t queued = round_up_power_of_two(c->chunks_max);
    int rc = 0;

    stage->jobs = host_calloc(c->host, DECODE_JOBS, sizeof(*stage->jobs));
    if (stage->jobs == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < DECODE_CLASSES; i++) {
        stage->waiting[i].mask = queued - 1;
        stage->waiting[i].chunks = host_calloc(c->host, queued, sizeof(struct chunk *));
        if (stage->waiting[i].chunks == NULL)
            return -ENOMEM;
    }
    for (uint32_t i = 0; rc == 0 && i < c->lanes; i++)
        rc = ring_open(&stage->in[i], c->host, c->chunks_max);
    return rc;
}

int decode_open(struct decode_stage *stage, const struct decode_config *config)
{
    int rc;

    DS_ASSERT(config->lanes >= 1 && config->lanes <= DECODE_LANES_MAX);
    memset(stage, 0, sizeof(*stage));
    stage->config = *config;
    stage->config.helps = config->helps || config->threads == 0;
    rc = stage_alloc(stage);
    if (rc == 0)
        rc = decode_hand_open(&stage->hand, config->host);
    if (rc == 0)
        rc = decode_custom_open(&stage->custom, &config->custom);
    if (rc == 0)
        rc = decode_pool_open(&stage->pool, config->host, config->event, config->threads);
    if (rc != 0) {
        decode_close(stage);
        return rc;
    }
    decode_balance_open(&stage->balance, &config->balance, config->gpu_batch_ns,
                        config->threads + stage->config.helps);
    for (uint32_t i = DECODE_JOBS; i-- > 0;) {
        stage->jobs[i].index = i;
        stage->free_jobs[stage->free_n++] = &stage->jobs[i];
    }
    return 0;
}

void decode_close(struct decode_stage *stage)
{
    const struct host *host = stage->config.host;

    if (host == NULL)
        return;
    DS_ASSERT(stage->free_n == 0 || stage->free_n == DECODE_JOBS);
    decode_pool_close(&stage->pool);
    decode_custom_close(&stage->custom);
    decode_hand_close(&stage->hand);
    for (uint32_t i = 0; i < stage->config.lanes; i++) {
        if (stage->in[i].slots != NULL)
            ring_close(&stage->in[i], host);
    }
    for (uint32_t i = 0; i < DECODE_CLASSES; i++)
        host_free(host, stage->waiting[i].chunks,
                  (stage->waiting[i].mask + 1) * sizeof(struct chunk *));
    host_free(host, stage->jobs, DECODE_JOBS * sizeof(*stage->jobs));
    stage->config.host = NULL;
}

static void done_flush(struct decode_stage *stage)
{
    if (stage->done_n == 0)
        return;
    ring_push_n_sp(stage->config.out, (void *const *)stage->done, stage->done_n);
    if (stage->config.copy_event != NULL)
        event_signal(stage->config.copy_event);
    STAT_ADD(stage->stats.counters.batches, 1);
    stage->done_n = 0;
}

/* The chunk goes on to copy: decoded, failed or cancelled. */
static void chunk_pass_on(struct decode_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct ds_stage_counters *c = &stage->stats.counters;

    hist_record(&stage->stats.latency_ns,
                now_ns > chunk->entered_ns ? now_ns - chunk->entered_ns : 0);
    chunk->entered_ns = now_ns;
    STAT_ADD(c->items, 1);
    if (chunk->status == DS_STATUS_OK)
        STAT_ADD(c->bytes, chunk->payload_bytes);
    else if (chunk->status == DS_STATUS_DECOMPRESSION)
        STAT_ADD(c->errors, 1);
    chunk_advance(chunk, CHUNK_IN_DECODE, CHUNK_DONE_READ);
    stage->done[stage->done_n++] = chunk;
    if (stage->done_n == DECODE_BURST)
        done_flush(stage);
}

static enum decode_class chunk_class(const struct chunk *chunk)
{
    return chunk->ordinary ? DECODE_ORDINARY : DECODE_REALTIME;
}

/* The GPU decodes it, and its bytes are where the GPU reads them. */
static void chunk_leave(struct decode_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    if (request_is_cancelled(chunk->request))
        chunk_fail(chunk, DS_STATUS_CANCELLED, 0);
    else
        packed_hand_to_gpu(chunk, stage->config.host);
    chunk_pass_on(stage, chunk, now_ns);
}

/* One that may go either way: where is it done sooner? Of the application's threads, where they
 * would decode it (DS_DECODE_APPLICATION), nothing is known: there the GPU has it. */
static void chunk_choose(struct decode_stage *stage, const struct chunk *chunk)
{
    struct request *r = chunk->request;

    if (decode_custom_wants(&stage->custom, r) ||
        decode_balance_to_gpu(&stage->balance, chunk, chunk_class(chunk)))
        r->special |= SPECIAL_ON_GPU;
}

/* It is decoded by the stage's threads, or staged by them for the GPU: once there is a job. */
static void chunk_queue(struct decode_stage *stage, struct chunk *chunk)
{
    enum decode_class class = chunk_class(chunk);
    struct decode_queue *queue = &stage->waiting[class];

    DS_ASSERT(queue->tail - queue->head <= queue->mask);
    queue->chunks[queue->tail++ & queue->mask] = chunk;
    decode_balance_queue(&stage->balance, chunk, class);
}

static void chunk_accept(struct decode_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct request *r = chunk->request;

    chunk_advance(chunk, CHUNK_DONE_READ, CHUNK_IN_DECODE);
    if (request_goes_either_way(r))
        chunk_choose(stage, chunk);
    if (request_on_gpu(r) && r->source == NULL)
        chunk_leave(stage, chunk, now_ns);
    else if (!decode_custom_wants(&stage->custom, r))
        chunk_queue(stage, chunk);
    else if (!decode_custom_offer(&stage->custom, chunk))
        chunk_pass_on(stage, chunk, now_ns);
}

static uint32_t lane_accept(struct decode_stage *stage, struct ring *in, uint64_t now_ns)
{
    struct chunk *chunks[DECODE_BURST];
    uint32_t n;

    STAT_MAX(stage->stats.counters.ring_high_water, ring_count(in));
    n = ring_pop_n_sc(in, (void **)chunks, DECODE_BURST);
    for (uint32_t i = 0; i < n; i++)
        chunk_accept(stage, chunks[i], now_ns);
    return n;
}

static uint32_t accept(struct decode_stage *stage, uint64_t now_ns)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < stage->config.lanes; i++) {
        if (ring_count(&stage->in[i]) > 0)
            n += lane_accept(stage, &stage->in[i], now_ns);
    }
    return n;
}

/* What chunk_queue has taken leaves. */
static void chunk_end(struct decode_stage *stage, struct chunk *chunk, enum decode_class class,
                      uint64_t now_ns)
{
    decode_balance_end(&stage->balance, chunk, class);
    chunk_pass_on(stage, chunk, now_ns);
}

/* Begins to decode a chunk, unless there is nothing to decode. */
static void chunk_start(struct decode_stage *stage, struct chunk *chunk, enum decode_class class,
                        uint64_t now_ns)
{
    struct decode_job *job = stage->free_jobs[stage->free_n - 1];
    enum ds_codec_error error;

    if (request_is_cancelled(chunk->request)) {
        chunk_fail(chunk, DS_STATUS_CANCELLED, 0);
        chunk_end(stage, chunk, class, now_ns);
        return;
    }
    error = decode_job_begin(job, chunk, decode_pool_tickets(&stage->pool));
    if (error != DS_CODEC_ERROR_NONE) {
        packed_fail(chunk, stage->config.host, error, 0);
        chunk_end(stage, chunk, class, now_ns);
        return;
    }
    stage->free_n--;
    decode_balance_job_begin(&stage->balance, job, now_ns);
    decode_pool_push(&stage->pool, class, job);
    STAT_MAX(stage->stats.counters.device_high_water, DECODE_JOBS - stage->free_n);
}

/* Bounded by the jobs, and by one burst. */
static uint32_t start(struct decode_stage *stage, enum decode_class class, uint64_t now_ns)
{
    struct decode_queue *queue = &stage->waiting[class];
    uint32_t keep = class == DECODE_ORDINARY ? DECODE_JOBS_REALTIME : 0;
    uint32_t n = 0;

    for (; queue->head != queue->tail && stage->free_n > keep && n < DECODE_BURST; n++)
        chunk_start(stage, queue->chunks[queue->head++ & queue->mask], class, now_ns);
    return n;
}

static uint32_t collect(struct decode_stage *stage, uint64_t now_ns)
{
    uint32_t n = 0;

    if (stage->free_n == DECODE_JOBS)
        return 0;
    for (uint32_t word = 0; word < DECODE_WORDS; word++) {
        for (uint64_t bits = decode_pool_finished(&stage->pool, word); bits != 0;
             bits &= bits - 1) {
            struct decode_job *job = &stage->jobs[word * 64 + (uint32_t)__builtin_ctzll(bits)];
            struct chunk *chunk = job->chunk;

            decode_job_end(job, stage->config.host);
            decode_balance_job_end(&stage->balance, job, chunk, now_ns);
            stage->free_jobs[stage->free_n++] = job;
            chunk_end(stage, chunk, chunk_class(chunk), now_ns);
            n++;
        }
    }
    return n;
}

/* What goes to the application and comes from it. */
static uint32_t custom_turn(struct decode_stage *stage, uint64_t now_ns)
{
    struct decode_custom *custom = &stage->custom;
    struct chunk *chunk;
    uint32_t n;

    decode_custom_announce(custom);
    STAT_MAX(stage->stats.counters.device_high_water, decode_custom_out_n(custom));
    n = decode_custom_sweep(custom);
    for (; n < CUSTOM_TURN_MAX && (chunk = decode_custom_collect(custom)) != NULL; n++)
        chunk_pass_on(stage, chunk, now_ns);
    return n;
}

static uint32_t decode_work(void *self, uint64_t now_ns)
{
    struct decode_stage *stage = self;
    uint32_t moved = accept(stage, now_ns);

    moved += custom_turn(stage, now_ns);
    moved += collect(stage, now_ns);
    for (uint32_t class = 0; class < DECODE_CLASSES; class++)
        moved += start(stage, (enum decode_class)class, now_ns);
    if (stage->config.helps && stage->free_n < DECODE_JOBS)
        moved += decode_pool_step(&stage->pool, &stage->hand);
    done_flush(stage);
    return moved;
}

static enum stage_wait decode_waiting(void *self)
{
    const struct decode_stage *stage = self;

    return stage->free_n < DECODE_JOBS || decode_custom_out_n(&stage->custom) > 0
               ? STAGE_WAIT_DEVICE
               : STAGE_IDLE;
}

static bool decode_ready(void *self)
{
    const struct decode_stage *stage = self;

    for (uint32_t i = 0; i < stage->config.lanes; i++) {
        if (ring_count(&stage->in[i]) > 0)
            return true;
    }
    return (stage->free_n < DECODE_JOBS && decode_pool_pending(&stage->pool)) ||
           decode_custom_pending(&stage->custom);
}

/* There is no device to sleep on: the threads signal the worker's event. But a worker whose other
 * stages sleep on theirs must know that something else may end first. */
static bool decode_park(void *self, uint64_t timeout_ns)
{
    (void)self;
    (void)timeout_ns;
    return false;
}

static void decode_stop(void *self)
{
    const struct decode_stage *stage = self;

    DS_ASSERT(stage->free_n == DECODE_JOBS && decode_custom_out_n(&stage->custom) == 0);
}

const struct stage_ops decode_stage_ops = {
    .name = "decode",
    .work = decode_work,
    .waiting = decode_waiting,
    .ready = decode_ready,
    .park = decode_park,
    .stop = decode_stop,
};
