/* Tokens and blocks of the encoder: what a parser yields and how much it costs to write. */
#ifndef ENGINE_CODEC_BLOCK_H
#define ENGINE_CODEC_BLOCK_H

#include "engine/codec/gdeflate_format.h"
#include "engine/codec/lane_writer.h"

enum {
    /* One less than a decoder must take, like the reference compressor. */
    LITLEN_BITS_MAX = 14,
    LENGTH_MAX = 65535,
    LENGTH_SHORT_MAX = 258, /* longer ones are all symbol 285 */
};

/* A literal byte (length 0), or a match: length 3..65535 above, distance 1..65535 below. */
typedef uint32_t lz_token;

static inline lz_token token_match(uint32_t length, uint32_t distance)
{
    return length << 16 | distance;
}

static inline uint32_t token_length(lz_token token)
{
    return token >> 16;
}

/* The bytes that a token stands for. */
static inline uint32_t token_bytes(lz_token token)
{
    return token >> 16 != 0 ? token >> 16 : 1;
}

/* 0..31 for a distance of 1..65536. */
static inline uint32_t dist_symbol(uint32_t distance)
{
    uint32_t log;

    if (distance <= 2)
        return distance - 1;
    log = 31 - (uint32_t)__builtin_clz(distance - 1);
    return 2 * log + ((distance - 1) >> (log - 1) & 1);
}

/* 257..285 for a length of 3..65535. */
static inline uint32_t length_symbol(uint32_t length)
{
    uint32_t log, symbol;

    if (length <= 10)
        return SYMBOL_FIRST_LENGTH + length - 3;
    if (length > LENGTH_SHORT_MAX)
        return SYMBOL_LAST_LENGTH;
    log = 31 - (uint32_t)__builtin_clz(length - 3); /* 3..7 */
    symbol = SYMBOL_FIRST_LENGTH + 4 * (log - 1) + ((length - 3) >> (log - 2) & 3);
    return symbol;
}

struct histogram {
    uint32_t litlen[LITLEN_SYMBOLS];
    uint32_t dist[DIST_SYMBOLS];
};

/* histogram_count adds tokens[0..n) to the histogram. The end-of-block symbol is not counted. */
void histogram_count(struct histogram *histogram, const lz_token *tokens, size_t n);

/* The two codes of a block. */
struct block_code {
    uint8_t litlen_bits[LITLEN_SYMBOLS];
    uint8_t dist_bits[DIST_SYMBOLS];
};

/* block_code_build makes the best codes for a histogram, for which it counts one end of block. Both
 * codes are complete, with two words at least, whatever the histogram. Another variant than 0 gives
 * codes that are about as good but spread the bits over other lanes; for up to 2^16 tokens. */
void block_code_build(struct block_code *code, const struct histogram *histogram,
                      uint32_t variant);

/* block_code_fixed is the format's ready-made code. */
void block_code_fixed(struct block_code *code);

/* A part of the input and the tokens that stand for it. */
struct block {
    const lz_token *tokens;
    size_t token_count;
    const uint8_t *input;
    size_t bytes;
    struct histogram histogram; /* of the tokens */
    uint32_t variant;           /* of its codes */
    uint32_t type;              /* set by block_plan */
    uint64_t bits;              /* set by block_plan */
};

/* block_plan chooses the type with the fewest bits. dynamic_allowed false leaves out BLOCK_DYNAMIC,
 * whose header touches many lanes: better for a few bytes. */
void block_plan(struct block *block, bool dynamic_allowed);

/* block_write writes a planned block. */
void block_write(struct lane_writer *writer, const struct block *block, bool last);

/* The bits of a stored block, header included. Over 65,535 bytes it is two blocks. */
static inline uint64_t stored_bits(size_t bytes)
{
    return 8 * (uint64_t)bytes + 19 * (bytes > STORED_BYTES_MAX ? 2u : 1u);
}

#endif
