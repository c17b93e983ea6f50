/* Parsers: turn a tile's bytes into tokens. */
#ifndef ENGINE_CODEC_PARSE_H
#define ENGINE_CODEC_PARSE_H

#include "engine/codec/match_chain.h"
#include "engine/codec/match_tree.h"
#include "engine/codec/split.h"

/* How hard to look. */
struct effort {
    uint16_t depth;      /* older positions looked at */
    uint16_t nice;       /* a match of so many bytes is good enough */
    uint16_t passes;     /* of the optimal parser */
    uint16_t part_bytes; /* finest cut into blocks */
    uint16_t kept;       /* matches of a position that the optimal parser looks at, the longest */
};

enum {
    MATCHES_KEPT_MAX = 8,
    CACHED_MATCHES_MAX = MATCHES_KEPT_MAX * GDEFLATE_TILE_BYTES,
    CACHED_MATCHES_OF_ONE = 512, /* found before the longest are kept: one per step of the search */
};

/* What the optimal parser needs. */
struct optimal {
    struct match_tree tree;
    uint32_t first_match[GDEFLATE_TILE_BYTES + 1]; /* of each position, into matches */
    struct match matches[CACHED_MATCHES_MAX + CACHED_MATCHES_OF_ONE];
    uint32_t cost[GDEFLATE_TILE_BYTES + 1]; /* of the rest of the block */
    lz_token choice[GDEFLATE_TILE_BYTES];
    lz_token tokens[2][GDEFLATE_TILE_BYTES];
};

/* parse_greedy and parse_lazy fill tokens (room for one per byte) and return how many. Greedy takes
 * every match; lazy first looks whether the next position has a better one. */
size_t parse_greedy(struct match_chain *chain, const struct effort *effort, const uint8_t *input,
                    size_t bytes, lz_token *tokens);
size_t parse_lazy(struct match_chain *chain, const struct effort *effort, const uint8_t *input,
                  size_t bytes, lz_token *tokens);

/* parse_optimal fills blocks[SPLIT_PARTS_MAX] with planned blocks, whose tokens stay in `optimal`;
 * returns their number. It looks for the cheapest way through all matches, where the cost of a
 * symbol is what the codes of the pass before would need for it. */
uint32_t parse_optimal(struct optimal *optimal, const struct effort *effort, const uint8_t *input,
                       size_t bytes, struct block *blocks);

#endif
