/* The part of the Vulkan copy stage that writes to images: layouts, ownership, copies. */
#ifndef STAGES_COPY_IMAGE_H
#define STAGES_COPY_IMAGE_H

#include "engine/chunk.h"
#include "engine/vulkan/memory.h"
#include "stages/copy_decode.h"

/* A batch, as far as images are concerned. */
struct copy_images {
    const struct vulkan_dispatch *vk;
    const struct vulkan_staging *staging;
    struct chunk *const *chunks;
    uint32_t n;
    struct copy_decoder *decoder; /* or NULL: the GPU decodes nothing */
};

/* copy_images_any: does a chunk of the batch belong to an image? */
bool copy_images_any(const struct copy_images *images);

/* copy_images_record records, for all of these chunks: the barriers that bring subresources to the
 * layout for copies, the copies, and the barriers to the layout after, where the last chunk of the
 * last request on a subresource is among them. It moves payloads in staging that lie where a copy
 * may not begin. Once recorded, a batch counts as executed: chunks are given once, in any order. */
void copy_images_record(const struct copy_images *images, VkCommandBuffer commands);

/* copy_images_skip does the books alone, for a batch that could not be recorded: the layouts of its
 * images are unknown then, but their requests must not count as writers for ever. */
void copy_images_skip(const struct copy_images *images);

#endif
