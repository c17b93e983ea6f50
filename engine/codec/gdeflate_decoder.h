/* The state of one tile being decoded, and the parts that all decode paths share. */
#ifndef ENGINE_CODEC_GDEFLATE_DECODER_H
#define ENGINE_CODEC_GDEFLATE_DECODER_H

#include "engine/codec/gdeflate.h"
#include "engine/codec/gdeflate_table.h"

enum {
    /* A round takes at most one word a lane, and SIMD loads reach no further than that. */
    ROUND_INPUT_BYTES = GDEFLATE_LANES * 4,
    /* Rounds may write this far behind the output position: 32 bytes for the literals of a round
     * that has just passed the limit, 32 for the store that writes them. A match may end at most at
     * the limit and overshoots by less. */
    ROUND_OUTPUT_SLOP = 64,
};

struct tile_decoder {
    uint64_t bits[GDEFLATE_LANES]; /* the next bits of each lane, lowest first; zero above held */
    uint32_t held[GDEFLATE_LANES]; /* 32..63 between steps */

    const uint8_t *next;       /* first unread word */
    const uint8_t *end;        /* end of the tile's whole words */
    const uint8_t *read_limit; /* a round may begin while next <= read_limit */

    uint8_t *out_begin;
    uint8_t *out;
    uint8_t *out_end;

    /* Lanes that owe a distance; for them, the output bytes kept free for the match. */
    uint32_t owing;
    uint32_t hole_at[GDEFLATE_LANES];
    uint32_t hole_bytes[GDEFLATE_LANES];

    uint32_t table[CODE_TABLE_ENTRIES];

    /* The last words of the tile with zeros behind, so that rounds can go on to the very end. */
    uint8_t tail[2 * ROUND_INPUT_BYTES];
};

/* decoder_use_tail moves the last words into decoder->tail. Called when next > read_limit; false
 * when they are there already, which means that the input is over. */
bool decoder_use_tail(struct tile_decoder *decoder);

#define MATCH_INLINE static inline __attribute__((always_inline))

MATCH_INLINE void copy_16(uint8_t *to, const uint8_t *from)
{
    uint8_t bytes[16];

    memcpy(bytes, from, 16);
    memcpy(to, bytes, 16);
}

/* match_copy_near copies a match with a distance below 16: the pattern is widened by copies of
 * itself until 16 bytes can move at once. Writes less than 32 bytes past the match. */
MATCH_INLINE void match_copy_near(uint8_t *to, uint32_t distance, uint32_t length)
{
    const uint8_t *from = to - distance;
    uint8_t *end = to + length;

    if (distance == 1) {
        memset(to, *from, 32);
        for (to += 32; to < end; to += 16)
            copy_16(to, to - 16);
        return;
    }
    /* A multiple of the distance, at least 16, is a period as well. */
    uint32_t period = distance;
    while (period < 16)
        period += distance;
    for (uint32_t i = 0; i < period; i++)
        to[i] = from[i];
    for (uint8_t *at = to + period; at < end; at += 16)
        copy_16(at, at - period);
}

/* match_copy copies a match that was checked: distance bytes lie before `to`. Writes up to 32 bytes
 * past its end. */
MATCH_INLINE void match_copy(uint8_t *to, uint32_t distance, uint32_t length)
{
    const uint8_t *from = to - distance;
    uint8_t *end = to + length;

    if (UNLIKELY(distance < 16)) {
        match_copy_near(to, distance, length);
        return;
    }
    do {
        copy_16(to, from);
        copy_16(to + 16, from + 16);
        to += 32;
        from += 32;
    } while (to < end);
}

/* What one round of 32 lanes yielded. Matches wait here for their distances, which the same lanes
 * yield a round later: so output runs one round behind, and in strict order, which lets every copy
 * overshoot: what it spoils is written afterwards. */
struct round {
    uint32_t literal_lanes;
    uint32_t match_lanes;
    uint32_t literal_count;
    _Alignas(64) uint32_t values[GDEFLATE_LANES]; /* literal, match length or distance */
    uint32_t
        literals_before[GDEFLATE_LANES];  /* how many in lower lanes; SIMD counts bits instead */
    uint8_t literals[2 * GDEFLATE_LANES]; /* of the literal lanes, gathered, then padding */
};

/* round_emit writes a round: literals, and matches with the distances of the next round. False when
 * a distance or the room is wrong; then *out is unchanged, and what was written behind it is undone
 * by writing the round again. */
MATCH_INLINE bool round_emit(const struct round *round, const uint32_t *distances,
                             const uint8_t *begin, const uint8_t *limit, uint8_t **out,
                             bool counted)
{
    uint32_t matches = round->match_lanes;
    uint32_t written = 0;
    uint8_t *to = *out;

    while (matches != 0) {
        uint32_t lane = (uint32_t)__builtin_ctz(matches);
        uint32_t before =
            counted ? round->literals_before[lane]
                    : (uint32_t)__builtin_popcount(round->literal_lanes & ((1u << lane) - 1));
        uint32_t length = round->values[lane];
        uint32_t distance = distances[lane];

        memcpy(to, round->literals + written, 32);
        to += before - written;
        written = before;
        if (UNLIKELY(distance > (size_t)(to - begin) || to > limit ||
                     length > (size_t)(limit - to)))
            return false;
        match_copy(to, distance, length);
        to += length;
        matches &= matches - 1;
    }
    memcpy(to, round->literals + written, 32);
    *out = to + (round->literal_count - written);
    return true;
}

/* round_flush writes the literals of a round and leaves its matches as holes that the lanes owe:
 * the state in which the careful decoder takes over. */
enum ds_codec_error round_flush(struct tile_decoder *decoder, const struct round *round);

enum ds_codec_error rounds_scalar(struct tile_decoder *decoder);
#if defined(__x86_64__)
enum ds_codec_error rounds_avx2(struct tile_decoder *decoder);
enum ds_codec_error rounds_avx512(struct tile_decoder *decoder);
#endif

#endif
