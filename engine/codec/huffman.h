/* Length-limited prefix codes for the encoder. */
#ifndef ENGINE_CODEC_HUFFMAN_H
#define ENGINE_CODEC_HUFFMAN_H

#include "engine/codec/gdeflate_format.h"

/* huffman_lengths gives each symbol with a nonzero count a code length of 1..bits_max, the others
 * 0. At least two symbols must have a count, so the code is always complete. Counts sum to less
 * than 2^23; symbols <= 288, and 2^bits_max >= symbols. */
void huffman_lengths(const uint32_t *counts, uint32_t symbols, uint32_t bits_max, uint8_t *lengths);

/* huffman_words assigns the canonical code words, first bit lowest. */
void huffman_words(const uint8_t *lengths, uint32_t symbols, uint16_t *words);

#endif
