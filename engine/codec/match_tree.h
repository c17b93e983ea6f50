/* Binary trees: finds, for each length, the nearest match there is. Positions with the same four
 * bytes form a search tree ordered by the bytes that follow; inserting a position walks down its
 * tree past just those that agree with it the longest, and makes it the new root. */
#ifndef ENGINE_CODEC_MATCH_TREE_H
#define ENGINE_CODEC_MATCH_TREE_H

#include "engine/codec/match.h"

enum { TREE_HASH3_BITS = 15, TREE_HASH4_BITS = 16, TREE_THREE_DEPTH = 6 };

struct match_tree {
    uint16_t head3[1 << TREE_HASH3_BITS];
    uint16_t head4[1 << TREE_HASH4_BITS];
    uint16_t older3[GDEFLATE_TILE_BYTES];      /* with the same hash of three bytes */
    uint16_t children[GDEFLATE_TILE_BYTES][2]; /* less, greater */
};

static inline void tree_reset(struct match_tree *tree)
{
    memset(tree->head3, 0xff, sizeof(tree->head3));
    memset(tree->head4, 0xff, sizeof(tree->head4));
}

/* Records the newest match of three bytes or more; returns how many were recorded. Most of what is
 * on the chain is there by collision, for which a few steps make up. */
static inline uint32_t tree_find_three(struct match_tree *tree, const uint8_t *input, uint32_t at,
                                       uint32_t room, struct match *found)
{
    uint32_t value = match_three(match_load(input + at));
    uint16_t *head = &tree->head3[match_hash(value, TREE_HASH3_BITS)];
    uint32_t old = *head;

    tree->older3[at] = *head;
    *head = (uint16_t)at;
    if (found == NULL)
        return 0;
    for (uint32_t i = 0; i < TREE_THREE_DEPTH && old != NO_POSITION; i++) {
        if (match_three(match_load(input + old)) == value) {
            found[0].length = (uint16_t)match_extend(input + at, input + old, MATCH_MIN, room);
            found[0].distance = (uint16_t)(at - old);
            return 1;
        }
        old = tree->older3[old];
    }
    return 0;
}

/* tree_find makes `at` known (4 bytes must follow) and writes matches of rising length to found[],
 * at most depth + 1; returns their number. found NULL: only makes it known. */
static inline uint32_t tree_find(struct match_tree *tree, const uint8_t *input, uint32_t at,
                                 uint32_t bytes, uint32_t depth, uint32_t nice, struct match *found)
{
    const uint8_t *here = input + at;
    uint32_t room = min_u32(bytes - at, LENGTH_MAX);
    uint16_t *head = &tree->head4[match_hash(match_load(here), TREE_HASH4_BITS)];
    uint16_t *less = &tree->children[at][0], *greater = &tree->children[at][1];
    uint32_t less_agrees = 0, greater_agrees = 0, length = 0;
    uint32_t count = tree_find_three(tree, input, at, room, found);
    uint32_t best = count != 0 ? found[0].length : MATCH_MIN;
    uint32_t old = *head;

    nice = min_u32(nice, room);
    *head = (uint16_t)at;
    for (; old != NO_POSITION && depth != 0; depth--) {
        const uint8_t *there = input + old;

        if (there[length] == here[length]) {
            length = match_extend(here, there, length + 1, nice);
            if (found != NULL && length > best) {
                best = length;
                found[count++] = (struct match){(uint16_t)length, (uint16_t)(at - old)};
            }
            if (length >= nice) {
                /* As good as equal: it takes the old position's place. */
                *less = tree->children[old][0];
                *greater = tree->children[old][1];
                return count;
            }
        }
        if (there[length] < here[length]) {
            *less = (uint16_t)old;
            less = &tree->children[old][1];
            old = *less;
            less_agrees = length;
            length = min_u32(length, greater_agrees);
        } else {
            *greater = (uint16_t)old;
            greater = &tree->children[old][0];
            old = *greater;
            greater_agrees = length;
            length = min_u32(length, less_agrees);
        }
    }
    *less = NO_POSITION;
    *greater = NO_POSITION;
    return count;
}

#endif
