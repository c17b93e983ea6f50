/* GDeflate as a codec: tile streams, with the tiles shared among the codec's threads. */
#include "engine/codec/codec.h"
#include "engine/codec/gdeflate_encode.h"

#include <errno.h>
#include <stdatomic.h>

enum {
    /* Tiles are packed in batches, each into a slot, then moved together: so many a thread. */
    SLOTS_A_THREAD = 4,
    SLOT_BYTES = (GDEFLATE_TILE_PACKED_MAX + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE,
};

/* Made by the first compress. */
struct packer {
    size_t own_bytes;
    uint32_t slots;
    uint8_t *slot_memory;
    size_t *slot_used;
    struct encoder *encoders[]; /* one a thread */
};

struct decode_job {
    const struct gdeflate_stream *stream;
    rounds_fn rounds;
    uint8_t *dst;
    /* tile << 8 | error of the first damaged tile; tiles after it are not decoded. */
    _Atomic uint32_t damage;
};

static int gdeflate_open(struct ds_codec *codec)
{
    codec->state = NULL;
    return 0;
}

static void packer_free(struct ds_codec *codec, struct packer *packer)
{
    for (uint32_t i = 0; i < codec->threads; i++)
        host_free(&codec->host, packer->encoders[i], encoder_bytes());
    host_free(&codec->host, packer->slot_used, packer->slots * sizeof(*packer->slot_used));
    host_free(&codec->host, packer->slot_memory, (size_t)packer->slots * SLOT_BYTES);
    host_free(&codec->host, packer, packer->own_bytes);
}

static void gdeflate_close(struct ds_codec *codec)
{
    if (codec->state != NULL)
        packer_free(codec, codec->state);
}

static struct packer *packer_make(struct ds_codec *codec)
{
    size_t own_bytes = sizeof(struct packer) + codec->threads * sizeof(struct encoder *);
    struct packer *packer = host_alloc(&codec->host, own_bytes, CACHE_LINE);
    bool ok;

    if (packer == NULL)
        return NULL;
    packer->own_bytes = own_bytes;
    packer->slots = codec->threads * SLOTS_A_THREAD;
    packer->slot_used = host_calloc(&codec->host, packer->slots, sizeof(*packer->slot_used));
    packer->slot_memory = host_calloc(&codec->host, packer->slots, SLOT_BYTES);
    ok = packer->slot_used != NULL && packer->slot_memory != NULL;
    for (uint32_t i = 0; i < codec->threads && ok; i++) {
        packer->encoders[i] = host_alloc(&codec->host, encoder_bytes(), CACHE_LINE);
        ok = packer->encoders[i] != NULL;
    }
    if (!ok) {
        packer_free(codec, packer);
        return NULL;
    }
    return packer;
}

static int gdeflate_content_size(const uint8_t *source, size_t source_bytes, uint64_t *bytes)
{
    struct gdeflate_stream stream;

    if (gdeflate_stream_parse(&stream, source, source_bytes) != DS_CODEC_ERROR_NONE)
        return -EBADMSG;
    *bytes = stream.content_bytes;
    return 0;
}

static void tile_decode_item(void *ctx, uint32_t worker, uint32_t item)
{
    struct decode_job *job = ctx;
    struct gdeflate_tile tile = gdeflate_stream_tile(job->stream, item);
    uint32_t damage = atomic_load_explicit(&job->damage, memory_order_relaxed);
    enum ds_codec_error error;
    uint32_t found;

    (void)worker;
    if (item > damage >> 8)
        return;
    error = gdeflate_tile_decode(job->rounds, tile.packed, tile.packed_bytes,
                                 job->dst + (size_t)item * GDEFLATE_TILE_BYTES, tile.bytes);
    if (error == DS_CODEC_ERROR_NONE)
        return;
    /* Keep the lowest tile, so that the report does not depend on timing. Relaxed: the pool's lock
     * orders it before the caller's read. */
    found = item << 8 | (uint32_t)error;
    while (found < damage &&
           !atomic_compare_exchange_weak_explicit(&job->damage, &damage, found,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static enum ds_codec_error gdeflate_decompress(struct ds_codec *codec, const uint8_t *source,
                                               size_t source_bytes, uint8_t *dst, size_t dst_bytes,
                                               uint32_t *tile)
{
    struct gdeflate_stream stream;
    struct decode_job job = {.stream = &stream, .rounds = codec->rounds, .dst = dst};
    enum ds_codec_error error = gdeflate_stream_parse(&stream, source, source_bytes);
    uint32_t damage;

    if (error != DS_CODEC_ERROR_NONE)
        return error;
    if (stream.content_bytes != dst_bytes)
        return DS_CODEC_ERROR_OUTPUT_SIZE;
    atomic_init(&job.damage, UINT32_MAX);
    tile_pool_run(codec->pool, tile_decode_item, &job, stream.tile_count);
    damage = atomic_load_explicit(&job.damage, memory_order_relaxed);
    if (damage == UINT32_MAX)
        return DS_CODEC_ERROR_NONE;
    *tile = damage >> 8;
    return (enum ds_codec_error)(damage & 0xff);
}

static size_t tiles_of(size_t bytes)
{
    return bytes / GDEFLATE_TILE_BYTES + (bytes % GDEFLATE_TILE_BYTES != 0);
}

static size_t gdeflate_bound(size_t bytes)
{
    size_t last = bytes % GDEFLATE_TILE_BYTES;
    size_t bound = GDEFLATE_HEADER_BYTES + 4 * tiles_of(bytes);

    bound += bytes / GDEFLATE_TILE_BYTES * gdeflate_tile_bound(GDEFLATE_TILE_BYTES);
    return last != 0 ? bound + gdeflate_tile_bound(last) : bound;
}

struct encode_job {
    struct packer *packer;
    int level;
    const uint8_t *source;
    size_t source_bytes;
    uint32_t first; /* tile of slot 0 */
};

static void tile_encode_item(void *ctx, uint32_t worker, uint32_t item)
{
    struct encode_job *job = ctx;
    struct packer *packer = job->packer;
    size_t at = ((size_t)job->first + item) * GDEFLATE_TILE_BYTES;

    packer->slot_used[item] =
        gdeflate_tile_encode(packer->encoders[worker], job->level, job->source + at,
                             min_u64(job->source_bytes - at, GDEFLATE_TILE_BYTES),
                             packer->slot_memory + (size_t)item * SLOT_BYTES);
}

static void stream_header_write(uint8_t *dst, size_t bytes, uint32_t tiles)
{
    dst[0] = GDEFLATE_ID;
    dst[1] = GDEFLATE_ID ^ 0xff;
    dst[2] = (uint8_t)tiles;
    dst[3] = (uint8_t)(tiles >> 8);
    store_le32(dst + 4, 1 | (uint32_t)(bytes % GDEFLATE_TILE_BYTES) << 2);
}

static int gdeflate_compress(struct ds_codec *codec, int level, const uint8_t *source,
                             size_t source_bytes, uint8_t *dst, size_t dst_bytes,
                             size_t *packed_bytes)
{
    uint32_t tiles = (uint32_t)tiles_of(source_bytes);
    size_t table_end = GDEFLATE_HEADER_BYTES + 4 * (size_t)tiles;
    struct encode_job job = {.level = level, .source = source, .source_bytes = source_bytes};
    size_t used = table_end;

    if (dst_bytes < table_end)
        return -ENOSPC;
    if (codec->state == NULL)
        codec->state = packer_make(codec);
    if (codec->state == NULL)
        return -ENOMEM;
    job.packer = codec->state;
    stream_header_write(dst, source_bytes, tiles);
    while (job.first < tiles) {
        uint32_t batch = min_u32(tiles - job.first, job.packer->slots);

        tile_pool_run(codec->pool, tile_encode_item, &job, batch);
        for (uint32_t i = 0; i < batch; i++, job.first++) {
            size_t size = job.packer->slot_used[i];

            if (size > dst_bytes - used)
                return -ENOSPC;
            if (used - table_end > UINT32_MAX)
                return -EFBIG;
            /* Offsets but for the first tile's, which is 0; its place has the last tile's size. */
            if (job.first != 0)
                store_le32(dst + GDEFLATE_HEADER_BYTES + 4 * (size_t)job.first,
                           (uint32_t)(used - table_end));
            if (job.first + 1 == tiles)
                store_le32(dst + GDEFLATE_HEADER_BYTES, (uint32_t)size);
            memcpy(dst + used, job.packer->slot_memory + (size_t)i * SLOT_BYTES, size);
            used += size;
        }
    }
    *packed_bytes = used;
    return 0;
}

const struct codec_ops codec_gdeflate_ops = {
    .level_min = GDEFLATE_LEVEL_STORED,
    .level_max = GDEFLATE_LEVEL_MAX,
    .bytes_max = (uint64_t)GDEFLATE_TILES_MAX * GDEFLATE_TILE_BYTES,
    .open = gdeflate_open,
    .close = gdeflate_close,
    .content_size = gdeflate_content_size,
    .decompress = gdeflate_decompress,
    .compress_bound = gdeflate_bound,
    .compress = gdeflate_compress,
};
