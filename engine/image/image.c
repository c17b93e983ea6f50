/* Registering images. */
#include "engine/image/image.h"

#include "engine/request.h"

#include <errno.h>

#define IMAGE_FLAGS (DS_IMAGE_ACQUIRE | DS_IMAGE_RELEASE)

static int config_check(const struct ds_image_config *config)
{
    if (config->image == VK_NULL_HANDLE || (config->flags & ~(uint32_t)IMAGE_FLAGS) != 0 ||
        (config->usage != 0 && (config->usage & VK_IMAGE_USAGE_TRANSFER_DST_BIT) == 0) ||
        config->layout_after == VK_IMAGE_LAYOUT_PREINITIALIZED)
        return -EINVAL;
    return 0;
}

/* The two layouts that copies may write to (VUID-vkCmdCopyBufferToImage-dstImageLayout-01396). */
static VkImageLayout copy_layout(const struct ds_image_config *config)
{
    return config->layout == VK_IMAGE_LAYOUT_GENERAL &&
                   config->layout_after == VK_IMAGE_LAYOUT_GENERAL
               ? VK_IMAGE_LAYOUT_GENERAL
               : VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
}

/* Whatever is asked of the layout later must not overflow. */
static int shape_bytes_check(const struct ds_image_shape *shape, uint32_t subresources)
{
    uint64_t bytes;
    int rc = ds_image_footprints(shape, 0, subresources, DS_IMAGE_LAYOUT_D3D12, 0, NULL, &bytes);

    if (rc != 0)
        return rc;
    return bytes > REQUEST_BYTES_MAX ? -EOVERFLOW : 0;
}

/* VUID-vkCmdCopyBufferToImage-commandBuffer-07739 */
static int aspect_check(const struct ds_image_format *format, const struct host *host,
                        const struct image_family *family)
{
    if (format->aspect == VK_IMAGE_ASPECT_COLOR_BIT || !family->color_only)
        return 0;
    host_log(host, DS_LOG_ERROR,
             "image: queue family %u cannot copy to depth or stencil; give the back end a queue of "
             "a family with GRAPHICS",
             family->index);
    return -ENOTSUP;
}

int image_open(struct ds_image *image, const struct host *host,
               const struct ds_image_config *config, const struct image_family *family)
{
    int rc = config_check(config);

    if (rc == 0)
        rc = layout_shape_init(&image->shape, &config->shape);
    if (rc == 0)
        rc = shape_bytes_check(&config->shape, image_subresources_n(image));
    if (rc == 0)
        rc = aspect_check(&image->shape.format, host, family);
    if (rc != 0)
        return rc;
    image->handle = config->image;
    image->copy_align = format_copy_align(&image->shape.format, family->transfer_only);
    image->granularity = family->granularity;
    image->flags = config->flags;
    image->family = family->index;
    image->acquire_family = config->acquire_family;
    image->release_family = config->release_family;
    image->copy_layout = copy_layout(config);
    image->layout_after = config->layout_after != VK_IMAGE_LAYOUT_UNDEFINED ? config->layout_after
                                                                            : image->copy_layout;
    if (ds_image_tile_extent(config->shape.format, config->shape.type, &image->tile) != 0)
        image->tile.width = 0;
    image->subresources =
        host_calloc(host, image_subresources_n(image), sizeof(*image->subresources));
    if (image->subresources == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < image_subresources_n(image); i++) {
        image->subresources[i].layout = config->layout;
        image->subresources[i].foreign = (config->flags & DS_IMAGE_ACQUIRE) != 0;
    }
    return 0;
}

void image_close(struct ds_image *image, const struct host *host)
{
    host_free(host, image->subresources,
              image_subresources_n(image) * sizeof(*image->subresources));
}

bool image_request_begin(struct ds_image *image)
{
    atomic_fetch_add_explicit(&image->begun, 1, memory_order_seq_cst);
    return !atomic_load_explicit(&image->closed, memory_order_seq_cst);
}

void image_request_end(struct ds_image *image)
{
    uint64_t ended = atomic_load_explicit(&image->ended, memory_order_relaxed);

    /* release: pairs with the acquire in ds_vulkan_image_destroy */
    atomic_store_explicit(&image->ended, ended + 1, memory_order_release);
}
