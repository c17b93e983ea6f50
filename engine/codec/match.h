/* What the match finders share. Positions are offsets into a tile, so they fit 16 bits. */
#ifndef ENGINE_CODEC_MATCH_H
#define ENGINE_CODEC_MATCH_H

#include "engine/codec/block.h"

enum {
    /* No match begins at 65535, so that number marks "no position". */
    NO_POSITION = 0xffff,
    /* Hashing loads 4 bytes. */
    MATCH_ROOM_MIN = 4,
};

static inline uint32_t match_load(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return value;
}

static inline uint32_t match_hash(uint32_t value, uint32_t bits)
{
    return value * 0x9e3779b1u >> (32 - bits);
}

/* The first three bytes of a word that was loaded by match_load. */
static inline uint32_t match_three(uint32_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return value >> 8;
#else
    return value & 0xffffff;
#endif
}

/* match_extend returns how many bytes agree, from `length` known ones up to max. */
static inline uint32_t match_extend(const uint8_t *a, const uint8_t *b, uint32_t length,
                                    uint32_t max)
{
    while (length + 8 <= max) {
        uint64_t left, right;

        memcpy(&left, a + length, sizeof(left));
        memcpy(&right, b + length, sizeof(right));
        left ^= right;
        if (left != 0) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            return length + (uint32_t)__builtin_clzll(left) / 8;
#else
            return length + (uint32_t)__builtin_ctzll(left) / 8;
#endif
        }
        length += 8;
    }
    while (length < max && a[length] == b[length])
        length++;
    return length;
}

struct match {
    uint16_t length; /* 0: none */
    uint16_t distance;
};

#endif
