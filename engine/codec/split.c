/* Block splitting, bottom up: begin with small parts and merge neighbours for as long as one block
 * is estimated to be smaller than two. The estimate is the entropy of the symbols plus a header. */
#include "engine/codec/split.h"

/* A symbol in use costs about this much in a dynamic header, and a header this much at least. */
static const float header_symbol_bits = 3.0f;
static const float header_bits = 90.0f;

struct part {
    struct histogram histogram;
    size_t token_begin;
    size_t token_end;
    size_t bytes;
    float bits;
    float saved; /* bits saved by merging with the next part */
};

/* x * log2(x) within about 0.1 %: exponent plus a polynomial for the mantissa. 0 for 0. */
static inline float x_log2_x(uint32_t x)
{
    float value = (float)x;
    uint32_t word;
    float mantissa, log;

    memcpy(&word, &value, sizeof(word));
    log = (float)((int32_t)(word >> 23) - 128);
    word = (word & 0x7fffff) | 0x3f800000;
    memcpy(&mantissa, &word, sizeof(mantissa));
    log += (-0.33582878f * mantissa + 2.0f) * mantissa - 0.65871759f;
    return x == 0 ? 0.0f : value * log;
}

float sum_x_log2_x(const uint32_t *counts, uint32_t n)
{
    float sum = 0.0f;

    for (uint32_t i = 0; i < n; i++)
        sum += x_log2_x(counts[i]);
    return sum;
}

static float counts_bits(const uint32_t *restrict a, const uint32_t *restrict b, uint32_t n)
{
    float sum = 0.0f, used = 0.0f;
    uint32_t total = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t count = a[i] + b[i];

        total += count;
        sum += x_log2_x(count);
        used += count != 0 ? header_symbol_bits : 0.0f;
    }
    return x_log2_x(total) - sum + used;
}

static float parts_bits(const struct part *a, const struct part *b)
{
    return header_bits + counts_bits(a->histogram.litlen, b->histogram.litlen, LITLEN_SYMBOLS) +
           counts_bits(a->histogram.dist, b->histogram.dist, DIST_SYMBOLS);
}

static void part_weigh_merge(struct part *part, const struct part *next)
{
    part->saved = part->bits + next->bits - parts_bits(part, next);
}

static void part_merge(struct part *part, const struct part *next)
{
    for (uint32_t i = 0; i < LITLEN_SYMBOLS; i++)
        part->histogram.litlen[i] += next->histogram.litlen[i];
    for (uint32_t i = 0; i < DIST_SYMBOLS; i++)
        part->histogram.dist[i] += next->histogram.dist[i];
    part->token_end = next->token_end;
    part->bytes += next->bytes;
    part->bits += next->bits - part->saved;
}

static uint32_t parts_make(struct part *parts, const lz_token *tokens, size_t n, size_t part_bytes)
{
    static const struct part empty;
    uint32_t count = 0;

    for (size_t i = 0; i < n;) {
        struct part *part = &parts[count++];

        *part = empty;
        part->token_begin = i;
        /* The last part takes the rest, for matches may make the parts before it long. */
        while (i < n && (part->bytes < part_bytes || count == SPLIT_PARTS_MAX))
            part->bytes += token_bytes(tokens[i++]);
        part->token_end = i;
        histogram_count(&part->histogram, tokens + part->token_begin, i - part->token_begin);
        part->bits = parts_bits(part, &empty);
    }
    return count;
}

static uint32_t parts_reduce(struct part *parts, uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count; i++)
        part_weigh_merge(&parts[i], &parts[i + 1]);
    while (count > 1) {
        uint32_t best = 0;

        for (uint32_t i = 1; i + 1 < count; i++) {
            if (parts[i].saved > parts[best].saved)
                best = i;
        }
        if (parts[best].saved <= 0)
            break;
        part_merge(&parts[best], &parts[best + 1]);
        memmove(&parts[best + 1], &parts[best + 2], (count - best - 2) * sizeof(*parts));
        count--;
        if (best + 1 < count)
            part_weigh_merge(&parts[best], &parts[best + 1]);
        if (best > 0)
            part_weigh_merge(&parts[best - 1], &parts[best]);
    }
    return count;
}

uint32_t split_tokens(const lz_token *tokens, size_t n, const uint8_t *input, size_t bytes,
                      size_t part_bytes, struct block *blocks)
{
    struct part parts[SPLIT_PARTS_MAX];
    uint32_t count = parts_make(parts, tokens, n, part_bytes);
    size_t at = 0;

    count = parts_reduce(parts, count);
    for (uint32_t i = 0; i < count; i++) {
        blocks[i] = (struct block){
            .tokens = tokens + parts[i].token_begin,
            .token_count = parts[i].token_end - parts[i].token_begin,
            .input = input + at,
            .bytes = parts[i].bytes,
            .histogram = parts[i].histogram,
        };
        at += parts[i].bytes;
    }
    DS_ASSERT(at == bytes);
    return count;
}
