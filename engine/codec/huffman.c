/* Length-limited prefix codes: Huffman's algorithm with two queues, then lengths over the limit are
 * repaired. The repair loses next to nothing at 14 bits, which is all that is asked of it. */
#include "engine/codec/huffman.h"

enum {
    SYMBOL_BITS = 9,
    RADIX_BITS = 8,
    RADIX_PASSES = 3,
    RADIX_MASK = (1 << RADIX_BITS) - 1,
};

/* Sorts keys (count << SYMBOL_BITS | symbol) by count, stably. scratch is as long as keys. */
static void keys_sort(uint32_t *keys, uint32_t *scratch, uint32_t n)
{
    uint32_t all = 0;

    for (uint32_t i = 0; i < n; i++)
        all |= keys[i] >> SYMBOL_BITS;
    for (uint32_t pass = 0; pass < RADIX_PASSES; pass++) {
        uint32_t shift = SYMBOL_BITS + pass * RADIX_BITS;
        uint16_t at[1 << RADIX_BITS] = {0};
        uint16_t sum = 0;

        if (all >> (pass * RADIX_BITS) == 0)
            break;
        for (uint32_t i = 0; i < n; i++)
            at[keys[i] >> shift & RADIX_MASK]++;
        for (uint32_t i = 0; i < 1 << RADIX_BITS; i++) {
            uint16_t count = at[i];

            at[i] = sum;
            sum = (uint16_t)(sum + count);
        }
        for (uint32_t i = 0; i < n; i++)
            scratch[at[keys[i] >> shift & RADIX_MASK]++] = keys[i];
        memcpy(keys, scratch, n * sizeof(*keys));
    }
}

/* Builds the tree over sorted leaves and counts leaves by depth; depths beyond bits_max count as
 * bits_max. Inner nodes arise in order of weight, so two queues replace a heap. */
static void depths_count(const uint32_t *keys, uint32_t n, uint32_t bits_max, uint32_t *at_depth)
{
    uint32_t weight[LITLEN_SYMBOLS];
    uint16_t leaf_parent[LITLEN_SYMBOLS], parent[LITLEN_SYMBOLS];
    uint16_t depth[LITLEN_SYMBOLS];
    uint32_t leaf = 0, inner = 0;

    for (uint32_t node = 0; node < n - 1; node++) {
        weight[node] = 0;
        for (int child = 0; child < 2; child++) {
            if (leaf < n && (inner >= node || keys[leaf] >> SYMBOL_BITS <= weight[inner])) {
                weight[node] += keys[leaf] >> SYMBOL_BITS;
                leaf_parent[leaf++] = (uint16_t)node;
            } else {
                weight[node] += weight[inner];
                parent[inner++] = (uint16_t)node;
            }
        }
    }
    memset(at_depth, 0, (bits_max + 1) * sizeof(*at_depth));
    depth[n - 2] = 0;
    for (uint32_t node = n - 2; node-- > 0;)
        depth[node] = (uint16_t)(depth[parent[node]] + 1);
    for (uint32_t i = 0; i < n; i++)
        at_depth[min_u32(depth[leaf_parent[i]] + 1u, bits_max)]++;
}

/* Clipping over-subscribed the code. Each step turns a leaf above the limit into a pair and moves
 * one leaf from the limit into it, which frees one unit of code space. */
static void depths_repair(uint32_t *at_depth, uint32_t bits_max)
{
    uint32_t used = 0;

    for (uint32_t depth = 1; depth <= bits_max; depth++)
        used += at_depth[depth] << (bits_max - depth);
    for (; used > 1u << bits_max; used--) {
        uint32_t depth = bits_max - 1;

        while (at_depth[depth] == 0)
            depth--;
        at_depth[depth]--;
        at_depth[depth + 1] += 2;
        at_depth[bits_max]--;
    }
    DS_ASSERT(used == 1u << bits_max);
}

void huffman_lengths(const uint32_t *counts, uint32_t symbols, uint32_t bits_max, uint8_t *lengths)
{
    uint32_t keys[LITLEN_SYMBOLS], scratch[LITLEN_SYMBOLS];
    uint32_t at_depth[CODE_BITS_MAX + 1];
    uint32_t n = 0;

    DS_ASSERT(symbols <= LITLEN_SYMBOLS && bits_max <= CODE_BITS_MAX);
    memset(lengths, 0, symbols);
    for (uint32_t i = 0; i < symbols; i++) {
        if (counts[i] != 0)
            keys[n++] = counts[i] << SYMBOL_BITS | i;
    }
    DS_ASSERT(n >= 2);
    keys_sort(keys, scratch, n);
    depths_count(keys, n, bits_max, at_depth);
    depths_repair(at_depth, bits_max);
    for (uint32_t depth = bits_max, i = 0; depth >= 1; depth--) {
        for (uint32_t left = at_depth[depth]; left != 0; left--)
            lengths[keys[i++] & ((1u << SYMBOL_BITS) - 1)] = (uint8_t)depth;
    }
}

static uint16_t bits_reverse(uint32_t word, uint32_t count)
{
    word = (word & 0x5555) << 1 | (word >> 1 & 0x5555);
    word = (word & 0x3333) << 2 | (word >> 2 & 0x3333);
    word = (word & 0x0f0f) << 4 | (word >> 4 & 0x0f0f);
    word = (word & 0x00ff) << 8 | (word >> 8 & 0x00ff);
    return (uint16_t)(word >> (16 - count));
}

void huffman_words(const uint8_t *lengths, uint32_t symbols, uint16_t *words)
{
    uint32_t next[CODE_BITS_MAX + 1] = {0};
    uint32_t count[CODE_BITS_MAX + 1] = {0};

    for (uint32_t i = 0; i < symbols; i++)
        count[lengths[i]]++;
    for (uint32_t length = 2; length <= CODE_BITS_MAX; length++)
        next[length] = (next[length - 1] + count[length - 1]) << 1;
    for (uint32_t i = 0; i < symbols; i++)
        words[i] = lengths[i] != 0 ? bits_reverse(next[lengths[i]]++, lengths[i]) : 0;
}
