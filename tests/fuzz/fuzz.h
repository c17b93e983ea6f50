/* What the fuzz targets share. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "engine/codec/gdeflate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Decodes a tile on every path this CPU has, each into memory of exactly the right size; aborts
 * when verdicts or bytes differ. */
static inline void tile_fuzz(const uint8_t *packed, size_t packed_bytes, size_t bytes)
{
    enum ds_codec_error verdict = DS_CODEC_ERROR_NONE;
    uint8_t *expected = NULL;

    for (int path = DS_CODEC_PATH_SCALAR; path <= DS_CODEC_PATH_AVX512; path++) {
        rounds_fn rounds = gdeflate_rounds_for((enum ds_codec_path)path, NULL);
        enum ds_codec_error error;
        uint8_t *output;

        if (rounds == NULL)
            continue;
        output = malloc(bytes);
        if (output == NULL)
            abort();
        error = gdeflate_tile_decode(rounds, packed, packed_bytes, output, bytes);
        if (expected == NULL) {
            expected = output;
            verdict = error;
            continue;
        }
        if (error != verdict)
            abort();
        if (error == DS_CODEC_ERROR_NONE && memcmp(output, expected, bytes) != 0)
            abort();
        free(output);
    }
    free(expected);
}

#endif
