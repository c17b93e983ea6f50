/* Packs the input at the level that its first byte says, and unpacks it on every path. */
#include "fuzz.h"

#include "engine/codec/gdeflate_encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static uint8_t packed[GDEFLATE_TILE_PACKED_MAX], back[GDEFLATE_TILE_BYTES];
    static struct encoder *encoder;
    size_t size;

    if (bytes < 2 || bytes > GDEFLATE_TILE_BYTES + 1)
        return 0;
    if (encoder == NULL)
        encoder = aligned_alloc(CACHE_LINE, align_up_u64(encoder_bytes(), CACHE_LINE));
    if (encoder == NULL)
        abort();
    size = gdeflate_tile_encode(encoder, data[0] % (GDEFLATE_LEVEL_MAX + 1), data + 1, bytes - 1,
                                packed);
    if (size > gdeflate_tile_bound(bytes - 1))
        abort();
    tile_fuzz(packed, size, bytes - 1);
    if (gdeflate_tile_decode(gdeflate_rounds_for(DS_CODEC_PATH_AUTO, NULL), packed, size, back,
                             bytes - 1) != DS_CODEC_ERROR_NONE)
        abort();
    if (memcmp(back, data + 1, bytes - 1) != 0)
        abort();
    return 0;
}
