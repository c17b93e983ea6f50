/* Hash chains: finds a match by walking earlier positions with the same four bytes, newest first.
 */
#ifndef ENGINE_CODEC_MATCH_CHAIN_H
#define ENGINE_CODEC_MATCH_CHAIN_H

#include "engine/codec/match.h"

enum { CHAIN_HASH3_BITS = 15, CHAIN_HASH4_BITS = 14 };

struct match_chain {
    uint16_t head3[1 << CHAIN_HASH3_BITS];
    uint16_t head4[1 << CHAIN_HASH4_BITS];
    uint16_t older[GDEFLATE_TILE_BYTES];
};

static inline void chain_reset(struct match_chain *chain)
{
    memset(chain->head3, 0xff, sizeof(chain->head3));
    memset(chain->head4, 0xff, sizeof(chain->head4));
}

/* chain_insert makes position `at` known; 4 bytes must follow it. Returns the newest older position
 * with the same four bytes; *three is that with the same three. */
static inline uint32_t chain_insert(struct match_chain *chain, const uint8_t *input, uint32_t at,
                                    uint32_t *three)
{
    uint32_t value = match_load(input + at);
    uint16_t *head3 = &chain->head3[match_hash(match_three(value), CHAIN_HASH3_BITS)];
    uint16_t *head4 = &chain->head4[match_hash(value, CHAIN_HASH4_BITS)];
    uint32_t newest = *head4;

    *three = *head3;
    *head3 = (uint16_t)at;
    *head4 = (uint16_t)at;
    chain->older[at] = (uint16_t)newest;
    return newest;
}

/* chain_skip makes positions at..at+count-1 known, as far as 4 bytes follow them. */
static inline void chain_skip(struct match_chain *chain, const uint8_t *input, uint32_t at,
                              uint32_t count, uint32_t bytes)
{
    uint32_t end = at + count;
    uint32_t three;

    if (bytes < MATCH_ROOM_MIN)
        return;
    for (end = min_u32(end, bytes - MATCH_ROOM_MIN + 1); at < end; at++)
        chain_insert(chain, input, at, &three);
}

/* chain_find makes `at` known and returns the longest match there that is longer than `best`, if
 * any. It looks at no more than `depth` older positions and stops at a match of `nice` bytes. */
static inline struct match chain_find(struct match_chain *chain, const uint8_t *input, uint32_t at,
                                      uint32_t bytes, uint32_t best, uint32_t depth, uint32_t nice)
{
    const uint8_t *here = input + at;
    uint32_t room = min_u32(bytes - at, LENGTH_MAX);
    struct match found = {0, 0};
    uint32_t three, old;

    if (room < MATCH_ROOM_MIN)
        return found;
    old = chain_insert(chain, input, at, &three);
    nice = min_u32(nice, room);
    if (best < MATCH_MIN && three != NO_POSITION &&
        match_three(match_load(input + three)) == match_three(match_load(here))) {
        best = match_extend(here, input + three, MATCH_MIN, room);
        found = (struct match){(uint16_t)best, (uint16_t)(at - three)};
    }
    if (best < MATCH_MIN)
        best = MATCH_MIN;
    for (; old != NO_POSITION && depth != 0 && best < nice; old = chain->older[old], depth--) {
        const uint8_t *there = input + old;

        /* Only a match that is longer is of use: look at its last four bytes first. */
        if (match_load(there + best - 3) == match_load(here + best - 3) &&
            match_load(there) == match_load(here)) {
            uint32_t length = match_extend(here, there, 4, room);

            if (length > best) {
                best = length;
                found = (struct match){(uint16_t)length, (uint16_t)(at - old)};
            }
        }
    }
    return found;
}

#endif
