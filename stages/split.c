/* Turning requests into chunks: how they are shaped, what they need, where they stand in the
 * order. */
#include "stages/split.h"

#include "engine/ahead.h"
#include "engine/file.h"
#include "engine/hist.h"
#include "engine/image/split.h"
#include "engine/packed.h"

#define FD_DIRECT_ALIGN REQUEST_FD_DIRECT_ALIGN

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
    if ((request_chunk_bytes(stage, r) & (offset_align - 1)) != 0)
        return false;
    if (address == 0 ? memory_align > 1u << stage->unit_shift
                     : (request_chunk_bytes(stage, r) & (memory_align - 1)) != 0)
        return false;
    return (address & (memory_align - 1)) == 0 && ((offset | bytes) & (offset_align - 1)) == 0;
}

static uint32_t direct_align(const struct request *r)
{
    return r->file != NULL ? r->file->offset_align : FD_DIRECT_ALIGN;
}

/* The request forgets where its destination is mapped, and goes by way of staging. */
static void request_unmap(struct request *r)
{
    r->host = NULL;
    r->in_place = 0;
    r->special &= (uint8_t)~SPECIAL_MAPPED;
}

static ALWAYS_INLINE void shape_read(const struct submit_stage *stage, struct request *r)
{
    uint64_t address = (uint64_t)(uintptr_t)r->host;
    bool in_place = r->host != NULL && stage->copies_data;

    if (direct_possible(stage, r, 0, 0, 0)) {
        r->direct = 1;
        r->align_shift = (uint8_t)__builtin_ctz(direct_align(r));
        in_place = in_place && direct_possible(stage, r, address, r->offset, r->size);
    }
    r->in_place = in_place;
}

/* `in_place`: decoded straight into the caller's memory. */
static void shape_packed(const struct submit_stage *stage, struct request *r)
{
    if (r->source == NULL && direct_possible(stage, r, 0, 0, 0)) {
        r->direct = 1;
        r->align_shift = (uint8_t)__builtin_ctz(direct_align(r));
    }
    r->in_place = r->host != NULL && stage->copies_data;
}

/* Beside others a request would share their submission, so that its mapping spares none; nor where
 * its queue signals, for which there is one in any case. See engine/mapped.h. */
static bool mapping_pays(const struct submit_stage *stage, const struct request *r)
{
    bool alone = stage->free_chunks_n == stage->chunks_max && r->queue->epoch == 0;

    return !stage->mapped_not_at_all && (alone || r->unpacked_bytes <= stage->mapped_max_bytes);
}

/* False: as any other. */
static bool shape_special(const struct submit_stage *stage, struct request *r)
{
    if (request_is_mapped(r) && !mapping_pays(stage, r))
        request_unmap(r);
    if (request_is_packed(r))
        shape_packed(stage, r);
    else if (r->source != NULL)
        r->in_place = r->host != NULL;
    else
        return false;
    return true;
}

/* A request beside realtime ones goes in pieces that do not keep those waiting for long. Images are
 * cut into rows instead; what is aligned coarser than the pieces is left whole. */
static bool goes_in_small_pieces(const struct submit_stage *stage, const struct request *r)
{
    return UNLIKELY(schedule_members(&stage->schedule, DS_PRIORITY_REALTIME) != 0) &&
           r->queue->priority != DS_PRIORITY_REALTIME && r->size > stage->small_bytes &&
           !r->special &&
           (r->file == NULL || max_u64(r->file->memory_align, r->file->offset_align) <=
                                   stage->small_bytes);
}

/* Chooses how the disk transfers of a request are shaped: through which descriptor, with which
 * alignment, and whether straight from or to the caller's host memory. Fixed here for all of its
 * chunks, since a file can turn buffered at any time. */
static ALWAYS_INLINE void request_shape(const struct submit_stage *stage, struct request *r,
                                        bool plain)
{
    r->direct = 0;
    r->align_shift = 0;
    r->small = goes_in_small_pieces(stage, r);
    if (plain) {
        shape_read(stage, r);
        return;
    }
    if (r->special && shape_special(stage, r))
        return;
    if (r->kind == REQUEST_READ) {
        shape_read(stage, r);
        if (request_is_mapped(r) && (!r->in_place || (r->direct && stage->mapped_not_direct)))
            request_unmap(r);
        return;
    }
    r->direct = direct_possible(stage, r, (uint64_t)(uintptr_t)r->host, r->offset, r->size);
    r->in_place = r->host != NULL;
}

/* Where the window of chunk 0 begins in the file. */
static uint64_t request_base(const struct request *r)
{
    return align_down_u64(r->offset, request_align(r));
}

/* Fills the disk and payload ranges of chunk number `index`: window [base + index * chunk_bytes,
 * + chunk_bytes) of the file, cut to the request. */
static ALWAYS_INLINE void chunk_range(const struct submit_stage *stage, const struct request *r,
                                      uint32_t index, struct chunk *chunk)
{
    uint32_t chunk_bytes = request_chunk_bytes(stage, r);
    uint64_t window = request_base(r) + (uint64_t)index * chunk_bytes;
    uint64_t first = max_u64(window, r->offset);
    uint64_t last = min_u64(window + chunk_bytes, r->offset + r->size);

    DS_ASSERT(first < last);
    chunk->file_offset = window;
    chunk->request_offset = first - r->offset;
    chunk->payload_bytes = (uint32_t)(last - first);
    chunk->io_bytes = (uint32_t)(align_up_u64(last, request_align(r)) - window);
    DS_ASSERT(chunk->io_bytes <= chunk_bytes);
}

static struct image_limits image_limits(const struct submit_stage *stage, const struct request *r)
{
    return (struct image_limits){
        .offset = r->offset,
        .bytes_max = stage->chunk_bytes - IMAGE_SHIFT_BYTES,
        .align = request_align(r),
    };
}

/* chunk_range for an image: the next run of whole rows. `commit`: it is taken. */
static void chunk_range_image(const struct submit_stage *stage, const struct request *r,
                              bool commit, struct chunk *chunk)
{
    struct image_limits limits = image_limits(stage, r);
    uint64_t begin, end;
    bool more = image_chunk_next(r->image, &limits, commit, &begin, &end);

    DS_ASSERT(more);
    chunk->file_offset = align_down_u64(r->offset + begin, request_align(r));
    chunk->request_offset = begin;
    chunk->payload_bytes = (uint32_t)(end - begin);
    chunk->io_bytes =
        (uint32_t)(align_up_u64(r->offset + end, request_align(r)) - chunk->file_offset);
    DS_ASSERT(chunk->io_bytes <= limits.bytes_max);
}

static ALWAYS_INLINE bool staging_take(struct submit_stage *stage, struct chunk *chunk,
                                       uint64_t bytes)
{
    uint64_t units = (bytes + (1u << stage->unit_shift) - 1) >> stage->unit_shift;
    uint32_t unit =
        join_place(&stage->join, &stage->arena, chunk, (uint32_t)units, stage->unit_shift);

    if (unit == ARENA_NONE)
        return false;
    chunk->arena_unit = unit;
    chunk->memory = stage->staging->memory + ((uint64_t)unit << stage->unit_shift);
    return true;
}

/* The range of a request with a codec: all of it. */
static void chunk_range_packed(const struct request *r, struct chunk *chunk)
{
    chunk->file_offset = request_base(r);
    chunk->request_offset = 0;
    chunk->payload_bytes = (uint32_t)r->size;
    chunk->io_bytes =
        r->source != NULL ? 0
                          : (uint32_t)(align_up_u64(r->offset + r->size, request_align(r)) -
                                       chunk->file_offset);
    chunk->packed = 1;
}

/* Gives the chunk its memory. False: no staging now. */
static ALWAYS_INLINE bool chunk_place(struct submit_stage *stage, const struct request *r,
                                      bool plain, struct chunk *chunk)
{
    uint64_t bytes = chunk->io_bytes;

    if (!plain && chunk->packed) {
        bytes = packed_run_for(r, chunk->io_bytes).bytes;
        return bytes == 0 || staging_take(stage, chunk, bytes);
    }
    if (r->in_place) {
        chunk->memory = r->host + chunk->request_offset;
        return true;
    }
    if (!plain && r->special && r->image != NULL)
        bytes += IMAGE_SHIFT_BYTES;
    return staging_take(stage, chunk, bytes);
}

static uint8_t data_kind(const struct request *r)
{
    if (r->kind == REQUEST_READ)
        return r->special && r->source != NULL ? CHUNK_MEMORY : CHUNK_READ;
    return r->host != NULL ? CHUNK_WRITE : CHUNK_DOWNLOAD;
}

/* Makes and sends chunk number `index` of a request. False: no credit now. `plain` is a constant
 * wherever this is inlined: what a request that is not special has no need of is left out then. */
static ALWAYS_INLINE bool chunk_make(struct submit_stage *stage, struct request *r, uint32_t index,
                                     bool plain, uint64_t now_ns)
{
    uint8_t status = __atomic_load_n(&r->status, __ATOMIC_RELAXED);
    bool image = !plain && r->special && r->image != NULL;
    bool packed = !plain && request_is_packed(r);
    struct chunk *chunk;

    if (stage->free_chunks_n == 0)
        return false;
    chunk = stage->free_chunks[stage->free_chunks_n - 1];
    DS_ASSERT(chunk->state == CHUNK_FREE);
    *chunk = (struct chunk){
        .request = r,
        .arena_unit = CHUNK_NO_ARENA,
        .kind = plain ? CHUNK_READ : data_kind(r),
        .direct = r->direct,
        .ordinary = r->queue->priority != DS_PRIORITY_REALTIME,
        .mapped = !plain && request_is_mapped(r),
    };
    if (status == DS_STATUS_OK && request_is_cancelled(r))
        status = DS_STATUS_CANCELLED;
    /* Refused at its begin, or an earlier chunk has failed meanwhile: the rest need not be
     * moved. */
    if (status != DS_STATUS_OK) {
        chunk_fail(chunk, status, 0);
        chunk->payload_bytes = 0;
        chunk->io_bytes = 0;
        stage->free_chunks_n--;
        submit_send(stage, chunk, now_ns);
        return true;
    }
    if (packed)
        chunk_range_packed(r, chunk);
    else if (image)
        chunk_range_image(stage, r, false, chunk);
    else
        chunk_range(stage, r, index, chunk);
    join_check(&stage->join, chunk, r);
    if (!chunk_place(stage, r, plain, chunk))
        return false;
    if (image && !packed)
        chunk_range_image(stage, r, true, chunk);
    stage->free_chunks_n--;
    stage->tally.bytes += chunk->payload_bytes;
    if (chunk->ordinary) {
        window_ordinary_begin(&stage->window, chunk_window_bytes(chunk));
    } else {
        chunk->timed = 1;
        window_realtime_begin(&stage->window, &stage->transfers[chunk - stage->chunks],
                              chunk->io_bytes, now_ns);
    }
    submit_send(stage, chunk, now_ns);
    return true;
}

/* What closes an epoch travels as a chunk without data. */
static bool dataless_make(struct submit_stage *stage, struct request *r, enum chunk_kind kind,
                          uint32_t requests, uint32_t epoch, uint64_t now_ns)
{
    struct chunk *chunk;

    if (stage->free_chunks_n == 0)
        return false;
    chunk = stage->free_chunks[--stage->free_chunks_n];
    DS_ASSERT(chunk->state == CHUNK_FREE);
    *chunk = (struct chunk){
        .request = r,
        .kind = (uint8_t)kind,
        .arena_unit = CHUNK_NO_ARENA,
        .io_bytes = requests,
        .file_offset = epoch,
    };
    submit_send(stage, chunk, now_ns);
    return true;
}

static bool signal_make(struct submit_stage *stage, struct request *r, uint64_t now_ns)
{
    struct ds_queue *queue = r->queue;

    if (!dataless_make(stage, r, CHUNK_SIGNAL, queue->epoch_requests, r->epoch, now_ns))
        return false;
    queue->epoch_requests = 0;
    queue->epoch++;
    return true;
}

/* A notification closes the epoch of the requests before it. A flush does too, and is then the
 * first request of the next one, for the notifications behind it. */
static bool notice_make(struct submit_stage *stage, struct request *r, uint64_t now_ns)
{
    struct ds_queue *queue = r->queue;
    bool flush = r->kind == REQUEST_FLUSH;

    if (!dataless_make(stage, r, CHUNK_NOTICE, queue->notice_requests, queue->notice_epoch,
                       now_ns))
        return false;
    queue->notice_requests = flush ? 1 : 0;
    queue->notice_epoch++;
    queue->notices_begun++;
    if (flush)
        r->notice_epoch = queue->notice_epoch;
    return true;
}

bool split_again(struct submit_stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    chunk->joins = 0;
    if (!staging_take(stage, chunk, chunk->io_bytes))
        return false;
    chunk->kind = CHUNK_READ;
    chunk->staged = 1;
    chunk->mapped = 0;
    chunk->error = 0; /* was the link of a list */
    submit_send(stage, chunk, now_ns);
    return true;
}

bool split_next(struct submit_stage *stage, struct request *r, uint32_t index, uint64_t now_ns)
{
    if (LIKELY(r->kind == REQUEST_READ || r->kind == REQUEST_WRITE))
        return chunk_make(stage, r, index, false, now_ns);
    return r->kind == REQUEST_SIGNAL ? signal_make(stage, r, now_ns)
                                     : notice_make(stage, r, now_ns);
}

/* Counts the request for its file, and tells whether that is not being closed. Either we see the
 * mark, or the closer, who waits for the end of our turn after it, our count. */
static bool file_begin(struct ds_file *file)
{
    atomic_store_explicit(&file->begun,
                          atomic_load_explicit(&file->begun, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    return !atomic_load_explicit(&file->closed, memory_order_seq_cst);
}

/* Chunks that a request of data needs. */
static ALWAYS_INLINE uint32_t chunks_needed(const struct submit_stage *stage,
                                            const struct request *r, bool plain)
{
    uint64_t span = r->offset + r->size - request_base(r);
    uint32_t chunk_bytes = request_chunk_bytes(stage, r);
    uint64_t chunks;

    if (!plain && request_is_packed(r))
        return 1;
    if (!plain && r->special && r->image != NULL) {
        struct image_limits limits = image_limits(stage, r);

        return image_chunks_count(r->image, &limits);
    }
    if (span <= chunk_bytes)
        return 1; /* spares the division */
    chunks = (span + chunk_bytes - 1) / chunk_bytes;
    DS_ASSERT(chunks <= UINT32_MAX);
    return (uint32_t)chunks;
}

/* Places an entry in its queue's two orders. */
static ALWAYS_INLINE void order_begin(struct request *r, bool plain)
{
    struct ds_queue *queue = r->queue;

    /* A signal of the GPU's would overtake notifications of ours that have not fired yet. Acquire:
     * pairs with the release in notices_fire. */
    if (!plain && r->kind == REQUEST_SIGNAL && queue->port.signals_by_host &&
        queue->notices_begun !=
            atomic_load_explicit(&queue->notices_fired, memory_order_acquire))
        r->kind = REQUEST_SIGNAL_HOST;
    r->sequence = queue->sequence++;
    r->epoch = queue->epoch;
    r->notice_epoch = queue->notice_epoch;
    if (plain || LIKELY(r->kind == REQUEST_READ || r->kind == REQUEST_WRITE)) {
        queue->notice_requests++;
        queue->epoch_requests++;
    } else if (r->kind == REQUEST_SIGNAL) {
        queue->notice_requests++;
    } else if (r->kind == REQUEST_FLUSH) {
        queue->epoch_requests++;
    }
}

/* `plain` as in chunk_make. */
static ALWAYS_INLINE void request_begin(struct submit_stage *stage, struct request *r, bool plain,
                                        uint64_t now_ns)
{
    struct ds_queue *queue = r->queue;

    tally_add(&stage->stats, &stage->tally,
              now_ns > r->enqueued_ns ? now_ns - r->enqueued_ns : 0, 0);
    order_begin(r, plain);
    r->bytes_done = 0; /* the intake used its place */
    if (r->file != NULL && !file_begin(r->file))
        r->status = DS_STATUS_FILE_CLOSED;
    if (!plain && r->special && r->image != NULL && !image_request_begin(r->image->image) &&
        r->status == DS_STATUS_OK)
        r->status = DS_STATUS_CANCELLED;
    r->chunks_total = 1;
    if (r->status == DS_STATUS_OK && (r->kind == REQUEST_READ || r->kind == REQUEST_WRITE)) {
        request_shape(stage, r, plain);
        r->chunks_total = chunks_needed(stage, r, plain);
    }
    atomic_store_explicit(&queue->begun,
                          atomic_load_explicit(&queue->begun, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void split_begin(struct submit_stage *stage, struct request *r, uint64_t now_ns)
{
    request_begin(stage, r, false, now_ns);
}

uint32_t split_plain(struct submit_stage *stage, struct submit_flow *flow,
                     struct request *const *requests, uint32_t n, uint64_t now_ns)
{
    uint32_t i = 0;

    while (i < n && requests[i]->kind == REQUEST_READ && !requests[i]->special) {
        struct request *r = requests[i];

        ahead_requests_next(requests, n, i++);
        request_begin(stage, r, true, now_ns);
        if (r->chunks_total != 1 || !chunk_make(stage, r, 0, true, now_ns)) {
            flow->current = r;
            flow->chunk = 0;
            break;
        }
    }
    return i;
}
