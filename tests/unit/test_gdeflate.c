/* GDeflate tiles: round trips, hostile bytes, and hand-made tiles for every verdict. */
#include "test_gdeflate.h"

#include "engine/codec/huffman.h"
#include "engine/codec/lane_writer.h"

static const size_t sizes[] = {1,    2,     3,     31,    32,    33,    63,    64,
                               65,   100,   127,   128,   129,   257,   1000,  4095,
                               4097, 10000, 32768, 65471, 65472, 65473, 65535, 65536};

Test(gdeflate, every_level_kind_and_size_comes_back_on_every_path)
{
    struct encoder *encoder = encoder_make();
    static uint8_t data[GDEFLATE_TILE_BYTES], back[GDEFLATE_TILE_BYTES];
    static uint8_t packed[GDEFLATE_TILE_PACKED_MAX];

    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        for (int kind = 0; kind < KINDS; kind++) {
            int level = (int)(i * 5 + (uint32_t)kind * 3) % (GDEFLATE_LEVEL_MAX + 1);
            size_t size;

            data_make((enum kind)kind, i, data, sizes[i]);
            size = gdeflate_tile_encode(encoder, level, data, sizes[i], packed);
            cr_assert_leq(size, gdeflate_tile_bound(sizes[i]));
            cr_assert_eq(tile_decode_all(packed, size, back, sizes[i]), DS_CODEC_ERROR_NONE,
                         "%s, %zu bytes, level %d", kind_names[kind], sizes[i], level);
            cr_assert_arr_eq(back, data, sizes[i], "%s, %zu bytes, level %d", kind_names[kind],
                             sizes[i], level);
            /* No word too many: a tile without its last word must run dry. */
            cr_assert_eq(tile_decode_all(packed, size - 4, NULL, sizes[i]),
                         size - 4 < GDEFLATE_TILE_PACKED_MIN ? DS_CODEC_ERROR_TILE_SHORT
                                                             : DS_CODEC_ERROR_INPUT_END);
        }
    }
    free(encoder);
}

Test(gdeflate, words_behind_a_tile_are_padding)
{
    struct encoder *encoder = encoder_make();
    uint8_t data[5000], back[5000];
    static uint8_t packed[GDEFLATE_TILE_PACKED_MAX];
    size_t size;

    data_make(WORDS, 3, data, sizeof(data));
    size = gdeflate_tile_encode(encoder, 6, data, sizeof(data), packed);
    memset(packed + size, 0xff, 403);
    cr_assert_eq(tile_decode_all(packed, size + 403, back, sizeof(back)), DS_CODEC_ERROR_NONE);
    cr_assert_arr_eq(back, data, sizeof(data));
    free(encoder);
}

/* Paths must agree on every damaged tile, and none may touch a byte outside (the walls tell). */
Test(gdeflate, damaged_tiles_get_one_verdict_from_all_paths)
{
    struct encoder *encoder = encoder_make();
    static uint8_t data[20000], packed[GDEFLATE_TILE_PACKED_MAX];
    uint32_t refused = 0, tried = 0;
    uint64_t state = 1;

    for (int kind = 0; kind < KINDS; kind++) {
        size_t size;

        data_make((enum kind)kind, 7, data, sizeof(data));
        size = gdeflate_tile_encode(encoder, 6, data, sizeof(data), packed);
        for (uint32_t i = 0; i < 150; i++) {
            /* Half of the damage in the first words, where headers and codes are. */
            size_t bit = random_next(&state) % (i % 2 != 0 ? 8 * size : min_u64(8 * size, 2048));

            packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            refused += tile_decode_all(packed, size, NULL, sizeof(data)) != DS_CODEC_ERROR_NONE;
            packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            tried++;
        }
    }
    cr_assert_gt(refused, tried / 20, "only %u of %u refused", refused, tried);
    free(encoder);
}

Test(gdeflate, noise_is_no_tile_and_never_hangs)
{
    static uint8_t noise[4096];

    for (uint32_t seed = 0; seed < 300; seed++) {
        data_make(NOISE, seed, noise, sizeof(noise));
        noise[0] = (uint8_t)((noise[0] & 0xf8) | (seed % 8)); /* all block types, last and not */
        tile_decode_all(noise, 128 + seed * 13, NULL, 1 + seed * 200);
    }
}

/* Hand-made tiles. */
struct craft {
    struct lane_writer writer;
    uint32_t words[4096];
    uint16_t litlen[LITLEN_SYMBOLS], dist[DIST_SYMBOLS];
    uint8_t litlen_bits[LITLEN_SYMBOLS];
};

static void craft_begin(struct craft *craft)
{
    memset(craft, 0, sizeof(*craft));
    lane_writer_begin(&craft->writer, craft->words);
    memset(craft->litlen_bits, 8, 144);
    memset(craft->litlen_bits + 144, 9, 112);
    memset(craft->litlen_bits + 256, 7, 24);
    memset(craft->litlen_bits + 280, 8, 8);
    huffman_words(craft->litlen_bits, LITLEN_SYMBOLS, craft->litlen);
    huffman_words((const uint8_t[DIST_SYMBOLS]){5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
                                                5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5},
                  DIST_SYMBOLS, craft->dist);
}

static enum ds_codec_error craft_decode(struct craft *craft, uint8_t *dst, size_t bytes)
{
    size_t size = lane_writer_end(&craft->writer);

    return tile_decode_all((const uint8_t *)craft->words, size, dst, bytes);
}

static void craft_fixed(struct craft *craft, uint32_t lane, uint32_t symbol)
{
    lane_put(&craft->writer, lane, craft->litlen[symbol], craft->litlen_bits[symbol]);
}

Test(gdeflate, block_type_3_is_refused)
{
    struct craft craft;

    craft_begin(&craft);
    lane_put(&craft.writer, 0, 1 | 3 << 1, 3);
    cr_assert_eq(craft_decode(&craft, NULL, 10), DS_CODEC_ERROR_BLOCK_TYPE);
}

Test(gdeflate, a_match_may_not_reach_before_the_tile)
{
    struct craft craft;
    uint8_t out[8];

    for (uint32_t literals = 0; literals < 4; literals++) {
        craft_begin(&craft);
        lane_put(&craft.writer, 0, 1 | BLOCK_FIXED << 1, 3);
        for (uint32_t i = 0; i < literals; i++)
            craft_fixed(&craft, i, 'a' + i);
        craft_fixed(&craft, literals, 257); /* length 3 */
        craft_fixed(&craft, literals + 1, SYMBOL_END_OF_BLOCK);
        lane_put(&craft.writer, literals, craft.dist[2], 5); /* distance 3 */
        cr_assert_eq(craft_decode(&craft, out, literals + 3),
                     literals < 3 ? DS_CODEC_ERROR_DISTANCE : DS_CODEC_ERROR_NONE);
    }
    cr_assert_arr_eq(out, "abcabc", 6);
}

Test(gdeflate, length_symbols_286_and_287_are_refused)
{
    struct craft craft;

    for (uint32_t symbol = 286; symbol < 288; symbol++) {
        craft_begin(&craft);
        lane_put(&craft.writer, 0, 1 | BLOCK_FIXED << 1, 3);
        craft_fixed(&craft, 0, 'x');
        craft_fixed(&craft, 1, symbol);
        cr_assert_eq(craft_decode(&craft, NULL, 4), DS_CODEC_ERROR_SYMBOL);
    }
}

Test(gdeflate, literals_matches_and_stored_bytes_must_fit_exactly)
{
    static const uint32_t room[] = {19, 20, 21};
    static const enum ds_codec_error verdicts[] = {
        DS_CODEC_ERROR_OUTPUT_OVERRUN, DS_CODEC_ERROR_NONE, DS_CODEC_ERROR_OUTPUT_UNDERRUN};

    for (uint32_t i = 0; i < 3; i++) {
        struct craft craft;

        craft_begin(&craft); /* 20 literals */
        lane_put(&craft.writer, 0, 1 | BLOCK_FIXED << 1, 3);
        for (uint32_t lane = 0; lane < 20; lane++)
            craft_fixed(&craft, lane, 'x');
        craft_fixed(&craft, 20, SYMBOL_END_OF_BLOCK);
        cr_assert_eq(craft_decode(&craft, NULL, room[i]), verdicts[i]);

        craft_begin(&craft); /* a literal, a match of 19 */
        lane_put(&craft.writer, 0, 1 | BLOCK_FIXED << 1, 3);
        craft_fixed(&craft, 0, 'x');
        lane_put(&craft.writer, 1, craft.litlen[269], 7 + 2); /* 19 and two zero extra bits */
        craft_fixed(&craft, 2, SYMBOL_END_OF_BLOCK);
        lane_put(&craft.writer, 1, craft.dist[0], 5);
        cr_assert_eq(craft_decode(&craft, NULL, room[i]), verdicts[i]);

        craft_begin(&craft); /* 20 stored */
        lane_put(&craft.writer, 0, 1, 3);
        lane_put(&craft.writer, 0, 20, 16);
        for (uint32_t lane = 0; lane < 20; lane++)
            lane_put(&craft.writer, lane, 'x', 8);
        cr_assert_eq(craft_decode(&craft, NULL, room[i]), verdicts[i]);
    }
}

/* Whole rounds of 32 lanes: literals, then a match in lane 0 with more literals beside and behind
 * it. */
static enum ds_codec_error rounds_verdict(uint32_t length_symbol, uint32_t length_extra_bits,
                                          uint32_t dist_symbol, uint32_t dist_extra_bits,
                                          size_t bytes)
{
    struct craft craft;

    craft_begin(&craft);
    lane_put(&craft.writer, 0, 1 | BLOCK_FIXED << 1, 3);
    for (uint32_t i = 0; i < 64; i++)
        craft_fixed(&craft, i % 32, 'x');
    /* All extra bits are ones. */
    lane_put(&craft.writer, 0,
             craft.litlen[length_symbol] | ((1u << length_extra_bits) - 1)
                                               << craft.litlen_bits[length_symbol],
             craft.litlen_bits[length_symbol] + length_extra_bits);
    for (uint32_t i = 1; i < 32; i++)
        craft_fixed(&craft, i, 'y');
    lane_put(&craft.writer, 0, craft.dist[dist_symbol] | ((1u << dist_extra_bits) - 1) << 5,
             5 + dist_extra_bits);
    for (uint32_t i = 1; i < 32 * 6; i++)
        craft_fixed(&craft, i % 32, 'z');
    craft_fixed(&craft, 0, SYMBOL_END_OF_BLOCK);
    return craft_decode(&craft, NULL, bytes);
}

Test(gdeflate, matches_within_whole_rounds_are_checked_too)
{
    /* 64 + 31 literals before and beside, 191 after; lengths 3 and 258; distances 64 and 96. */
    cr_assert_eq(rounds_verdict(257, 0, 11, 4, 64 + 31 + 191 + 3), DS_CODEC_ERROR_NONE);
    cr_assert_eq(rounds_verdict(257, 0, 12, 5, 64 + 31 + 191 + 3), DS_CODEC_ERROR_DISTANCE);
    cr_assert_eq(rounds_verdict(284, 5, 11, 4, 64 + 31 + 191 + 258), DS_CODEC_ERROR_NONE);
    for (size_t bytes = 65; bytes < 64 + 31 + 191 + 258; bytes += 13)
        cr_assert_eq(rounds_verdict(284, 5, 11, 4, bytes), DS_CODEC_ERROR_OUTPUT_OVERRUN);
}

Test(gdeflate, a_distance_one_too_far_is_seen_in_a_whole_round)
{
    struct craft craft;

    for (uint32_t extra = 0; extra < 2; extra++) {
        craft_begin(&craft);
        lane_put(&craft.writer, 0, 1 | BLOCK_FIXED << 1, 3);
        for (uint32_t i = 0; i < 65; i++)
            craft_fixed(&craft, i % 32, 'x');
        craft_fixed(&craft, 1, 257);
        for (uint32_t i = 2; i < 33; i++)
            craft_fixed(&craft, i % 32, 'y');
        lane_put(&craft.writer, 1, craft.dist[12] | extra << 5, 5 + 5); /* 65 or 66 */
        for (uint32_t i = 2; i < 32 * 6; i++)
            craft_fixed(&craft, i % 32, 'z');
        craft_fixed(&craft, 0, SYMBOL_END_OF_BLOCK);
        cr_assert_eq(craft_decode(&craft, NULL, 65 + 3 + 31 + 190),
                     extra == 0 ? DS_CODEC_ERROR_NONE : DS_CODEC_ERROR_DISTANCE);
    }
}

/* The last whole round yields 32 matches right before the end: copies must not overshoot it. */
Test(gdeflate, a_round_of_matches_at_the_end_stays_inside)
{
    for (uint32_t behind = 0; behind < 32; behind++) {
        struct craft craft;
        uint8_t out[160];

        craft_begin(&craft);
        lane_put(&craft.writer, 0, 1 | BLOCK_FIXED << 1, 3);
        for (uint32_t i = 0; i < 32; i++)
            craft_fixed(&craft, i, 'a' + i % 26);
        for (uint32_t i = 0; i < 32; i++)
            craft_fixed(&craft, i, 257);
        for (uint32_t i = 0; i < 32; i++)
            lane_put(&craft.writer, i, craft.dist[8] | 3 << 5, 5 + 3); /* 17 + 3 */
        for (uint32_t i = 0; i < behind; i++)
            craft_fixed(&craft, i, 'z');
        craft_fixed(&craft, behind, SYMBOL_END_OF_BLOCK);
        cr_assert_eq(craft_decode(&craft, out, 128 + behind), DS_CODEC_ERROR_NONE);
        for (uint32_t i = 32; i < 128; i++)
            cr_assert_eq(out[i], out[i - 20]);
    }
}

Test(gdeflate, lane_0_bounds_the_number_of_empty_blocks)
{
    struct craft craft;

    craft_begin(&craft);
    for (uint32_t i = 0; i < 400; i++) {
        lane_put(&craft.writer, 0, 0, 3); /* stored, not last */
        lane_put(&craft.writer, 0, 0, 16);
    }
    cr_assert_eq(craft_decode(&craft, NULL, 1), DS_CODEC_ERROR_INPUT_END);
}

struct item {
    uint32_t symbol;
    uint32_t extra;
};

/* A dynamic header. precode: bits of each symbol, which must make a code that huffman_words takes.
 */
static void craft_dynamic(struct craft *craft, const uint8_t *precode, uint32_t hlit,
                          uint32_t hdist, const struct item *items, uint32_t n)
{
    static const uint8_t extra_bits[PRECODE_SYMBOLS] = {[16] = 2, [17] = 3, [18] = 7};
    uint16_t words[PRECODE_SYMBOLS];

    huffman_words(precode, PRECODE_SYMBOLS, words);
    lane_put(&craft->writer, 0, 1 | BLOCK_DYNAMIC << 1, 3);
    lane_put(&craft->writer, 0, (hlit - 257) | (hdist - 1) << 5 | 15 << 10, 14);
    for (uint32_t i = 0; i < PRECODE_SYMBOLS; i++)
        lane_put(&craft->writer, i, precode[precode_order[i]], 3);
    for (uint32_t i = 0; i < n; i++)
        lane_put(&craft->writer, i % GDEFLATE_LANES,
                 words[items[i].symbol] | items[i].extra << precode[items[i].symbol],
                 precode[items[i].symbol] + extra_bits[items[i].symbol]);
}

/* Code lengths: literal 0 and the end of block have the given bits, then the distances. */
static enum ds_codec_error dynamic_verdict(uint32_t literal, uint32_t end, uint32_t dist0,
                                           uint32_t dist1)
{
    const uint8_t precode[PRECODE_SYMBOLS] = {[0] = 2, [1] = 2, [2] = 2, [18] = 2};
    const struct item items[] = {{literal, 0}, {18, 127},  {18, 106},
                                 {end, 0},     {dist0, 0}, {dist1, 0}};
    struct craft craft;

    craft_begin(&craft);
    craft_dynamic(&craft, precode, 257, 2, items, 6);
    lane_put(&craft.writer, 0, 0, 1); /* literal 0 */
    lane_put(&craft.writer, 1, 1, 1); /* end of block */
    return craft_decode(&craft, NULL, 1);
}

Test(gdeflate, codes_must_be_complete_but_for_one_word_or_no_distance)
{
    cr_assert_eq(dynamic_verdict(1, 1, 1, 1), DS_CODEC_ERROR_NONE);
    cr_assert_eq(dynamic_verdict(1, 1, 1, 0), DS_CODEC_ERROR_NONE);
    cr_assert_eq(dynamic_verdict(1, 1, 0, 0), DS_CODEC_ERROR_NONE);
    cr_assert_eq(dynamic_verdict(1, 1, 2, 0), DS_CODEC_ERROR_CODE_INCOMPLETE);
    cr_assert_eq(dynamic_verdict(1, 1, 1, 2), DS_CODEC_ERROR_CODE_INCOMPLETE);
    cr_assert_eq(dynamic_verdict(1, 2, 1, 1), DS_CODEC_ERROR_CODE_INCOMPLETE);
    cr_assert_eq(dynamic_verdict(1, 0, 1, 1), DS_CODEC_ERROR_NO_END_OF_BLOCK);
    /* Only the end of block: legal, but then there is no byte. */
    cr_assert_eq(dynamic_verdict(0, 1, 1, 1), DS_CODEC_ERROR_OUTPUT_UNDERRUN);
}

Test(gdeflate, code_length_codes_are_checked)
{
    const uint8_t good[PRECODE_SYMBOLS] = {[1] = 1, [16] = 2, [18] = 2};
    const uint8_t over[PRECODE_SYMBOLS] = {[1] = 1, [16] = 1, [18] = 1};
    const uint8_t incomplete[PRECODE_SYMBOLS] = {[1] = 2, [16] = 2, [18] = 2};
    const uint8_t empty[PRECODE_SYMBOLS] = {0};
    const struct item repeat_first[] = {{16, 0}};
    const struct item overrun[] = {{1, 0}, {18, 127}, {18, 127}};
    const struct item all_ones[] = {{1, 0}, {16, 3}, {18, 127}, {18, 100}, {1, 0}, {1, 0}};
    struct craft craft;

    craft_begin(&craft);
    craft_dynamic(&craft, good, 257, 1, repeat_first, 1);
    cr_assert_eq(craft_decode(&craft, NULL, 1), DS_CODEC_ERROR_REPEAT_FIRST);
    craft_begin(&craft);
    craft_dynamic(&craft, good, 257, 1, overrun, 3);
    cr_assert_eq(craft_decode(&craft, NULL, 1), DS_CODEC_ERROR_LENGTHS_OVERRUN);
    craft_begin(&craft);
    craft_dynamic(&craft, good, 257, 1, all_ones, 6);
    cr_assert_eq(craft_decode(&craft, NULL, 1), DS_CODEC_ERROR_CODE_OVERSUBSCRIBED);
    craft_begin(&craft);
    craft_dynamic(&craft, over, 257, 1, repeat_first, 1);
    cr_assert_eq(craft_decode(&craft, NULL, 1), DS_CODEC_ERROR_CODE_OVERSUBSCRIBED);
    craft_begin(&craft);
    craft_dynamic(&craft, incomplete, 257, 1, repeat_first, 1);
    cr_assert_eq(craft_decode(&craft, NULL, 1), DS_CODEC_ERROR_CODE_INCOMPLETE);
    craft_begin(&craft);
    craft_dynamic(&craft, empty, 257, 1, repeat_first, 0);
    cr_assert_eq(craft_decode(&craft, NULL, 1), DS_CODEC_ERROR_CODE_EMPTY);
}

Test(gdeflate, a_match_needs_a_distance_code)
{
    /* Literal 0: 2 bits; end of block: 2; length 3: 1. No distance. */
    const uint8_t precode[PRECODE_SYMBOLS] = {[0] = 2, [1] = 2, [2] = 2, [18] = 2};
    const struct item items[] = {{2, 0}, {18, 127}, {18, 106}, {2, 0}, {1, 0}, {0, 0}};
    struct craft craft;

    craft_begin(&craft);
    craft_dynamic(&craft, precode, 258, 1, items, 6);
    lane_put(&craft.writer, 0, 1, 2);
    lane_put(&craft.writer, 1, 0, 1);
    lane_put(&craft.writer, 2, 3, 2);
    cr_assert_eq(craft_decode(&craft, NULL, 4), DS_CODEC_ERROR_NO_DISTANCE_CODE);
}
