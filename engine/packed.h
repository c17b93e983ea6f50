/* Requests with a codec: one chunk each, and one run of staging, taken at once:
 *
 *   [ compressed, with the disk's alignment | decoded but shuffled | room to shift | decoded ]
 *
 * Without the first part when the source is memory, the second without a transform, and the last
 * two when the bytes are decoded straight into host memory. What the GPU decodes has
 *
 *   [ compressed | a status for each tile ]
 *
 * and what may go either way (never with a transform, or room to shift)
 *
 *   [ compressed, a memory source too | decoded, or a status for each tile ]
 *
 * So nothing that decodes ever waits for more memory, and the GPU's verdicts lie where nobody else
 * writes until the request has ended. */
#ifndef ENGINE_PACKED_H
#define ENGINE_PACKED_H

#include "engine/chunk.h"
#include "engine/codec/gdeflate.h"
#include "engine/host.h"
#include "engine/image/split.h"
#include "engine/request.h"

#include <ds/codec.h>

/* Parts begin at multiples of it: a cache line, and whatever a GPU may want. */
#define PACKED_ALIGN 256u

/* What a request may have compressed or decoded: a chunk counts its bytes in 32 bits, with the
 * disk's alignment. */
#define PACKED_BYTES_MAX (UINT32_MAX - (2u << 20))

_Static_assert(PACKED_ALIGN >= IMAGE_WHOLE_ALIGN, "images are copied from decoded bytes");

/* Where the parts begin in the run. */
struct packed_run {
    uint64_t shuffled;
    union {
        uint64_t decoded;
        uint64_t statuses; /* by the GPU: uint32_t each */
    };
    uint64_t bytes; /* of the run; 0: it needs none */
};

/* Tiles of GDeflate that so many decoded bytes are. */
static inline uint32_t packed_tiles(uint64_t unpacked_bytes)
{
    return (uint32_t)((unpacked_bytes + GDEFLATE_TILE_BYTES - 1) / GDEFLATE_TILE_BYTES);
}

/* packed_run_for lays the run of a request out whose disk transfer has io_bytes. */
static inline struct packed_run packed_run_for(const struct request *r, uint64_t io_bytes)
{
    uint64_t statuses_bytes = packed_tiles(r->unpacked_bytes) * sizeof(uint32_t);
    uint64_t staged_bytes = r->source != NULL ? r->size : io_bytes; /* as the GPU needs it */
    struct packed_run run = {.bytes = r->source != NULL ? 0 : io_bytes};
    uint64_t room_bytes = r->image != NULL ? r->room_bytes : 0; /* else it is gpu_address */

    if (request_goes_either_way(r)) {
        run.decoded = align_up_u64(staged_bytes, PACKED_ALIGN);
        run.bytes = run.decoded + max_u64(r->unpacked_bytes, statuses_bytes);
        return run;
    }
    if (request_on_gpu(r)) {
        run.statuses = align_up_u64(staged_bytes, PACKED_ALIGN);
        run.bytes = run.statuses + statuses_bytes;
        return run;
    }
    run.shuffled = align_up_u64(run.bytes, PACKED_ALIGN);
    if (r->transform != DS_CODEC_TRANSFORM_NONE)
        run.bytes = run.shuffled + r->unpacked_bytes;
    run.decoded = align_up_u64(run.bytes + room_bytes, PACKED_ALIGN);
    if (!r->in_place)
        run.bytes = run.decoded + r->unpacked_bytes;
    return run;
}

/* The compressed bytes of a chunk that was read. */
static inline const uint8_t *packed_source(const struct chunk *chunk)
{
    const struct request *r = chunk->request;

    return r->source != NULL ? r->source : chunk->memory + (r->offset - chunk->file_offset);
}

/* What a status is before the GPU has run: no enum ds_codec_error. */
#define PACKED_NOT_RUN UINT32_MAX

/* The compressed bytes of a chunk for the GPU, in its run: a memory source was copied there. */
static inline uint8_t *packed_staged(const struct chunk *chunk)
{
    return chunk->memory + (chunk->request->offset - chunk->file_offset);
}

static inline uint32_t *packed_statuses(const struct chunk *chunk)
{
    struct packed_run run = packed_run_for(chunk->request, chunk->io_bytes);

    return (uint32_t *)(void *)(chunk->memory + run.statuses);
}

/* packed_parse checks the container of a GDeflate request, and fills *stream. */
enum ds_codec_error packed_parse(const struct request *r, const uint8_t *bytes,
                                 struct gdeflate_stream *stream);

/* packed_fail fails a chunk because of its data, and logs it. */
void packed_fail(struct chunk *chunk, const struct host *host, enum ds_codec_error error,
                 uint32_t tile);

/* packed_hand_to_gpu makes a chunk whose compressed bytes are staged one that the GPU decodes, if
 * its container is in order; else it fails it. */
void packed_hand_to_gpu(struct chunk *chunk, const struct host *host);

/* packed_settle: the GPU is done with the chunk, whose tiles' verdicts fail it or make it a decoded
 * one. Returns the number of tiles that were decoded, of all or of none. */
uint32_t packed_settle(struct chunk *chunk, const struct host *host);

/* Where a packed chunk is decoded. */
struct packed_places {
    const uint8_t *source; /* the compressed bytes */
    uint8_t *work;         /* what the codec writes to */
    uint8_t *decoded;      /* where it shall be in the end; == work without a transform */
};

static inline struct packed_places packed_places(const struct chunk *chunk)
{
    const struct request *r = chunk->request;
    struct packed_run run = packed_run_for(r, chunk->io_bytes);
    struct packed_places places = {.source = packed_source(chunk)};

    DS_ASSERT(chunk->packed && chunk->payload_bytes == r->size);
    places.decoded = r->in_place ? r->host : chunk->memory + run.decoded;
    places.work = r->transform != DS_CODEC_TRANSFORM_NONE ? chunk->memory + run.shuffled
                                                          : places.decoded;
    return places;
}

/* packed_done makes a decoded chunk one like any other that was read: its payload is at `decoded`,
 * unless that is the destination already. */
static inline void packed_done(struct chunk *chunk, uint8_t *decoded)
{
    const struct request *r = chunk->request;

    DS_ASSERT(chunk->packed && !(r->in_place && request_is_cut(r)));
    chunk->packed = 0;
    chunk->kind = CHUNK_READ;
    chunk->memory = decoded;
    chunk->file_offset = r->offset;
    chunk->payload_bytes = (uint32_t)request_kept_bytes(r);
}

#endif
