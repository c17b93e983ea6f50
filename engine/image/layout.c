/* Footprints. */
#include "engine/image/layout.h"

#include <errno.h>

#define D3D12_PITCH_ALIGN 256
#define D3D12_OFFSET_ALIGN 512

static uint32_t mips_max(VkExtent3D extent)
{
    uint32_t bits = extent.width | extent.height | extent.depth;

    return 32 - (uint32_t)__builtin_clz(bits);
}

int layout_shape_init(struct layout_shape *shape, const struct ds_image_shape *caller)
{
    VkExtent3D e = caller->extent;
    uint64_t subresources;

    shape->type = caller->type;
    shape->extent = e;
    shape->mips = caller->mips == 0 ? 1 : caller->mips;
    shape->layers = caller->layers == 0 ? 1 : caller->layers;
    if (e.width == 0 || e.height == 0 || e.depth == 0 || (uint32_t)caller->type > VK_IMAGE_TYPE_3D)
        return -EINVAL;
    if ((caller->type == VK_IMAGE_TYPE_1D && e.height != 1) ||
        (caller->type != VK_IMAGE_TYPE_3D && e.depth != 1) ||
        (caller->type == VK_IMAGE_TYPE_3D && shape->layers != 1) || shape->mips > mips_max(e))
        return -EINVAL;
    if (__builtin_mul_overflow((uint64_t)shape->mips, (uint64_t)shape->layers, &subresources) ||
        subresources > INT32_MAX)
        return -EINVAL;
    return ds_image_format_get(caller->format, &shape->format);
}

VkExtent3D layout_mip_extent(const struct layout_shape *shape, uint32_t mip)
{
    return (VkExtent3D){layout_mip(shape->extent.width, mip), layout_mip(shape->extent.height, mip),
                        layout_mip(shape->extent.depth, mip)};
}

int layout_rule_init(struct layout_rule *rule, const struct layout_shape *shape,
                     enum ds_image_layout layout, uint32_t offset_align)
{
    switch (layout) {
    case DS_IMAGE_LAYOUT_TIGHT:
        rule->pitch_align = 1;
        rule->offset_align = offset_align != 0 ? offset_align : shape->format.block_bytes;
        return 0;
    case DS_IMAGE_LAYOUT_D3D12:
        rule->pitch_align = D3D12_PITCH_ALIGN;
        rule->offset_align = D3D12_OFFSET_ALIGN;
        return offset_align == 0 ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

/* Not a power of two, always: blocks of 12 bytes are wanted at multiples of 12. */
static bool round_up(uint64_t value, uint64_t align, uint64_t *rounded)
{
    uint64_t rest = value % align;

    *rounded = value;
    return rest == 0 || !__builtin_add_overflow(value, align - rest, rounded);
}

int layout_footprint(const struct layout_shape *shape, const struct layout_rule *rule, uint32_t mip,
                     struct ds_image_footprint *footprint, uint64_t *bytes)
{
    VkExtent3D extent = layout_mip_extent(shape, mip);
    uint64_t before_last_slice, before_last_row;

    footprint->offset = 0;
    footprint->rows = format_blocks(extent.height, shape->format.block_height);
    footprint->slices = extent.depth;
    footprint->row_bytes = (uint64_t)format_blocks(extent.width, shape->format.block_width) *
                           shape->format.block_bytes;
    round_up(footprint->row_bytes, rule->pitch_align, &footprint->row_pitch); /* below 2^38 */
    if (__builtin_mul_overflow(footprint->row_pitch, (uint64_t)footprint->rows,
                               &footprint->slice_pitch) ||
        __builtin_mul_overflow(footprint->slice_pitch, (uint64_t)footprint->slices - 1,
                               &before_last_slice))
        return -EOVERFLOW;
    before_last_row = footprint->slice_pitch - footprint->row_pitch;
    if (__builtin_add_overflow(before_last_slice, before_last_row + footprint->row_bytes, bytes) ||
        *bytes > LAYOUT_BYTES_MAX)
        return -EOVERFLOW;
    return 0;
}

int ds_image_footprints(const struct ds_image_shape *caller, uint32_t first, uint32_t n,
                        enum ds_image_layout layout, uint32_t offset_align,
                        struct ds_image_footprint *footprints, uint64_t *bytes)
{
    struct layout_shape shape;
    struct layout_rule rule;
    uint64_t end = 0;
    int rc = layout_shape_init(&shape, caller);

    if (rc == 0)
        rc = layout_rule_init(&rule, &shape, layout, offset_align);
    if (rc != 0)
        return rc;
    if (n == 0 || first >= shape.mips * shape.layers || n > shape.mips * shape.layers - first)
        return -EINVAL;
    for (uint32_t i = 0; i < n; i++) {
        struct ds_image_footprint footprint;
        uint64_t offset, size;

        rc = layout_footprint(&shape, &rule, (first + i) % shape.mips, &footprint, &size);
        if (rc != 0)
            return rc;
        if (!round_up(end, rule.offset_align, &offset) ||
            __builtin_add_overflow(offset, size, &end) || end > LAYOUT_BYTES_MAX)
            return -EOVERFLOW;
        footprint.offset = offset;
        if (footprints != NULL)
            footprints[i] = footprint;
    }
    if (bytes != NULL)
        *bytes = end;
    return 0;
}

/* Every layer begins at a multiple of offset_align and is laid out like the first, so its offset is
 * a multiple of one layer's. */
static uint64_t offset_in_full(const struct layout_shape *shape, const struct layout_rule *rule,
                               uint32_t subresource)
{
    uint32_t wanted = subresource % shape->mips;
    uint64_t end = 0, offset = 0;

    for (uint32_t mip = 0; mip < shape->mips; mip++) {
        struct ds_image_footprint footprint;
        uint64_t size = 0;

        layout_footprint(shape, rule, mip, &footprint, &size);
        if (mip == wanted)
            offset = end;
        round_up(end + size, rule->offset_align, &end);
    }
    return end * (subresource / shape->mips) + offset;
}

struct ds_image_footprint layout_at(const struct layout_shape *shape,
                                    const struct layout_rule *rule, uint32_t first,
                                    uint32_t index)
{
    struct ds_image_footprint footprint;
    uint64_t size;
    int rc = layout_footprint(shape, rule, (first + index) % shape->mips, &footprint, &size);

    DS_ASSERT(rc == 0);
    footprint.offset =
        offset_in_full(shape, rule, first + index) - offset_in_full(shape, rule, first);
    return footprint;
}
