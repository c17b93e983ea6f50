/* The codec object, and what each format supplies. */
#ifndef ENGINE_CODEC_CODEC_H
#define ENGINE_CODEC_CODEC_H

#include "engine/codec/gdeflate.h"
#include "engine/codec/tile_pool.h"

struct codec_ops;

struct ds_codec {
    const struct codec_ops *ops;
    struct host host;
    struct tile_pool *pool;
    uint32_t threads;
    enum ds_codec_path path; /* after AUTO was resolved */
    rounds_fn rounds;
    void *state; /* the format's own */
};

/* What a format supplies. Arguments were checked: pointers, sizes over 0 to compress, levels. */
struct codec_ops {
    int level_min;
    int level_max;
    /* Largest input of compress. */
    uint64_t bytes_max;
    int (*open)(struct ds_codec *codec);
    void (*close)(struct ds_codec *codec);
    int (*content_size)(const uint8_t *source, size_t source_bytes, uint64_t *bytes);
    enum ds_codec_error (*decompress)(struct ds_codec *codec, const uint8_t *source,
                                      size_t source_bytes, uint8_t *dst, size_t dst_bytes,
                                      uint32_t *tile);
    size_t (*compress_bound)(size_t bytes);
    int (*compress)(struct ds_codec *codec, int level, const uint8_t *source, size_t source_bytes,
                    uint8_t *dst, size_t dst_bytes, size_t *packed_bytes);
};

/* codec_check: 0 for a format that ds_codec_create makes, -ENOTSUP for one that was left out of
 * this build, -EINVAL. */
int codec_check(uint32_t format);

extern const struct codec_ops codec_gdeflate_ops;
extern const struct codec_ops codec_zstd_ops;
extern const struct codec_ops codec_lz4_ops;

#endif
