/* Spreads bits over the 32 lanes of a tile, in the word order that a decoder will ask for.
 *
 * A decoder gives a lane its next word as soon as the lane has begun to consume the word before. So
 * when a lane's first bit of word k is written, word k + 1 gets the next free place of the tile.
 * Each lane therefore knows two places: of the word being filled, and of the one after it. */
#ifndef ENGINE_CODEC_LANE_WRITER_H
#define ENGINE_CODEC_LANE_WRITER_H

#include "engine/codec/gdeflate_format.h"

struct lane {
    uint64_t bits;   /* the word being filled, and what runs over */
    uint32_t filled; /* 1..32; a full word is stored when the next bit comes */
    uint32_t here;   /* place of the word being filled */
    uint32_t next;   /* place of the lane's next word */
};

struct lane_writer {
    struct lane lanes[GDEFLATE_LANES];
    uint32_t *words;
    uint32_t word_count; /* places given out */
};

/* words has room for all that will be written: 2 * 32 words more than the bits fill, and one. */
static inline void lane_writer_begin(struct lane_writer *writer, uint32_t *words)
{
    writer->words = words;
    writer->word_count = GDEFLATE_LANES;
    for (uint32_t i = 0; i < GDEFLATE_LANES; i++) {
        /* As if a word before the first were full. Storing it does no harm: the lane's own first
         * word follows at the same place. */
        writer->lanes[i] = (struct lane){.filled = 32, .here = i, .next = i};
        words[i] = 0;
    }
}

/* lane_put appends the low `count` (0..31) bits of value; its other bits are zero. At most one call
 * per step of the format: a decoder refills after a step. */
static inline void lane_put(struct lane_writer *writer, uint32_t index, uint32_t value,
                            uint32_t count)
{
    struct lane *lane = &writer->lanes[index];
    uint64_t bits = lane->bits | (uint64_t)value << lane->filled;
    uint32_t filled = lane->filled + count;
    uint32_t over = filled > 32;

    writer->words[lane->here] = (uint32_t)bits;
    lane->bits = bits >> (over * 32);
    lane->filled = filled - over * 32;
    lane->here = over ? lane->next : lane->here;
    lane->next = over ? writer->word_count : lane->next;
    /* A new place must read as zero if nothing is ever written to it. */
    writer->words[writer->word_count] = 0;
    writer->word_count += over;
}

/* lane_writer_end stores what is left and returns the tile's size in bytes. */
static inline size_t lane_writer_end(struct lane_writer *writer)
{
    for (uint32_t i = 0; i < GDEFLATE_LANES; i++) {
        if (writer->lanes[i].here != writer->lanes[i].next)
            writer->words[writer->lanes[i].here] = (uint32_t)writer->lanes[i].bits;
    }
    return (size_t)writer->word_count * 4;
}

#endif
