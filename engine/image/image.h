/* A registered image: what is known of it, what its subresources are in, and its requests. */
#ifndef ENGINE_IMAGE_IMAGE_H
#define ENGINE_IMAGE_IMAGE_H

#include "engine/host.h"
#include "engine/image/layout.h"

#include <stdatomic.h>

/* The copy stage's, but for ds_vulkan_image_set_layout, which comes when no request is there. */
struct image_subresource {
    VkImageLayout layout;
    uint32_t writers; /* requests that have begun to write to it and have not ended that */
    bool foreign;     /* another queue family has it, and it must be acquired */
};

struct ds_image {
    struct ds_engine *engine;
    struct ds_image *next;       /* in the engine's list */
    bool gone;                   /* ds_vulkan_image_destroy is done with it; under its lock */
    VkImage handle;
    struct layout_shape shape;
    uint32_t copy_align;         /* of bufferOffset, bytes */
    VkExtent3D granularity;      /* of copies, blocks; all 0: only whole subresources */
    VkExtent3D tile;             /* texels; width 0: its format has no tiles */
    uint32_t flags;              /* enum ds_image_flags */
    uint32_t family;             /* that copies */
    uint32_t acquire_family, release_family;
    VkImageLayout copy_layout;
    VkImageLayout layout_after;
    struct image_subresource *subresources;

    /* ds_vulkan_image_destroy has begun. */
    _Atomic bool closed;
    /* Its requests, as in struct ds_file. */
    _Atomic uint64_t accepted CACHE_ALIGNED; /* enqueued; producers */
    _Atomic uint64_t begun CACHE_ALIGNED;    /* submit stage only */
    _Atomic uint64_t ended CACHE_ALIGNED;    /* complete stage only */
    _Atomic uint64_t dropped;                /* never submitted; ds_queue_destroy */
};

/* What the engine's queue family demands of copies. */
struct image_family {
    uint32_t index;
    bool transfer_only;
    VkExtent3D granularity;
    bool color_only; /* without GRAPHICS it does not copy to depth or stencil */
};

/* image_open fills *image; -EINVAL, -ENOTSUP, -EOVERFLOW or -ENOMEM. */
int image_open(struct ds_image *image, const struct host *host,
               const struct ds_image_config *config, const struct image_family *family);
void image_close(struct ds_image *image, const struct host *host);

static inline uint32_t image_subresources_n(const struct ds_image *image)
{
    return image->shape.mips * image->shape.layers;
}

/* image_at_rest: no request names it any more. */
static inline bool image_at_rest(const struct ds_image *image)
{
    return atomic_load_explicit(&image->accepted, memory_order_relaxed) ==
           atomic_load_explicit(&image->ended, memory_order_acquire) +
               atomic_load_explicit(&image->dropped, memory_order_acquire);
}

/* image_request_begin counts a request, unless the image is being destroyed: false. As file_begin
 * in the submit stage. */
bool image_request_begin(struct ds_image *image);

/* image_request_end: complete stage; its last touch of the image. */
void image_request_end(struct ds_image *image);

#endif
