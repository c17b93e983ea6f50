/* The read stage: what happens to a chunk between its pop from the submit stage and its push to the
 * copy stage, whichever back end moves the bytes. Here alone are results judged: short transfers,
 * retries, the end of a file, and errno to status. */
#include "stages/read.h"

#include "engine/hist.h"
#include "engine/request.h"

#include <ds/queue.h>
#include <string.h>

/* Bounds of one turn. */
#define TURN_REAP_MAX 128
#define TURN_POP_MAX  128

/* What a raw O_DIRECT descriptor is taken to demand: nobody asked statx about it. */
#define RAW_DIRECT_ALIGN 4096

struct turn {
    uint64_t now_ns;
    struct tally tally;
    uint32_t finished_n, packed_n;
    struct chunk *finished[TURN_REAP_MAX + TURN_POP_MAX];
    struct chunk *packed[TURN_REAP_MAX + TURN_POP_MAX]; /* finished, and to be decoded */
};

int chunk_fd(const struct chunk *chunk)
{
    const struct request *request = chunk->request;

    if (request->file == NULL)
        return request->fd;
    return chunk->direct ? request->file->direct_fd : request->file->buffered_fd;
}

static uint32_t chunk_align(const struct chunk *chunk)
{
    const struct ds_file *file = chunk->request->file;

    if (!chunk->direct)
        return 1;
    return file != NULL ? file->offset_align : RAW_DIRECT_ALIGN;
}

/* Where in [0, io_bytes) the payload begins: after the bytes read for alignment only. */
static uint64_t payload_start(const struct chunk *chunk)
{
    return chunk->request->offset + chunk->request_offset - chunk->file_offset;
}

static bool needs_transfer(const struct chunk *chunk)
{
    return chunk->status == DS_STATUS_OK &&
           (chunk->kind == CHUNK_READ || chunk->kind == CHUNK_WRITE || chunk->kind == CHUNK_FLUSH);
}

static bool is_covered(const struct chunk *chunk)
{
    /* all of a write; of a read, the alignment's tail may lie beyond the end of the file */
    return chunk->io_done >= payload_start(chunk) + chunk->payload_bytes;
}

static enum ds_status status_from_errno(int error, bool is_write)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return DS_STATUS_NO_SPACE;
    case EROFS:
    case EBADF:
    case EPERM: /* an immutable file, a sealed memfd */
        return is_write ? DS_STATUS_READ_ONLY : DS_STATUS_IO_ERROR;
    case EFAULT:
        return DS_STATUS_ACCESS_VIOLATION;
    case ENOMEM:
        return DS_STATUS_NO_MEMORY;
    default:
        return DS_STATUS_IO_ERROR;
    }
}

static void fail(struct read_stage *stage, struct chunk *chunk, enum ds_status status, int error)
{
    chunk_fail(chunk, status, error);
    STAT_ADD(stage->stats.counters.errors, 1);
}

/* The settle_ functions judge one result. True: the chunk is finished, well or not. False: what is
 * left of it is to be issued again. */

static bool settle_end_of_file(struct read_stage *stage, struct chunk *chunk)
{
    uint64_t start = payload_start(chunk);

    if (chunk->kind == CHUNK_WRITE) {
        fail(stage, chunk, DS_STATUS_IO_ERROR, -EIO); /* a write that moves nothing */
    } else if ((chunk->request->flags & DS_REQUEST_ALLOW_SHORT) == 0) {
        fail(stage, chunk, DS_STATUS_END_OF_FILE, 0);
    } else {
        uint64_t came = chunk->io_done > start ? chunk->io_done - start : 0;

        chunk->payload_bytes = (uint32_t)min_u64(came, chunk->payload_bytes);
    }
    return true;
}

static bool settle_bytes(struct read_stage *stage, struct chunk *chunk, uint32_t bytes)
{
    uint32_t begin = chunk->io_done;
    uint32_t align = chunk_align(chunk);

    DS_ASSERT(bytes <= chunk->io_bytes - begin);
    chunk->io_done = begin + bytes;
    if (chunk->io_done == chunk->io_bytes && bytes > 0)
        return true; /* all of it, without a look at the request */
    if (is_covered(chunk))
        return true;
    if (bytes == 0)
        return settle_end_of_file(stage, chunk);
    if (chunk->io_done % align == 0)
        return false;
    /* A direct transfer that ended within a block: the end of the file, most likely. The page cache
     * knows, without going to the disk, and takes the rest if it is not. */
    if (chunk->request->file != NULL) {
        chunk->direct = 0;
        return false;
    }
    /* a raw descriptor has no such twin: read the block again, unless there is nothing new in it */
    chunk->io_done = (uint32_t)align_down_u64(chunk->io_done, align);
    if (chunk->io_done != begin)
        return false;
    chunk->io_done += bytes;
    return settle_end_of_file(stage, chunk);
}

static bool settle_refused_direct(struct read_stage *stage, struct chunk *chunk)
{
    struct ds_file *file = chunk->request->file;

    if (!atomic_exchange_explicit(&file->direct_refused, true, memory_order_relaxed))
        host_log(stage->host, DS_LOG_WARNING,
                 "%s: EINVAL on an aligned O_DIRECT transfer (memory %u, offset %u); "
                 "the file is buffered from now on",
                 stage->backend->name, file->memory_align, file->offset_align);
    chunk->direct = 0;
    return false;
}

static bool settle_error(struct read_stage *stage, struct chunk *chunk, int error)
{
    switch (error) {
    case EINTR:
    case EAGAIN:
    case ECANCELED: /* the thread that issued it ended (MANUAL), and its kernel worker with it */
        return false;
    case EINVAL:
        if (chunk->direct && chunk->request->file != NULL)
            return settle_refused_direct(stage, chunk);
        break;
    }
    fail(stage, chunk, status_from_errno(error, chunk->kind != CHUNK_READ), -error);
    return true;
}

static bool settle(struct read_stage *stage, const struct read_completion *done)
{
    struct chunk *chunk = done->chunk;
    bool finished;

    DS_ASSERT(chunk->state == CHUNK_IN_READ);
    finished = done->result >= 0 ? settle_bytes(stage, chunk, (uint32_t)done->result)
                                 : settle_error(stage, chunk, (int)-done->result);
    if (!finished)
        STAT_ADD(stage->stats.counters.retries, 1);
    return finished;
}

static void waiting_push(struct read_stage *stage, struct chunk *chunk)
{
    uint32_t at = stage->waiting_head + stage->waiting_n;

    DS_ASSERT(stage->waiting_n < stage->depth);
    stage->waiting[at < stage->depth ? at : at - stage->depth] = chunk;
    stage->waiting_n++;
}

static void waiting_pop(struct read_stage *stage)
{
    DS_ASSERT(stage->waiting_n > 0);
    stage->waiting_n--;
    if (++stage->waiting_head == stage->depth)
        stage->waiting_head = 0;
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
}

static uint32_t reap(struct read_stage *stage, struct turn *turn)
{
    struct read_completion done[TURN_REAP_MAX];
    uint32_t n;

    if (stage->in_flight == 0)
        return 0;
    n = stage->backend->reap(stage->backend_self, done, TURN_REAP_MAX);
    DS_ASSERT(n <= stage->in_flight);
    stage->in_flight -= n;
    for (uint32_t i = 0; i < n; i++) {
        if (settle(stage, &done[i]))
            finish(stage, turn, done[i].chunk);
        else
            waiting_push(stage, done[i].chunk);
    }
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
    for (uint32_t i = 0; i < n; i++) {
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

static uint32_t issue(struct read_stage *stage)
{
    uint32_t n = 0;

    while (stage->waiting_n > 0) {
        struct chunk *chunk = stage->waiting[stage->waiting_head];

        DS_ASSERT(chunk->io_done < chunk->io_bytes);
        if (!stage->backend->issue(stage->backend_self, chunk))
            break;
        waiting_pop(stage);
        stage->in_flight++;
        n++;
    }
    DS_ASSERT(stage->in_flight <= stage->depth);
    STAT_MAX(stage->stats.counters.device_high_water, stage->in_flight);
    if (stage->in_flight > 0 && stage->backend->flush(stage->backend_self) > 0)
        STAT_ADD(stage->stats.counters.batches, 1);
    return n;
}

static void hand_on_packed(struct read_stage *stage, struct turn *turn)
{
    if (turn->packed_n == 0)
        return;
    ring_push_n_sp(stage->out_packed, (void **)turn->packed, turn->packed_n);
    if (stage->decode_event != NULL)
        event_signal(stage->decode_event);
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
}

static bool forget(struct read_stage *stage)
{
    /* acquire: pairs with the exchange in read_forget */
    const struct ds_file *file = atomic_load_explicit(&stage->forget, memory_order_acquire);

    if (file == NULL)
        return false;
    stage->backend->forget(stage->backend_self, file);
    /* release: pairs with the load in read_forget, whose caller closes the file then */
    atomic_store_explicit(&stage->forget, NULL, memory_order_release);
    event_signal(&stage->forgotten);
    return true;
}

/* Finished chunks are handed on before the system call of the flush, which can take long. */
static uint32_t read_work(void *self, uint64_t now_ns)
{
    struct read_stage *stage = self;
    struct turn turn;
    uint32_t moved;

    turn.now_ns = now_ns;
    turn.tally = (struct tally){.items = 0};
    turn.finished_n = 0;
    turn.packed_n = 0;
    moved = reap(stage, &turn);
    moved += accept(stage, &turn);
    hand_on(stage, &turn);
    moved += issue(stage);
    moved += forget(stage);
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
    return atomic_load_explicit(&stage->forget, memory_order_relaxed) != NULL;
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
    atomic_init(&stage->forget, NULL);
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
    event_init(&stage->forgotten);
    return 0;
}

void read_close(struct read_stage *stage, const struct host *host)
{
    stage->backend->close(stage->backend_self);
    event_fini(&stage->forgotten);
    host_free(host, stage->waiting, stage->depth * sizeof(struct chunk *));
    ring_close(&stage->in, host);
}

/* wait_forget sleeps until the mailbox no longer holds `file`. */
static void wait_forget(struct read_stage *stage, const struct ds_file *file)
{
    /* acquire: pairs with the store in forget */
    while (atomic_load_explicit(&stage->forget, memory_order_acquire) == file) {
        uint32_t key = event_prepare(&stage->forgotten);

        if (atomic_load_explicit(&stage->forget, memory_order_acquire) != file)
            event_cancel(&stage->forgotten);
        else
            event_wait(&stage->forgotten, key, EVENT_FOREVER);
    }
}

void read_forget(struct read_stage *stage, const struct ds_file *file, struct event *event)
{
    const struct ds_file *held = NULL;

    if (stage->manual) {
        stage->backend->forget(stage->backend_self, file);
        return;
    }
    /* The mailbox holds one; others that close a file at this moment go first. Release: pairs with
     * the load in forget. */
    while (!atomic_compare_exchange_strong_explicit(&stage->forget, &held, file,
                                                    memory_order_acq_rel, memory_order_acquire)) {
        wait_forget(stage, held);
        held = NULL;
    }
    event_signal(event);
    wait_forget(stage, file);
}
