/* The GDeflate encoder: one tile at a time, in memory that the caller gives. */
#ifndef ENGINE_CODEC_GDEFLATE_ENCODE_H
#define ENGINE_CODEC_GDEFLATE_ENCODE_H

#include "engine/codec/gdeflate_format.h"

enum {
    GDEFLATE_LEVEL_STORED = 0,
    GDEFLATE_LEVEL_MAX = 12,
    /* The largest packed tile. A lane takes one word before its first bit and at most one more than
     * it fills: 2 * 32 words beyond the bits. Stored, 65,536 bytes are two blocks of 19 bits +
     * data. */
    GDEFLATE_TILE_PACKED_MAX = GDEFLATE_TILE_BYTES + 2 * 4 * GDEFLATE_LANES + 8,
};

struct encoder;

/* encoder_bytes is the memory that an encoder needs; align it to CACHE_LINE. No need to clear it.
 */
size_t encoder_bytes(void);

/* gdeflate_tile_encode packs 1..65536 bytes at level 0..12 into packed, which has room for
 * GDEFLATE_TILE_PACKED_MAX bytes. Returns the packed size, a multiple of 4. The output depends on
 * the level and the input only. Thread-safety: one call at a time per encoder. */
size_t gdeflate_tile_encode(struct encoder *encoder, int level, const uint8_t *input, size_t bytes,
                            uint8_t *packed);

/* gdeflate_tile_bound is the largest packed size of a tile of `bytes` bytes. */
static inline size_t gdeflate_tile_bound(size_t bytes)
{
    return align_up_u64(bytes + 2 * 4 * GDEFLATE_LANES + 5, 4);
}

#endif
