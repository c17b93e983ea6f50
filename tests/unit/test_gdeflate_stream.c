/* The tile stream container: every field of the header and the table, damaged one by one. */
#include "test_gdeflate.h"

enum { TILES = 3, LAST = 1000, PACKED = 160, TABLE = 8 + 4 * TILES };

/* A header and table for three tiles of 160 packed bytes; the tiles themselves are zeros. */
static void stream_make(uint8_t *stream)
{
    memset(stream, 0, TABLE + TILES * PACKED);
    stream[0] = 0x04;
    stream[1] = 0xfb;
    stream[2] = TILES;
    store_le32(stream + 4, 1 | LAST << 2);
    store_le32(stream + 8, PACKED);
    store_le32(stream + 12, PACKED);
    store_le32(stream + 16, 2 * PACKED);
}

static enum ds_codec_error verdict(const uint8_t *stream, size_t bytes)
{
    struct walled input = walled_copy(stream, bytes);
    struct gdeflate_stream parsed;
    enum ds_codec_error error = gdeflate_stream_parse(&parsed, input.data, bytes);

    walled_free(&input);
    return error;
}

Test(gdeflate_stream, a_good_header_is_read)
{
    uint8_t stream[TABLE + TILES * PACKED + 5];
    struct gdeflate_stream parsed;
    struct gdeflate_tile tile;

    stream_make(stream);
    cr_assert_eq(gdeflate_stream_parse(&parsed, stream, sizeof(stream)), DS_CODEC_ERROR_NONE);
    cr_assert_eq(parsed.tile_count, TILES);
    cr_assert_eq(parsed.content_bytes, 2 * 65536 + LAST);
    cr_assert_eq(parsed.stream_bytes, TABLE + TILES * PACKED);
    for (uint32_t i = 0; i < TILES; i++) {
        tile = gdeflate_stream_tile(&parsed, i);
        cr_assert_eq(tile.packed, stream + TABLE + i * PACKED);
        cr_assert_eq(tile.packed_bytes, PACKED);
        cr_assert_eq(tile.bytes, i + 1 < TILES ? 65536u : LAST);
    }
    store_le32(stream + 4, 1); /* last tile size 0: a full tile */
    cr_assert_eq(gdeflate_stream_parse(&parsed, stream, sizeof(stream)), DS_CODEC_ERROR_NONE);
    cr_assert_eq(parsed.content_bytes, 3 * 65536);
    stream[0] = 0xfe; /* as in shipped data */
    stream[1] = 0x01;
    cr_assert_eq(verdict(stream, sizeof(stream)), DS_CODEC_ERROR_NONE);
}

Test(gdeflate_stream, every_truncation_is_refused)
{
    uint8_t stream[TABLE + TILES * PACKED];

    stream_make(stream);
    for (size_t bytes = 0; bytes < sizeof(stream); bytes++)
        cr_assert_eq(verdict(stream, bytes), bytes < 8       ? DS_CODEC_ERROR_HEADER_SHORT
                                             : bytes < TABLE ? DS_CODEC_ERROR_TABLE_SHORT
                                                             : DS_CODEC_ERROR_TILE_RANGE);
    cr_assert_eq(verdict(stream, sizeof(stream)), DS_CODEC_ERROR_NONE);
}

Test(gdeflate_stream, every_bad_field_is_named)
{
    static const struct {
        uint32_t at, value; /* a little-endian word */
        enum ds_codec_error error;
    } cases[] = {
        {0, 0x0003fa04, DS_CODEC_ERROR_MAGIC},
        {0, 0x0003fa05, DS_CODEC_ERROR_ID},
        {0, 0x0000fb04, DS_CODEC_ERROR_NO_TILES},
        {0, 0xfffffb04, DS_CODEC_ERROR_TABLE_SHORT},
        {4, 0, DS_CODEC_ERROR_TILE_SIZE_INDEX},
        {4, 2, DS_CODEC_ERROR_TILE_SIZE_INDEX},
        {4, 1 | 65536 << 2, DS_CODEC_ERROR_LAST_TILE_SIZE},
        {4, 1 | 1 << 20, DS_CODEC_ERROR_RESERVED_BITS},
        {4, 1 | 1u << 31, DS_CODEC_ERROR_RESERVED_BITS},
        {8, 124, DS_CODEC_ERROR_TILE_SHORT},
        {8, PACKED + 1, DS_CODEC_ERROR_TILE_RANGE},
        {8, UINT32_MAX, DS_CODEC_ERROR_TILE_RANGE},
        {12, 0, DS_CODEC_ERROR_TILE_SHORT},
        {12, PACKED + 2, DS_CODEC_ERROR_TILE_ALIGN},
        {12, 2 * PACKED, DS_CODEC_ERROR_TILE_SHORT},
        {12, 0x80000000, DS_CODEC_ERROR_TILE_RANGE},
        {16, PACKED, DS_CODEC_ERROR_TILE_SHORT},
        {16, 3 * PACKED, DS_CODEC_ERROR_TILE_RANGE},
        {16, UINT32_MAX - 3, DS_CODEC_ERROR_TILE_RANGE},
    };
    uint8_t stream[TABLE + TILES * PACKED];

    for (uint32_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        stream_make(stream);
        store_le32(stream + cases[i].at, cases[i].value);
        cr_assert_eq(verdict(stream, sizeof(stream)), cases[i].error, "case %u: %s", i,
                     ds_codec_error_name(verdict(stream, sizeof(stream))));
    }
}
