/* LZ4 through liblz4: bare blocks, which record neither their size nor the content's. */
#include "engine/codec/codec.h"

#include <errno.h>
#include <lz4.h>
#include <lz4hc.h>

/* The encoder's memory, made by the first compress: enough for either kind of compressor. */
static size_t state_bytes(void)
{
    return max_u64((uint64_t)LZ4_sizeofState(), (uint64_t)LZ4_sizeofStateHC());
}

static int lz4_open(struct ds_codec *codec)
{
    codec->state = NULL;
    return 0;
}

static void lz4_close(struct ds_codec *codec)
{
    host_free(&codec->host, codec->state, state_bytes());
}

static int lz4_content_size(const uint8_t *source, size_t source_bytes, uint64_t *bytes)
{
    (void)source;
    (void)source_bytes;
    (void)bytes;
    return -ENODATA;
}

static enum ds_codec_error lz4_decompress(struct ds_codec *codec, const uint8_t *source,
                                          size_t source_bytes, uint8_t *dst, size_t dst_bytes,
                                          uint32_t *tile)
{
    int made;

    (void)codec;
    (void)tile;
    if (source_bytes > INT32_MAX || dst_bytes > INT32_MAX)
        return DS_CODEC_ERROR_FRAME;
    made =
        LZ4_decompress_safe((const char *)source, (char *)dst, (int)source_bytes, (int)dst_bytes);
    if (made < 0)
        return DS_CODEC_ERROR_FRAME;
    return (size_t)made == dst_bytes ? DS_CODEC_ERROR_NONE : DS_CODEC_ERROR_OUTPUT_SIZE;
}

static size_t lz4_bound(size_t bytes)
{
    return (size_t)LZ4_compressBound((int)bytes);
}

static int lz4_compress(struct ds_codec *codec, int level, const uint8_t *source,
                        size_t source_bytes, uint8_t *dst, size_t dst_bytes, size_t *packed_bytes)
{
    int room = (int)min_u64(dst_bytes, INT32_MAX);
    int made;

    if (codec->state == NULL)
        codec->state = host_alloc(&codec->host, state_bytes(), CACHE_LINE);
    if (codec->state == NULL)
        return -ENOMEM;
    if (level == 1)
        made = LZ4_compress_fast_extState(codec->state, (const char *)source, (char *)dst,
                                          (int)source_bytes, room, 1);
    else
        made = LZ4_compress_HC_extStateHC(codec->state, (const char *)source, (char *)dst,
                                          (int)source_bytes, room, level);
    if (made <= 0)
        return -ENOSPC;
    *packed_bytes = (size_t)made;
    return 0;
}

const struct codec_ops codec_lz4_ops = {
    .level_min = 1,
    .level_max = LZ4HC_CLEVEL_MAX,
    .bytes_max = LZ4_MAX_INPUT_SIZE,
    .open = lz4_open,
    .close = lz4_close,
    .content_size = lz4_content_size,
    .decompress = lz4_decompress,
    .compress_bound = lz4_bound,
    .compress = lz4_compress,
};
