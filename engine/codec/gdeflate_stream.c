/* The tile stream container: header and tile table, with nothing taken on trust. */
#include "engine/codec/gdeflate.h"

static enum ds_codec_error header_check(const uint8_t *header)
{
    if ((header[0] ^ header[1]) != 0xff)
        return DS_CODEC_ERROR_MAGIC;
    if (header[0] != GDEFLATE_ID && header[0] != GDEFLATE_ID_OTHER)
        return DS_CODEC_ERROR_ID;
    return DS_CODEC_ERROR_NONE;
}

static uint32_t table_word(const struct gdeflate_stream *stream, uint32_t i)
{
    return load_le32(stream->table + 4 * (size_t)i);
}

/* Entry 0 of the table is not an offset: it is the packed size of the last tile. */
static uint64_t tile_begin(const struct gdeflate_stream *stream, uint32_t i)
{
    return i == 0 ? 0 : table_word(stream, i);
}

static uint64_t tile_end(const struct gdeflate_stream *stream, uint32_t i)
{
    if (i + 1 < stream->tile_count)
        return table_word(stream, i + 1);
    return tile_begin(stream, i) + table_word(stream, 0);
}

static enum ds_codec_error table_check(const struct gdeflate_stream *stream, uint64_t room)
{
    for (uint32_t i = 0; i < stream->tile_count; i++) {
        uint64_t begin = tile_begin(stream, i);
        uint64_t end = tile_end(stream, i);

        if (begin % 4 != 0)
            return DS_CODEC_ERROR_TILE_ALIGN;
        if (end < begin + GDEFLATE_TILE_PACKED_MIN)
            return DS_CODEC_ERROR_TILE_SHORT;
        if (end > room)
            return DS_CODEC_ERROR_TILE_RANGE;
    }
    return DS_CODEC_ERROR_NONE;
}

enum ds_codec_error gdeflate_stream_parse(struct gdeflate_stream *stream, const void *input,
                                          size_t input_bytes)
{
    const uint8_t *bytes = input;
    enum ds_codec_error error;
    uint32_t packed_fields, last_bytes;
    size_t table_end;

    if (input_bytes < GDEFLATE_HEADER_BYTES)
        return DS_CODEC_ERROR_HEADER_SHORT;
    error = header_check(bytes);
    if (error != DS_CODEC_ERROR_NONE)
        return error;
    packed_fields = load_le32(bytes + 4);
    last_bytes = (packed_fields >> 2) & 0x3ffff;
    if ((packed_fields & 3) != 1)
        return DS_CODEC_ERROR_TILE_SIZE_INDEX;
    if (packed_fields >> 20 != 0)
        return DS_CODEC_ERROR_RESERVED_BITS;
    stream->tile_count = (uint32_t)bytes[2] | (uint32_t)bytes[3] << 8;
    if (stream->tile_count == 0)
        return DS_CODEC_ERROR_NO_TILES;
    if (last_bytes >= GDEFLATE_TILE_BYTES)
        return DS_CODEC_ERROR_LAST_TILE_SIZE;
    table_end = GDEFLATE_HEADER_BYTES + 4 * (size_t)stream->tile_count;
    if (input_bytes < table_end)
        return DS_CODEC_ERROR_TABLE_SHORT;
    stream->table = bytes + GDEFLATE_HEADER_BYTES;
    stream->tiles = bytes + table_end;
    stream->last_tile_bytes = last_bytes != 0 ? last_bytes : GDEFLATE_TILE_BYTES;
    stream->content_bytes =
        (uint64_t)(stream->tile_count - 1) * GDEFLATE_TILE_BYTES + stream->last_tile_bytes;
    error = table_check(stream, input_bytes - table_end);
    if (error != DS_CODEC_ERROR_NONE)
        return error;
    stream->stream_bytes = table_end + tile_end(stream, stream->tile_count - 1);
    return DS_CODEC_ERROR_NONE;
}

struct gdeflate_tile gdeflate_stream_tile(const struct gdeflate_stream *stream, uint32_t i)
{
    uint64_t begin = tile_begin(stream, i);

    DS_ASSERT(i < stream->tile_count);
    return (struct gdeflate_tile){
        .packed = stream->tiles + begin,
        .packed_bytes = (uint32_t)(tile_end(stream, i) - begin),
        .bytes = i + 1 < stream->tile_count ? GDEFLATE_TILE_BYTES : stream->last_tile_bytes,
    };
}
