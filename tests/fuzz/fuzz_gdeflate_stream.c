/* A whole tile stream: parse, then each tile on every path. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct gdeflate_stream stream;

    if (gdeflate_stream_parse(&stream, data, bytes) != DS_CODEC_ERROR_NONE)
        return 0;
    if (stream.stream_bytes > bytes)
        abort();
    for (uint32_t i = 0; i < stream.tile_count; i++) {
        struct gdeflate_tile tile = gdeflate_stream_tile(&stream, i);

        if (tile.packed < data || tile.packed + tile.packed_bytes > data + bytes)
            abort();
        tile_fuzz(tile.packed, tile.packed_bytes, tile.bytes);
    }
    return 0;
}
