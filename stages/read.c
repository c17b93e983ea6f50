/* The read stage: what happens to a chunk between its pop from the submit stage and its push to the
 * copy stage, whichever back end moves the bytes. */
#include "stages/read.h"

#include "engine/ahead.h"
#include "engine/clock.h"
#include "engine/hist.h"
#include "engine/request.h"
#include "stages/read_group.h"
#include "stages/read_order.h"
#include "stages/read_settle.h"

#include <ds/queue.h>
#include <string.h>

/* Bounds of one turn. */
#define TURN_REAP_MAX 128
#define TURN_POP_MAX  128

/* The kernel prepares all entries of a call, one after the other, before the device hears of the
 * first; a device that has ended all it had, and told of it in one burst, is idle so long. So a
 * batch of that many direct transfers goes in pieces: one at once, and then with each call as many
 * times more, which are prepared sooner than the device has ended what came before. */
#define PIECES_FROM  16u
#define PIECE_FIRST  1u
#define PIECE_GROWTH 4u

struct turn {
    uint64_t now_ns;
    struct tally tally;
    uint32_t finished_n, packed_n;
    struct chunk *finished[TURN_REAP_MAX + TURN_POP_MAX];
    struct chunk *packed[TURN_REAP_MAX + TURN_POP_MAX]; /* finished, and to be decoded */
};

static void hand_on(struct read_stage *stage, struct turn *turn);

int chunk_fd(const struct chunk *chunk)
{
    const struct request *request = chunk->request;

    if (request->file == NULL)
        return request->fd;
    return chunk->direct ? request->file->direct_fd : request->file->buffered_fd;
}

static bool needs_transfer(const struct chunk *chunk)
{
    return chunk->status == DS_STATUS_OK &&
           (chunk->kind == CHUNK_READ || chunk->kind == CHUNK_WRITE || chunk->kind == CHUNK_FLUSH);
}

static void waiting_push(struct read_stage *stage, struct chunk *chunk)
{
    uint32_t at = stage->waiting_head + stage->waiting_n;

    DS_ASSERT(stage->waiting_n < stage->depth);
    stage->waiting[at < stage->depth ? at : at - stage->depth] = chunk;
    stage->waiting_n++;
}

static void waiting_pop(struct read_stage *stage, uint32_t n)
{
    DS_ASSERT(stage->waiting_n >= n);
    stage->waiting_n -= n;
    stage->waiting_head += n;
    if (stage->waiting_head >= stage->depth)
        stage->waiting_head -= stage->depth;
}

static void finish(struct read_stage *stage, struct turn *turn, struct chunk *chunk)
{
    uint64_t entered_ns = chunk->entered_ns;

    chunk_advance(chunk, CHUNK_IN_READ, CHUNK_DONE_READ);
    /* it may have entered after this turn read the clock */
    tally_add(&stage->stats, &turn->tally,
              turn->now_ns > entered_ns ? turn->now_ns - entered_ns : 0,
              needs_transfer(chunk) ? chunk->payload_bytes : 0);
    chunk->entered_ns = turn->now_ns;
    if (chunk->packed && chunk->status == DS_STATUS_OK)
        turn->packed[turn->packed_n++] = chunk;
    else
        turn->finished[turn->finished_n++] = chunk;
    if (turn->finished_n + turn->packed_n == ARRAY_LENGTH(turn->finished))
        hand_on(stage, turn); /* many have shared few transfers */
}

static void reap_chunk(struct read_stage *stage, struct turn *turn, struct chunk *chunk,
                       int64_t result)
{
    stage->in_flight--;
    if (read_settle(stage, chunk, result))
        finish(stage, turn, chunk);
    else
        waiting_push(stage, chunk);
}

/* A chunk behind the place where its transfer ended has had no answer yet. */
static void reap_again(struct read_stage *stage, struct chunk *chunk)
{
    stage->in_flight--;
    STAT_ADD(stage->stats.counters.retries, 1);
    waiting_push(stage, chunk);
}

/* Gives each chunk of a shared transfer its part of the result. Bytes go to the first ones; none at
 * all is the end of the file, for all of them. An error may be the fault of any one's memory or
 * block, so that each is asked for it alone. */
static void reap_group(struct read_stage *stage, struct turn *turn, struct chunk *first,
                       int64_t result)
{
    bool ended = result == 0;

    for (struct chunk *chunk = first, *next; chunk != NULL; chunk = next) {
        uint32_t part = result > 0 ? (uint32_t)min_u64((uint64_t)result, chunk->io_bytes) : 0;

        next = chunk_group_next(chunk);
        chunk->group_next = 0;
        chunk->alone = result < 0;
        if (part > 0 || ended)
            reap_chunk(stage, turn, chunk, part);
        else
            reap_again(stage, chunk);
        result -= part;
    }
}

static void reap_one(struct read_stage *stage, struct turn *turn,
                     const struct read_completion *done)
{
    stage->transfers--;
    if (done->chunk->group_next != 0)
        reap_group(stage, turn, done->chunk, done->result);
    else
        reap_chunk(stage, turn, done->chunk, done->result);
}

static uint32_t reap(struct read_stage *stage, struct turn *turn)
{
    struct read_completion done[TURN_REAP_MAX];
    uint32_t n;

    if (stage->in_flight == 0)
        return 0;
    n = stage->backend->reap(stage->backend_self, done, TURN_REAP_MAX);
    DS_ASSERT(n <= stage->transfers);
    for (uint32_t i = 0; i < n; i++)
        reap_one(stage, turn, &done[i]);
    return n;
}

/* accept takes new chunks. Those with nothing to transfer pass straight through. */
static uint32_t accept(struct read_stage *stage, struct turn *turn)
{
    struct chunk *chunks[TURN_POP_MAX];
    uint32_t room = stage->depth - stage->in_flight - stage->waiting_n;
    uint32_t queued = ring_count(&stage->in);
    bool cancels = stage->cancels == NULL ||
                   atomic_load_explicit(stage->cancels, memory_order_relaxed);
    uint32_t n;

    DS_ASSERT(room <= stage->depth);
    if (queued == 0)
        return 0;
    STAT_MAX(stage->stats.counters.ring_high_water, queued);
    n = ring_pop_n_sc(&stage->in, (void **)chunks, min_u32(room, TURN_POP_MAX));
    ahead_chunks_begin(chunks, n);
    for (uint32_t i = 0; i < n; i++) {
        ahead_chunks_next(chunks, n, i);
        chunk_advance(chunks[i], CHUNK_READY, CHUNK_IN_READ);
        if (cancels && request_is_cancelled(chunks[i]->request))
            chunk_fail(chunks[i], DS_STATUS_CANCELLED, 0);
        if (needs_transfer(chunks[i]))
            waiting_push(stage, chunks[i]);
        else
            finish(stage, turn, chunks[i]);
    }
    return n;
}

static struct chunk *waiting_at(const struct read_stage *stage, uint32_t index)
{
    uint32_t at = stage->waiting_head + index;

    return stage->waiting[at < stage->depth ? at : at - stage->depth];
}

/* Links the first waiting chunk with those behind it that can share its transfer. Returns how many
 * they are together. */
static uint32_t group_gather(struct read_stage *stage)
{
    struct chunk *last = waiting_at(stage, 0);
    uint32_t bytes = last->io_bytes;
    uint32_t n = 1;

    if (!stage->backend->gathers || !group_allows(last))
        return 1;
    while (n < stage->waiting_n && n < CHUNK_GROUP_MAX) {
        struct chunk *next = waiting_at(stage, n);

        if (!group_continues(last, next) || bytes + next->io_bytes > CHUNK_GROUP_BYTES)
            break;
        chunk_group_link(last, next);
        bytes += next->io_bytes;
        last = next;
        n++;
    }
    return n;
}

static void group_dissolve(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk_group_next(chunk);

        chunk->group_next = 0;
        chunk = next;
    }
}

static void hand_over(struct read_stage *stage, uint32_t (*call)(void *self))
{
    if (call(stage->backend_self) > 0)
        STAT_ADD(stage->stats.counters.batches, 1);
}

/* How many transfers are handed over while others of the batch are still to be issued. */
static uint32_t piece_first(const struct read_stage *stage)
{
    if (stage->backend->push == NULL || stage->waiting_n < PIECES_FROM ||
        !waiting_at(stage, 0)->direct)
        return UINT32_MAX;
    return PIECE_FIRST;
}

static uint32_t issue(struct read_stage *stage)
{
    uint32_t piece = piece_first(stage);
    uint32_t moved = 0, fresh = 0;

    while (stage->waiting_n > 0) {
        struct chunk *chunk = waiting_at(stage, 0);
        uint32_t n = group_gather(stage);

        DS_ASSERT(chunk->io_done < chunk->io_bytes);
        if (!stage->backend->issue(stage->backend_self, chunk)) {
            group_dissolve(chunk);
            break;
        }
        waiting_pop(stage, n);
        stage->in_flight += n;
        stage->transfers++;
        moved += n;
        if (++fresh == piece) {
            hand_over(stage, stage->backend->push);
            fresh = 0;
            piece *= PIECE_GROWTH;
        }
    }
    DS_ASSERT(stage->in_flight <= stage->depth && stage->transfers <= stage->in_flight);
    STAT_MAX(stage->stats.counters.device_high_water, stage->transfers);
    if (stage->in_flight > 0)
        hand_over(stage, stage->backend->flush);
    return moved;
}

static void hand_on_packed(struct read_stage *stage, struct turn *turn)
{
    if (turn->packed_n == 0)
        return;
    ring_push_n_sp(stage->out_packed, (void **)turn->packed, turn->packed_n);
    if (stage->decode_event != NULL)
        event_signal(stage->decode_event);
    turn->packed_n = 0;
}

static void hand_on(struct read_stage *stage, struct turn *turn)
{
    tally_end(&stage->stats, &turn->tally);
    hand_on_packed(stage, turn);
    if (turn->finished_n == 0)
        return;
    ring_push_n_sp(stage->out, (void **)turn->finished, turn->finished_n);
    if (stage->copy_event != NULL)
        event_signal(stage->copy_event);
    turn->finished_n = 0;
}

/* The system call that hands over transfers also brings what has ended, so that it comes first:
 * chunks that wait for the next turn would wait for its system call, too, and their place in the
 * disk's queue would be empty so long. */
static uint32_t read_work(void *self, uint64_t now_ns)
{
    struct read_stage *stage = self;
    struct turn turn;
    uint32_t moved, issued;

    turn.now_ns = now_ns;
    turn.tally = (struct tally){.items = 0};
    turn.finished_n = 0;
    turn.packed_n = 0;
    moved = accept(stage, &turn);
    issued = issue(stage);
    if (issued > 0)
        turn.now_ns = clock_now_ns(); /* data that the kernel has is copied meanwhile */
    moved += issued + reap(stage, &turn);
    hand_on(stage, &turn);
    moved += read_order_serve(stage);
    return moved;
}

static enum stage_wait read_waiting(void *self)
{
    const struct read_stage *stage = self;

    return stage->in_flight + stage->waiting_n > 0 ? STAGE_WAIT_DEVICE : STAGE_IDLE;
}

static bool read_ready(void *self)
{
    struct read_stage *stage = self;
    uint32_t held = stage->in_flight + stage->waiting_n;

    if (held < stage->depth && ring_count(&stage->in) > 0)
        return true;
    if (stage->waiting_n > 0 && stage->in_flight == 0)
        return true;
    if (stage->in_flight > 0 && stage->backend->pending != NULL &&
        stage->backend->pending(stage->backend_self))
        return true;
    return read_order_waits(stage);
}

static bool read_park(void *self, uint64_t timeout_ns)
{
    struct read_stage *stage = self;

    if (stage->backend->park == NULL)
        return false;
    return stage->backend->park(stage->backend_self, timeout_ns);
}

static int read_start(void *self)
{
    struct read_stage *stage = self;

    return stage->backend->start(stage->backend_self, &stage->info);
}

static void read_stop(void *self)
{
    struct read_stage *stage = self;

    DS_ASSERT(stage->in_flight == 0);
    DS_ASSERT(stage->waiting_n == 0);
    DS_ASSERT(ring_count(&stage->in) == 0);
    stage->backend->stop(stage->backend_self);
}

const struct stage_ops read_stage_ops = {
    .name = "read",
    .start = read_start,
    .work = read_work,
    .waiting = read_waiting,
    .ready = read_ready,
    .park = read_park,
    .stop = read_stop,
};

int read_open(struct read_stage *stage, const struct read_backend_ops *backend,
              const struct read_backend_config *config, uint32_t chunks_max, struct ring *out)
{
    int rc;

    DS_ASSERT(config->depth > 0);
    memset(stage, 0, sizeof(*stage));
    stage->host = config->host;
    stage->backend = backend;
    stage->out = out;
    stage->depth = config->depth;
    stage->manual = config->manual;
    atomic_init(&stage->order, NULL);
    rc = ring_open(&stage->in, config->host, chunks_max);
    if (rc != 0)
        return rc;
    rc = -ENOMEM;
    stage->waiting = host_calloc(config->host, config->depth, sizeof(struct chunk *));
    if (stage->waiting != NULL)
        rc = backend->open(config, &stage->info, &stage->backend_self);
    if (rc != 0) {
        host_free(config->host, stage->waiting, config->depth * sizeof(struct chunk *));
        ring_close(&stage->in, config->host);
        return rc;
    }
    event_init(&stage->ordered);
    return 0;
}

void read_close(struct read_stage *stage, const struct host *host)
{
    stage->backend->close(stage->backend_self);
    event_fini(&stage->ordered);
    host_free(host, stage->waiting, stage->depth * sizeof(struct chunk *));
    ring_close(&stage->in, host);
}
