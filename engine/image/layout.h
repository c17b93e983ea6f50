/* Where subresources lie in a blob. */
#ifndef ENGINE_IMAGE_LAYOUT_H
#define ENGINE_IMAGE_LAYOUT_H

#include "engine/image/format.h"

/* As large as sizes may be before a sum of two could overflow. */
#define LAYOUT_BYTES_MAX ((uint64_t)INT64_MAX)

/* A shape with its format looked up and zeros replaced. */
struct layout_shape {
    struct ds_image_format format;
    VkImageType type;
    VkExtent3D extent;
    uint32_t mips, layers;
};

/* layout_shape_init: 0, -EINVAL or -ENOTSUP. */
int layout_shape_init(struct layout_shape *shape, const struct ds_image_shape *caller);

static inline uint32_t layout_mip(uint32_t texels, uint32_t mip)
{
    return texels >> mip != 0 ? texels >> mip : 1;
}

/* layout_mip_extent: of one subresource. */
VkExtent3D layout_mip_extent(const struct layout_shape *shape, uint32_t mip);

/* How a blob is laid out; made by layout_rule_init. */
struct layout_rule {
    uint64_t pitch_align;  /* of rows */
    uint64_t offset_align; /* of subresources */
};

/* layout_rule_init: 0, or -EINVAL (EXPLICIT too). */
int layout_rule_init(struct layout_rule *rule, const struct layout_shape *shape,
                     enum ds_image_layout layout, uint32_t offset_align);

/* layout_footprint fills *footprint of `mip`, with offset 0. *bytes: to the end of its last row.
 * 0 or -EOVERFLOW. */
int layout_footprint(const struct layout_shape *shape, const struct layout_rule *rule, uint32_t mip,
                     struct ds_image_footprint *footprint, uint64_t *bytes);

/* layout_at is ds_image_footprints for the subresource `index` behind `first` alone, in time that
 * grows with the mips only. The shape's whole layout is known not to overflow. */
struct ds_image_footprint layout_at(const struct layout_shape *shape,
                                    const struct layout_rule *rule, uint32_t first,
                                    uint32_t index);

#endif
