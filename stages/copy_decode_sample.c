#include "stages/copy_decode_sample.h"

#include "engine/clock.h"
#include "engine/codec/gdeflate_encode.h"

#include <string.h>

#define LEVEL      1
#define CPU_NS     1000000u
#define CPU_PASSES 4 /* at least, however long they take: the thread may not be running */
#define ROOM_BYTES (GDEFLATE_TILE_PACKED_MAX + DECODE_SAMPLE_ALIGN)

struct decode_sample {
    uint8_t plain[DECODE_SAMPLE_TILES][GDEFLATE_TILE_BYTES];
    uint8_t packed[DECODE_SAMPLE_TILES * ROOM_BYTES];
    uint8_t decoded[GDEFLATE_TILE_BYTES];
    struct gdeflate_tile tiles[DECODE_SAMPLE_TILES];
    uint32_t at[DECODE_SAMPLE_TILES];
    uint32_t packed_bytes;
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Records of 16 bytes, as of vertices: what changes slowly, what repeats, what is noise. */
static void records_fill(uint8_t *bytes)
{
    uint32_t state = 1;
    uint16_t walk[3] = {1000, 2000, 3000};

    for (uint32_t i = 0; i < GDEFLATE_TILE_BYTES; i += 16) {
        uint16_t record[8] = {0};

        for (uint32_t k = 0; k < 3; k++) {
            walk[k] = (uint16_t)(walk[k] + next_random(&state) % 64);
            record[k] = walk[k];
        }
        record[3] = (uint16_t)(next_random(&state) % 8 * 0x1111u);
        record[4] = (uint16_t)next_random(&state);
        record[5] = (uint16_t)(i / 1024);
        record[6] = (uint16_t)(next_random(&state) % 512);
        memcpy(bytes + i, record, sizeof(record));
    }
}

/* Words out of a few hundred, each of its own letters. */
static void words_fill(uint8_t *bytes)
{
    uint32_t state = 2;

    for (uint32_t i = 0; i < GDEFLATE_TILE_BYTES;) {
        uint32_t word = next_random(&state) % 512, letters = word;

        for (uint32_t n = 3 + word % 7; n > 0 && i < GDEFLATE_TILE_BYTES; n--)
            bytes[i++] = (uint8_t)('a' + next_random(&letters) % 26);
        if (i < GDEFLATE_TILE_BYTES)
            bytes[i++] = ' ';
    }
}

static void tiles_pack(struct decode_sample *sample, struct encoder *encoder)
{
    for (uint32_t i = 0; i < DECODE_SAMPLE_TILES; i++) {
        uint8_t *to = sample->packed + sample->packed_bytes;
        size_t bytes =
            gdeflate_tile_encode(encoder, LEVEL, sample->plain[i], GDEFLATE_TILE_BYTES, to);

        sample->at[i] = sample->packed_bytes;
        sample->tiles[i] = (struct gdeflate_tile){
            .packed = to,
            .packed_bytes = (uint32_t)bytes,
            .bytes = GDEFLATE_TILE_BYTES,
        };
        sample->packed_bytes += (uint32_t)align_up_u64(bytes, DECODE_SAMPLE_ALIGN);
    }
}

struct decode_sample *decode_sample_make(const struct host *host)
{
    struct decode_sample *sample = host_alloc(host, sizeof(*sample), CACHE_LINE);
    struct encoder *encoder = host_alloc(host, encoder_bytes(), CACHE_LINE);

    if (sample != NULL && encoder != NULL) {
        records_fill(sample->plain[0]);
        words_fill(sample->plain[1]);
        tiles_pack(sample, encoder);
    } else {
        decode_sample_free(host, sample);
        sample = NULL;
    }
    host_free(host, encoder, encoder_bytes());
    return sample;
}

void decode_sample_free(const struct host *host, struct decode_sample *sample)
{
    host_free(host, sample, sizeof(*sample));
}

const uint8_t *decode_sample_packed(const struct decode_sample *sample, uint32_t *bytes)
{
    *bytes = sample->packed_bytes;
    return sample->packed;
}

struct gdeflate_tile decode_sample_tile(const struct decode_sample *sample, uint32_t i,
                                        uint32_t *at)
{
    *at = sample->at[i % DECODE_SAMPLE_TILES];
    return sample->tiles[i % DECODE_SAMPLE_TILES];
}

bool decode_sample_is(const struct decode_sample *sample, uint32_t i, const uint8_t *bytes)
{
    return memcmp(bytes, sample->plain[i % DECODE_SAMPLE_TILES], GDEFLATE_TILE_BYTES) == 0;
}

static bool tiles_decode(struct decode_sample *sample, rounds_fn rounds)
{
    bool good = true;

    for (uint32_t i = 0; i < DECODE_SAMPLE_TILES; i++) {
        const struct gdeflate_tile *tile = &sample->tiles[i];

        good = good && gdeflate_tile_decode(rounds, tile->packed, tile->packed_bytes,
                                            sample->decoded, tile->bytes) == DS_CODEC_ERROR_NONE;
    }
    return good;
}

/* The best pass, so that it does not count when the thread is held up. The first one only warms the
 * caches. */
uint64_t decode_sample_cpu_rate(struct decode_sample *sample)
{
    rounds_fn rounds = gdeflate_rounds_for(DS_CODEC_PATH_AUTO, NULL);
    bool good = tiles_decode(sample, rounds);
    uint64_t started_ns = clock_now_ns(), before_ns = started_ns, best_ns = UINT64_MAX;

    for (uint32_t i = 0; i < CPU_PASSES || before_ns - started_ns < CPU_NS; i++) {
        uint64_t now_ns;

        good = good && tiles_decode(sample, rounds);
        now_ns = clock_now_ns();
        best_ns = min_u64(best_ns, max_u64(now_ns - before_ns, 1));
        before_ns = now_ns;
    }
    good = good && decode_sample_is(sample, DECODE_SAMPLE_TILES - 1, sample->decoded);
    return good ? DECODE_SAMPLE_TILES * (uint64_t)GDEFLATE_TILE_BYTES * 1000000000u / best_ns : 0;
}
