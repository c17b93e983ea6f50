#include "coder.h"

#include "base.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#ifdef DSBENCH_LIBDEFLATE
#include <libdeflate.h>
#endif

struct piece {
    const uint8_t *data;
    size_t bytes;
    uint8_t *packed; /* packed_room bytes */
    size_t packed_bytes;
    uint8_t *unpacked;
};

/* What one thread works with. */
struct hand {
    struct coder *coder;
    struct ds_codec *codec;
#ifdef DSBENCH_LIBDEFLATE
    struct libdeflate_compressor *compressor;
    struct libdeflate_decompressor *decompressor;
#endif
    pthread_t thread;
};

struct coder {
    struct coder_config config;
    struct piece *pieces;
    uint64_t pieces_n;
    size_t packed_room; /* for a whole piece */
    uint8_t *packed;
    uint8_t *unpacked;
    struct hand *hands;
    uint32_t hands_n;
    struct gpu_hand gpu; /* unpacks, if it is a path of the GPU's */
    /* One turn: hands take pieces until there is none. */
    bool packing;
    _Atomic uint64_t next;
    _Atomic int error;
};

static int level_clip(const struct coder *c)
{
    static const int least[] = {0, 1, 1, 0};
    static const int most[] = {12, 19, 12, 12};
    int level = c->config.level;

    if (level < least[c->config.kind])
        return least[c->config.kind];
    return level > most[c->config.kind] ? most[c->config.kind] : level;
}

static bool is_gpu(const struct coder *c)
{
    return c->config.kind == CODER_GDEFLATE && c->config.path >= CODER_PATH_GPU;
}

static int hand_open(struct coder *c, struct hand *h)
{
    static const enum ds_codec_format formats[] = {DS_CODEC_GDEFLATE, DS_CODEC_ZSTD, DS_CODEC_LZ4};
    bool gdeflate = c->config.kind == CODER_GDEFLATE;

    h->coder = c;
    if (c->config.kind != CODER_DEFLATE)
        return ds_codec_create(formats[c->config.kind],
                               ds_codec_config(.path = gdeflate && !is_gpu(c) ? c->config.path : 0,
                                               .threads = gdeflate ? c->config.threads : 1),
                               &h->codec);
#ifdef DSBENCH_LIBDEFLATE
    h->compressor = libdeflate_alloc_compressor(level_clip(c));
    h->decompressor = libdeflate_alloc_decompressor();
    return h->compressor == NULL || h->decompressor == NULL ? -ENOMEM : 0;
#else
    return -ENOTSUP;
#endif
}

static void hand_close(struct hand *h)
{
    ds_codec_destroy(&h->codec);
#ifdef DSBENCH_LIBDEFLATE
    if (h->compressor != NULL)
        libdeflate_free_compressor(h->compressor);
    if (h->decompressor != NULL)
        libdeflate_free_decompressor(h->decompressor);
#endif
}

static size_t pack_bound(struct hand *h, size_t bytes)
{
#ifdef DSBENCH_LIBDEFLATE
    if (h->compressor != NULL)
        return libdeflate_deflate_compress_bound(h->compressor, bytes);
#endif
    return ds_codec_compress_bound(h->codec, bytes);
}

static int piece_pack(struct hand *h, struct piece *p)
{
#ifdef DSBENCH_LIBDEFLATE
    if (h->compressor != NULL) {
        p->packed_bytes = libdeflate_deflate_compress(h->compressor, p->data, p->bytes, p->packed,
                                                      h->coder->packed_room);
        return p->packed_bytes == 0 ? -ENOSPC : 0;
    }
#endif
    return ds_codec_compress(h->codec, level_clip(h->coder), p->data, p->bytes, p->packed,
                             h->coder->packed_room, &p->packed_bytes);
}

static int piece_unpack(struct hand *h, struct piece *p)
{
#ifdef DSBENCH_LIBDEFLATE
    if (h->decompressor != NULL)
        return libdeflate_deflate_decompress(h->decompressor, p->packed, p->packed_bytes,
                                             p->unpacked, p->bytes, NULL) == LIBDEFLATE_SUCCESS
                   ? 0
                   : -EBADMSG;
#endif
    return ds_codec_decompress(h->codec, p->packed, p->packed_bytes, p->unpacked, p->bytes, NULL);
}

static void *hand_main(void *argument)
{
    struct hand *h = argument;
    struct coder *c = h->coder;

    for (;;) {
        uint64_t index = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
        int error;

        if (index >= c->pieces_n || atomic_load_explicit(&c->error, memory_order_relaxed) != 0)
            return NULL;
        error = c->packing ? piece_pack(h, &c->pieces[index]) : piece_unpack(h, &c->pieces[index]);
        if (error != 0)
            atomic_store(&c->error, error);
    }
}

static int turn_run(struct coder *c, bool packing, uint64_t *ns)
{
    uint64_t start_ns;
    uint32_t started = 1;

    c->packing = packing;
    atomic_store(&c->next, 0);
    atomic_store(&c->error, 0);
    start_ns = now_ns();
    while (started < c->hands_n && pthread_create(&c->hands[started].thread, NULL, hand_main,
                                                  &c->hands[started]) == 0)
        started++;
    hand_main(&c->hands[0]);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(c->hands[i].thread, NULL);
    *ns = now_ns() - start_ns;
    return started < c->hands_n ? -EAGAIN : atomic_load(&c->error);
}

int coder_pack(struct coder *coder, uint64_t *ns)
{
    return turn_run(coder, true, ns);
}

/* It is one piece. */
static int gpu_unpack(struct coder *c, uint64_t *ns)
{
    struct piece *p = &c->pieces[0];
    uint64_t start_ns = now_ns();
    int error = gpu_hand_unpack(&c->gpu, p->packed, p->packed_bytes, p->unpacked, p->bytes);

    *ns = now_ns() - start_ns;
    return error;
}

int coder_unpack(struct coder *coder, uint64_t *ns)
{
    if (is_gpu(coder))
        return gpu_unpack(coder, ns);
    return turn_run(coder, false, ns);
}

void coder_pack_from(struct coder *coder, const struct coder *other)
{
    for (uint64_t i = 0; i < coder->pieces_n; i++) {
        coder->pieces[i].packed_bytes = other->pieces[i].packed_bytes;
        memcpy(coder->pieces[i].packed, other->pieces[i].packed, other->pieces[i].packed_bytes);
    }
}

static int pieces_open(struct coder *c)
{
    uint64_t chunk = c->config.kind == CODER_GDEFLATE ? c->config.bytes : c->config.chunk_bytes;

    c->pieces_n = (c->config.bytes + chunk - 1) / chunk;
    c->packed_room = pack_bound(&c->hands[0], chunk);
    c->pieces = calloc(c->pieces_n, sizeof(*c->pieces));
    c->packed = memory_map(c->pieces_n * c->packed_room, true);
    c->unpacked = memory_map(c->config.bytes, true);
    if (c->packed_room == 0)
        return -EFBIG;
    if (c->pieces == NULL || c->packed == NULL || c->unpacked == NULL)
        return -ENOMEM;
    memset(c->unpacked, 0xa5, c->config.bytes); /* page faults now */
    memset(c->packed, 0, c->pieces_n * c->packed_room);
    for (uint64_t i = 0; i < c->pieces_n; i++)
        c->pieces[i] = (struct piece){.data = c->config.data + i * chunk,
                                      .bytes = min_u64(chunk, c->config.bytes - i * chunk),
                                      .packed = c->packed + i * c->packed_room,
                                      .unpacked = c->unpacked + i * chunk};
    return 0;
}

int coder_open(const struct coder_config *config, char why[CODER_WHY_BYTES], struct coder **coder)
{
    struct coder *c = calloc(1, sizeof(*c));
    uint32_t n = config->kind == CODER_GDEFLATE ? 1 : config->threads;
    int error = 0;

    if (c == NULL)
        return -ENOMEM;
    c->config = *config;
    c->hands = calloc(n, sizeof(*c->hands));
    if (c->hands == NULL)
        error = -ENOMEM;
    for (; error == 0 && c->hands_n < n; c->hands_n++)
        error = hand_open(c, &c->hands[c->hands_n]);
    if (error == 0)
        error = pieces_open(c);
    if (error == 0 && is_gpu(c))
        error = gpu_hand_open(&c->gpu, config->gpu, config->path - CODER_PATH_GPU, config->threads,
                              config->bytes, why);
    *coder = c;
    if (error != 0)
        coder_close(coder);
    return error;
}

void coder_close(struct coder **coder)
{
    struct coder *c = *coder;

    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->hands_n; i++)
        hand_close(&c->hands[i]);
    gpu_hand_close(&c->gpu);
    memory_unmap(c->packed, c->pieces_n * c->packed_room);
    memory_unmap(c->unpacked, c->config.bytes);
    free(c->pieces);
    free(c->hands);
    free(c);
    *coder = NULL;
}

int coder_verify(const struct coder *coder)
{
    return memcmp(coder->unpacked, coder->config.data, coder->config.bytes) == 0 ? 0 : -EBADMSG;
}

uint64_t coder_packed_bytes(const struct coder *coder)
{
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < coder->pieces_n; i++)
        bytes += coder->pieces[i].packed_bytes;
    return bytes;
}

const char *coder_path(const struct coder *coder)
{
    static const char *const names[] = {"auto", "scalar", "avx2", "avx512"};

    if (coder->config.kind != CODER_GDEFLATE)
        return "";
    if (is_gpu(coder))
        return gpu_hand_path(&coder->gpu);
    return names[ds_codec_path_used(coder->hands[0].codec)];
}

uint64_t coder_gpu_ns(const struct coder *coder)
{
    return is_gpu(coder) ? gpu_hand_ns(&coder->gpu) : 0;
}
