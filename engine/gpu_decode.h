/* Which requests the GPU decodes, and what they need for it. The enqueue decides, so that a request
 * that was accepted is known to fit; the copy stage comes to the same numbers. Where both
 * shall decode, the decode stage decides which of them has each of these. */
#ifndef ENGINE_GPU_DECODE_H
#define ENGINE_GPU_DECODE_H

#include "engine/balance.h"
#include "engine/clock.h"
#include "engine/request.h"

#include <ds/codec.h>

#include <stdatomic.h>

/* Parts of the scratch memory begin at multiples of it: whatever copies to images may want. */
#define GPU_DECODE_ALIGN 256u

/* Statuses are named by their number in the arena, which a shader shall not overflow. */
#define GPU_DECODE_ARENA_MAX ((uint64_t)4 << 30)

/* What the back end decodes. */
struct gpu_decode {
    bool on;
    bool gathers;           /* compressed bytes are copied to scratch memory first */
    bool verdicts;          /* it tells which tiles were damaged */
    uint32_t align;         /* of destinations that are decoded to directly */
    uint64_t scratch_bytes; /* in all */
    const char *kind;       /* "cpu", "gpu", "nv" or "balanced"; static */
    const char *reason;     /* why; lives as long as the back end */
    bool balanced;          /* what it takes may go either way */
    bool leaves_young;      /* nobody waits for it in the driver while it has just begun */
    struct balance balance; /* to begin with */
};

/* gpu_decode_is_young: has the GPU just begun, at since_ns, with a batch that decodes? It usually
 * takes it *usual_ns (0: unknown), some milliseconds. Some drivers look for the end without a pause
 * when they are asked to wait, which takes a core of its own: so nobody asks them yet. */
static inline bool gpu_decode_is_young(uint64_t since_ns, const _Atomic uint64_t *usual_ns)
{
    uint64_t usual = atomic_load_explicit(usual_ns, memory_order_relaxed);

    return usual != 0 && clock_now_ns() < since_ns + usual / 4 * 3;
}

/* gpu_decode_direct: are the bytes decoded straight to where they shall be? */
static inline bool gpu_decode_direct(const struct gpu_decode *decode, const struct request *r)
{
    return r->image == NULL && r->gpu_address != 0 &&
           (r->gpu_address + r->gpu_offset) % decode->align == 0;
}

/* Scratch bytes of a request: for the compressed bytes, and behind them for the decoded ones. */
static inline uint64_t gpu_decode_packed_bytes(const struct gpu_decode *decode,
                                               const struct request *r)
{
    return decode->gathers ? align_up_u64(r->size, GPU_DECODE_ALIGN) : 0;
}

static inline uint64_t gpu_decode_scratch(const struct gpu_decode *decode, const struct request *r)
{
    return gpu_decode_packed_bytes(decode, r) +
           (gpu_decode_direct(decode, r) ? 0 : align_up_u64(r->unpacked_bytes, GPU_DECODE_ALIGN));
}

/* gpu_decode_takes: does the GPU decode this request? An image must be one whose copies can be made
 * from the bytes as they are (image_whole_plain), which the caller has checked. */
static inline bool gpu_decode_takes(const struct gpu_decode *decode, const struct request *r)
{
    return decode->on && r->codec == DS_CODEC_GDEFLATE &&
           r->transform == DS_CODEC_TRANSFORM_NONE && r->host == NULL && !request_is_cut(r) &&
           (r->image != NULL || r->gpu_buffer != 0 || gpu_decode_direct(decode, r)) &&
           gpu_decode_scratch(decode, r) <= decode->scratch_bytes;
}

#endif
