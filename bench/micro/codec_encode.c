/* codec_encode - GDeflate tile encode speed and size.
 *
 * usage: codec_encode FILE [LEVEL...]
 *
 * Packs FILE tile by tile on one thread, three times a level (1, 9 and 12 when none is given); the
 * best counts, in processor time, for other work on the machine should not. One JSON line a level.
 */
#include "engine/codec/gdeflate_encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPEATS = 3 };

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *must_alloc(size_t bytes)
{
    void *memory = aligned_alloc(CACHE_LINE, align_up_u64(bytes, CACHE_LINE));

    if (memory == NULL) {
        fprintf(stderr, "codec_encode: out of memory\n");
        exit(1);
    }
    return memory;
}

static uint8_t *file_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    long size;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) <= 0) {
        fprintf(stderr, "codec_encode: cannot read %s, or it is empty\n", path);
        exit(1);
    }
    rewind(file);
    data = must_alloc((size_t)size);
    *bytes = fread(data, 1, (size_t)size, file);
    fclose(file);
    return data;
}

static void level_run(struct encoder *encoder, const char *path, const uint8_t *data, size_t bytes,
                      int level)
{
    static uint8_t packed[GDEFLATE_TILE_PACKED_MAX];
    double best = 0;
    size_t total = 0;

    for (uint32_t repeat = 0; repeat < REPEATS; repeat++) {
        double seconds = cpu_seconds();

        total = 0;
        for (size_t at = 0; at < bytes; at += GDEFLATE_TILE_BYTES)
            total += gdeflate_tile_encode(encoder, level, data + at,
                                          min_u64(bytes - at, GDEFLATE_TILE_BYTES), packed);
        seconds = cpu_seconds() - seconds;
        if (best == 0 || seconds < best)
            best = seconds;
    }
    printf("{\"bench\":\"codec_encode\",\"input\":\"%s\",\"level\":%d,\"ratio\":%.4f,"
           "\"mb_per_s\":%.1f}\n",
           path, level, (double)total / (double)bytes, (double)bytes / best / 1e6);
}

int main(int argc, char **argv)
{
    static const int usual_levels[] = {1, 9, 12};
    struct encoder *encoder;
    size_t bytes = 0;
    uint8_t *data;

    if (argc < 2) {
        fprintf(stderr, "usage: codec_encode FILE [LEVEL...]\n");
        return 2;
    }
    data = file_read(argv[1], &bytes);
    encoder = must_alloc(encoder_bytes());
    if (argc == 2) {
        for (uint32_t i = 0; i < ARRAY_LENGTH(usual_levels); i++)
            level_run(encoder, argv[1], data, bytes, usual_levels[i]);
    }
    for (int i = 2; i < argc; i++) {
        int level = atoi(argv[i]);

        if (level < 0 || level > GDEFLATE_LEVEL_MAX) {
            fprintf(stderr, "codec_encode: no level %s\n", argv[i]);
            return 2;
        }
        level_run(encoder, argv[1], data, bytes, level);
    }
    free(encoder);
    free(data);
    return 0;
}
