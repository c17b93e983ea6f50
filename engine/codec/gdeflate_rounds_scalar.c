/* Whole rounds in plain C. A lane's symbol does not depend on the other lanes of its round, so all
 * 32 are decoded without a branch, into a second copy of the lane state: a round that turns out to
 * need care is simply not taken. */
#include "engine/codec/gdeflate_decoder.h"

struct lanes {
    uint64_t bits[GDEFLATE_LANES];
    uint32_t held[GDEFLATE_LANES];
};

/* Decodes one round. The kinds of all entries or-ed together; *next moves past the words taken. */
static uint32_t round_decode(const uint32_t *table, const struct lanes *from, struct lanes *to,
                             uint32_t owing, struct round *round, const uint8_t **next)
{
    static const uint32_t masks[2] = {(1u << LITLEN_TABLE_BITS) - 1, (1u << DIST_TABLE_BITS) - 1};
    static const uint32_t ats[2] = {0, DIST_TABLE_AT};
    const uint8_t *word = *next;
    uint32_t kinds = 0, literals = 0;

    round->literal_lanes = 0;
    round->match_lanes = 0;
    for (uint32_t lane = 0; lane < GDEFLATE_LANES; lane++) {
        uint64_t bits = from->bits[lane];
        uint32_t owes = owing >> lane & 1;
        uint32_t entry = code_lookup(table, ats[owes], masks[owes], (uint32_t)bits);
        uint32_t value = entry_value(entry, (uint32_t)bits);
        uint32_t held = from->held[lane] - entry_bits(entry);
        uint32_t due = held < 32;

        kinds |= entry;
        round->values[lane] = value;
        round->literals[literals] = (uint8_t)value;
        round->literals_before[lane] = literals;
        literals += (entry / ENTRY_LITERAL) & 1;
        round->literal_lanes |= ((entry / ENTRY_LITERAL) & 1) << lane;
        round->match_lanes |= ((entry / ENTRY_LENGTH) & 1) << lane;
        bits >>= entry_bits(entry);
        bits |= (uint64_t)(load_le32(word) & (0 - due)) << (held & 31);
        to->bits[lane] = bits;
        to->held[lane] = held + 32 * due;
        word += 4 * due;
    }
    *next = word;
    round->literal_count = literals;
    return kinds;
}

enum ds_codec_error rounds_scalar(struct tile_decoder *decoder)
{
    const uint8_t *limit = decoder->out_end - ROUND_OUTPUT_SLOP;
    struct lanes lanes[2];
    struct round rounds[2];
    uint32_t now = 0; /* which of the two holds the round that waits for its distances */

    memcpy(lanes[0].bits, decoder->bits, sizeof(lanes[0].bits));
    memcpy(lanes[0].held, decoder->held, sizeof(lanes[0].held));
    memset(&rounds[0], 0, sizeof(rounds[0]));
    while (decoder->out <= limit &&
           (decoder->next <= decoder->read_limit || decoder_use_tail(decoder))) {
        const uint8_t *next = decoder->next;
        struct round *waiting = &rounds[now];
        struct round *fresh = &rounds[now ^ 1];
        uint32_t kinds = round_decode(decoder->table, &lanes[now], &lanes[now ^ 1],
                                      waiting->match_lanes, fresh, &next);

        if (UNLIKELY((kinds & ENTRY_STOP) || next > decoder->end))
            break;
        if (!round_emit(waiting, fresh->values, decoder->out_begin, limit, &decoder->out, true))
            break;
        decoder->next = next;
        now ^= 1;
    }
    memcpy(decoder->bits, lanes[now].bits, sizeof(lanes[0].bits));
    memcpy(decoder->held, lanes[now].held, sizeof(lanes[0].held));
    return round_flush(decoder, &rounds[now]);
}
