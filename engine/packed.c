/* What is wrong with compressed data, and what the GPU made of it. */
#include "engine/packed.h"

#include <errno.h>

enum ds_codec_error packed_parse(const struct request *r, const uint8_t *bytes,
                                 struct gdeflate_stream *stream)
{
    enum ds_codec_error error = gdeflate_stream_parse(stream, bytes, r->size);

    if (error == DS_CODEC_ERROR_NONE && stream->content_bytes != r->unpacked_bytes)
        error = DS_CODEC_ERROR_OUTPUT_SIZE;
    return error;
}

void packed_fail(struct chunk *chunk, const struct host *host, enum ds_codec_error error,
                 uint32_t tile)
{
    const struct request *r = chunk->request;

    host_log(host, DS_LOG_ERROR,
             "decode: request \"%s\" (codec %u, %llu bytes at %llu, %llu decoded): %s, tile %u; "
             "the file is damaged, or the request names another range or size than was packed",
             r->name != NULL ? r->name : "", r->codec, (unsigned long long)r->size,
             (unsigned long long)r->offset, (unsigned long long)r->unpacked_bytes,
             ds_codec_error_text(error), tile);
    chunk_fail(chunk, DS_STATUS_DECOMPRESSION, -EBADMSG);
}

void packed_hand_to_gpu(struct chunk *chunk, const struct host *host)
{
    uint32_t *statuses = packed_statuses(chunk);
    struct gdeflate_stream stream;
    enum ds_codec_error error = packed_parse(chunk->request, packed_staged(chunk), &stream);

    DS_ASSERT(chunk->packed && request_on_gpu(chunk->request));
    DS_ASSERT(!request_is_cut(chunk->request));
    if (error != DS_CODEC_ERROR_NONE) {
        packed_fail(chunk, host, error, 0);
        return;
    }
    DS_ASSERT(stream.tile_count == packed_tiles(chunk->request->unpacked_bytes));
    for (uint32_t i = 0; i < stream.tile_count; i++)
        statuses[i] = PACKED_NOT_RUN;
    chunk->kind = CHUNK_READ;
}

uint32_t packed_settle(struct chunk *chunk, const struct host *host)
{
    const struct request *r = chunk->request;
    const uint32_t *statuses = packed_statuses(chunk);
    uint32_t tiles_n = packed_tiles(r->unpacked_bytes);

    DS_ASSERT(chunk->packed && request_on_gpu(r) && chunk->status == DS_STATUS_OK);
    for (uint32_t i = 0; i < tiles_n; i++) {
        if (statuses[i] == DS_CODEC_ERROR_NONE)
            continue;
        packed_fail(chunk, host,
                    statuses[i] == PACKED_NOT_RUN ? DS_CODEC_ERROR_DEVICE
                                                  : (enum ds_codec_error)statuses[i],
                    i);
        return 0;
    }
    chunk->packed = 0;
    chunk->payload_bytes = (uint32_t)r->unpacked_bytes;
    return tiles_n;
}
