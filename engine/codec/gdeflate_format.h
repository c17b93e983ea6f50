/* The numbers of the GDeflate format: container fields, DEFLATE64 lengths and distances. */
#ifndef ENGINE_CODEC_GDEFLATE_FORMAT_H
#define ENGINE_CODEC_GDEFLATE_FORMAT_H

#include "engine/base.h"

#include <string.h>

enum {
    GDEFLATE_ID = 0x04,       /* what compressors write */
    GDEFLATE_ID_OTHER = 0xfe, /* seen in shipped data; the tiles are the same */
    GDEFLATE_HEADER_BYTES = 8,
    GDEFLATE_TILE_BYTES = 65536,
    GDEFLATE_TILES_MAX = 65535,
    GDEFLATE_LANES = 32,
    GDEFLATE_TILE_PACKED_MIN = GDEFLATE_LANES * 4,

    LITLEN_SYMBOLS = 288,
    LITLEN_USED_SYMBOLS = 286, /* 286 and 287 only fill up the fixed code */
    DIST_SYMBOLS = 32,
    PRECODE_SYMBOLS = 19,
    SYMBOL_END_OF_BLOCK = 256,
    SYMBOL_FIRST_LENGTH = 257,
    SYMBOL_LAST_LENGTH = 285,
    CODE_BITS_MAX = 15,
    PRECODE_BITS_MAX = 7,
    MATCH_MIN = 3,

    BLOCK_STORED = 0,
    BLOCK_FIXED = 1,
    BLOCK_DYNAMIC = 2,
    STORED_BYTES_MAX = 65535,

    PRECODE_REPEAT = 16,
    PRECODE_ZEROS_SHORT = 17,
    PRECODE_ZEROS_LONG = 18,
};

struct extra_code {
    uint16_t base;
    uint8_t extra_bits;
};

/* Symbol 257 + i. Unlike in DEFLATE, 285 (the last) is any length from 3 on. */
static const struct extra_code length_codes[SYMBOL_LAST_LENGTH - SYMBOL_FIRST_LENGTH + 1] = {
    {3, 0},  {4, 0},  {5, 0},  {6, 0},   {7, 0},   {8, 0},   {9, 0},   {10, 0},  {11, 1}, {13, 1},
    {15, 1}, {17, 1}, {19, 2}, {23, 2},  {27, 2},  {31, 2},  {35, 3},  {43, 3},  {51, 3}, {59, 3},
    {67, 4}, {83, 4}, {99, 4}, {115, 4}, {131, 5}, {163, 5}, {195, 5}, {227, 5}, {3, 16},
};

static const struct extra_code dist_codes[DIST_SYMBOLS] = {
    {1, 0},      {2, 0},      {3, 0},      {4, 0},      {5, 1},     {7, 1},     {9, 2},
    {13, 2},     {17, 3},     {25, 3},     {33, 4},     {49, 4},    {65, 5},    {97, 5},
    {129, 6},    {193, 6},    {257, 7},    {385, 7},    {513, 8},   {769, 8},   {1025, 9},
    {1537, 9},   {2049, 10},  {3073, 10},  {4097, 11},  {6145, 11}, {8193, 12}, {12289, 12},
    {16385, 13}, {24577, 13}, {32769, 14}, {49153, 14},
};

static const uint8_t precode_order[PRECODE_SYMBOLS] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                       11, 4,  12, 3, 13, 2, 14, 1, 15};

static inline uint32_t load_le32(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static inline void store_le32(uint8_t *to, uint32_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    memcpy(to, &value, sizeof(value));
}

#endif
