/* ds/codec.h: the calls, their errors, threads, memory, and the texture shuffle. */
#include "test_gdeflate.h"

#include <errno.h>
#include <pthread.h>

static struct ds_codec *codec_make(enum ds_codec_format format, uint32_t threads)
{
    struct ds_codec *codec = NULL;
    int error = ds_codec_create(format, ds_codec_config(.threads = threads), &codec);

    if (error == -ENOTSUP)
        cr_skip_test("skipped: format %d was left out of this build", format);
    cr_assert_eq(error, 0);
    return codec;
}

static void round_trip(enum ds_codec_format format, int level, const uint8_t *data, size_t bytes)
{
    struct ds_codec *codec = codec_make(format, 2);
    struct ds_codec_report report = {77, 77};
    size_t bound = ds_codec_compress_bound(codec, bytes);
    uint8_t *packed = malloc(bound), *back = malloc(bytes);
    size_t packed_bytes = 0;
    uint64_t content = 0;
    int error;

    cr_assert_eq(ds_codec_compress(codec, level, data, bytes, packed, bound, &packed_bytes), 0);
    error = ds_codec_content_size(codec, packed, packed_bytes, &content);
    if (format == DS_CODEC_LZ4)
        cr_assert_eq(error, -ENODATA);
    else
        cr_assert(error == 0 && content == bytes, "declares %ju", (uintmax_t)content);
    cr_assert_eq(ds_codec_decompress(codec, packed, packed_bytes, back, bytes, &report), 0);
    cr_assert_eq(report.error, DS_CODEC_ERROR_NONE);
    cr_assert_arr_eq(back, data, bytes);
    /* Another size than declared, and a stream cut short, are errors in every format. */
    cr_assert_eq(ds_codec_decompress(codec, packed, packed_bytes, back, bytes - 1, NULL), -EBADMSG);
    cr_assert_eq(ds_codec_decompress(codec, packed, packed_bytes / 2, back, bytes, &report),
                 -EBADMSG);
    cr_assert_neq(report.error, DS_CODEC_ERROR_NONE);
    cr_assert_eq(ds_codec_decompress(codec, NULL, 0, back, bytes, NULL), -EBADMSG);
    cr_assert_eq(ds_codec_compress(codec, level, data, bytes, packed, packed_bytes - 1, &content),
                 -ENOSPC);
    ds_codec_destroy(&codec);
    cr_assert_null(codec);
    free(packed);
    free(back);
}

static void format_round_trips(enum ds_codec_format format, const int *levels, uint32_t n)
{
    static uint8_t data[300001];

    for (uint32_t i = 0; i < n; i++) {
        data_make(MIXED, i, data, sizeof(data));
        round_trip(format, levels[i], data, sizeof(data));
    }
}

Test(gdeflate_codec, gdeflate_comes_back)
{
    format_round_trips(DS_CODEC_GDEFLATE, (const int[]){0, 1, 4, 7, 9, 12}, 6);
}

Test(gdeflate_codec, zstd_comes_back)
{
    format_round_trips(DS_CODEC_ZSTD, (const int[]){1, 9, 19}, 3);
}

Test(gdeflate_codec, lz4_comes_back)
{
    format_round_trips(DS_CODEC_LZ4, (const int[]){1, 2, 9, 12}, 4);
}

Test(gdeflate_codec, output_does_not_depend_on_the_number_of_threads)
{
    enum { BYTES = 40 * 65536 + 777 };
    uint8_t *data = malloc(BYTES), *packed[2], *back = malloc(BYTES);
    size_t size[2];

    data_make(MIXED, 5, data, BYTES);
    for (uint32_t i = 0; i < 2; i++) {
        struct ds_codec *codec = codec_make(DS_CODEC_GDEFLATE, i == 0 ? 1 : 7);
        size_t bound = ds_codec_compress_bound(codec, BYTES);

        packed[i] = malloc(bound);
        cr_assert_eq(ds_codec_compress(codec, 3, data, BYTES, packed[i], bound, &size[i]), 0);
        memset(back, 0, BYTES);
        cr_assert_eq(ds_codec_decompress(codec, packed[i], size[i], back, BYTES, NULL), 0);
        cr_assert_arr_eq(back, data, BYTES);
        ds_codec_destroy(&codec);
    }
    cr_assert_eq(size[0], size[1]);
    cr_assert_arr_eq(packed[0], packed[1], size[0]);
    free(packed[0]);
    free(packed[1]);
    free(data);
    free(back);
}

/* Tile 13 is damaged at its end, the tiles behind it at their beginning, where it is found sooner.
 */
Test(gdeflate_codec, the_report_names_the_first_damaged_tile)
{
    enum { TILES = 20, BYTES = TILES * 65536 };
    struct ds_codec *codec = codec_make(DS_CODEC_GDEFLATE, 4);
    size_t bound = ds_codec_compress_bound(codec, BYTES), size;
    uint8_t *data = malloc(BYTES), *packed = malloc(bound);
    struct ds_codec_report report;
    struct gdeflate_stream stream;
    struct gdeflate_tile tile;

    data_make(WORDS, 4, data, BYTES);
    cr_assert_eq(ds_codec_compress(codec, 1, data, BYTES, packed, bound, &size), 0);
    cr_assert_eq(gdeflate_stream_parse(&stream, packed, size), DS_CODEC_ERROR_NONE);
    tile = gdeflate_stream_tile(&stream, 13);
    memset(packed + (tile.packed - packed) + tile.packed_bytes - 400, 0xff, 400);
    for (uint32_t i = 14; i < TILES; i++) /* block type 3 */
        packed[gdeflate_stream_tile(&stream, i).packed - packed] |= 6;
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(ds_codec_decompress(codec, packed, size, data, BYTES, &report), -EBADMSG);
        cr_assert_eq(report.tile, 13);
        cr_assert_neq(report.error, DS_CODEC_ERROR_BLOCK_TYPE);
    }
    ds_codec_destroy(&codec);
    free(data);
    free(packed);
}

Test(gdeflate_codec, bad_arguments_are_refused)
{
    struct ds_codec *codec = NULL;
    uint8_t bytes[64] = {0};
    size_t size;

    cr_assert_eq(ds_codec_create((enum ds_codec_format)9, NULL, &codec), -EINVAL);
    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, ds_codec_config(.threads = 65), &codec),
                 -EINVAL);
    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, ds_codec_config(.path = 4), &codec), -EINVAL);
    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, ds_codec_config(.reserved = 1), &codec),
                 -EINVAL);
    cr_assert_null(codec);
    codec = codec_make(DS_CODEC_GDEFLATE, 0);
    cr_assert_neq(ds_codec_path_used(codec), DS_CODEC_PATH_AUTO);
    cr_assert_eq(ds_codec_compress(codec, 13, bytes, 64, bytes, 64, &size), -EINVAL);
    cr_assert_eq(ds_codec_compress(codec, -1, bytes, 64, bytes, 64, &size), -EINVAL);
    cr_assert_eq(ds_codec_compress(codec, 1, bytes, 0, bytes, 64, &size), -EINVAL);
    cr_assert_eq(ds_codec_compress(codec, 1, NULL, 64, bytes, 64, &size), -EINVAL);
    cr_assert_eq(ds_codec_decompress(codec, NULL, 1, bytes, 64, NULL), -EINVAL);
    cr_assert_eq(ds_codec_decompress(codec, bytes, 64, NULL, 1, NULL), -EINVAL);
    cr_assert_eq(ds_codec_compress_bound(codec, (size_t)65535 * 65536 + 1), 0);
    ds_codec_destroy(&codec);
    ds_codec_destroy(&codec);
    for (int32_t error = 0; error < 50; error++)
        cr_assert_gt(strlen(ds_codec_error_text(error)), 5);
    cr_assert_str_eq(ds_codec_error_name(DS_CODEC_ERROR_SYMBOL), "SYMBOL");
    cr_assert_str_eq(ds_codec_error_name(-3), "UNKNOWN");
}

/* An allocator that counts, and fails at a chosen call. */
struct counting {
    uint32_t calls;
    uint32_t fail_at;
    int64_t bytes_out;
};

static void *counting_alloc(void *ctx, size_t bytes, size_t align)
{
    struct counting *counting = ctx;
    void *memory = NULL;

    if (++counting->calls == counting->fail_at || posix_memalign(&memory, align, bytes) != 0)
        return NULL;
    counting->bytes_out += (int64_t)bytes;
    return memory;
}

static void counting_free(void *ctx, void *memory, size_t bytes)
{
    ((struct counting *)ctx)->bytes_out -= (int64_t)bytes;
    free(memory);
}

/* Creates, packs and unpacks; the first error, or 0. */
static int whole_life(const struct ds_allocator *allocator, struct counting *counting)
{
    static uint8_t data[100000], packed[140000], back[100000];
    struct ds_codec *codec;
    size_t size = 0;
    uint32_t calls;
    int error = ds_codec_create(DS_CODEC_GDEFLATE,
                                ds_codec_config(.threads = 3, .allocator = allocator), &codec);

    if (error != 0)
        return error;
    data_make(WORDS, 1, data, sizeof(data));
    error = ds_codec_compress(codec, 9, data, sizeof(data), packed, sizeof(packed), &size);
    calls = counting->calls;
    if (error == 0)
        error = ds_codec_decompress(codec, packed, size, back, sizeof(back), NULL);
    cr_assert_eq(counting->calls, calls, "decompress allocated");
    ds_codec_destroy(&codec);
    return error;
}

Test(gdeflate_codec, every_failed_allocation_is_an_error_without_a_leak)
{
    struct counting counting = {0};
    const struct ds_allocator allocator = {&counting, counting_alloc, counting_free};
    uint32_t calls;

    cr_assert_eq(whole_life(&allocator, &counting), 0);
    cr_assert_eq(counting.bytes_out, 0);
    calls = counting.calls;
    cr_assert_gt(calls, 5);
    for (uint32_t fail_at = 1; fail_at <= calls; fail_at++) {
        counting = (struct counting){.fail_at = fail_at};
        cr_assert_eq(whole_life(&allocator, &counting), -ENOMEM, "call %u", fail_at);
        cr_assert_eq(counting.bytes_out, 0, "call %u", fail_at);
    }
}

Test(gdeflate_codec, shuffle_lays_fields_out_as_directstorage_expects)
{
    /* Two BC1 blocks, and one left over: colours 0, colours 1, indices, then the rest. */
    static const uint8_t bc1[24] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
    static const uint8_t split[24] = {1,  2,  9,  10, 3,  4,  11, 12, 5,  6,  7,  8,
                                      13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
    /* Where each stream of four blocks begins, per field: DirectStorage gives it as a part of S. */
    static const struct {
        enum ds_codec_transform transform;
        uint32_t block_bytes, field_at, stream_at;
    } places[] = {
        {DS_CODEC_TRANSFORM_BC3, 16, 0, 0},
        {DS_CODEC_TRANSFORM_BC3, 16, 1, 64 / 16},
        {DS_CODEC_TRANSFORM_BC3, 16, 2, 64 / 8},
        {DS_CODEC_TRANSFORM_BC3, 16, 8, 64 / 2},
        {DS_CODEC_TRANSFORM_BC3, 16, 10, 64 * 5 / 8},
        {DS_CODEC_TRANSFORM_BC3, 16, 12, 64 * 3 / 4},
        {DS_CODEC_TRANSFORM_BC4, 8, 1, 32 / 8},
        {DS_CODEC_TRANSFORM_BC4, 8, 2, 32 / 4},
        {DS_CODEC_TRANSFORM_BC5, 16, 2, 64 * 2 / 16},
        {DS_CODEC_TRANSFORM_BC5, 16, 8, 64 * 8 / 16},
        {DS_CODEC_TRANSFORM_BC5, 16, 9, 64 * 9 / 16},
        {DS_CODEC_TRANSFORM_BC5, 16, 10, 64 * 10 / 16},
    };
    uint8_t out[64];

    cr_assert_eq(ds_codec_shuffle(DS_CODEC_TRANSFORM_BC1, bc1, out, 24), 0);
    cr_assert_arr_eq(out, split, 24);
    cr_assert_eq(ds_codec_unshuffle(DS_CODEC_TRANSFORM_BC1, split, out, 24), 0);
    cr_assert_arr_eq(out, bc1, 24);
    for (uint32_t i = 0; i < ARRAY_LENGTH(places); i++) {
        uint8_t blocks[64] = {0};

        blocks[places[i].field_at] = 99; /* in the first block */
        ds_codec_shuffle(places[i].transform, blocks, out, places[i].block_bytes * 4);
        cr_assert_eq(out[places[i].stream_at], 99, "place %u", i);
    }
}

Test(gdeflate_codec, unshuffle_undoes_shuffle_at_any_size)
{
    uint8_t data[400], mid[400], back[400];

    data_make(NOISE, 1, data, sizeof(data));
    for (int transform = 0; transform <= 4; transform++) {
        for (size_t bytes = 0; bytes <= sizeof(data); bytes++) {
            ds_codec_shuffle((enum ds_codec_transform)transform, data, mid, bytes);
            ds_codec_unshuffle((enum ds_codec_transform)transform, mid, back, bytes);
            cr_assert_arr_eq(back, data, bytes, "transform %d, %zu bytes", transform, bytes);
        }
    }
    cr_assert_eq(ds_codec_unshuffle((enum ds_codec_transform)5, data, back, 8), -EINVAL);
    cr_assert_eq(ds_codec_shuffle((enum ds_codec_transform) - 1, data, back, 8), -EINVAL);
}
