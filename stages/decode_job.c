/* Decoding, an item at a time. */
#include "stages/decode_job.h"

#include <errno.h>
#include <string.h>

static int codec_make(const struct host *host, enum ds_codec_format format,
                      struct ds_codec **codec)
{
    int rc = ds_codec_create(format, ds_codec_config(.allocator = &host->allocator), codec);

    return rc == -ENOTSUP ? 0 : rc; /* such requests are refused at the enqueue */
}

int decode_hand_open(struct decode_hand *hand, const struct host *host)
{
    int rc;

    *hand = (struct decode_hand){.rounds = gdeflate_rounds_for(DS_CODEC_PATH_AUTO, NULL)};
    rc = codec_make(host, DS_CODEC_ZSTD, &hand->zstd);
    if (rc == 0)
        rc = codec_make(host, DS_CODEC_LZ4, &hand->lz4);
    if (rc != 0)
        decode_hand_close(hand);
    return rc;
}

void decode_hand_close(struct decode_hand *hand)
{
    ds_codec_destroy(&hand->zstd);
    ds_codec_destroy(&hand->lz4);
}

static enum ds_codec_error gdeflate_begin(struct decode_job *job)
{
    enum ds_codec_error error = packed_parse(job->chunk->request, job->source, &job->stream);

    job->items = error == DS_CODEC_ERROR_NONE ? job->stream.tile_count : 0;
    return error;
}

/* A memory source that the GPU shall decode: its bytes are copied to where the GPU reads them, and
 * looked at only there. */
static void gather_begin(struct decode_job *job)
{
    job->items = packed_tiles(job->chunk->request->size);
    job->work = packed_staged(job->chunk);
    job->decoded = job->work;
}

enum ds_codec_error decode_job_begin(struct decode_job *job, struct chunk *chunk,
                                     uint32_t tickets_max)
{
    struct packed_places places = packed_places(chunk);
    enum ds_codec_error error = DS_CODEC_ERROR_NONE;

    job->chunk = chunk;
    job->source = places.source;
    job->decoded = places.decoded;
    job->work = places.work;
    job->items = 1;
    if (request_on_gpu(chunk->request))
        gather_begin(job);
    else if (chunk->request->codec == DS_CODEC_GDEFLATE)
        error = gdeflate_begin(job);
    atomic_store_explicit(&job->next, 0, memory_order_relaxed);
    atomic_store_explicit(&job->tickets, min_u32(job->items, tickets_max), memory_order_relaxed);
    atomic_store_explicit(&job->failure, 0, memory_order_relaxed);
    return error;
}

static enum ds_codec_error tile_run(const struct decode_job *job, const struct decode_hand *hand,
                                    uint32_t item)
{
    struct gdeflate_tile tile = gdeflate_stream_tile(&job->stream, item);

    return gdeflate_tile_decode(hand->rounds, tile.packed, tile.packed_bytes,
                                job->work + (uint64_t)item * GDEFLATE_TILE_BYTES, tile.bytes);
}

static enum ds_codec_error whole_run(const struct decode_job *job, struct ds_codec *codec)
{
    const struct request *r = job->chunk->request;
    struct ds_codec_report report;

    DS_ASSERT(codec != NULL);
    ds_codec_decompress(codec, job->source, r->size, job->work, r->unpacked_bytes, &report);
    return (enum ds_codec_error)report.error;
}

static void gather_run(const struct decode_job *job, uint32_t item)
{
    uint64_t at = (uint64_t)item * GDEFLATE_TILE_BYTES;

    memcpy(job->work + at, job->source + at,
           min_u64(GDEFLATE_TILE_BYTES, job->chunk->request->size - at));
}

static enum ds_codec_error item_run(const struct decode_job *job, const struct decode_hand *hand,
                                    uint32_t item)
{
    if (request_on_gpu(job->chunk->request)) {
        gather_run(job, item);
        return DS_CODEC_ERROR_NONE;
    }
    switch (job->chunk->request->codec) {
    case DS_CODEC_GDEFLATE:
        return tile_run(job, hand, item);
    case DS_CODEC_ZSTD:
        return whole_run(job, hand->zstd);
    default:
        return whole_run(job, hand->lz4);
    }
}

static bool job_is_void(const struct decode_job *job)
{
    return atomic_load_explicit(&job->failure, memory_order_relaxed) != 0 ||
           request_is_cancelled(job->chunk->request);
}

/* By the last ticket: the transform is one of all bytes. */
static void job_unshuffle(const struct decode_job *job)
{
    const struct request *r = job->chunk->request;

    if (r->transform != DS_CODEC_TRANSFORM_NONE && !job_is_void(job))
        ds_codec_unshuffle((enum ds_codec_transform)r->transform, job->work, job->decoded,
                           r->unpacked_bytes);
}

/* True: it was the last. */
static bool ticket_give(struct decode_job *job)
{
    /* release: our bytes; acquire: those of the others, for the last one */
    if (atomic_fetch_sub_explicit(&job->tickets, 1, memory_order_acq_rel) != 1)
        return false;
    job_unshuffle(job);
    return true;
}

enum decode_progress decode_job_step(struct decode_job *job, const struct decode_hand *hand)
{
    uint32_t item = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
    enum ds_codec_error error;
    uint64_t none = 0;

    if (item >= job->items)
        return ticket_give(job) ? DECODE_IS_OVER : DECODE_GAVE;
    error = job_is_void(job) ? DS_CODEC_ERROR_NONE : item_run(job, hand, item);
    if (error != DS_CODEC_ERROR_NONE)
        atomic_compare_exchange_strong_explicit(&job->failure, &none,
                                                (uint64_t)item << 32 | (uint32_t)error,
                                                memory_order_relaxed, memory_order_relaxed);
    return DECODE_TOOK;
}

void decode_job_end(struct decode_job *job, const struct host *host)
{
    uint64_t failure = atomic_load_explicit(&job->failure, memory_order_relaxed);
    struct chunk *chunk = job->chunk;

    DS_ASSERT(atomic_load_explicit(&job->tickets, memory_order_relaxed) == 0);
    if (failure != 0)
        packed_fail(chunk, host, (enum ds_codec_error)(uint32_t)failure,
                    (uint32_t)(failure >> 32));
    else if (request_is_cancelled(chunk->request))
        chunk_fail(chunk, DS_STATUS_CANCELLED, 0);
    else if (request_on_gpu(chunk->request))
        packed_hand_to_gpu(chunk, host);
    else
        packed_done(chunk, job->decoded);
    job->chunk = NULL;
}
