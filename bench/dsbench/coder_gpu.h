/* GDeflate unpacked by the GPU, for coder.c. */
#ifndef DSBENCH_CODER_GPU_H
#define DSBENCH_CODER_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ds_vulkan_backend;

#define CODER_WHY_BYTES 200

/* The device that all measurements share. */
struct coder_gpu {
    struct ds_vulkan_backend *backend; /* NULL: there is none, or one that nobody asked for */
    char why[CODER_WHY_BYTES];         /* there is none, in words */
};

/* coder_gpu_open takes the device whose name contains `name` (NULL = the best). A software device
 * is left alone unless `any`. Cannot fail: what does not work is told by `why`. */
void coder_gpu_open(struct coder_gpu *gpu, const char *name, bool any);
void coder_gpu_close(struct coder_gpu *gpu);

/* One decoder. */
struct gpu_hand {
    struct ds_vulkan_codec *codec;
    char *why;
};

/* gpu_hand_open: way is enum ds_vulkan_codec_path. 0, or -errno and the reason in `why`. Room for a
 * quarter of `bytes` of content at once, 256 MiB of memory at least and 2 GiB at most. */
int gpu_hand_open(struct gpu_hand *hand, const struct coder_gpu *gpu, uint32_t way,
                  uint32_t threads, uint64_t bytes, char why[CODER_WHY_BYTES]);
void gpu_hand_close(struct gpu_hand *hand);

int gpu_hand_unpack(struct gpu_hand *hand, const void *packed, size_t packed_bytes, void *unpacked,
                    size_t bytes);

const char *gpu_hand_path(const struct gpu_hand *hand);

/* gpu_hand_ns: how long the GPU was decoding, in all calls so far; 0 where it cannot tell. */
uint64_t gpu_hand_ns(const struct gpu_hand *hand);

#endif
