/* Builds decode tables from code lengths.
 *
 * Stream bits come with the first bit of a code word lowest, so a table index is a code word read
 * backwards. Words are placed in order of length while the table grows: with words of length n
 * placed it has 2^n entries, and going to n + 1 doubles it by one copy instead of many strided
 * stores. */
#include "engine/codec/gdeflate_table.h"

struct code {
    uint32_t *table; /* the shared array */
    uint32_t at;     /* where this code's main table begins */
    uint32_t main_bits;
    uint32_t end; /* first entry past this code's part */
    uint32_t symbols;
    const uint8_t *lengths;
    uint16_t count[CODE_BITS_MAX + 1];
    uint16_t sorted[LITLEN_SYMBOLS]; /* symbols by length, then by number */
};

#define LENGTH_TEMPLATE(base, extra) ((uint32_t)(base) << ENTRY_BASE_SHIFT | ENTRY_LENGTH | (extra))
#define DIST_TEMPLATE(base, extra)   ((uint32_t)(base) << ENTRY_BASE_SHIFT | (extra))
#define STOP_TEMPLATE(symbol)        ((uint32_t)(symbol) << ENTRY_BASE_SHIFT | ENTRY_STOP)

static uint32_t litlen_template(uint32_t symbol)
{
    const struct extra_code *length;

    if (symbol < SYMBOL_END_OF_BLOCK)
        return symbol << ENTRY_BASE_SHIFT | ENTRY_LITERAL;
    if (symbol == SYMBOL_END_OF_BLOCK || symbol > SYMBOL_LAST_LENGTH)
        return STOP_TEMPLATE(symbol);
    length = &length_codes[symbol - SYMBOL_FIRST_LENGTH];
    return LENGTH_TEMPLATE(length->base, length->extra_bits);
}

static uint32_t dist_template(uint32_t symbol)
{
    return DIST_TEMPLATE(dist_codes[symbol].base, dist_codes[symbol].extra_bits);
}

/* Adds the code length to a template: once as the word's length, once into the bits consumed. */
static uint32_t entry_make(uint32_t template, uint32_t length)
{
    return template + (length << 5) + length;
}

/* The next code word of the same length, both read backwards: count up from the top bit. */
static uint32_t word_next(uint32_t word, uint32_t length)
{
    uint32_t zeros = word ^ ((1u << length) - 1);
    uint32_t bit;

    if (zeros == 0) /* that was the last word of a complete code */
        return 0;
    bit = 1u << (31 - __builtin_clz(zeros));
    return (word & (bit - 1)) | bit;
}

/* Counts and sorts the lengths. How much of the code space is used, in units of 2^-15. */
static uint32_t lengths_sort(struct code *code)
{
    uint16_t next[CODE_BITS_MAX + 2];
    uint32_t used = 0;

    memset(code->count, 0, sizeof(code->count));
    for (uint32_t i = 0; i < code->symbols; i++)
        code->count[code->lengths[i]]++;
    next[0] = 0;
    next[1] = 0;
    for (uint32_t length = 1; length <= CODE_BITS_MAX; length++) {
        next[length + 1] = (uint16_t)(next[length] + code->count[length]);
        used += (uint32_t)code->count[length] << (CODE_BITS_MAX - length);
    }
    for (uint32_t i = 0; i < code->symbols; i++) {
        if (code->lengths[i] != 0)
            code->sorted[next[code->lengths[i]]++] = (uint16_t)i;
    }
    return used;
}

/* Places the words that fit the main table. Returns how many symbols were placed. */
static uint32_t main_fill(struct code *code, uint32_t (*template)(uint32_t), uint32_t *word)
{
    uint32_t *main_table = code->table + code->at;
    uint32_t placed = 0;

    main_table[0] = 0; /* doubled before it is set, and always overwritten: the code is complete */
    for (uint32_t length = 1; length <= code->main_bits; length++) {
        uint32_t half = 1u << (length - 1);

        memcpy(main_table + half, main_table, half * sizeof(*main_table));
        for (uint32_t n = code->count[length]; n != 0; n--) {
            main_table[*word] = entry_make(template(code->sorted[placed]), length);
            *word = word_next(*word, length);
            placed++;
        }
    }
    return placed;
}

/* How deep the subtable must be that begins with the next unplaced word: words come in order of
 * length, so it grows until the words at hand fill it. left[] are the words yet to place. */
static uint32_t sub_depth(const struct code *code, const uint16_t *left, uint32_t length)
{
    uint32_t depth = length - code->main_bits;
    uint32_t used = left[length];

    while (used < 1u << depth && length < CODE_BITS_MAX) {
        length++;
        depth++;
        used = (used << 1) + left[length];
    }
    return depth;
}

static void sub_fill(struct code *code, uint32_t (*template)(uint32_t), uint32_t placed,
                     uint32_t word)
{
    const uint32_t main_mask = (1u << code->main_bits) - 1;
    uint32_t end = code->at + (1u << code->main_bits);
    uint32_t prefix = UINT32_MAX, begin = 0, depth = 0;

    for (uint32_t length = code->main_bits + 1; length <= CODE_BITS_MAX; length++) {
        while (code->count[length] != 0) {
            if ((word & main_mask) != prefix) {
                prefix = word & main_mask;
                begin = end;
                depth = sub_depth(code, code->count, length);
                end += 1u << depth;
                DS_ASSERT(end <= code->end);
                code->table[code->at + prefix] = begin << ENTRY_BASE_SHIFT | ENTRY_SUB |
                                                 code->main_bits << 5 | (code->main_bits + depth);
            }
            for (uint32_t i = word >> code->main_bits; i < 1u << depth;
                 i += 1u << (length - code->main_bits))
                code->table[begin + i] = entry_make(template(code->sorted[placed]), length);
            placed++;
            code->count[length]--;
            word = word_next(word, length);
        }
    }
}

static enum ds_codec_error code_build(struct code *code, uint32_t (*template)(uint32_t))
{
    uint32_t used = lengths_sort(code);
    uint32_t placed, word = 0;

    if (used > 1u << CODE_BITS_MAX)
        return DS_CODEC_ERROR_CODE_OVERSUBSCRIBED;
    if (used == 0)
        return DS_CODEC_ERROR_CODE_EMPTY;
    if (used < 1u << CODE_BITS_MAX) {
        /* Half the space used by one word: the only incomplete code that encoders do write. */
        if (code->count[1] != 1 || used != 1u << (CODE_BITS_MAX - 1))
            return DS_CODEC_ERROR_CODE_INCOMPLETE;
        for (uint32_t i = 0; i < 1u << code->main_bits; i++)
            code->table[code->at + i] = entry_make(template(code->sorted[0]), 1);
        return DS_CODEC_ERROR_NONE;
    }
    placed = main_fill(code, template, &word);
    sub_fill(code, template, placed, word);
    return DS_CODEC_ERROR_NONE;
}

enum ds_codec_error litlen_table_build(uint32_t *table, const uint8_t *lengths, uint32_t symbols)
{
    struct code code = {.table = table,
                        .at = 0,
                        .main_bits = LITLEN_TABLE_BITS,
                        .end = LITLEN_TABLE_ENTRIES,
                        .symbols = symbols,
                        .lengths = lengths};

    DS_ASSERT(symbols <= LITLEN_SYMBOLS);
    if (lengths[SYMBOL_END_OF_BLOCK] == 0)
        return DS_CODEC_ERROR_NO_END_OF_BLOCK;
    return code_build(&code, litlen_template);
}

enum ds_codec_error dist_table_build(uint32_t *table, const uint8_t *lengths, uint32_t symbols)
{
    struct code code = {.table = table,
                        .at = DIST_TABLE_AT,
                        .main_bits = DIST_TABLE_BITS,
                        .end = CODE_TABLE_ENTRIES,
                        .symbols = symbols,
                        .lengths = lengths};
    enum ds_codec_error error;

    DS_ASSERT(symbols <= DIST_SYMBOLS);
    error = code_build(&code, dist_template);
    if (error == DS_CODEC_ERROR_CODE_EMPTY) {
        for (uint32_t i = 0; i < 1u << DIST_TABLE_BITS; i++)
            table[DIST_TABLE_AT + i] = entry_make(STOP_TEMPLATE(0), 1);
        return DS_CODEC_ERROR_NONE;
    }
    return error;
}

static uint32_t precode_template(uint32_t symbol)
{
    return symbol << ENTRY_BASE_SHIFT;
}

enum ds_codec_error precode_table_build(uint32_t *table, const uint8_t *lengths)
{
    struct code code = {.table = table,
                        .at = 0,
                        .main_bits = PRECODE_BITS_MAX,
                        .end = 1u << PRECODE_BITS_MAX,
                        .symbols = PRECODE_SYMBOLS,
                        .lengths = lengths};

    return code_build(&code, precode_template);
}
