/* Cuts a tile's tokens into blocks. */
#ifndef ENGINE_CODEC_SPLIT_H
#define ENGINE_CODEC_SPLIT_H

#include "engine/codec/block.h"

enum { SPLIT_PARTS_MAX = 32 };

/* split_tokens cuts tokens[0..n), which stand for all of input, into at most SPLIT_PARTS_MAX blocks
 * where a change of statistics pays for a new header. The finest cut is about part_bytes, at least
 * 65536 / SPLIT_PARTS_MAX. Fills blocks[] but for type and bits; returns their number, 1 or more.
 */
uint32_t split_tokens(const lz_token *tokens, size_t n, const uint8_t *input, size_t bytes,
                      size_t part_bytes, struct block *blocks);

/* sum_x_log2_x sums x * log2(x), within about 0.1 %. */
float sum_x_log2_x(const uint32_t *counts, uint32_t n);

#endif
