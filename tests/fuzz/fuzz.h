/* What the fuzz targets share. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "engine/codec/gdeflate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define PATH_LAST DS_CODEC_PATH_SCALAR /* it does not know all vector instructions */
#define MEMORY_UNSET(at, bytes) __msan_allocated_memory(at, bytes)
#define MEMORY_MUST_BE_SET(at, bytes) __msan_check_mem_is_initialized(at, bytes)
#endif
#endif
#ifndef PATH_LAST
#define PATH_LAST DS_CODEC_PATH_AVX512
#define MEMORY_UNSET(at, bytes) ((void)0)
#define MEMORY_MUST_BE_SET(at, bytes) ((void)0)
#endif

/* Room whose end is the end of a block of memory, so that a sanitizer sees the first byte written
 * past it; a guard before it shows what was written too early. It is made once: making exact blocks
 * for every input would take most of the time. */
struct room {
    uint8_t *block;
    size_t block_bytes;
    size_t bytes; /* given out last */
};

#define ROOM_GUARD_BYTES 64

static inline uint8_t *room_of(struct room *room, size_t bytes, size_t bytes_max)
{
    if (room->block == NULL) {
        room->block_bytes = bytes_max + ROOM_GUARD_BYTES;
        room->block = malloc(room->block_bytes);
    }
    if (room->block == NULL || bytes > bytes_max)
        abort();
    room->bytes = bytes;
    memset(room->block + room->block_bytes - bytes - ROOM_GUARD_BYTES, 0x6b, ROOM_GUARD_BYTES);
    MEMORY_UNSET(room->block + room->block_bytes - bytes, bytes);
    return room->block + room->block_bytes - bytes;
}

static inline void room_check(const struct room *room)
{
    const uint8_t *guard = room->block + room->block_bytes - room->bytes - ROOM_GUARD_BYTES;

    for (size_t i = 0; i < ROOM_GUARD_BYTES; i++) {
        if (guard[i] != 0x6b)
            abort();
    }
}

/* Decodes a tile on every path this CPU has, each into memory of exactly the right size; aborts
 * when verdicts or bytes differ. */
static inline void tile_fuzz(const uint8_t *packed, size_t packed_bytes, size_t bytes)
{
    static struct room rooms[PATH_LAST + 1];
    enum ds_codec_error verdict = DS_CODEC_ERROR_NONE;
    const uint8_t *expected = NULL;

    for (int path = DS_CODEC_PATH_SCALAR; path <= PATH_LAST; path++) {
        rounds_fn rounds = gdeflate_rounds_for((enum ds_codec_path)path, NULL);
        enum ds_codec_error error;
        uint8_t *output;

        if (rounds == NULL)
            continue;
        output = room_of(&rooms[path], bytes, GDEFLATE_TILE_BYTES);
        error = gdeflate_tile_decode(rounds, packed, packed_bytes, output, bytes);
        room_check(&rooms[path]);
        if (error == DS_CODEC_ERROR_NONE)
            MEMORY_MUST_BE_SET(output, bytes);
        if (expected == NULL) {
            expected = output;
            verdict = error;
        } else if (error != verdict ||
                   (error == DS_CODEC_ERROR_NONE && memcmp(output, expected, bytes) != 0)) {
            abort();
        }
    }
}

#endif
