/* codec_decode - GDeflate tile decode speed, beside libdeflate on the same data.
 *
 * usage: codec_decode STREAM [ROUNDS]
 *
 * STREAM is a GDeflate tile stream. Each path that this CPU runs decodes all of its tiles on one
 * thread; libdeflate (where it was found at build time) decodes the same data from 64 KiB pieces
 * that it compressed itself at level 9. All contestants take turns in each round, so that a busy
 * machine hurts them alike; the best round counts. One JSON line per contestant. */
#include "engine/codec/gdeflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

struct bench {
    struct gdeflate_stream stream;
    uint8_t *expected;
    uint8_t *output;
    uint8_t *pieces; /* libdeflate's, GDEFLATE_TILE_BYTES + 1024 apart */
    size_t *piece_bytes;
    void *inflater;
};

enum { PIECE_STRIDE = GDEFLATE_TILE_BYTES + 1024, CONTESTANTS = 4 };

static const char *const names[CONTESTANTS] = {"scalar", "avx2", "avx512", "libdeflate"};

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *must_alloc(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);

    if (memory == NULL) {
        fprintf(stderr, "codec_decode: out of memory\n");
        exit(1);
    }
    memset(memory, 0, bytes);
    return memory;
}

static uint8_t *file_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    long size;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
        fprintf(stderr, "codec_decode: cannot read %s\n", path);
        exit(1);
    }
    rewind(file);
    data = must_alloc((size_t)size + 1);
    *bytes = fread(data, 1, (size_t)size, file);
    fclose(file);
    return data;
}

static bool decode_all(struct bench *bench, rounds_fn rounds)
{
    for (uint32_t i = 0; i < bench->stream.tile_count; i++) {
        struct gdeflate_tile tile = gdeflate_stream_tile(&bench->stream, i);

        if (gdeflate_tile_decode(rounds, tile.packed, tile.packed_bytes,
                                 bench->output + (size_t)i * GDEFLATE_TILE_BYTES,
                                 tile.bytes) != DS_CODEC_ERROR_NONE)
            return false;
    }
    return true;
}

#ifdef HAVE_LIBDEFLATE
static void pieces_make(struct bench *bench)
{
    struct libdeflate_compressor *deflater = libdeflate_alloc_compressor(9);

    bench->inflater = libdeflate_alloc_decompressor();
    bench->pieces = must_alloc((size_t)bench->stream.tile_count * PIECE_STRIDE);
    bench->piece_bytes = must_alloc(bench->stream.tile_count * sizeof(size_t));
    for (uint32_t i = 0; i < bench->stream.tile_count; i++) {
        struct gdeflate_tile tile = gdeflate_stream_tile(&bench->stream, i);

        bench->piece_bytes[i] = libdeflate_deflate_compress(
            deflater, bench->expected + (size_t)i * GDEFLATE_TILE_BYTES, tile.bytes,
            bench->pieces + (size_t)i * PIECE_STRIDE, PIECE_STRIDE);
    }
    libdeflate_free_compressor(deflater);
}

static bool inflate_all(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->stream.tile_count; i++) {
        struct gdeflate_tile tile = gdeflate_stream_tile(&bench->stream, i);

        if (libdeflate_deflate_decompress(bench->inflater, bench->pieces + (size_t)i * PIECE_STRIDE,
                                          bench->piece_bytes[i],
                                          bench->output + (size_t)i * GDEFLATE_TILE_BYTES,
                                          tile.bytes, NULL) != LIBDEFLATE_SUCCESS)
            return false;
    }
    return true;
}
#endif

/* Seconds for one pass over all tiles; 0 when the contestant is not there. */
static double contest(struct bench *bench, uint32_t contestant)
{
    double begin = now_seconds();
    rounds_fn rounds;
    bool ok = false;

    if (contestant < 3) {
        rounds = gdeflate_rounds_for((enum ds_codec_path)(contestant + 1), NULL);
        if (rounds == NULL)
            return 0;
        ok = decode_all(bench, rounds);
    } else {
#ifdef HAVE_LIBDEFLATE
        ok = inflate_all(bench);
#else
        return 0;
#endif
    }
    begin = now_seconds() - begin;
    if (!ok || memcmp(bench->output, bench->expected, bench->stream.content_bytes) != 0) {
        fprintf(stderr, "codec_decode: %s gave wrong bytes\n", names[contestant]);
        exit(1);
    }
    return begin;
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 20;
    double best[CONTESTANTS] = {0};
    struct bench bench = {0};
    size_t bytes = 0;
    uint8_t *input;

    if (argc < 2) {
        fprintf(stderr, "usage: codec_decode STREAM [ROUNDS]\n");
        return 2;
    }
    input = file_read(argv[1], &bytes);
    if (gdeflate_stream_parse(&bench.stream, input, bytes) != DS_CODEC_ERROR_NONE) {
        fprintf(stderr, "codec_decode: %s is not a GDeflate tile stream\n", argv[1]);
        return 1;
    }
    bench.expected = must_alloc(bench.stream.content_bytes);
    bench.output = bench.expected;
    if (!decode_all(&bench, gdeflate_rounds_for(DS_CODEC_PATH_SCALAR, NULL))) {
        fprintf(stderr, "codec_decode: %s is damaged\n", argv[1]);
        return 1;
    }
    bench.output = must_alloc(bench.stream.content_bytes);
#ifdef HAVE_LIBDEFLATE
    pieces_make(&bench);
#endif
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < CONTESTANTS; i++) {
            double seconds = contest(&bench, i);

            if (seconds > 0 && (best[i] == 0 || seconds < best[i]))
                best[i] = seconds;
        }
    }
    for (uint32_t i = 0; i < CONTESTANTS; i++) {
        if (best[i] > 0)
            printf("{\"bench\":\"codec_decode\",\"input\":\"%s\",\"decoder\":\"%s\","
                   "\"mb_per_s\":%.0f}\n",
                   argv[1], names[i], (double)bench.stream.content_bytes / best[i] / 1e6);
    }
    free(input);
    return 0;
}
