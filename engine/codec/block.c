/* Blocks: choosing their type, and writing them lane by lane. */
#include "engine/codec/block.h"
#include "engine/codec/huffman.h"

enum { PRECODE_ITEMS_MAX = LITLEN_SYMBOLS + DIST_SYMBOLS };

/* The header of a dynamic block. */
struct dynamic_header {
    uint32_t litlen_count;
    uint32_t dist_count;
    uint32_t precode_count;
    uint8_t precode_bits[PRECODE_SYMBOLS];
    uint32_t item_count;
    uint16_t items[PRECODE_ITEMS_MAX]; /* symbol | extra bits << 5 */
};

void histogram_count(struct histogram *histogram, const lz_token *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t length = token_length(tokens[i]);

        if (length == 0) {
            histogram->litlen[tokens[i]]++;
        } else {
            histogram->litlen[length_symbol(length)]++;
            histogram->dist[dist_symbol(tokens[i] & 0xffff)]++;
        }
    }
}

/* A variant's count: those that are equal, in every other variant also those that are nearly so,
 * come to be in another order. Counts are small: variants are for small tiles. */
static uint32_t count_vary(uint32_t count, uint32_t symbol, uint32_t variant)
{
    uint32_t noise = (symbol * 0x9e3779b1u ^ variant * 0x85ebca6bu) * 0xc2b2ae35u >> 28;

    return count == 0 ? 0 : count * (variant % 2 != 0 ? 16 : 8) + noise;
}

void block_code_build(struct block_code *code, const struct histogram *histogram, uint32_t variant)
{
    uint32_t litlen[LITLEN_SYMBOLS], dist[DIST_SYMBOLS];
    uint32_t dist_used = 0;

    memcpy(litlen, histogram->litlen, sizeof(litlen));
    memcpy(dist, histogram->dist, sizeof(dist));
    litlen[SYMBOL_END_OF_BLOCK] = 1;
    for (uint32_t i = 0; variant != 0 && i < LITLEN_USED_SYMBOLS; i++)
        litlen[i] = count_vary(litlen[i], i, variant);
    huffman_lengths(litlen, LITLEN_USED_SYMBOLS, LITLEN_BITS_MAX, code->litlen_bits);
    code->litlen_bits[286] = 0;
    code->litlen_bits[287] = 0;
    for (uint32_t i = 0; i < DIST_SYMBOLS; i++)
        dist_used += dist[i] != 0;
    /* Two words always: decoders exist that mishandle an empty or one-word distance code. */
    for (uint32_t i = 0; dist_used < 2; i++) {
        dist_used += dist[i] == 0;
        dist[i] += dist[i] == 0;
    }
    huffman_lengths(dist, DIST_SYMBOLS, CODE_BITS_MAX, code->dist_bits);
}

static uint32_t length_extra_bits(uint32_t symbol)
{
    return length_codes[symbol - SYMBOL_FIRST_LENGTH].extra_bits;
}

/* Bits of all symbols and extra bits, the end of the block included. */
static uint64_t payload_bits(const struct histogram *histogram, const struct block_code *code)
{
    uint64_t bits = code->litlen_bits[SYMBOL_END_OF_BLOCK];

    for (uint32_t i = 0; i < SYMBOL_END_OF_BLOCK; i++)
        bits += (uint64_t)histogram->litlen[i] * code->litlen_bits[i];
    for (uint32_t i = SYMBOL_FIRST_LENGTH; i <= SYMBOL_LAST_LENGTH; i++)
        bits += (uint64_t)histogram->litlen[i] * (code->litlen_bits[i] + length_extra_bits(i));
    for (uint32_t i = 0; i < DIST_SYMBOLS; i++)
        bits += (uint64_t)histogram->dist[i] * (code->dist_bits[i] + dist_codes[i].extra_bits);
    return bits;
}

static uint32_t precode_extra_bits(uint32_t symbol)
{
    return symbol == PRECODE_REPEAT        ? 2
           : symbol == PRECODE_ZEROS_SHORT ? 3
           : symbol == PRECODE_ZEROS_LONG  ? 7
                                           : 0;
}

/* Appends the run lengths of `run` equal code lengths. */
static void run_add(struct dynamic_header *header, uint32_t length, uint32_t run)
{
    while (length == 0 && run >= 11) {
        uint32_t part = min_u32(run, 138);

        header->items[header->item_count++] = (uint16_t)(PRECODE_ZEROS_LONG | (part - 11) << 5);
        run -= part;
    }
    if (length == 0 && run >= 3) {
        header->items[header->item_count++] = (uint16_t)(PRECODE_ZEROS_SHORT | (run - 3) << 5);
        return;
    }
    if (length != 0 && run >= 4) {
        header->items[header->item_count++] = (uint16_t)length;
        for (run--; run >= 3;) {
            uint32_t part = min_u32(run, 6);

            header->items[header->item_count++] = (uint16_t)(PRECODE_REPEAT | (part - 3) << 5);
            run -= part;
        }
    }
    while (run-- != 0)
        header->items[header->item_count++] = (uint16_t)length;
}

static void items_make(struct dynamic_header *header, const uint8_t *lengths, uint32_t total)
{
    header->item_count = 0;
    for (uint32_t i = 0, run; i < total; i += run) {
        run = 1;
        while (i + run < total && lengths[i + run] == lengths[i])
            run++;
        run_add(header, lengths[i], run);
    }
}

/* Fills the header for a code; returns its bits. */
static uint64_t header_make(struct dynamic_header *header, const struct block_code *code)
{
    uint8_t lengths[LITLEN_SYMBOLS + DIST_SYMBOLS];
    uint32_t counts[PRECODE_SYMBOLS] = {0};
    uint64_t bits;

    header->litlen_count = LITLEN_USED_SYMBOLS;
    while (header->litlen_count > 257 && code->litlen_bits[header->litlen_count - 1] == 0)
        header->litlen_count--;
    header->dist_count = DIST_SYMBOLS;
    while (header->dist_count > 1 && code->dist_bits[header->dist_count - 1] == 0)
        header->dist_count--;
    memcpy(lengths, code->litlen_bits, header->litlen_count);
    memcpy(lengths + header->litlen_count, code->dist_bits, header->dist_count);
    items_make(header, lengths, header->litlen_count + header->dist_count);

    for (uint32_t i = 0; i < header->item_count; i++)
        counts[header->items[i] & 31]++;
    /* A block with a single kind of item still needs a complete code. */
    for (uint32_t i = 0, used = 0; used < 2 && i < PRECODE_SYMBOLS; i++) {
        used = 0;
        for (uint32_t j = 0; j < PRECODE_SYMBOLS; j++)
            used += counts[j] != 0;
        if (used < 2 && counts[i] == 0)
            counts[i] = 1;
    }
    huffman_lengths(counts, PRECODE_SYMBOLS, PRECODE_BITS_MAX, header->precode_bits);
    header->precode_count = PRECODE_SYMBOLS;
    while (header->precode_count > 4 &&
           header->precode_bits[precode_order[header->precode_count - 1]] == 0)
        header->precode_count--;

    bits = 14 + 3 * header->precode_count;
    for (uint32_t i = 0; i < header->item_count; i++) {
        uint32_t symbol = header->items[i] & 31;

        bits += header->precode_bits[symbol] + precode_extra_bits(symbol);
    }
    return bits;
}

void block_code_fixed(struct block_code *code)
{
    memset(code->litlen_bits, 8, 144);
    memset(code->litlen_bits + 144, 9, 112);
    memset(code->litlen_bits + 256, 7, 24);
    memset(code->litlen_bits + 280, 8, 8);
    memset(code->dist_bits, 5, sizeof(code->dist_bits));
}

void block_plan(struct block *block, bool dynamic_allowed)
{
    struct dynamic_header header;
    struct block_code code;
    uint64_t bits;

    block->type = BLOCK_STORED;
    block->bits = stored_bits(block->bytes);
    block_code_fixed(&code);
    bits = 3 + payload_bits(&block->histogram, &code);
    if (bits < block->bits) {
        block->type = BLOCK_FIXED;
        block->bits = bits;
    }
    if (!dynamic_allowed)
        return;
    block_code_build(&code, &block->histogram, block->variant);
    bits = 3 + header_make(&header, &code) + payload_bits(&block->histogram, &code);
    if (bits < block->bits) {
        block->type = BLOCK_DYNAMIC;
        block->bits = bits;
    }
}

static void stored_write(struct lane_writer *writer, const struct block *block, bool last)
{
    const uint8_t *input = block->input;
    size_t left = block->bytes;

    do {
        size_t part = min_u64(left, STORED_BYTES_MAX);

        lane_put(writer, 0, (last && part == left) | BLOCK_STORED << 1, 3);
        lane_put(writer, 0, (uint32_t)part, 16);
        for (size_t i = 0; i < part; i++)
            lane_put(writer, i % GDEFLATE_LANES, input[i], 8);
        input += part;
        left -= part;
    } while (left != 0);
}

static void header_write(struct lane_writer *writer, const struct dynamic_header *header)
{
    uint16_t words[PRECODE_SYMBOLS];

    huffman_words(header->precode_bits, PRECODE_SYMBOLS, words);
    lane_put(writer, 0,
             (header->litlen_count - 257) | (header->dist_count - 1) << 5 |
                 (header->precode_count - 4) << 10,
             14);
    for (uint32_t i = 0; i < header->precode_count; i++)
        lane_put(writer, i, header->precode_bits[precode_order[i]], 3);
    for (uint32_t i = 0; i < header->item_count; i++) {
        uint32_t symbol = header->items[i] & 31;
        uint32_t bits = header->precode_bits[symbol];

        lane_put(writer, i % GDEFLATE_LANES,
                 words[symbol] | (uint32_t)header->items[i] >> 5 << bits,
                 bits + precode_extra_bits(symbol));
    }
}

/* Ready-made steps of a block: what to put for a literal, a short length or a distance symbol. */
struct step {
    uint32_t value;
    uint32_t count;
};

struct steps {
    struct step literals[SYMBOL_END_OF_BLOCK + 1];
    struct step lengths[LENGTH_SHORT_MAX + 1];
    struct step length_long;             /* without its extra bits */
    struct step distances[DIST_SYMBOLS]; /* without their extra bits */
};

static void steps_make(struct steps *steps, const struct block_code *code)
{
    uint16_t words[LITLEN_SYMBOLS];

    huffman_words(code->litlen_bits, LITLEN_SYMBOLS, words);
    for (uint32_t i = 0; i <= SYMBOL_END_OF_BLOCK; i++)
        steps->literals[i] = (struct step){words[i], code->litlen_bits[i]};
    for (uint32_t i = SYMBOL_FIRST_LENGTH; i < SYMBOL_LAST_LENGTH; i++) {
        const struct extra_code *length = &length_codes[i - SYMBOL_FIRST_LENGTH];

        for (uint32_t extra = 0; extra < 1u << length->extra_bits; extra++)
            steps->lengths[length->base + extra] =
                (struct step){words[i] | extra << code->litlen_bits[i],
                              (uint32_t)code->litlen_bits[i] + length->extra_bits};
    }
    steps->length_long =
        (struct step){words[SYMBOL_LAST_LENGTH], code->litlen_bits[SYMBOL_LAST_LENGTH]};
    huffman_words(code->dist_bits, DIST_SYMBOLS, words);
    for (uint32_t i = 0; i < DIST_SYMBOLS; i++)
        steps->distances[i] = (struct step){words[i], code->dist_bits[i]};
}

static struct step length_step(const struct steps *steps, uint32_t length)
{
    struct step step;

    if (length <= LENGTH_SHORT_MAX)
        return steps->lengths[length];
    step = steps->length_long;
    step.value |= (length - length_codes[SYMBOL_LAST_LENGTH - SYMBOL_FIRST_LENGTH].base)
                  << step.count;
    step.count += 16;
    return step;
}

static struct step distance_step(const struct steps *steps, uint32_t distance)
{
    uint32_t symbol = dist_symbol(distance);
    struct step step = steps->distances[symbol];

    step.value |= (distance - dist_codes[symbol].base) << step.count;
    step.count += dist_codes[symbol].extra_bits;
    return step;
}

/* A match's distance goes where a decoder asks for it: to the same lane, when its turn comes again.
 */
static void tokens_write(struct lane_writer *writer, const struct block *block,
                         const struct steps *steps)
{
    struct step owed[GDEFLATE_LANES];
    uint32_t owing = 0, lane = 0;

    for (size_t i = 0; i <= block->token_count; i++) {
        lz_token token = i < block->token_count ? block->tokens[i] : SYMBOL_END_OF_BLOCK;
        uint32_t length = token_length(token);
        struct step step;

        for (; owing >> lane & 1; lane = (lane + 1) % GDEFLATE_LANES) {
            lane_put(writer, lane, owed[lane].value, owed[lane].count);
            owing &= ~(1u << lane);
        }
        if (length == 0) {
            step = steps->literals[token];
        } else {
            step = length_step(steps, length);
            owed[lane] = distance_step(steps, token & 0xffff);
            owing |= 1u << lane;
        }
        lane_put(writer, lane, step.value, step.count);
        if (i < block->token_count)
            lane = (lane + 1) % GDEFLATE_LANES;
    }
    for (uint32_t i = 0; i < GDEFLATE_LANES; i++, lane = (lane + 1) % GDEFLATE_LANES) {
        if (owing >> lane & 1)
            lane_put(writer, lane, owed[lane].value, owed[lane].count);
    }
}

void block_write(struct lane_writer *writer, const struct block *block, bool last)
{
    struct dynamic_header header;
    struct block_code code;
    struct steps steps;

    if (block->type == BLOCK_STORED) {
        stored_write(writer, block, last);
        return;
    }
    lane_put(writer, 0, last | block->type << 1, 3);
    if (block->type == BLOCK_FIXED) {
        block_code_fixed(&code);
    } else {
        block_code_build(&code, &block->histogram, block->variant);
        header_make(&header, &code);
        header_write(writer, &header);
    }
    steps_make(&steps, &code);
    tokens_write(writer, block, &steps);
}
