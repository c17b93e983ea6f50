/* Optimal parsing: all matches of the tile are found once; then, block by block, a shortest path is
 * searched backwards through them, several times, with costs from the codes of the time before. */
#include "engine/codec/parse.h"

/* A cost carries in its low bits the length that it was reached by, counted down: so the cheapest
 * step is a plain minimum, which compilers turn into SIMD, and of equal ones the longest wins. A
 * tile of 65,536 literals of 15 bits stays below 2^31. */
enum {
    LENGTH_BITS = 9,
    LENGTH_MASK = (1 << LENGTH_BITS) - 1,
    COST_BIT = 1 << LENGTH_BITS,
    /* A symbol that the last pass did not use may still be worth using: about a rare one's price.
     */
    UNUSED_LITLEN_BITS = 13,
    UNUSED_DIST_BITS = 10,
    SMALL_BLOCK_BYTES = 2048,
};

struct costs {
    uint32_t literal[SYMBOL_END_OF_BLOCK];
    uint32_t length[LENGTH_SHORT_MAX + 1];
    uint32_t length_long;
    uint32_t distance[DIST_SYMBOLS];
};

/* Of matches whose distances cost the same only the longest is of use, for it can be cut short. Of
 * what remains, keeps the longest few. */
static uint32_t matches_prune(struct match *found, uint32_t n, uint32_t kept_max)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 == n || dist_symbol(found[i].distance) != dist_symbol(found[i + 1].distance))
            found[kept++] = found[i];
    }
    if (kept > kept_max) {
        memmove(found, found + kept - kept_max, kept_max * sizeof(*found));
        kept = kept_max;
    }
    return kept;
}

static void matches_find(struct optimal *optimal, const struct effort *effort, const uint8_t *input,
                         uint32_t bytes)
{
    uint32_t count = 0, at = 0;

    tree_reset(&optimal->tree);
    while (at < bytes) {
        struct match *found = optimal->matches + count;
        uint32_t n = 0, longest = 1;

        optimal->first_match[at] = count;
        if (bytes - at >= MATCH_ROOM_MIN)
            n = tree_find(&optimal->tree, input, at, bytes, effort->depth, effort->nice, found);
        n = matches_prune(found, n, effort->kept);
        if (n != 0 && found[n - 1].length >= effort->nice) {
            struct match *last = &found[n - 1];

            last->length = (uint16_t)match_extend(input + at, input + at - last->distance,
                                                  last->length, min_u32(bytes - at, LENGTH_MAX));
            longest = last->length;
        }
        count += n;
        DS_ASSERT(count <= CACHED_MATCHES_MAX);
        at++;
        /* Inside a long match no other is looked for. */
        for (uint32_t end = at + longest - 1; at < end; at++) {
            optimal->first_match[at] = count;
            if (bytes - at >= MATCH_ROOM_MIN)
                tree_find(&optimal->tree, input, at, bytes, effort->depth, effort->nice, NULL);
        }
    }
    optimal->first_match[bytes] = count;
}

/* Costs before anything is known but how often each byte occurs. */
static void costs_guess(struct costs *costs, const uint8_t *input, size_t bytes)
{
    uint32_t counts[SYMBOL_END_OF_BLOCK] = {0};

    for (size_t i = 0; i < bytes; i++)
        counts[input[i]]++;
    for (uint32_t i = 0; i < SYMBOL_END_OF_BLOCK; i++) {
        uint32_t rarity = (uint32_t)(bytes / (counts[i] + 1)) + 1;

        costs->literal[i] = COST_BIT + COST_BIT * (31 - (uint32_t)__builtin_clz(rarity));
    }
    for (uint32_t i = 0; i <= LENGTH_SHORT_MAX; i++) {
        uint32_t extra = i < MATCH_MIN ? 0 : length_codes[length_symbol(i) - 257].extra_bits;

        costs->length[i] = COST_BIT * (3 + extra) + LENGTH_MASK - i;
    }
    costs->length_long = COST_BIT * (8 + 16);
    for (uint32_t i = 0; i < DIST_SYMBOLS; i++)
        costs->distance[i] = COST_BIT * (4u + dist_codes[i].extra_bits);
}

static uint32_t symbol_cost(uint32_t bits, uint32_t unused_bits, uint32_t extra_bits)
{
    return COST_BIT * ((bits != 0 ? bits : unused_bits) + extra_bits);
}

static void costs_from_code(struct costs *costs, const struct block_code *code)
{
    for (uint32_t i = 0; i < SYMBOL_END_OF_BLOCK; i++)
        costs->literal[i] = symbol_cost(code->litlen_bits[i], UNUSED_LITLEN_BITS, 0);
    for (uint32_t i = MATCH_MIN; i <= LENGTH_SHORT_MAX; i++) {
        uint32_t symbol = length_symbol(i);

        costs->length[i] = symbol_cost(code->litlen_bits[symbol], UNUSED_LITLEN_BITS,
                                       length_codes[symbol - SYMBOL_FIRST_LENGTH].extra_bits) +
                           LENGTH_MASK - i;
    }
    costs->length_long = symbol_cost(code->litlen_bits[SYMBOL_LAST_LENGTH], UNUSED_LITLEN_BITS, 16);
    for (uint32_t i = 0; i < DIST_SYMBOLS; i++)
        costs->distance[i] =
            symbol_cost(code->dist_bits[i], UNUSED_DIST_BITS, dist_codes[i].extra_bits);
}

/* The cheapest step at `at` in a block that ends at `end`; the costs of all later positions are
 * known. A match may be cut short to any length that no nearer match reaches. */
static void position_choose(struct optimal *optimal, const struct costs *costs,
                            const uint8_t *input, uint32_t at, uint32_t end)
{
    uint32_t *cost = optimal->cost + at;
    uint32_t best = costs->literal[input[at]] + LENGTH_MASK + cost[1];
    uint32_t room = end - at, begin = MATCH_MIN;
    lz_token choice = input[at];

    for (uint32_t i = optimal->first_match[at]; i < optimal->first_match[at + 1]; i++) {
        const struct match *match = &optimal->matches[i];
        uint32_t reach = min_u32(match->length, room);
        uint32_t reach_short = min_u32(reach, LENGTH_SHORT_MAX);
        uint32_t distance_cost = costs->distance[dist_symbol(match->distance)];
        uint32_t cheapest = UINT32_MAX;

        for (uint32_t length = begin; length <= reach_short; length++)
            cheapest = min_u32(cheapest, costs->length[length] + cost[length]);
        if (begin <= reach_short && distance_cost + cheapest < best) {
            best = distance_cost + cheapest;
            choice = token_match(LENGTH_MASK - (cheapest & LENGTH_MASK), match->distance);
        }
        begin = reach_short + 1;
        if (reach > LENGTH_SHORT_MAX && distance_cost + costs->length_long + cost[reach] < best) {
            best = distance_cost + costs->length_long + cost[reach];
            choice = token_match(reach, match->distance);
        }
    }
    cost[0] = best & ~(uint32_t)LENGTH_MASK;
    optimal->choice[at] = choice;
}

/* Parses input[begin..end) into tokens; returns how many. */
static size_t range_parse(struct optimal *optimal, const struct costs *costs, const uint8_t *input,
                          uint32_t begin, uint32_t end, lz_token *tokens)
{
    size_t n = 0;

    optimal->cost[end] = 0;
    for (uint32_t at = end; at-- > begin;)
        position_choose(optimal, costs, input, at, end);
    for (uint32_t at = begin; at < end; at += token_bytes(optimal->choice[at]))
        tokens[n++] = optimal->choice[at];
    return n;
}

/* The code that the next pass over a block should reckon with. */
static void block_code_expect(struct block_code *code, const struct block *block, bool fixed)
{
    if (fixed)
        block_code_fixed(code);
    else
        block_code_build(code, &block->histogram, 0);
}

/* Parses a block again and again; keeps the best. Two buffers: one holds the best so far. A small
 * block is first tried with the fixed code, which it will often end up with. */
static void block_improve(struct optimal *optimal, const struct effort *effort,
                          const uint8_t *input, struct block *block)
{
    uint32_t begin = (uint32_t)(block->input - input);
    uint32_t best_in = 0;
    uint32_t fixed = block->bytes <= SMALL_BLOCK_BYTES;

    block_plan(block, true);
    for (uint32_t pass = 0; pass < effort->passes + fixed; pass++) {
        struct block again = *block;
        struct block_code code;
        struct costs costs;
        lz_token *tokens = optimal->tokens[best_in ^ 1] + begin;

        block_code_expect(&code, block, fixed && pass == 0);
        costs_from_code(&costs, &code);
        again.token_count =
            range_parse(optimal, &costs, input, begin, begin + (uint32_t)block->bytes, tokens);
        again.tokens = tokens;
        memset(&again.histogram, 0, sizeof(again.histogram));
        histogram_count(&again.histogram, tokens, again.token_count);
        block_plan(&again, true);
        if (again.bits >= block->bits) {
            if (fixed && pass == 0)
                continue;
            break;
        }
        *block = again;
        best_in ^= 1;
    }
}

uint32_t parse_optimal(struct optimal *optimal, const struct effort *effort, const uint8_t *input,
                       size_t bytes, struct block *blocks)
{
    struct costs costs;
    uint32_t count;
    size_t n;

    matches_find(optimal, effort, input, (uint32_t)bytes);
    costs_guess(&costs, input, bytes);
    n = range_parse(optimal, &costs, input, 0, (uint32_t)bytes, optimal->tokens[0]);
    count = split_tokens(optimal->tokens[0], n, input, bytes, effort->part_bytes, blocks);
    /* Tokens of a block go where its bytes begin, so that buffers of different blocks never mix:
     * from the last block on, for its tokens lie before its bytes. */
    for (uint32_t i = count; i-- > 0;) {
        lz_token *tokens = optimal->tokens[0] + (blocks[i].input - input);

        memmove(tokens, blocks[i].tokens, blocks[i].token_count * sizeof(*tokens));
        blocks[i].tokens = tokens;
    }
    for (uint32_t i = 0; i < count; i++)
        block_improve(optimal, effort, input, &blocks[i]);
    return count;
}
