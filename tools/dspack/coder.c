/* How a chunk becomes stored bytes, and back. */
#include "coder.h"

#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int coder_open(struct coder *coder, uint32_t codecs, uint32_t chunk_bytes)
{
    *coder = (struct coder){0};
    for (uint32_t codec = DS_CODEC_GDEFLATE; codec <= DS_CODEC_LZ4; codec++) {
        int error;

        if ((codecs & 1u << codec) == 0)
            continue;
        error = ds_codec_create((enum ds_codec_format)codec, NULL, &coder->codecs[codec]);
        if (error == 0)
            continue;
        fprintf(stderr, "dspack: %s: %s\n", name_of(archive_codec_names, codec),
                error == -ENOTSUP ? "left out of this build" : strerror(-error));
        return error == -ENOTSUP ? EXIT_ARGUMENTS : EXIT_DATA;
    }
    return bytes_make(&coder->between, chunk_bytes) ? EXIT_OK : EXIT_DATA;
}

void coder_close(struct coder *coder)
{
    for (uint32_t codec = 0; codec <= DS_CODEC_LZ4; codec++)
        ds_codec_destroy(&coder->codecs[codec]);
    bytes_free(&coder->between);
}

size_t coder_bound(const struct coder *coder, uint32_t codec, size_t bytes)
{
    return codec != DS_ARCHIVE_STORED ? ds_codec_compress_bound(coder->codecs[codec], bytes) : 0;
}

void coder_pack(struct coder *coder, const struct recipe *recipe, const uint8_t *content,
                size_t bytes, uint8_t *packed, size_t packed_room, size_t *packed_bytes)
{
    *packed_bytes = 0;
    if (recipe->transform != DS_CODEC_TRANSFORM_NONE) {
        ds_codec_shuffle((enum ds_codec_transform)recipe->transform, content, coder->between.data,
                         bytes);
        content = coder->between.data;
    }
    if (ds_codec_compress(coder->codecs[recipe->codec], recipe->level, content, bytes, packed,
                          packed_room, packed_bytes) != 0)
        *packed_bytes = 0;
}

/* A stored chunk must not pass through a codec: it has none. */
static const char *content_make(struct coder *coder, const struct ds_archive_chunk *chunk,
                                const uint8_t *stored, uint8_t *content)
{
    bool shuffled = chunk->transform != DS_CODEC_TRANSFORM_NONE;
    uint8_t *decoded = shuffled ? coder->between.data : content;
    struct ds_codec_report report;

    if (chunk->codec == DS_ARCHIVE_STORED) {
        memcpy(content, stored, chunk->stored_bytes);
        return NULL;
    }
    if (ds_codec_decompress(coder->codecs[chunk->codec], stored, chunk->stored_bytes, decoded,
                            chunk->content_bytes, &report) != 0)
        return ds_codec_error_text(report.error);
    if (shuffled)
        ds_codec_unshuffle((enum ds_codec_transform)chunk->transform, decoded, content,
                           chunk->content_bytes);
    return NULL;
}

const char *coder_unpack(struct coder *coder, const struct ds_archive_chunk *chunk,
                         const uint8_t *stored, uint8_t *content)
{
    const char *text;

    if (ds_archive_crc32c(0, stored, chunk->stored_bytes) != chunk->stored_crc32c)
        return "the checksum of the stored bytes does not match";
    text = content_make(coder, chunk, stored, content);
    if (text != NULL)
        return text;
    if (ds_archive_crc32c(0, content, chunk->content_bytes) != chunk->content_crc32c)
        return "the checksum of the content does not match";
    return NULL;
}
