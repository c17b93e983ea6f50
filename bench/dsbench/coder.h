/* The codecs that are measured: ours through ds/codec.h, and libdeflate as a yardstick. */
#ifndef DSBENCH_CODER_H
#define DSBENCH_CODER_H

#include "coder_gpu.h"

#include <ds/codec.h>

/* In the order of the option's words. */
enum coder_kind {
    CODER_GDEFLATE,
    CODER_ZSTD,
    CODER_LZ4,
    CODER_DEFLATE,
    CODER_KIND_COUNT,
    CODER_NONE = CODER_KIND_COUNT, /* sweep */
};

/* GDEFLATE's paths, in the order of the option's words: the CPU's, then the GPU's, which are that
 * and enum ds_vulkan_codec_path. */
enum coder_path {
    CODER_PATH_GPU = DS_CODEC_PATH_AVX512 + 1,
    CODER_PATH_GPU_PORTABLE,
    CODER_PATH_GPU_SUBGROUP,
    CODER_PATH_NV,
    CODER_PATH_COUNT,
};

/* Data cut into pieces that are packed each for itself, and threads that share them. GDEFLATE is
 * one piece: its tiles of 64 KiB are what the threads share. */
struct coder;

struct coder_config {
    enum coder_kind kind;
    uint32_t path; /* GDEFLATE: enum ds_codec_path or coder_path */
    const struct coder_gpu *gpu;
    uint32_t threads;
    int level; /* clipped to what the codec has */
    uint64_t chunk_bytes; /* of a piece */
    const uint8_t *data;
    uint64_t bytes;
};

/* coder_open: 0, -ENOTSUP (not in this build, or not on this machine; `why` says more), or -errno,
 * without a complaint. The data, the GPU and `why` must outlive it. */
int coder_open(const struct coder_config *config, char why[CODER_WHY_BYTES], struct coder **coder);
void coder_close(struct coder **coder);

/* coder_pack packs everything once, coder_unpack unpacks what coder_pack has packed. 0 with the
 * time in *ns, or -errno: -EBADMSG where what comes out is not refused but wrong. */
int coder_pack(struct coder *coder, uint64_t *ns);
int coder_unpack(struct coder *coder, uint64_t *ns);

/* coder_pack_from takes what a coder of the same data, codec, pieces and level has packed: the
 * paths of a codec pack alike. */
void coder_pack_from(struct coder *coder, const struct coder *other);

/* coder_verify compares what coder_unpack has made with the data. 0 or -EBADMSG. */
int coder_verify(const struct coder *coder);

uint64_t coder_packed_bytes(const struct coder *coder);

/* coder_gpu_ns: how long a GPU was decoding, without the ways there and back, in all turns; 0 where
 * it cannot tell. */
uint64_t coder_gpu_ns(const struct coder *coder);

/* coder_path is the path in use: "avx2", or "" where the codec has one only. */
const char *coder_path(const struct coder *coder);

#endif
