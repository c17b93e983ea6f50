/* One tile: parse by level, cut into blocks, write; stored where nothing else is smaller. */
#include "engine/codec/gdeflate_encode.h"
#include "engine/codec/parse.h"

enum {
    LEVEL_FIRST_LAZY = 5,
    LEVEL_FIRST_OPTIMAL = 9,
    /* Up to this size the words of a tile matter more than its bits: try several ways. */
    SMALL_TILE_BYTES = 2048,
};

struct encoder {
    union {
        struct {
            struct match_chain chain;
            lz_token tokens[GDEFLATE_TILE_BYTES];
        } fast;
        struct optimal optimal;
    } work;
    struct block blocks[SPLIT_PARTS_MAX];
    struct lane_writer writer;
    uint32_t words[GDEFLATE_TILE_PACKED_MAX / 4 + 1];
    uint32_t other_words[GDEFLATE_TILE_PACKED_MAX / 4 + 1];
};

static const struct effort efforts[GDEFLATE_LEVEL_MAX + 1] = {
    [1] = {.depth = 2, .nice = 8, .part_bytes = 8192},
    [2] = {.depth = 6, .nice = 12, .part_bytes = 4096},
    [3] = {.depth = 12, .nice = 16, .part_bytes = 4096},
    [4] = {.depth = 24, .nice = 40, .part_bytes = 4096},
    [5] = {.depth = 20, .nice = 40, .part_bytes = 4096},
    [6] = {.depth = 40, .nice = 80, .part_bytes = 4096},
    [7] = {.depth = 100, .nice = 130, .part_bytes = 4096},
    [8] = {.depth = 300, .nice = 258, .part_bytes = 4096},
    [9] = {.depth = 10, .nice = 48, .part_bytes = 4096, .passes = 1, .kept = 2},
    [10] = {.depth = 24, .nice = 90, .part_bytes = 4096, .passes = 2, .kept = 2},
    [11] = {.depth = 40, .nice = 110, .part_bytes = 4096, .passes = 2, .kept = 3},
    [12] = {.depth = 60, .nice = 130, .part_bytes = 4096, .passes = 2, .kept = 4},
};

size_t encoder_bytes(void)
{
    return sizeof(struct encoder);
}

/* Fills encoder->blocks; returns their number. */
static uint32_t tile_parse(struct encoder *encoder, int level, const uint8_t *input, size_t bytes)
{
    const struct effort *effort = &efforts[level];
    lz_token *tokens = encoder->work.fast.tokens;
    uint32_t count;
    size_t n;

    if (level >= LEVEL_FIRST_OPTIMAL)
        return parse_optimal(&encoder->work.optimal, effort, input, bytes, encoder->blocks);
    if (level >= LEVEL_FIRST_LAZY)
        n = parse_lazy(&encoder->work.fast.chain, effort, input, bytes, tokens);
    else
        n = parse_greedy(&encoder->work.fast.chain, effort, input, bytes, tokens);
    count = split_tokens(tokens, n, input, bytes, effort->part_bytes, encoder->blocks);
    for (uint32_t i = 0; i < count; i++)
        block_plan(&encoder->blocks[i], true);
    return count;
}

static size_t stored_tile_write(struct lane_writer *writer, const uint8_t *input, size_t bytes,
                                uint32_t *words)
{
    struct block block = {.input = input, .bytes = bytes, .type = BLOCK_STORED};

    lane_writer_begin(writer, words);
    block_write(writer, &block, true);
    return lane_writer_end(writer);
}

static size_t blocks_write(struct lane_writer *writer, const struct block *blocks, uint32_t count,
                           uint32_t *words)
{
    lane_writer_begin(writer, words);
    for (uint32_t i = 0; i < count; i++)
        block_write(writer, &blocks[i], i + 1 == count);
    return lane_writer_end(writer);
}

/* Keeps the smaller of encoder->words and encoder->other_words in words. */
static size_t words_keep_smaller(struct encoder *encoder, size_t size, size_t other)
{
    if (other >= size)
        return size;
    memcpy(encoder->words, encoder->other_words, other);
    return other;
}

/* Other codes of the same quality end in fewer part-filled words, or in more. */
static size_t tile_try_variants(struct encoder *encoder, int level, uint32_t count, size_t size)
{
    uint32_t variants = level >= LEVEL_FIRST_OPTIMAL ? 24 : level >= LEVEL_FIRST_LAZY ? 12 : 4;
    bool dynamic = false;

    for (uint32_t i = 0; i < count; i++)
        dynamic |= encoder->blocks[i].type == BLOCK_DYNAMIC;
    for (uint32_t variant = 1; dynamic && variant <= variants; variant++) {
        for (uint32_t i = 0; i < count; i++)
            encoder->blocks[i].variant = variant;
        size = words_keep_smaller(encoder, size,
                                  blocks_write(&encoder->writer, encoder->blocks, count,
                                               encoder->other_words));
    }
    return size;
}

/* Bits are not everything: lanes end in part-filled words, some 128 bytes a tile. Where that may
 * decide it, other ways are written out as well: stored, and for small tiles without a dynamic
 * block, whose header touches many lanes. The smallest stays in encoder->words. */
static size_t tile_try_others(struct encoder *encoder, int level, uint32_t count,
                              const uint8_t *input, size_t bytes, size_t size)
{
    struct lane_writer *writer = &encoder->writer;
    size_t other;

    if (bytes > SMALL_TILE_BYTES && size <= bytes)
        return size;
    other = stored_tile_write(writer, input, bytes, encoder->other_words);
    size = words_keep_smaller(encoder, size, other);
    if (bytes > SMALL_TILE_BYTES)
        return size;
    size = tile_try_variants(encoder, level, count, size);
    for (uint32_t i = 0; i < count; i++)
        block_plan(&encoder->blocks[i], false);
    other = blocks_write(writer, encoder->blocks, count, encoder->other_words);
    return words_keep_smaller(encoder, size, other);
}

size_t gdeflate_tile_encode(struct encoder *encoder, int level, const uint8_t *input, size_t bytes,
                            uint8_t *packed)
{
    uint64_t bits = 0;
    uint32_t count = 0;
    size_t size;

    DS_ASSERT(bytes >= 1 && bytes <= GDEFLATE_TILE_BYTES);
    DS_ASSERT(level >= 0 && level <= GDEFLATE_LEVEL_MAX);
    if (level != GDEFLATE_LEVEL_STORED)
        count = tile_parse(encoder, level, input, bytes);
    for (uint32_t i = 0; i < count; i++)
        bits += encoder->blocks[i].bits;
    if (count == 0 || bits >= stored_bits(bytes))
        size = stored_tile_write(&encoder->writer, input, bytes, encoder->words);
    else
        size = blocks_write(&encoder->writer, encoder->blocks, count, encoder->words);
    if (count != 0)
        size = tile_try_others(encoder, level, count, input, bytes, size);
    DS_ASSERT(size <= gdeflate_tile_bound(bytes));
    for (size_t i = 0; i < size / 4; i++)
        store_le32(packed + 4 * i, encoder->words[i]);
    return size;
}
