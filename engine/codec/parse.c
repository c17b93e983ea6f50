/* Greedy and lazy parsing over hash chains. */
#include "engine/codec/parse.h"

enum { SHORT_MATCH_BITS = 8 };

/* A three-byte match pays while it costs less than three literals. Literals are priced by the
 * entropy of a sample of the tile, the match at nine bits and the extra bits of its distance.
 * Returns the largest distance that pays. */
static uint32_t short_match_reach(const uint8_t *input, size_t bytes)
{
    uint32_t counts[SYMBOL_END_OF_BLOCK] = {0};
    uint32_t sampled = 0;
    float literal_bits;
    int reach_log;

    for (size_t i = 0; i < bytes; i += 13, sampled++) /* 13: no period of any structure */
        counts[input[i]]++;
    literal_bits = sum_x_log2_x(&sampled, 1);
    literal_bits = (literal_bits - sum_x_log2_x(counts, SYMBOL_END_OF_BLOCK)) / (float)sampled;
    reach_log = (int)(3 * literal_bits - SHORT_MATCH_BITS) + 2;
    return reach_log < 8 ? 1u << 8 : reach_log > 16 ? 1u << 16 : 1u << reach_log;
}

static bool match_worthwhile(struct match match, uint32_t reach)
{
    return match.length > MATCH_MIN || (match.length == MATCH_MIN && match.distance <= reach);
}

size_t parse_greedy(struct match_chain *chain, const struct effort *effort, const uint8_t *input,
                    size_t bytes, lz_token *tokens)
{
    uint32_t reach = short_match_reach(input, bytes);
    uint32_t end = (uint32_t)bytes;
    size_t n = 0;

    chain_reset(chain);
    for (uint32_t at = 0; at < end;) {
        struct match match = chain_find(chain, input, at, end, 0, effort->depth, effort->nice);

        if (match_worthwhile(match, reach)) {
            tokens[n++] = token_match(match.length, match.distance);
            chain_skip(chain, input, at + 1, match.length - 1u, end);
            at += match.length;
        } else {
            tokens[n++] = input[at++];
        }
    }
    return n;
}

static int distance_log(struct match match)
{
    return 31 - __builtin_clz(match.distance);
}

/* A byte of length is worth about four bits, of which a literal in front takes some back. */
static bool match_better(struct match later, struct match match, uint32_t reach)
{
    return match_worthwhile(later, reach) &&
           4 * ((int)later.length - match.length) + distance_log(match) - distance_log(later) > 2;
}

size_t parse_lazy(struct match_chain *chain, const struct effort *effort, const uint8_t *input,
                  size_t bytes, lz_token *tokens)
{
    uint32_t reach = short_match_reach(input, bytes);
    uint32_t end = (uint32_t)bytes;
    size_t n = 0;

    chain_reset(chain);
    for (uint32_t at = 0; at < end;) {
        struct match match = chain_find(chain, input, at, end, 0, effort->depth, effort->nice);

        if (!match_worthwhile(match, reach)) {
            tokens[n++] = input[at++];
            continue;
        }
        uint32_t known = at + 1; /* positions below are in the chain */
        while (match.length < effort->nice) {
            struct match later = chain_find(chain, input, known, end, match.length - 1u,
                                            effort->depth / 2u, effort->nice);

            known++;
            if (!match_better(later, match, reach))
                break;
            tokens[n++] = input[at++];
            match = later;
        }
        tokens[n++] = token_match(match.length, match.distance);
        at += match.length;
        if (known < at)
            chain_skip(chain, input, known, at - known, end);
    }
    return n;
}
