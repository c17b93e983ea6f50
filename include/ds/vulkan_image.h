/* ds/vulkan_image.h - images as destinations: what their bytes look like, and how a request names
 * a part of one.
 *
 * A subresource is one mip level of one layer; its number is mip + layer * mips, which is also
 * Direct3D 12's order. Source data is rows of texel blocks; a plain format has blocks of one texel.
 */
#ifndef DS_VULKAN_IMAGE_H
#define DS_VULKAN_IMAGE_H

#include <ds/queue.h>
#include <ds/vulkan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Formats and layouts: pure functions, any thread ---------------------------------------------- */

struct ds_image_format {
    uint32_t block_width; /* texels; 1 for plain formats */
    uint32_t block_height;
    uint32_t block_bytes;
    VkImageAspectFlags aspect; /* the one that copies name */
};

/* ds_image_format_get describes a format: plain color formats, depth or stencil alone, BC, ETC2,
 * EAC, ASTC (LDR and HDR). -ENOTSUP: others, which are combined depth and stencil, and those of
 * several planes. */
DS_API int ds_image_format_get(VkFormat format, struct ds_image_format *description);

struct ds_image_shape {
    VkFormat format;
    VkImageType type;
    VkExtent3D extent; /* of mip 0, texels; 1D: height 1; 1D and 2D: depth 1 */
    uint32_t mips;     /* 0 = 1 */
    uint32_t layers;   /* 0 = 1; 3D: 1; a cube has 6 */
};

enum ds_image_layout {
    /* Vulkan, nothing wasted: rows and slices follow each other at once, a subresource begins at
     * the next multiple of offset_align. */
    DS_IMAGE_LAYOUT_TIGHT = 0,
    /* ID3D12Device::GetCopyableFootprints: row pitch a multiple of 256, a subresource begins at the
     * next multiple of 512. */
    DS_IMAGE_LAYOUT_D3D12 = 1,
    /* Requests only: the caller's own footprints. */
    DS_IMAGE_LAYOUT_EXPLICIT = 2,
};

/* Where one subresource lies in a blob. */
struct ds_image_footprint {
    uint64_t offset;      /* of its first row, bytes from the start of the blob */
    uint64_t row_pitch;   /* from one row of blocks to the next, bytes */
    uint64_t slice_pitch; /* from one depth slice to the next, bytes */
    uint64_t row_bytes;   /* of one row, without padding */
    uint32_t rows;        /* of blocks, in one slice */
    uint32_t slices;      /* depth in texels */
};

/* ds_image_footprints lays subresources [first, first + n) of an image into one blob that begins
 * with the first of them. footprints[n] and *bytes (the end of the last row) may be NULL.
 * offset_align: TIGHT only, 0 = the size of a block.
 *   -ENOTSUP    the format, as ds_image_format_get
 *   -EINVAL     a shape that no image has, a range outside of it, an unknown layout
 *   -EOVERFLOW  offsets do not fit 63 bits */
DS_API int ds_image_footprints(const struct ds_image_shape *shape, uint32_t first, uint32_t n,
                               enum ds_image_layout layout, uint32_t offset_align,
                               struct ds_image_footprint *footprints, uint64_t *bytes);

#define DS_IMAGE_TILE_BYTES 65536u

/* ds_image_tile_extent: the texels that a tile of 64 KiB covers, which is the standard block shape
 * of sparse images. -ENOTSUP: no such shape (1D images, and blocks of 3, 6, 12, 24 or 32 bytes). */
DS_API int ds_image_tile_extent(VkFormat format, VkImageType type, VkExtent3D *extent);

/* Images --------------------------------------------------------------------------------------- */

struct ds_image;

enum ds_image_flags {
    /* Before the engine first writes to a subresource it acquires it from acquire_family. The owner
     * releases it with the same pair of layouts: layout -> the layout for copies (below), and the
     * release has executed before the request is submitted. On both sides a transfer has a barrier
     * of its own for each subresource (Vulkan wants the same range in both). */
    DS_IMAGE_ACQUIRE = 1u << 0,
    /* After a request the engine releases its subresources to release_family, which acquires them
     * with the pair: the layout for copies -> layout_after. To be written again such a subresource
     * comes back by ACQUIRE; without that flag its old contents are discarded. */
    DS_IMAGE_RELEASE = 1u << 1,
};

struct ds_image_config {
    uint32_t struct_size;
    uint32_t flags;            /* enum ds_image_flags */
    VkImage image;             /* borrowed; one sample a texel */
    struct ds_image_shape shape;
    VkImageUsageFlags usage;   /* with TRANSFER_DST; 0 = the caller vouches */
    /* What all subresources are in now. The engine keeps track from here on. */
    VkImageLayout layout;
    /* What a subresource is in after each request that wrote to it. UNDEFINED = left as copied
     * to. The layout for copies is GENERAL where `layout` and this are GENERAL, and else
     * TRANSFER_DST_OPTIMAL; a transition is made only where they differ. */
    VkImageLayout layout_after;
    uint32_t acquire_family;   /* with DS_IMAGE_ACQUIRE */
    uint32_t release_family;   /* with DS_IMAGE_RELEASE */
};

/* ds_vulkan_image_create registers an image with an engine, whose back end's queue family it is
 * shared with (VK_SHARING_MODE_CONCURRENT), owned by, or acquired by (flags). On 0 the caller owns
 * *image.
 *   -EINVAL     image is NULL, an impossible shape, an unknown flag, usage without TRANSFER_DST,
 *               layout_after PREINITIALIZED, or a bad struct_size
 *   -ENOTSUP    the format, as ds_image_format_get; depth or stencil, and the queue family of the
 *               back end lacks GRAPHICS (logged): Vulkan lets no other copy there
 *   -EOVERFLOW  its bytes do not fit 43 bits
 *   -ENODEV     the engine has no Vulkan back end
 *   -ENOMEM     no memory
 * Thread-safety: any thread. */
DS_API int ds_vulkan_image_create(struct ds_engine *engine, const struct ds_image_config *config,
                                  struct ds_image **image);

/* ds_vulkan_image_destroy waits for the image's requests in flight, and sets *image to NULL. The
 * VkImage is left alone. Requests that were enqueued and not yet submitted fail with CANCELLED when
 * they are. In MANUAL topology it steps the engine itself. No request naming the image may be
 * enqueued during or after the call. A NULL *image is ignored. Thread-safety: any thread, not from
 * a completion callback. */
DS_API void ds_vulkan_image_destroy(struct ds_image **image);

/* ds_vulkan_image_set_layout tells the engine that the caller has brought subresources
 * [first, first + n) into another layout.
 *   -EINVAL  the range
 *   -EBUSY   requests that name the image are not complete
 * Thread-safety: any thread, one at a time for an image, and not while one enqueues. */
DS_API int ds_vulkan_image_set_layout(struct ds_image *image, uint32_t first, uint32_t n,
                                      VkImageLayout layout);

/* Requests ------------------------------------------------------------------------------------- */

enum ds_image_target_kind {
    DS_IMAGE_REGION = 1,       /* a box of one subresource */
    DS_IMAGE_SUBRESOURCES = 2, /* a range of whole subresources */
    DS_IMAGE_TILES = 3,        /* tiles of 64 KiB */
};

struct ds_image_region {
    uint32_t subresource;
    uint32_t reserved;
    VkOffset3D offset;    /* texels, at a block */
    VkExtent3D extent;    /* texels, of whole blocks or up to the edge */
    uint64_t row_pitch;   /* of the source; 0 = rows follow at once */
    uint64_t slice_pitch; /* 0 = slices follow at once */
};

struct ds_image_range {
    uint32_t first;
    uint32_t n;
    enum ds_image_layout layout;
    uint32_t offset_align; /* TIGHT: as ds_image_footprints; at most 65536 */
    /* EXPLICIT: n of them, in rising order without overlap, which live until the result. Their
     * row_bytes, rows and slices follow from the image and are ignored. Else NULL. */
    const struct ds_image_footprint *footprints;
};

/* The source holds whole tiles, one after the other, each with its texels in rows of the tile's
 * width; what lies beyond the edge of the subresource is skipped. Without `use_box` the n tiles run
 * on along x, y, z and then into the next subresource. Sparse memory is the caller's to bind, and
 * any image will do. */
struct ds_image_tiles {
    uint32_t subresource;
    uint32_t x, y, z;              /* of the first, in tiles */
    bool use_box;
    uint32_t n;                    /* without use_box */
    uint32_t width, height, depth; /* with use_box, in tiles */
};

/* The destination of a READ (ds_request.image_target), on a queue made with DS_QUEUE_IMAGES. It may
 * die on return from ds_queue_enqueue, which adds to its errors:
 *   -EINVAL   the target lies outside the image, is not made of whole blocks, or has a pitch below
 *             its row; footprints overlap or descend; the op is not READ; ALLOW_SHORT is set; host
 *             or gpu_buffer is set too; the queue was made without DS_QUEUE_IMAGES
 *   -ERANGE   a byte that the layout needs lies beyond request.size (uncompressed_size)
 *   -EFBIG    a row of blocks (or what the queue family copies at once) is larger than a chunk;
 *             raise chunk_bytes (logged)
 *   -ENOTSUP  the box does not suit the queue family's minImageTransferGranularity (logged), or
 *             TILES of a format without a tile shape
 * Padding is not read. Two requests in flight must not write to the same texels. After a failed
 * request the texels are undefined; the layout is as after a good one, unless the status is
 * DEVICE_LOST or VULKAN_ERROR. */
struct ds_image_target {
    uint32_t struct_size;
    enum ds_image_target_kind kind;
    struct ds_image *image;
    union {
        struct ds_image_region region;
        struct ds_image_range range;
        struct ds_image_tiles tiles;
    };
};

#ifndef __cplusplus
#define ds_image_config(...)                                                                       \
    (&(const struct ds_image_config){.struct_size = sizeof(struct ds_image_config), __VA_ARGS__})
#define ds_image_target(...)                                                                       \
    (&(const struct ds_image_target){.struct_size = sizeof(struct ds_image_target), __VA_ARGS__})
#endif

#ifdef __cplusplus
}
#endif
#endif
