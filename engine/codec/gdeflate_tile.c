/* One tile, from its first word to its last byte: block headers, stored blocks, and the careful
 * symbol decoder, which checks everything at every step and so defines every verdict. The rounds
 * code (gdeflate_rounds_*.c) only takes over where none of those checks can fail. */
#include "engine/codec/gdeflate_decoder.h"

/* Steps of the format: look at a lane's next bits, consume some, then refill that lane. */
static uint32_t lane_peek(const struct tile_decoder *decoder, uint32_t lane)
{
    return (uint32_t)decoder->bits[lane];
}

static void lane_consume(struct tile_decoder *decoder, uint32_t lane, uint32_t count)
{
    decoder->bits[lane] >>= count;
    decoder->held[lane] -= count;
}

static uint32_t lane_take(struct tile_decoder *decoder, uint32_t lane, uint32_t count)
{
    uint32_t value = lane_peek(decoder, lane) & ((1u << count) - 1);

    lane_consume(decoder, lane, count);
    return value;
}

/* False when the lane is due a word and the tile has no more. */
static bool lane_refill(struct tile_decoder *decoder, uint32_t lane)
{
    if (decoder->held[lane] >= 32)
        return true;
    if (UNLIKELY(decoder->next == decoder->end))
        return false;
    decoder->bits[lane] |= (uint64_t)load_le32(decoder->next) << decoder->held[lane];
    decoder->held[lane] += 32;
    decoder->next += 4;
    return true;
}

bool decoder_use_tail(struct tile_decoder *decoder)
{
    size_t left = (size_t)(decoder->end - decoder->next);

    if (decoder->read_limit == decoder->tail + ROUND_INPUT_BYTES)
        return false;
    DS_ASSERT(left < ROUND_INPUT_BYTES);
    memset(decoder->tail, 0, sizeof(decoder->tail));
    memcpy(decoder->tail, decoder->next, left);
    decoder->next = decoder->tail;
    decoder->end = decoder->tail + left;
    decoder->read_limit = decoder->tail + ROUND_INPUT_BYTES;
    return true;
}

static enum ds_codec_error decoder_begin(struct tile_decoder *decoder, const uint8_t *packed,
                                         size_t packed_bytes, uint8_t *dst, size_t dst_bytes)
{
    if (packed_bytes < GDEFLATE_TILE_PACKED_MIN)
        return DS_CODEC_ERROR_TILE_SHORT;
    for (uint32_t lane = 0; lane < GDEFLATE_LANES; lane++) {
        decoder->bits[lane] = load_le32(packed + 4 * lane);
        decoder->held[lane] = 32;
    }
    decoder->next = packed + GDEFLATE_TILE_PACKED_MIN;
    decoder->end = packed + align_down_u64(packed_bytes, 4);
    decoder->read_limit = decoder->next; /* for a tile too short for a round: to the tail at once */
    if ((size_t)(decoder->end - decoder->next) >= ROUND_INPUT_BYTES)
        decoder->read_limit = decoder->end - ROUND_INPUT_BYTES;
    else
        decoder_use_tail(decoder);
    decoder->out_begin = dst;
    decoder->out = dst;
    decoder->out_end = dst + dst_bytes;
    decoder->owing = 0;
    return DS_CODEC_ERROR_NONE;
}

/* Four rounds of a stored block at once: they consume 32 bits of every lane and add one word to
 * each. Which word a lane gets depends only on how many bits it holds, and stays so for the block:
 * a lane refills after the byte that brings it below 32 bits, lanes in order within a round. */
static void stored_order(const struct tile_decoder *decoder, uint8_t *word_of_lane)
{
    uint32_t word = 0;

    for (uint32_t round = 1; round <= 4; round++) {
        for (uint32_t lane = 0; lane < GDEFLATE_LANES; lane++) {
            uint32_t held = decoder->held[lane];

            if (held - 8 * (round - 1) >= 32 && held - 8 * round < 32)
                word_of_lane[lane] = (uint8_t)word++;
        }
    }
    DS_ASSERT(word == GDEFLATE_LANES);
}

static uint32_t stored_bulk(struct tile_decoder *decoder, uint32_t left)
{
    uint8_t word_of_lane[GDEFLATE_LANES];

    stored_order(decoder, word_of_lane);
    while (left >= 4 * GDEFLATE_LANES && decoder->end - decoder->next >= ROUND_INPUT_BYTES) {
        uint8_t *out = decoder->out;

        for (uint32_t lane = 0; lane < GDEFLATE_LANES; lane++) {
            uint64_t bits = decoder->bits[lane];
            uint64_t word = load_le32(decoder->next + 4 * word_of_lane[lane]);

            out[lane] = (uint8_t)bits;
            out[lane + 32] = (uint8_t)(bits >> 8);
            out[lane + 64] = (uint8_t)(bits >> 16);
            out[lane + 96] = (uint8_t)(bits >> 24);
            decoder->bits[lane] = bits >> 32 | word << (decoder->held[lane] - 32);
        }
        decoder->next += ROUND_INPUT_BYTES;
        decoder->out += 4 * GDEFLATE_LANES;
        left -= 4 * GDEFLATE_LANES;
    }
    return left;
}

static enum ds_codec_error stored_decode(struct tile_decoder *decoder)
{
    uint32_t left = lane_take(decoder, 0, 16);

    if (!lane_refill(decoder, 0))
        return DS_CODEC_ERROR_INPUT_END;
    if (left > (size_t)(decoder->out_end - decoder->out))
        return DS_CODEC_ERROR_OUTPUT_OVERRUN;
    if (left >= 4 * GDEFLATE_LANES)
        left = stored_bulk(decoder, left);
    for (uint32_t i = 0; i < left; i++) {
        *decoder->out++ = (uint8_t)lane_take(decoder, i % GDEFLATE_LANES, 8);
        if (!lane_refill(decoder, i % GDEFLATE_LANES))
            return DS_CODEC_ERROR_INPUT_END;
    }
    return DS_CODEC_ERROR_NONE;
}

static enum ds_codec_error fixed_tables(struct tile_decoder *decoder)
{
    uint8_t lengths[LITLEN_SYMBOLS];
    enum ds_codec_error error;

    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    error = litlen_table_build(decoder->table, lengths, LITLEN_SYMBOLS);
    if (error == DS_CODEC_ERROR_NONE) {
        memset(lengths, 5, DIST_SYMBOLS);
        error = dist_table_build(decoder->table, lengths, DIST_SYMBOLS);
    }
    return error;
}

static enum ds_codec_error precode_read(struct tile_decoder *decoder, uint32_t *table,
                                        uint32_t precode_count)
{
    uint8_t lengths[PRECODE_SYMBOLS] = {0};

    for (uint32_t i = 0; i < precode_count; i++) {
        lengths[precode_order[i]] = (uint8_t)lane_take(decoder, i, 3);
        if (!lane_refill(decoder, i))
            return DS_CODEC_ERROR_INPUT_END;
    }
    return precode_table_build(table, lengths);
}

/* One code-length symbol into lengths[*done...]. */
static enum ds_codec_error length_read(struct tile_decoder *decoder, const uint32_t *precode,
                                       uint32_t lane, uint8_t *lengths, uint32_t *done,
                                       uint32_t total)
{
    uint32_t entry = precode[lane_peek(decoder, lane) & ((1u << PRECODE_BITS_MAX) - 1)];
    uint32_t symbol = entry >> ENTRY_BASE_SHIFT;
    uint32_t count;

    lane_consume(decoder, lane, entry_bits(entry));
    if (symbol < PRECODE_REPEAT) {
        lengths[(*done)++] = (uint8_t)symbol;
        return DS_CODEC_ERROR_NONE;
    }
    if (symbol == PRECODE_REPEAT) {
        if (*done == 0)
            return DS_CODEC_ERROR_REPEAT_FIRST;
        count = 3 + lane_take(decoder, lane, 2);
    } else if (symbol == PRECODE_ZEROS_SHORT) {
        count = 3 + lane_take(decoder, lane, 3);
    } else {
        count = 11 + lane_take(decoder, lane, 7);
    }
    if (count > total - *done)
        return DS_CODEC_ERROR_LENGTHS_OVERRUN;
    memset(lengths + *done, symbol == PRECODE_REPEAT ? lengths[*done - 1] : 0, count);
    *done += count;
    return DS_CODEC_ERROR_NONE;
}

static enum ds_codec_error dynamic_tables(struct tile_decoder *decoder)
{
    uint32_t litlen_count = 257 + lane_take(decoder, 0, 5);
    uint32_t dist_count = 1 + lane_take(decoder, 0, 5);
    uint32_t precode_count = 4 + lane_take(decoder, 0, 4);
    uint8_t lengths[LITLEN_SYMBOLS + DIST_SYMBOLS];
    uint32_t precode[1u << PRECODE_BITS_MAX];
    enum ds_codec_error error;

    if (!lane_refill(decoder, 0))
        return DS_CODEC_ERROR_INPUT_END;
    error = precode_read(decoder, precode, precode_count);
    if (error != DS_CODEC_ERROR_NONE)
        return error;
    for (uint32_t i = 0, done = 0; done < litlen_count + dist_count; i++) {
        uint32_t lane = i % GDEFLATE_LANES;

        error = length_read(decoder, precode, lane, lengths, &done, litlen_count + dist_count);
        if (error != DS_CODEC_ERROR_NONE)
            return error;
        if (!lane_refill(decoder, lane))
            return DS_CODEC_ERROR_INPUT_END;
    }
    error = litlen_table_build(decoder->table, lengths, litlen_count);
    if (error == DS_CODEC_ERROR_NONE)
        error = dist_table_build(decoder->table, lengths + litlen_count, dist_count);
    return error;
}

/* The owed distance of a lane: read it and fill the hole. Exactly the match's bytes are written,
 * for later literals stand right behind it. */
static enum ds_codec_error owed_copy(struct tile_decoder *decoder, uint32_t lane)
{
    uint32_t peek = lane_peek(decoder, lane);
    uint32_t entry = code_lookup(decoder->table, DIST_TABLE_AT, (1u << DIST_TABLE_BITS) - 1, peek);
    uint32_t distance = entry_value(entry, peek);
    uint8_t *to = decoder->out_begin + decoder->hole_at[lane];
    const uint8_t *from;

    if (entry & ENTRY_STOP)
        return DS_CODEC_ERROR_NO_DISTANCE_CODE;
    if (distance > decoder->hole_at[lane])
        return DS_CODEC_ERROR_DISTANCE;
    lane_consume(decoder, lane, entry_bits(entry));
    from = to - distance;
    for (uint32_t i = 0; i < decoder->hole_bytes[lane]; i++)
        to[i] = from[i];
    decoder->owing &= ~(1u << lane);
    return DS_CODEC_ERROR_NONE;
}

static enum ds_codec_error literal_put(struct tile_decoder *decoder, uint32_t literal)
{
    if (decoder->out == decoder->out_end)
        return DS_CODEC_ERROR_OUTPUT_OVERRUN;
    *decoder->out++ = (uint8_t)literal;
    return DS_CODEC_ERROR_NONE;
}

static enum ds_codec_error hole_reserve(struct tile_decoder *decoder, uint32_t lane,
                                        uint32_t length)
{
    if (length > (size_t)(decoder->out_end - decoder->out))
        return DS_CODEC_ERROR_OUTPUT_OVERRUN;
    decoder->hole_at[lane] = (uint32_t)(decoder->out - decoder->out_begin);
    decoder->hole_bytes[lane] = length;
    decoder->owing |= 1u << lane;
    decoder->out += length;
    return DS_CODEC_ERROR_NONE;
}

enum ds_codec_error round_flush(struct tile_decoder *decoder, const struct round *round)
{
    enum ds_codec_error error = DS_CODEC_ERROR_NONE;

    for (uint32_t lane = 0; lane < GDEFLATE_LANES && error == DS_CODEC_ERROR_NONE; lane++) {
        if (round->literal_lanes >> lane & 1)
            error = literal_put(decoder, round->values[lane]);
        else if (round->match_lanes >> lane & 1)
            error = hole_reserve(decoder, lane, round->values[lane]);
    }
    return error;
}

/* One literal/length symbol. *ended is set by the end of the block. */
static enum ds_codec_error symbol_decode(struct tile_decoder *decoder, uint32_t lane, bool *ended)
{
    uint32_t peek = lane_peek(decoder, lane);
    uint32_t entry = code_lookup(decoder->table, 0, (1u << LITLEN_TABLE_BITS) - 1, peek);
    uint32_t value = entry_value(entry, peek);

    lane_consume(decoder, lane, entry_bits(entry));
    if (entry & ENTRY_LITERAL)
        return literal_put(decoder, value);
    if (entry & ENTRY_LENGTH)
        return hole_reserve(decoder, lane, value);
    *ended = value == SYMBOL_END_OF_BLOCK;
    return *ended ? DS_CODEC_ERROR_NONE : DS_CODEC_ERROR_SYMBOL;
}

/* After the end-of-block symbol: its lane first, then the 31 that follow, each pays what it owes.
 */
static enum ds_codec_error block_drain(struct tile_decoder *decoder, uint32_t lane)
{
    for (uint32_t i = 0; i < GDEFLATE_LANES; i++, lane = (lane + 1) % GDEFLATE_LANES) {
        if (decoder->owing >> lane & 1) {
            enum ds_codec_error error = owed_copy(decoder, lane);

            if (error != DS_CODEC_ERROR_NONE)
                return error;
        }
        if (!lane_refill(decoder, lane))
            return DS_CODEC_ERROR_INPUT_END;
    }
    return DS_CODEC_ERROR_NONE;
}

static enum ds_codec_error symbols_decode(struct tile_decoder *decoder)
{
    for (uint32_t lane = 0;; lane = (lane + 1) % GDEFLATE_LANES) {
        enum ds_codec_error error;
        bool ended = false;

        if (decoder->owing >> lane & 1)
            error = owed_copy(decoder, lane);
        else
            error = symbol_decode(decoder, lane, &ended);
        if (error != DS_CODEC_ERROR_NONE)
            return error;
        if (ended)
            return block_drain(decoder, lane);
        if (!lane_refill(decoder, lane))
            return DS_CODEC_ERROR_INPUT_END;
    }
}

static enum ds_codec_error block_decode(struct tile_decoder *decoder, rounds_fn rounds, bool *last)
{
    enum ds_codec_error error;
    uint32_t type;

    *last = lane_take(decoder, 0, 1);
    type = lane_take(decoder, 0, 2);
    if (!lane_refill(decoder, 0))
        return DS_CODEC_ERROR_INPUT_END;
    if (type == BLOCK_STORED)
        return stored_decode(decoder);
    if (type > BLOCK_DYNAMIC)
        return DS_CODEC_ERROR_BLOCK_TYPE;
    error = type == BLOCK_FIXED ? fixed_tables(decoder) : dynamic_tables(decoder);
    if (error != DS_CODEC_ERROR_NONE)
        return error;
    if (decoder->out_end - decoder->out > ROUND_OUTPUT_SLOP) {
        error = rounds(decoder);
        if (error != DS_CODEC_ERROR_NONE)
            return error;
    }
    return symbols_decode(decoder);
}

enum ds_codec_error gdeflate_tile_decode(rounds_fn rounds, const uint8_t *packed,
                                         size_t packed_bytes, uint8_t *dst, size_t dst_bytes)
{
    struct tile_decoder decoder;
    enum ds_codec_error error = decoder_begin(&decoder, packed, packed_bytes, dst, dst_bytes);
    bool last = false;

    /* Each block takes at least three bits of lane 0, so the input bounds the number of blocks. */
    while (error == DS_CODEC_ERROR_NONE && !last)
        error = block_decode(&decoder, rounds, &last);
    if (error == DS_CODEC_ERROR_NONE && decoder.out != decoder.out_end)
        error = DS_CODEC_ERROR_OUTPUT_UNDERRUN;
    return error;
}
