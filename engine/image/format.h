/* What a texel block of a format is. */
#ifndef ENGINE_IMAGE_FORMAT_H
#define ENGINE_IMAGE_FORMAT_H

#include "engine/base.h"

#include <ds/vulkan_image.h>

/* format_blocks: how many blocks of `block` texels cover `texels`. */
static inline uint32_t format_blocks(uint32_t texels, uint32_t block)
{
    return texels / block + (texels % block != 0);
}

/* format_copy_align: of what bufferOffset must be a multiple in vkCmdCopyBufferToImage: a block,
 * and 4 for depth and stencil or where the queue can do nothing but copy. */
uint32_t format_copy_align(const struct ds_image_format *format, bool transfer_only);

#endif
