/* Decoding by the GPU. */
#ifndef DSPACK_GPU_H
#define DSPACK_GPU_H

#include "convert_options.h"

#include <ds/vulkan_codec.h>

/* A decoder, and the last thing that went wrong, in words. */
struct gpu {
    struct ds_vulkan_codec *codec;
    char reason[512];
};

/* gpu_open: false, and one line was printed: this machine cannot. The gpu must not move. */
bool gpu_open(struct gpu *gpu, const struct options *options);
void gpu_close(struct gpu *gpu);

/* gpu_decompress is ds_vulkan_codec_decompress; a failure of the GPU's is printed. */
int gpu_decompress(struct gpu *gpu, const struct options *options, const void *source,
                   size_t source_bytes, void *dst, size_t dst_bytes,
                   struct ds_codec_report *report);

#endif
