/* ds/codec.h - decompress and compress asset data in host memory.
 *
 * A codec object holds a format, a choice of CPU path and worker threads. It is independent of the
 * engine: programs that only pack or unpack data need nothing else from this library.
 */
#ifndef DS_CODEC_H
#define DS_CODEC_H

#include <ds/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_codec;

enum ds_codec_format {
    DS_CODEC_NONE = 0,     /* in a request: its bytes are not compressed */
    DS_CODEC_GDEFLATE = 1, /* a tile stream: the payload of a DirectStorage GDEFLATE request */
    DS_CODEC_ZSTD = 2,     /* Zstandard frames, RFC 8878 (libzstd, optional at build time) */
    DS_CODEC_LZ4 = 3,      /* one bare LZ4 block, size unrecorded (liblz4, optional) */
};

/* In requests these stand for the application's own formats, which it decodes itself
 * (ds/custom.h). There is no ds_codec for them. */
#define DS_CODEC_CUSTOM_0    0x80u
#define DS_CODEC_CUSTOM_LAST 0xFFu

/* Which code decodes GDeflate. All paths give the same bytes and the same verdicts. */
enum ds_codec_path {
    DS_CODEC_PATH_AUTO = 0,   /* the fastest that this CPU runs */
    DS_CODEC_PATH_SCALAR = 1, /* plain C */
    DS_CODEC_PATH_AVX2 = 2,   /* needs AVX2, BMI1 and BMI2 */
    DS_CODEC_PATH_AVX512 = 3, /* needs AVX-512 F, BW, DQ, VL, VBMI and VBMI2 */
};

/* Why a stream was refused. X(name, value, text): the name without its DS_CODEC_ERROR_ prefix. */
#define DS_CODEC_ERROR_TABLE(X)                                                                    \
    X(NONE, 0, "no error")                                                                         \
    X(HEADER_SHORT, 1, "short header: fewer than 8 bytes")                                         \
    X(MAGIC, 2, "bad magic: byte 1 is not the complement of byte 0")                               \
    X(ID, 3, "unknown codec id: not 0x04 or 0xFE")                                                 \
    X(TILE_SIZE_INDEX, 4, "tile size index is not 1 (64 KiB)")                                     \
    X(RESERVED_BITS, 5, "reserved header bits are set")                                            \
    X(NO_TILES, 6, "zero tiles")                                                                   \
    X(LAST_TILE_SIZE, 7, "last tile size is 64 KiB or more")                                       \
    X(TABLE_SHORT, 8, "the tile table runs past the end of the input")                             \
    X(TILE_ALIGN, 9, "a tile offset is not a multiple of 4")                                       \
    X(TILE_SHORT, 10, "a tile is shorter than 128 bytes, or offsets do not ascend")                \
    X(TILE_RANGE, 11, "a tile runs past the end of the input")                                     \
    X(OUTPUT_SIZE, 12, "the stream declares another size than the destination has")                \
    X(INPUT_END, 20, "read past the end of the tile")                                              \
    X(BLOCK_TYPE, 21, "reserved block type 3")                                                     \
    X(CODE_OVERSUBSCRIBED, 22, "over-subscribed code")                                             \
    X(CODE_INCOMPLETE, 23, "incomplete code")                                                      \
    X(CODE_EMPTY, 24, "empty code")                                                                \
    X(NO_END_OF_BLOCK, 25, "no end-of-block code")                                                 \
    X(REPEAT_FIRST, 26, "repeat code with nothing to repeat")                                      \
    X(LENGTHS_OVERRUN, 27, "code lengths overrun HLIT + HDIST")                                    \
    X(SYMBOL, 28, "length symbol 286 or 287")                                                      \
    X(NO_DISTANCE_CODE, 29, "a match, but no distance code")                                       \
    X(DISTANCE, 30, "a distance reaches before the start of the tile")                             \
    X(OUTPUT_OVERRUN, 31, "the tile produces more bytes than declared")                            \
    X(OUTPUT_UNDERRUN, 32, "the tile produces fewer bytes than declared")                          \
    X(FRAME, 40, "the zstd or lz4 data is damaged or cut off")                                     \
    X(DEVICE, 41,                                                                                  \
      "the GPU gave up on the tile (software GPUs limit loops); the CPU can decode it")            \
    X(MISMATCH, 42, "the GPU decoded the tile to other bytes than the CPU did")

enum ds_codec_error {
#define DS_CODEC_ERROR_ENUM_(name, value, text) DS_CODEC_ERROR_##name = value,
    DS_CODEC_ERROR_TABLE(DS_CODEC_ERROR_ENUM_)
#undef DS_CODEC_ERROR_ENUM_
};

/* ds_codec_error_name returns "TILE_RANGE" and the like, "UNKNOWN" for a value outside the table.
 * ds_codec_error_text returns the one-line explanation. Static strings. Thread-safety: any. */
DS_API const char *ds_codec_error_name(int32_t error);
DS_API const char *ds_codec_error_text(int32_t error);

/* Where a damaged stream was found to be damaged. */
struct ds_codec_report {
    int32_t error; /* enum ds_codec_error */
    uint32_t tile; /* index of the first damaged tile; 0 when the container itself is bad */
};

#define DS_CODEC_THREADS_MAX 64

struct ds_codec_config {
    uint32_t struct_size;
    uint32_t path; /* enum ds_codec_path, GDEFLATE only */
    uint32_t
        threads; /* that share the tiles of one call, the caller included. 0 = 1. Range 1..64 */
    uint32_t reserved;
    const struct ds_allocator *allocator; /* NULL = malloc; copied */
    ds_log_fn log;                        /* NULL = silent */
    void *log_ctx;
};

#ifndef __cplusplus
#define ds_codec_config(...)                                                                       \
    (&(const struct ds_codec_config){.struct_size = sizeof(struct ds_codec_config), __VA_ARGS__})
#endif

/* ds_codec_create makes a codec. config NULL = all defaults. On 0 the caller owns *codec.
 *   -EINVAL   unknown format or path, threads out of range, bad struct_size
 *   -ENOTSUP  the format was left out of this build, or this CPU cannot run the path
 *   -ENOMEM   no memory;  -EAGAIN  a worker thread could not be started
 * Thread-safety: any thread. */
DS_API int ds_codec_create(enum ds_codec_format format, const struct ds_codec_config *config,
                           struct ds_codec **codec);

/* ds_codec_destroy stops the workers, frees the codec and sets *codec to NULL. A NULL *codec is
 * ignored. No other call on the codec may run or follow. */
DS_API void ds_codec_destroy(struct ds_codec **codec);

/* ds_codec_path_used returns the path in use after AUTO was resolved. Thread-safety: any thread. */
DS_API enum ds_codec_path ds_codec_path_used(const struct ds_codec *codec);

/* ds_codec_content_size reads the decompressed size that the data declares, without decoding.
 *   -EBADMSG  the header is damaged
 *   -ENODATA  the format does not record it (LZ4; a zstd frame without content size)
 * Thread-safety: any thread. */
DS_API int ds_codec_content_size(const struct ds_codec *codec, const void *source,
                                 size_t source_bytes, uint64_t *bytes);

/* ds_codec_decompress decodes source into exactly dst_bytes bytes at dst. It writes nothing outside
 * dst, reads nothing outside source, and allocates nothing (ZSTD: libzstd has its context from
 * ds_codec_create, but may ask malloc for more). Bytes after a GDeflate stream's last tile are
 * ignored: they are file padding. Source and dst must not overlap; neither needs an alignment.
 * report may be NULL. -EBADMSG  the data is damaged, or its size is not dst_bytes; *report says
 * why. dst is undefined -EINVAL   a NULL pointer with a non-zero size Any byte string is safe to
 * pass. Thread-safety: one call at a time per codec. */
DS_API int ds_codec_decompress(struct ds_codec *codec, const void *source, size_t source_bytes,
                               void *dst, size_t dst_bytes, struct ds_codec_report *report);

/* ds_codec_compress_bound returns the largest size that ds_codec_compress can produce from
 * `bytes` bytes, or 0 when so many cannot be compressed at all. Thread-safety: any thread. */
DS_API size_t ds_codec_compress_bound(const struct ds_codec *codec, size_t bytes);

/* ds_codec_compress packs source into dst and sets *packed_bytes. Levels: GDEFLATE 0 (stored) and
 * 1..12 (DirectStorage calls 1 FASTEST, 9 DEFAULT, 12 BEST_RATIO); ZSTD 1..22; LZ4 1 (fast)
 * and 2..12 (high compression). The output does not depend on the number of threads. The first call
 * allocates the workspace; the codec keeps it. -EINVAL   level out of range; source_bytes is 0 or
 * over the format's limit (GDEFLATE: 65535 tiles of 64 KiB) -ENOSPC   dst_bytes is too small;
 * dst_bytes >= ds_codec_compress_bound never is -EFBIG    GDEFLATE: tiles that do not shrink would
 * begin beyond 4 GiB -ENOMEM   no memory for the workspace Thread-safety: one call at a time per
 * codec. */
DS_API int ds_codec_compress(struct ds_codec *codec, int level, const void *source,
                             size_t source_bytes, void *dst, size_t dst_bytes,
                             size_t *packed_bytes);

/* How texture blocks were split into byte streams before compression, to be undone after it. The
 * values are those of DirectStorage's GACL transform types. */
enum ds_codec_transform {
    DS_CODEC_TRANSFORM_NONE = 0,
    DS_CODEC_TRANSFORM_BC1 = 1,
    DS_CODEC_TRANSFORM_BC3 = 2,
    DS_CODEC_TRANSFORM_BC4 = 3,
    DS_CODEC_TRANSFORM_BC5 = 4,
};

/* ds_codec_unshuffle puts the fields of BC blocks back in place; ds_codec_shuffle is its inverse.
 * Any number of bytes: what does not fill a whole group of blocks is copied as it is. Source and
 * dst must not overlap. -EINVAL   unknown transform Thread-safety: any thread. */
DS_API int ds_codec_unshuffle(enum ds_codec_transform transform, const void *source, void *dst,
                              size_t bytes);
DS_API int ds_codec_shuffle(enum ds_codec_transform transform, const void *source, void *dst,
                            size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
