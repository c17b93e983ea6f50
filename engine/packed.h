/* Requests with a codec: one chunk each, and one run of staging, taken at once:
 *
 *   [ compressed, with the disk's alignment | decoded but shuffled | room to shift | decoded ]
 *
 * Without the first part when the source is memory, the second without a transform, and the last
 * two when the bytes are decoded straight into host memory. So nothing that decodes ever waits for
 * more memory. */
#ifndef ENGINE_PACKED_H
#define ENGINE_PACKED_H

#include "engine/chunk.h"
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
    uint64_t decoded;
    uint64_t bytes; /* of the run; 0: it needs none */
};

/* packed_run_for lays the run of a request out whose disk transfer has io_bytes. */
static inline struct packed_run packed_run_for(const struct request *r, uint64_t io_bytes)
{
    struct packed_run run = {.bytes = r->source != NULL ? 0 : io_bytes};
    uint64_t room_bytes = r->image != NULL ? r->room_bytes : 0; /* else it is gpu_address */

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

/* packed_done makes a decoded chunk one like any other that was read: its payload is at `decoded`,
 * unless that is the destination already. */
static inline void packed_done(struct chunk *chunk, uint8_t *decoded)
{
    const struct request *r = chunk->request;

    DS_ASSERT(chunk->packed);
    chunk->packed = 0;
    chunk->kind = CHUNK_READ;
    chunk->memory = decoded;
    chunk->file_offset = r->offset;
    chunk->payload_bytes = (uint32_t)r->unpacked_bytes;
}

#endif
