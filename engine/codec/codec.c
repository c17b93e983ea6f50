/* The public codec calls: they check arguments and pass on to the format. */
#include "engine/codec/codec.h"

#include <errno.h>

const char *ds_codec_error_name(int32_t error)
{
    switch (error) {
#define ERROR_NAME(name, value, text)                                                              \
    case value:                                                                                    \
        return #name;
        DS_CODEC_ERROR_TABLE(ERROR_NAME)
#undef ERROR_NAME
    default:
        return "UNKNOWN";
    }
}

const char *ds_codec_error_text(int32_t error)
{
    switch (error) {
#define ERROR_TEXT(name, value, text)                                                              \
    case value:                                                                                    \
        return text;
        DS_CODEC_ERROR_TABLE(ERROR_TEXT)
#undef ERROR_TEXT
    default:
        return "unknown error";
    }
}

/* NULL and *error: -EINVAL for a format that does not exist, -ENOTSUP for one left out. */
static const struct codec_ops *format_ops(enum ds_codec_format format, int *error)
{
    switch (format) {
    case DS_CODEC_NONE:
        break;
    case DS_CODEC_GDEFLATE:
        return &codec_gdeflate_ops;
    case DS_CODEC_ZSTD:
#ifdef HAVE_ZSTD
        return &codec_zstd_ops;
#else
        *error = -ENOTSUP;
        return NULL;
#endif
    case DS_CODEC_LZ4:
#ifdef HAVE_LZ4
        return &codec_lz4_ops;
#else
        *error = -ENOTSUP;
        return NULL;
#endif
    }
    *error = -EINVAL;
    return NULL;
}

int codec_check(uint32_t format)
{
    int error = 0;

    format_ops((enum ds_codec_format)format, &error);
    return error;
}

static int config_read(struct ds_codec_config *config, const struct ds_codec_config *caller)
{
    int error = 0;

    *config = (struct ds_codec_config){0};
    if (caller != NULL)
        error = copy_struct_in(config, sizeof(*config), caller);
    if (error == 0 && (config->threads > DS_CODEC_THREADS_MAX || config->reserved != 0 ||
                       config->path > DS_CODEC_PATH_AVX512))
        error = -EINVAL;
    if (config->threads == 0)
        config->threads = 1;
    return error;
}

static int codec_open(struct ds_codec *codec)
{
    int error = tile_pool_create(&codec->host, codec->threads, &codec->pool);

    if (error != 0)
        return error;
    error = codec->ops->open(codec);
    if (error != 0)
        tile_pool_destroy(&codec->host, &codec->pool);
    return error;
}

int ds_codec_create(enum ds_codec_format format, const struct ds_codec_config *caller,
                    struct ds_codec **out)
{
    const struct codec_ops *ops;
    struct ds_codec_config config;
    struct ds_codec *codec;
    struct host host;
    int error = config_read(&config, caller);

    if (error != 0 || out == NULL)
        return -EINVAL;
    host_init(&host, config.allocator, config.log, config.log_ctx, DS_LOG_INFO);
    ops = format_ops(format, &error);
    if (ops == NULL) {
        if (error == -ENOTSUP)
            host_log(&host, DS_LOG_ERROR,
                     "codec: format %d was left out of this build (libzstd or liblz4 was missing)",
                     (int)format);
        return error;
    }
    codec = host_alloc(&host, sizeof(*codec), CACHE_LINE);
    if (codec == NULL)
        return -ENOMEM;
    *codec = (struct ds_codec){.ops = ops, .host = host, .threads = config.threads};
    codec->rounds = gdeflate_rounds_for((enum ds_codec_path)config.path, &codec->path);
    if (codec->rounds == NULL) {
        host_log(&host, DS_LOG_ERROR, "codec: this CPU cannot run path %u; use AUTO", config.path);
        error = -ENOTSUP;
    }
    if (error == 0)
        error = codec_open(codec);
    if (error != 0) {
        host_free(&host, codec, sizeof(*codec));
        return error;
    }
    *out = codec;
    return 0;
}

void ds_codec_destroy(struct ds_codec **codec_at)
{
    struct ds_codec *codec = *codec_at;
    struct host host;

    if (codec == NULL)
        return;
    *codec_at = NULL;
    host = codec->host;
    tile_pool_destroy(&host, &codec->pool);
    codec->ops->close(codec);
    host_free(&host, codec, sizeof(*codec));
}

enum ds_codec_path ds_codec_path_used(const struct ds_codec *codec)
{
    return codec->path;
}

int ds_codec_content_size(const struct ds_codec *codec, const void *source, size_t source_bytes,
                          uint64_t *bytes)
{
    if (source == NULL)
        return -EBADMSG;
    return codec->ops->content_size(source, source_bytes, bytes);
}

int ds_codec_decompress(struct ds_codec *codec, const void *source, size_t source_bytes, void *dst,
                        size_t dst_bytes, struct ds_codec_report *report)
{
    enum ds_codec_error error;
    uint8_t nothing = 0;
    uint32_t tile = 0;

    if ((source == NULL && source_bytes != 0) || (dst == NULL && dst_bytes != 0))
        return -EINVAL;
    error = codec->ops->decompress(codec, source != NULL ? source : &nothing, source_bytes,
                                   dst != NULL ? dst : &nothing, dst_bytes, &tile);
    if (report != NULL)
        *report = (struct ds_codec_report){.error = error, .tile = tile};
    return error == DS_CODEC_ERROR_NONE ? 0 : -EBADMSG;
}

size_t ds_codec_compress_bound(const struct ds_codec *codec, size_t bytes)
{
    return bytes <= codec->ops->bytes_max ? codec->ops->compress_bound(bytes) : 0;
}

int ds_codec_compress(struct ds_codec *codec, int level, const void *source, size_t source_bytes,
                      void *dst, size_t dst_bytes, size_t *packed_bytes)
{
    if (source == NULL || source_bytes == 0 || source_bytes > codec->ops->bytes_max ||
        (dst == NULL && dst_bytes != 0) || level < codec->ops->level_min ||
        level > codec->ops->level_max)
        return -EINVAL;
    return codec->ops->compress(codec, level, source, source_bytes, dst, dst_bytes, packed_bytes);
}
