/* Zstandard through libzstd. One request of DirectStorage is one frame; several in a row are taken
 * too. libzstd's contexts come from malloc: its calls for custom memory are not part of its stable
 * API. */
#include "engine/codec/codec.h"

#include <errno.h>
#include <zstd.h>

struct zstd_state {
    ZSTD_DCtx *decoder;
    ZSTD_CCtx *encoder; /* made by the first compress */
};

static int zstd_open(struct ds_codec *codec)
{
    struct zstd_state *state = host_alloc(&codec->host, sizeof(*state), CACHE_LINE);

    if (state == NULL)
        return -ENOMEM;
    state->decoder = ZSTD_createDCtx();
    if (state->decoder == NULL) {
        host_free(&codec->host, state, sizeof(*state));
        return -ENOMEM;
    }
    codec->state = state;
    return 0;
}

static void zstd_close(struct ds_codec *codec)
{
    struct zstd_state *state = codec->state;

    ZSTD_freeCCtx(state->encoder); /* NULL is fine */
    ZSTD_freeDCtx(state->decoder);
    host_free(&codec->host, state, sizeof(*state));
}

/* The sum over all frames. */
static int zstd_content_size(const uint8_t *source, size_t source_bytes, uint64_t *bytes)
{
    uint64_t total = 0;

    if (source_bytes == 0)
        return -EBADMSG;
    while (source_bytes != 0) {
        unsigned long long content = ZSTD_getFrameContentSize(source, source_bytes);
        size_t frame = ZSTD_findFrameCompressedSize(source, source_bytes);

        if (content == ZSTD_CONTENTSIZE_ERROR || ZSTD_isError(frame))
            return -EBADMSG;
        if (content == ZSTD_CONTENTSIZE_UNKNOWN)
            return -ENODATA;
        if (__builtin_add_overflow(total, content, &total))
            return -EBADMSG;
        source += frame;
        source_bytes -= frame;
    }
    *bytes = total;
    return 0;
}

static enum ds_codec_error zstd_decompress(struct ds_codec *codec, const uint8_t *source,
                                           size_t source_bytes, uint8_t *dst, size_t dst_bytes,
                                           uint32_t *tile)
{
    struct zstd_state *state = codec->state;
    size_t made = ZSTD_decompressDCtx(state->decoder, dst, dst_bytes, source, source_bytes);

    (void)tile;
    if (source_bytes == 0 ||
        ZSTD_isError(made)) /* libzstd takes no frame at all for an empty one */
        return DS_CODEC_ERROR_FRAME;
    return made == dst_bytes ? DS_CODEC_ERROR_NONE : DS_CODEC_ERROR_OUTPUT_SIZE;
}

static int zstd_compress(struct ds_codec *codec, int level, const uint8_t *source,
                         size_t source_bytes, uint8_t *dst, size_t dst_bytes, size_t *packed_bytes)
{
    struct zstd_state *state = codec->state;
    size_t made;

    if (state->encoder == NULL)
        state->encoder = ZSTD_createCCtx();
    if (state->encoder == NULL)
        return -ENOMEM;
    made = ZSTD_compressCCtx(state->encoder, dst, dst_bytes, source, source_bytes, level);
    if (ZSTD_isError(made))
        return dst_bytes < ZSTD_compressBound(source_bytes) ? -ENOSPC : -ENOMEM;
    *packed_bytes = made;
    return 0;
}

const struct codec_ops codec_zstd_ops = {
    .level_min = 1,
    .level_max = 22,
    .bytes_max = (uint64_t)1 << 40,
    .open = zstd_open,
    .close = zstd_close,
    .content_size = zstd_content_size,
    .decompress = zstd_decompress,
    .compress_bound = ZSTD_compressBound,
    .compress = zstd_compress,
};
