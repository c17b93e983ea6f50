/* GDeflate inside the library: the tile stream and its tiles. Nothing here allocates or keeps
 * state. */
#ifndef ENGINE_CODEC_GDEFLATE_H
#define ENGINE_CODEC_GDEFLATE_H

#include "engine/codec/gdeflate_format.h"

#include <ds/codec.h>

/* A checked tile stream. Every tile lies inside the input. */
struct gdeflate_stream {
    const uint8_t *table;     /* tile_count little-endian words */
    const uint8_t *tiles;     /* the end of the table */
    uint32_t tile_count;      /* 1..65535 */
    uint32_t last_tile_bytes; /* 1..65536, decoded */
    uint64_t content_bytes;   /* decoded size of all tiles */
    uint64_t stream_bytes;    /* header, table and tiles; <= the input size */
};

struct gdeflate_tile {
    const uint8_t *packed;
    uint32_t packed_bytes; /* >= 128 */
    uint32_t bytes;        /* decoded, 1..65536 */
};

/* gdeflate_stream_parse checks header and table and fills *stream. The input must outlive it. */
enum ds_codec_error gdeflate_stream_parse(struct gdeflate_stream *stream, const void *input,
                                          size_t input_bytes);

/* gdeflate_stream_tile describes tile i of a checked stream; i < tile_count. */
struct gdeflate_tile gdeflate_stream_tile(const struct gdeflate_stream *stream, uint32_t i);

struct tile_decoder;

/* A way of decoding the bulk of a block: whole rounds of 32 lanes. It stops at the first round that
 * it cannot take (end of block, bad symbol, too little room) and leaves it to the careful decoder.
 */
typedef enum ds_codec_error (*rounds_fn)(struct tile_decoder *decoder);

/* gdeflate_rounds_for returns the code for a path, or NULL when this CPU or build lacks it. AUTO
 * is never NULL; *used (may be NULL) is what AUTO came to. */
rounds_fn gdeflate_rounds_for(enum ds_codec_path path, enum ds_codec_path *used);

/* gdeflate_tile_decode decodes one bare tile into exactly dst_bytes (1..65536) at dst. Uses about
 * 20 KiB of stack. Thread-safety: any thread. */
enum ds_codec_error gdeflate_tile_decode(rounds_fn rounds, const uint8_t *packed,
                                         size_t packed_bytes, uint8_t *dst, size_t dst_bytes);

#endif
