/* Checking image targets, and taking them apart. */
#include "engine/image/target.h"

#include "engine/image/split.h"

#include <errno.h>
#include <string.h>

#define OFFSET_ALIGN_MAX 65536u
/* bufferRowLength has 32 bits, in texels. */
#define ROW_PITCH_MAX ((uint64_t)INT32_MAX)

/* Parts --------------------------------------------------------------------------------------- */

/* Pitches that mean nothing, of a single row or slice, are given a value to divide by. */
static struct image_part part_settle(struct image_part part)
{
    if (part.rows == 1)
        part.row_pitch = part.extent.depth > 1 ? part.slice_pitch : part.row_bytes;
    if (part.extent.depth == 1)
        part.slice_pitch = part.row_pitch * part.rows;
    return part;
}

static struct image_part part_whole(const struct ds_image *image, uint32_t subresource,
                                    const struct ds_image_footprint *footprint)
{
    const struct ds_image_format *format = &image->shape.format;
    VkExtent3D extent = layout_mip_extent(&image->shape, subresource % image->shape.mips);

    return part_settle((struct image_part){
        .subresource = subresource,
        .extent = extent,
        .offset = footprint->offset,
        .row_bytes =
            (uint64_t)format_blocks(extent.width, format->block_width) * format->block_bytes,
        .row_pitch = footprint->row_pitch,
        .slice_pitch = footprint->slice_pitch,
        .rows = format_blocks(extent.height, format->block_height),
    });
}

static struct image_part part_region(const struct image_target *target)
{
    const struct ds_image_format *format = &target->image->shape.format;
    const struct ds_image_region *region = &target->wanted.region;
    struct image_part part = {
        .subresource = region->subresource,
        .at = region->offset,
        .extent = region->extent,
        .row_bytes = (uint64_t)format_blocks(region->extent.width, format->block_width) *
                     format->block_bytes,
        .row_pitch = region->row_pitch,
        .slice_pitch = region->slice_pitch,
        .rows = format_blocks(region->extent.height, format->block_height),
    };

    if (part.row_pitch == 0)
        part.row_pitch = part.row_bytes;
    if (part.slice_pitch == 0) /* both below 2^32 */
        part.slice_pitch = part.row_pitch * part.rows;
    return part_settle(part);
}

static VkExtent3D tiles_in(const struct ds_image *image, uint32_t subresource)
{
    VkExtent3D extent = layout_mip_extent(&image->shape, subresource % image->shape.mips);

    return (VkExtent3D){format_blocks(extent.width, image->tile.width),
                        format_blocks(extent.height, image->tile.height),
                        format_blocks(extent.depth, image->tile.depth)};
}

static uint64_t tiles_volume(VkExtent3D tiles)
{
    return (uint64_t)tiles.width * tiles.height * tiles.depth;
}

/* Finds tile number `index` of a target: its subresource and its place there, in tiles. False:
 * beyond the image. */
static bool tile_find(const struct image_target *target, uint64_t index, uint32_t *subresource,
                      VkExtent3D *at)
{
    const struct ds_image_tiles *tiles = &target->wanted.tiles;
    VkExtent3D grid = tiles_in(target->image, tiles->subresource);

    *subresource = tiles->subresource;
    if (tiles->use_box) {
        *at = (VkExtent3D){tiles->x + (uint32_t)(index % tiles->width),
                           tiles->y + (uint32_t)(index / tiles->width % tiles->height),
                           tiles->z + (uint32_t)(index / tiles->width / tiles->height)};
        return true;
    }
    index += ((uint64_t)tiles->z * grid.height + tiles->y) * grid.width + tiles->x;
    while (index >= tiles_volume(grid)) {
        index -= tiles_volume(grid);
        if (++*subresource == image_subresources_n(target->image))
            return false;
        grid = tiles_in(target->image, *subresource);
    }
    *at = (VkExtent3D){(uint32_t)(index % grid.width),
                       (uint32_t)(index / grid.width % grid.height),
                       (uint32_t)(index / grid.width / grid.height)};
    return true;
}

static struct image_part part_tile(const struct image_target *target, uint32_t index)
{
    const struct ds_image_format *format = &target->image->shape.format;
    VkExtent3D tile = target->image->tile, at, mip;
    struct image_part part = {.offset = (uint64_t)index * DS_IMAGE_TILE_BYTES};
    bool found = tile_find(target, index, &part.subresource, &at);

    DS_ASSERT(found);
    mip = layout_mip_extent(&target->image->shape, part.subresource % target->image->shape.mips);
    part.at = (VkOffset3D){(int32_t)(at.width * tile.width), (int32_t)(at.height * tile.height),
                           (int32_t)(at.depth * tile.depth)};
    part.extent = (VkExtent3D){min_u32(tile.width, mip.width - (uint32_t)part.at.x),
                               min_u32(tile.height, mip.height - (uint32_t)part.at.y),
                               min_u32(tile.depth, mip.depth - (uint32_t)part.at.z)};
    part.row_bytes =
        (uint64_t)format_blocks(part.extent.width, format->block_width) * format->block_bytes;
    part.rows = format_blocks(part.extent.height, format->block_height);
    part.row_pitch = (uint64_t)tile.width / format->block_width * format->block_bytes;
    part.slice_pitch = part.row_pitch * (tile.height / format->block_height);
    return part_settle(part);
}

struct image_part image_target_part(const struct image_target *target, uint32_t index)
{
    const struct ds_image_range *range = &target->wanted.range;
    struct ds_image_footprint footprint;

    DS_ASSERT(index < target->parts_n);
    if (target->wanted.kind == DS_IMAGE_REGION)
        return part_region(target);
    if (target->wanted.kind == DS_IMAGE_TILES)
        return part_tile(target, index);
    if (range->layout == DS_IMAGE_LAYOUT_EXPLICIT)
        return part_whole(target->image, range->first + index, &range->footprints[index]);
    footprint = layout_at(&target->image->shape, &target->rule, range->first, index);
    return part_whole(target->image, range->first + index, &footprint);
}

uint32_t image_target_find(const struct image_target *target, uint64_t offset)
{
    uint32_t low = 0, high = target->parts_n; /* the answer is in [low, high) */

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (image_target_part(target, middle).offset <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Checks -------------------------------------------------------------------------------------- */

/* One dimension of a box: inside, and made of whole blocks but at the far edge. */
static bool box_fits(int64_t at, uint32_t size, uint32_t edge, uint32_t block)
{
    if (at < 0 || size == 0 || at > edge || size > edge - (uint64_t)at || at % block != 0)
        return false;
    return size % block == 0 || (uint64_t)at + size == edge;
}

static int region_init(struct image_target *target)
{
    const struct ds_image *image = target->image;
    struct ds_image_region *region = &target->wanted.region;
    const struct ds_image_format *format = &image->shape.format;
    VkExtent3D mip;

    if (region->subresource >= image_subresources_n(image) || region->reserved != 0)
        return -EINVAL;
    mip = layout_mip_extent(&image->shape, region->subresource % image->shape.mips);
    if (!box_fits(region->offset.x, region->extent.width, mip.width, format->block_width) ||
        !box_fits(region->offset.y, region->extent.height, mip.height, format->block_height) ||
        !box_fits(region->offset.z, region->extent.depth, mip.depth, 1))
        return -EINVAL;
    if (region->row_pitch > ROW_PITCH_MAX)
        return -EINVAL;
    target->parts_n = 1;
    target->first = region->subresource;
    target->n = 1;
    return 0;
}

static int range_init(struct image_target *target)
{
    const struct ds_image *image = target->image;
    const struct ds_image_range *range = &target->wanted.range;
    uint32_t all = image_subresources_n(image);
    bool is_explicit = range->layout == DS_IMAGE_LAYOUT_EXPLICIT;

    if (range->n == 0 || range->first >= all || range->n > all - range->first ||
        is_explicit != (range->footprints != NULL) || range->offset_align > OFFSET_ALIGN_MAX ||
        (is_explicit && range->offset_align != 0))
        return -EINVAL;
    target->parts_n = range->n;
    target->first = range->first;
    target->n = range->n;
    return is_explicit ? 0
                       : layout_rule_init(&target->rule, &image->shape, range->layout,
                                          range->offset_align);
}

static int tiles_init(struct image_target *target)
{
    const struct ds_image *image = target->image;
    const struct ds_image_tiles *tiles = &target->wanted.tiles;
    uint64_t n = tiles->n;
    VkExtent3D grid, at;
    uint32_t last;

    if (image->tile.width == 0)
        return -ENOTSUP;
    if (tiles->subresource >= image_subresources_n(image))
        return -EINVAL;
    grid = tiles_in(image, tiles->subresource);
    if (tiles->x >= grid.width || tiles->y >= grid.height || tiles->z >= grid.depth)
        return -EINVAL;
    if (tiles->use_box) {
        if (tiles->n != 0 || tiles->width > grid.width - tiles->x ||
            tiles->height > grid.height - tiles->y || tiles->depth > grid.depth - tiles->z)
            return -EINVAL;
        n = tiles_volume((VkExtent3D){tiles->width, tiles->height, tiles->depth});
    }
    if (n == 0 || n > UINT32_MAX || !tile_find(target, n - 1, &last, &at))
        return -EINVAL;
    target->parts_n = (uint32_t)n;
    target->first = tiles->subresource;
    target->n = last - tiles->subresource + 1;
    return 0;
}

/* A box that the queue family can copy: at multiples of its granularity, in blocks, and so large
 * but at the edges of the subresource. */
static bool granularity_suits(const struct ds_image *image, const struct image_part *part)
{
    VkExtent3D mip = layout_mip_extent(&image->shape, part->subresource % image->shape.mips);
    VkExtent3D g = image->granularity;
    const struct ds_image_format *format = &image->shape.format;

    if (g.width == 0)
        return part->extent.width == mip.width && part->extent.height == mip.height &&
               part->extent.depth == mip.depth;
    return box_fits(part->at.x, part->extent.width, mip.width, g.width * format->block_width) &&
           box_fits(part->at.y, part->extent.height, mip.height,
                    g.height * format->block_height) &&
           box_fits(part->at.z, part->extent.depth, mip.depth, g.depth);
}

/* Pitches that let lines ascend, and an end that can be computed: *end is that of the last line. */
static int part_end(const struct image_part *part, uint64_t *end)
{
    uint64_t slice_bytes, slices, rows;

    if (part->row_pitch > ROW_PITCH_MAX)
        return -EINVAL;
    if (__builtin_mul_overflow(part->row_pitch, (uint64_t)part->rows - 1, &rows) ||
        __builtin_add_overflow(rows, part->row_bytes, &slice_bytes) ||
        __builtin_mul_overflow(part->slice_pitch, (uint64_t)part->extent.depth - 1, &slices) ||
        __builtin_add_overflow(slices, slice_bytes, end) ||
        __builtin_add_overflow(*end, part->offset, end))
        return -ERANGE;
    if ((part->rows > 1 && part->row_pitch < part->row_bytes) ||
        (part->extent.depth > 1 && part->slice_pitch < slice_bytes))
        return -EINVAL;
    return 0;
}

static int part_check(const struct image_target *target, const struct image_part *part,
                      const struct image_limits *limits, const struct host *host)
{
    uint64_t atom = image_atom_bytes(target->image, part);
    uint64_t room = limits->bytes_max - 2 * ((uint64_t)limits->align - 1);

    if (!granularity_suits(target->image, part)) {
        host_log(host, DS_LOG_ERROR,
                 "image request: the queue family's minImageTransferGranularity is (%u, %u, %u) "
                 "blocks; ask for whole subresources, or use a queue of another family",
                 target->image->granularity.width, target->image->granularity.height,
                 target->image->granularity.depth);
        return -ENOTSUP;
    }
    if (limits->bytes_max < 2 * (uint64_t)limits->align || atom > room) {
        host_log(host, DS_LOG_ERROR,
                 "image request: %llu bytes must be copied at once, and chunk_bytes leaves room "
                 "for %llu; raise chunk_bytes",
                 (unsigned long long)atom,
                 (unsigned long long)(limits->bytes_max < 2 * (uint64_t)limits->align ? 0 : room));
        return -EFBIG;
    }
    return 0;
}

static int parts_check(const struct image_target *target, uint64_t bytes,
                       const struct image_limits *limits, const struct host *host)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < target->parts_n; i++) {
        struct image_part part = image_target_part(target, i);
        uint64_t end;
        int rc = part_end(&part, &end);

        if (rc == 0 && part.offset < at)
            rc = -EINVAL;
        if (rc == 0 && end > bytes)
            rc = -ERANGE;
        if (rc == 0)
            rc = part_check(target, &part, limits, host);
        if (rc != 0)
            return rc;
        at = end;
    }
    return 0;
}

int image_target_init(struct image_target *target, const struct ds_image_target *wanted,
                      uint64_t bytes, const struct image_limits *limits, const struct host *host)
{
    int rc = -EINVAL;

    if (wanted->struct_size != sizeof(*wanted) || wanted->image == NULL)
        return -EINVAL;
    memset(target, 0, sizeof(*target));
    target->image = wanted->image;
    target->wanted = *wanted;
    if (wanted->kind == DS_IMAGE_REGION)
        rc = region_init(target);
    else if (wanted->kind == DS_IMAGE_SUBRESOURCES)
        rc = range_init(target);
    else if (wanted->kind == DS_IMAGE_TILES)
        rc = tiles_init(target);
    return rc != 0 ? rc : parts_check(target, bytes, limits, host);
}
