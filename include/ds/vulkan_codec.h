/* ds/vulkan_codec.h - decompress GDeflate streams in host memory by the GPU.
 *
 * What ds_codec_decompress does, done by a Vulkan device: for tools, and to measure and to check
 * the GPU's decoders. The bytes go to the GPU and come back; an engine decodes on their way
 * instead. There are no Vulkan types here.
 */
#ifndef DS_VULKAN_CODEC_H
#define DS_VULKAN_CODEC_H

#include <ds/codec.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_vulkan_backend;
struct ds_vulkan_codec;

/* Which decoder of the GPU's. All give the same bytes for a good stream. */
enum ds_vulkan_codec_path {
    DS_VULKAN_CODEC_PATH_AUTO = 0,     /* SUBGROUP where the device has it, else PORTABLE */
    DS_VULKAN_CODEC_PATH_PORTABLE = 1, /* our shader, for subgroups of any size */
    DS_VULKAN_CODEC_PATH_SUBGROUP = 2, /* our shader, for subgroups of 32 lanes */
    /* VK_NV_memory_decompression. It tells nothing of errors, and what it makes of a damaged tile
     * is undefined: see check. */
    DS_VULKAN_CODEC_PATH_NV = 3,
};

/* What becomes of the GPU's output. */
enum ds_vulkan_codec_check {
    DS_VULKAN_CODEC_CHECK_AUTO = 0, /* CPU for NV, NONE for the shaders, which check every step */
    /* Trust it. With NV only the container and the sizes are checked then: of a damaged tile comes
     * garbage without an error. For data whose integrity is known, by a checksum for example. */
    DS_VULKAN_CODEC_CHECK_NONE = 1,
    /* The CPU decodes every tile first. What it refuses the GPU never sees; then the GPU's bytes
     * must be the same. Takes as long as the CPU does. */
    DS_VULKAN_CODEC_CHECK_CPU = 2,
};

struct ds_vulkan_codec_config {
    uint32_t struct_size;
    uint32_t path;  /* enum ds_vulkan_codec_path */
    uint32_t check; /* enum ds_vulkan_codec_check */
    /* That copy to and from the GPU's memory and check, the caller included. 0 = 1. Range 1..64 */
    uint32_t threads;
    /* The device. Borrowed, and must outlive the codec; engines and other codecs may use it at the
     * same time, but for a borrowed VkQueue in EXCLUSIVE mode, which is for one of them. NULL = one
     * of the codec's own. */
    struct ds_vulkan_backend *backend;
    const char *device_name; /* backend NULL: as ds_vulkan_backend_config.device_name */
    /* Memory on the GPU and mapped for it, together, bytes. Streams that need more go in pieces of
     * tiles. 0 = 256 MiB. Range 1 MiB..16 GiB */
    uint64_t scratch_bytes;
    const struct ds_allocator *allocator; /* NULL = malloc; copied */
    ds_log_fn log;                        /* NULL = silent */
    void *log_ctx;
};

#ifndef __cplusplus
#define ds_vulkan_codec_config(...)                                                                \
    (&(const struct ds_vulkan_codec_config){.struct_size = sizeof(struct ds_vulkan_codec_config),  \
                                            __VA_ARGS__})
#endif

/* ds_vulkan_codec_create makes a decoder and all its memory. config NULL = all defaults. On 0 the
 * caller owns *codec.
 *   -EINVAL   unknown path or check, a number out of its range, bad struct_size, a back end in
 *             DS_VULKAN_QUEUE_MANUAL, or a back end and a device_name
 *   -ENODEV   no backend given: no Vulkan loader, no driver, or no device of that name
 *   -ENOTSUP  the device or this build lacks what the path needs; the log line says what
 *   -EBUSY    the back end's queue is EXCLUSIVE, and an engine or another codec uses it
 *   -ENOMEM   host or device memory; a smaller scratch_bytes may do;  -EAGAIN  no thread started
 *   -EIO      a Vulkan call failed
 * Thread-safety: any thread. */
DS_API int ds_vulkan_codec_create(const struct ds_vulkan_codec_config *config,
                                  struct ds_vulkan_codec **codec);

/* ds_vulkan_codec_destroy frees the codec and sets *codec to NULL. A NULL *codec is ignored. No
 * other call on the codec may run or follow. */
DS_API void ds_vulkan_codec_destroy(struct ds_vulkan_codec **codec);

/* ds_vulkan_codec_decompress decodes a GDeflate tile stream into exactly dst_bytes bytes at dst, as
 * ds_codec_decompress does: the same bytes and, but for NV with CHECK_NONE, the same verdicts.
 * Writes nothing outside dst, reads nothing outside source, allocates nothing. Source and dst must
 * not overlap; neither needs an alignment. report may be NULL.
 *   -EBADMSG  the stream is damaged, its size is not dst_bytes, or the check failed (MISMATCH);
 *             *report says why. dst is undefined
 *   -EINVAL   a NULL pointer with a non-zero size
 *   -EIO      a Vulkan call failed (logged). After a lost device every call fails so
 * It submits to the back end's queue where that has COMPUTE, else to app_queue, each time inside
 * ds_vulkan_queue_lock, and waits. Thread-safety: one call at a time per codec. */
DS_API int ds_vulkan_codec_decompress(struct ds_vulkan_codec *codec, const void *source,
                                      size_t source_bytes, void *dst, size_t dst_bytes,
                                      struct ds_codec_report *report);

struct ds_vulkan_codec_info {
    uint32_t struct_size;
    uint32_t path;           /* in use: never AUTO */
    uint32_t check;          /* in use: never AUTO */
    uint32_t piece_tiles;    /* that go to the GPU at once, at most */
    const char *device_name; /* lives as long as the codec */
    uint64_t scratch_bytes;  /* in use */
    /* Since the codec was made. Tiles that came good from the GPU, and that it left to the CPU:
     * those of more than 128 KiB, and what a software GPU gave up on. */
    uint64_t tiles, cpu_tiles;
    /* How long the GPU was decoding, without copies. 0 where the device has no timestamps. */
    uint64_t gpu_ns;
};

/* ds_vulkan_codec_get_info fills *info up to info->struct_size. -EINVAL: struct_size is 0.
 * Thread-safety: as ds_vulkan_codec_decompress. */
DS_API int ds_vulkan_codec_get_info(const struct ds_vulkan_codec *codec,
                                    struct ds_vulkan_codec_info *info);

#ifdef __cplusplus
}
#endif
#endif
