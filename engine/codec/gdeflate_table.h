/* Decode tables: one lookup turns stream bits into a symbol with its base and bit counts. */
#ifndef ENGINE_CODEC_GDEFLATE_TABLE_H
#define ENGINE_CODEC_GDEFLATE_TABLE_H

#include "engine/codec/gdeflate_format.h"

#include <ds/codec.h>

/* An entry:
 *   bits 0-4    bits to consume: code word and extra bits together, 1..31
 *   bits 5-8    length of the code word alone
 *   bits 9-12   what it is, below; none of them: a distance
 *   bits 16-31  base; value = base + (the extra bits, which follow the code word)
 * A SUB entry is read by the same rule: its "code word" are the bits of the main table, its "extra
 * bits" the index bits of the subtable, so its value is where in the table the real entry lies. */
enum {
    ENTRY_LITERAL = 1 << 9,
    ENTRY_LENGTH = 1 << 10,
    ENTRY_STOP = 1 << 11, /* end of block, or a symbol that must not occur */
    ENTRY_SUB = 1 << 12,
    ENTRY_BASE_SHIFT = 16,
};

/* Both codes live in one array, so that a lane picks its table by an offset and a mask.
 *
 * Room for subtables: a subtable of 2^s entries is a complete code of depth s, which has at least
 * s + 1 words. So n symbols fill at most n / (s + 1) * 2^s entries, the most at the largest s:
 * litlen s = 15 - 11 = 4: 288 / 5 * 16 = 912. dist s = 15 - 9 = 6: 32 / 7 * 64 = 256. */
enum {
    LITLEN_TABLE_BITS = 11,
    DIST_TABLE_BITS = 9,
    LITLEN_TABLE_ENTRIES = (1 << LITLEN_TABLE_BITS) + 928,
    DIST_TABLE_ENTRIES = (1 << DIST_TABLE_BITS) + 288,
    DIST_TABLE_AT = LITLEN_TABLE_ENTRIES,
    CODE_TABLE_ENTRIES = LITLEN_TABLE_ENTRIES + DIST_TABLE_ENTRIES,
};

static inline uint32_t entry_bits(uint32_t entry)
{
    return entry & 31;
}

/* entry_value returns base + extra bits; peek holds the next 32 bits of the lane. */
static inline uint32_t entry_value(uint32_t entry, uint32_t peek)
{
    uint32_t code_bits = (entry >> 5) & 15;

    return (entry >> ENTRY_BASE_SHIFT) + ((peek & ((1u << entry_bits(entry)) - 1)) >> code_bits);
}

/* code_lookup finds the entry for `peek` in the litlen or the dist part of the table. */
static inline uint32_t code_lookup(const uint32_t *table, uint32_t at, uint32_t mask, uint32_t peek)
{
    uint32_t entry = table[at + (peek & mask)];

    if (UNLIKELY(entry & ENTRY_SUB))
        entry = table[entry_value(entry, peek)];
    return entry;
}

/* litlen_table_build and dist_table_build fill their part of table[CODE_TABLE_ENTRIES] from code
 * lengths 0..15. Beyond complete codes they take one code word of length 1 (it answers to both
 * bits) and, for distances, no code word at all (every entry is then a STOP). */
enum ds_codec_error litlen_table_build(uint32_t *table, const uint8_t *lengths, uint32_t symbols);
enum ds_codec_error dist_table_build(uint32_t *table, const uint8_t *lengths, uint32_t symbols);

/* precode_table_build fills table[128] for the code-length code; an entry's base is the symbol. */
enum ds_codec_error precode_table_build(uint32_t *table, const uint8_t *lengths);

#endif
