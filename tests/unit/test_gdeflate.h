/* What the codec tests share: generated data, memory with a wall behind it, all decode paths. */
#ifndef TEST_GDEFLATE_H
#define TEST_GDEFLATE_H

#include "engine/codec/gdeflate.h"
#include "engine/codec/gdeflate_encode.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static inline uint32_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

enum kind { ZEROS, NOISE, WORDS, BLOCKS, SKEWED, RUNS, MIXED, KINDS };

static const char *const kind_names[KINDS] = {"zeros",  "noise", "words", "blocks",
                                              "skewed", "runs",  "mixed"};

/* Fills data with something of a kind: the same for the same seed. */
static inline void data_make(enum kind kind, uint64_t seed, uint8_t *data, size_t bytes)
{
    static const char *const words[] = {"the ", "asset ", "streams ", "from ", "disk, ", "tile ",
                                        "by ",  "tile. ", "Lanes ",   "of ",   "bits "};
    uint64_t state = seed + (uint64_t)kind * 977;
    size_t at = 0;

    while (at < bytes) {
        size_t left = bytes - at;
        uint32_t r = random_next(&state);

        if (kind == MIXED) {
            size_t part = min_u64(left, 500 + r % 20000);

            data_make((enum kind)(random_next(&state) % MIXED), state, data + at, part);
            at += part;
        } else if (kind == WORDS) {
            const char *word = words[min_u32(r % 11, random_next(&state) % 11)];
            size_t part = min_u64(left, strlen(word));

            memcpy(data + at, word, part);
            at += part;
        } else if (kind == RUNS) {
            size_t part = min_u64(left, 1 + (r % 7 == 0 ? r % 5000 : r % 20));

            memset(data + at, (int)(r >> 8 & 7), part);
            at += part;
        } else {
            uint32_t block = at % 16 < 6 ? 0x40 + (uint32_t)at / 512 : r & 0x33;
            uint32_t skewed = (uint32_t)__builtin_ctz(r | 1u << 20) * 11;

            data[at++] = (uint8_t)(kind == ZEROS    ? 0
                                   : kind == NOISE  ? r
                                   : kind == BLOCKS ? block
                                                    : skewed);
        }
    }
}

struct walled {
    uint8_t *map;
    size_t map_bytes;
    uint8_t *data; /* ends where the wall begins: one byte too far is a crash */
};

static inline struct walled walled_make(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (bytes + page - 1) / page * page;
    struct walled walled = {.map_bytes = room + page};

    walled.map =
        mmap(NULL, walled.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(walled.map, MAP_FAILED);
    cr_assert_eq(mprotect(walled.map + room, page, PROT_NONE), 0);
    walled.data = walled.map + room - bytes;
    return walled;
}

static inline struct walled walled_copy(const void *data, size_t bytes)
{
    struct walled walled = walled_make(bytes);

    memcpy(walled.data, data, bytes);
    return walled;
}

static inline void walled_free(struct walled *walled)
{
    munmap(walled->map, walled->map_bytes);
}

enum { PATHS = 3 };

/* The rounds code of path 1..3, or NULL with a note when this CPU lacks it. */
static inline rounds_fn path_rounds(int path)
{
    static const char *const names[PATHS + 1] = {"", "scalar", "avx2", "avx512"};
    rounds_fn rounds = gdeflate_rounds_for((enum ds_codec_path)path, NULL);

    if (rounds == NULL)
        fprintf(stderr, "skipped: %s: this CPU cannot run it\n", names[path]);
    return rounds;
}

/* Decodes a tile on each path from and into walled memory, checks that verdict and bytes agree,
 * copies the output to dst (may be NULL) and returns the verdict. */
static inline enum ds_codec_error tile_decode_all(const uint8_t *packed, size_t packed_bytes,
                                                  uint8_t *dst, size_t bytes)
{
    struct walled input = walled_copy(packed, packed_bytes);
    struct walled first = walled_make(bytes);
    enum ds_codec_error verdict = DS_CODEC_ERROR_NONE;

    for (int path = 1; path <= PATHS; path++) {
        struct walled output = walled_make(bytes);
        rounds_fn rounds = path_rounds(path);
        enum ds_codec_error error;

        if (rounds == NULL)
            continue;
        error = gdeflate_tile_decode(rounds, input.data, packed_bytes, output.data, bytes);
        if (path == 1) {
            verdict = error;
            memcpy(first.data, output.data, bytes);
        }
        cr_assert_eq(error, verdict, "path %d: %s, but scalar: %s", path,
                     ds_codec_error_name(error), ds_codec_error_name(verdict));
        if (error == DS_CODEC_ERROR_NONE)
            cr_assert_arr_eq(output.data, first.data, bytes, "path %d: other bytes", path);
        walled_free(&output);
    }
    if (dst != NULL)
        memcpy(dst, first.data, bytes);
    walled_free(&first);
    walled_free(&input);
    return verdict;
}

static inline struct encoder *encoder_make(void)
{
    struct encoder *encoder = aligned_alloc(CACHE_LINE, align_up_u64(encoder_bytes(), CACHE_LINE));

    cr_assert_not_null(encoder);
    memset(encoder, 0x5a, encoder_bytes()); /* it promises not to need zeros */
    return encoder;
}

#endif
