/* Tiles into images of sparse residency: memory is bound tile by tile, and requests name the same
 * tiles. Only where the device has such images. */
#include "gpu/test_image_model.h"

#include "gpu/vk_util_private.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (16u << 10)
#define SRC VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL
#define BINDS_MAX 256

static const struct ds_image_config upload = {
    .layout = SRC,
    .layout_after = SRC,
};

static const struct ds_image_shape shapes[] = {
    {VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, {700, 530, 1}, 4, 1},
    {VK_FORMAT_R16_UNORM, VK_IMAGE_TYPE_2D, {600, 300, 1}, 3, 1},
    {VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {640, 384, 1}, 4, 1},
    {VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {300, 256, 1}, 3, 3},
    {VK_FORMAT_R16G16B16A16_SFLOAT, VK_IMAGE_TYPE_2D, {400, 200, 1}, 3, 1},
    {VK_FORMAT_R32G32B32A32_UINT, VK_IMAGE_TYPE_2D, {200, 260, 1}, 3, 1},
    {VK_FORMAT_BC1_RGB_UNORM_BLOCK, VK_IMAGE_TYPE_2D, {1100, 520, 1}, 4, 1},
    {VK_FORMAT_BC7_UNORM_BLOCK, VK_IMAGE_TYPE_2D, {1024, 768, 1}, 5, 1},
    {VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_3D, {70, 64, 33}, 2, 1},
};

struct sparse {
    struct image_rig rig;
    struct rig_image image; /* its memory holds all pages */
    struct model model;
    VkExtent3D tile;
    VkSparseImageMemoryRequirements needs;
    VkSparseImageMemoryBind binds[BINDS_MAX];
    uint32_t binds_n;
    uint64_t page;          /* the next one that is free, bytes */
    PFN_vkQueueBindSparse QueueBindSparse;
};

/* Images -------------------------------------------------------------------------------------- */

static VkExtent3D mip_extent(const struct sparse *s, uint32_t subresource)
{
    const struct ds_image_shape *shape = &s->image.shape;
    uint32_t mip = subresource % shape->mips;
    VkExtent3D e = {shape->extent.width >> mip, shape->extent.height >> mip,
                    shape->extent.depth >> mip};

    e.width += e.width == 0;
    e.height += e.height == 0;
    e.depth += e.depth == 0;
    return e;
}

static VkExtent3D grid_of(const struct sparse *s, uint32_t subresource)
{
    VkExtent3D e = mip_extent(s, subresource);

    return (VkExtent3D){(e.width + s->tile.width - 1) / s->tile.width,
                        (e.height + s->tile.height - 1) / s->tile.height,
                        (e.depth + s->tile.depth - 1) / s->tile.depth};
}

/* The texels of a tile that the subresource has. */
static struct ds_image_region tile_box(const struct sparse *s, uint32_t subresource, uint32_t x,
                                       uint32_t y, uint32_t z)
{
    VkExtent3D e = mip_extent(s, subresource), t = s->tile;
    struct ds_image_region box = {
        .subresource = subresource,
        .offset = {(int32_t)(x * t.width), (int32_t)(y * t.height), (int32_t)(z * t.depth)},
    };

    e.width -= (uint32_t)box.offset.x;
    e.height -= (uint32_t)box.offset.y;
    e.depth -= (uint32_t)box.offset.z;
    box.extent = (VkExtent3D){e.width < t.width ? e.width : t.width,
                              e.height < t.height ? e.height : t.height,
                              e.depth < t.depth ? e.depth : t.depth};
    return box;
}

/* False: this device has no such image, or one whose tiles are not of the standard shape. */
static bool sparse_supported(struct sparse *s, const VkImageCreateInfo *info)
{
    struct vk_util *vk = s->rig.vk;
    PFN_vkGetPhysicalDeviceSparseImageFormatProperties get =
        (PFN_vkGetPhysicalDeviceSparseImageFormatProperties)vk->get_instance_proc_addr(
            vk->instance, "vkGetPhysicalDeviceSparseImageFormatProperties");
    VkSparseImageFormatProperties p;
    VkImageFormatProperties plain;
    uint32_t n = 1;

    if (info->imageType == VK_IMAGE_TYPE_3D ? !vk->binds_sparse_3d : !vk->binds_sparse_2d)
        return false;
    if (s->rig.formats(vk->physical, info->format, info->imageType, info->tiling, info->usage,
                       info->flags, &plain) != VK_SUCCESS)
        return false;
    get(vk->physical, info->format, info->imageType, info->samples, info->usage, info->tiling, &n,
        &p);
    if (n != 1 || (p.flags & VK_SPARSE_IMAGE_FORMAT_NONSTANDARD_BLOCK_SIZE_BIT) != 0)
        return false;
    cr_assert_eq(memcmp(&p.imageGranularity, &s->tile, sizeof(s->tile)), 0,
                 "the device's tiles of format %d are %u x %u x %u", (int)info->format,
                 p.imageGranularity.width, p.imageGranularity.height, p.imageGranularity.depth);
    return true;
}

/* One allocation, enough for every tile and all of the tail. */
static bool sparse_memory(struct sparse *s)
{
    struct vk_util *vk = s->rig.vk;
    PFN_vkGetImageSparseMemoryRequirements get =
        (PFN_vkGetImageSparseMemoryRequirements)vk->get_device_proc_addr(
            vk->device, "vkGetImageSparseMemoryRequirements");
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
    VkMemoryRequirements needs;
    uint32_t n = 1;

    s->rig.GetImageMemoryRequirements(vk->device, s->image.handle, &needs);
    cr_assert_eq(needs.alignment, DS_IMAGE_TILE_BYTES);
    get(vk->device, s->image.handle, &n, &s->needs);
    if (n != 1 || (s->needs.formatProperties.aspectMask & VK_IMAGE_ASPECT_METADATA_BIT) != 0)
        return false;
    allocate.allocationSize = needs.size;
    while ((needs.memoryTypeBits & (1u << allocate.memoryTypeIndex)) == 0)
        allocate.memoryTypeIndex++;
    CHECK(vk->AllocateMemory(vk->device, &allocate, NULL, &s->image.memory));
    return true;
}

static bool sparse_image(struct sparse *s, const struct ds_image_shape *shape)
{
    struct vk_util *vk = s->rig.vk;
    uint32_t families[2] = {vk->queue_family, vk->app_queue_family};
    bool exclusive = families[0] == families[1];
    VkImageCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .flags = VK_IMAGE_CREATE_SPARSE_BINDING_BIT | VK_IMAGE_CREATE_SPARSE_RESIDENCY_BIT,
        .imageType = shape->type,
        .format = shape->format,
        .extent = shape->extent,
        .mipLevels = shape->mips,
        .arrayLayers = shape->layers,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .tiling = VK_IMAGE_TILING_OPTIMAL,
        .usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT,
        .sharingMode = exclusive ? VK_SHARING_MODE_EXCLUSIVE : VK_SHARING_MODE_CONCURRENT,
        .queueFamilyIndexCount = exclusive ? 0 : 2,
        .pQueueFamilyIndices = families,
        .initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
    };
    struct ds_image_config config = upload;

    cr_assert_eq(ds_image_tile_extent(shape->format, shape->type, &s->tile), 0);
    s->image.shape = *shape;
    if (!sparse_supported(s, &info))
        return false;
    CHECK(s->rig.CreateImage(vk->device, &info, NULL, &s->image.handle));
    if (!sparse_memory(s)) {
        s->rig.DestroyImage(vk->device, s->image.handle, NULL);
        return false;
    }
    config.struct_size = sizeof(config);
    config.image = s->image.handle;
    config.shape = *shape;
    config.usage = info.usage;
    cr_assert_eq(ds_vulkan_image_create(s->rig.engine, &config, &s->image.image), 0);
    return true;
}

static bool sparse_open(struct sparse *s, const struct ds_image_shape *shape)
{
    memset(s, 0, sizeof(*s));
    image_rig_open(&s->rig, CHUNK_BYTES, DS_TOPOLOGY_SHARED);
    if (!sparse_image(s, shape)) {
        image_rig_close(&s->rig);
        return false;
    }
    s->QueueBindSparse = (PFN_vkQueueBindSparse)s->rig.vk->get_device_proc_addr(
        s->rig.vk->device, "vkQueueBindSparse");
    model_open(&s->model, shape);
    return true;
}

static void sparse_close(struct sparse *s)
{
    free(s->model.bytes);
    rig_image_close(&s->rig, &s->image);
    image_rig_close(&s->rig);
}

/* Memory -------------------------------------------------------------------------------------- */

static void add_bind(struct sparse *s, uint32_t subresource, uint32_t x, uint32_t y, uint32_t z)
{
    struct ds_image_region box = tile_box(s, subresource, x, y, z);
    uint32_t mips = s->image.shape.mips;

    cr_assert_lt(s->binds_n, BINDS_MAX);
    s->binds[s->binds_n++] = (VkSparseImageMemoryBind){
        .subresource = {VK_IMAGE_ASPECT_COLOR_BIT, subresource % mips, subresource / mips},
        .offset = box.offset,
        .extent = box.extent,
        .memory = s->image.memory,
        .memoryOffset = s->page,
    };
    s->page += DS_IMAGE_TILE_BYTES;
}

/* The tails of all layers, or the one that they share. Returns their number. */
static uint32_t add_tails(struct sparse *s, VkSparseMemoryBind *tails)
{
    bool single =
        (s->needs.formatProperties.flags & VK_SPARSE_IMAGE_FORMAT_SINGLE_MIPTAIL_BIT) != 0;
    uint32_t n = single ? 1 : s->image.shape.layers;

    if (s->needs.imageMipTailSize == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        tails[i] = (VkSparseMemoryBind){
            .resourceOffset = s->needs.imageMipTailOffset + i * s->needs.imageMipTailStride,
            .size = s->needs.imageMipTailSize,
            .memory = s->image.memory,
            .memoryOffset = s->page,
        };
        s->page += s->needs.imageMipTailSize;
    }
    return n;
}

/* Binds what is in the list, and waits for it. */
static void bind_now(struct sparse *s, const VkSparseMemoryBind *tails, uint32_t tails_n)
{
    VkSparseImageMemoryBindInfo images = {s->image.handle, s->binds_n, s->binds};
    VkSparseImageOpaqueMemoryBindInfo opaque = {s->image.handle, tails_n, tails};
    VkBindSparseInfo info = {
        .sType = VK_STRUCTURE_TYPE_BIND_SPARSE_INFO,
        .imageOpaqueBindCount = tails_n > 0 ? 1 : 0,
        .pImageOpaqueBinds = &opaque,
        .imageBindCount = s->binds_n > 0 ? 1 : 0,
        .pImageBinds = &images,
    };
    VkFenceCreateInfo fence_info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    struct vk_util *vk = s->rig.vk;
    VkFence fence;

    CHECK(vk->CreateFence(vk->device, &fence_info, NULL, &fence));
    vk_util_lock(vk);
    CHECK(s->QueueBindSparse(vk->app_queue, 1, &info, fence));
    vk_util_unlock(vk);
    CHECK(vk->WaitForFences(vk->device, 1, &fence, VK_TRUE, UINT64_MAX));
    vk->DestroyFence(vk->device, fence, NULL);
}

/* Every tile of the subresources outside the tail whose coordinates add up to an even (odd)
 * number. */
static void add_half(struct sparse *s, uint32_t odd)
{
    for (uint32_t i = 0; i < s->model.n; i++) {
        VkExtent3D grid = grid_of(s, i);

        if (i % s->image.shape.mips >= s->needs.imageMipTailFirstLod)
            continue;
        for (uint32_t at = 0; at < grid.width * grid.height * grid.depth; at++) {
            uint32_t x = at % grid.width, y = at / grid.width % grid.height;
            uint32_t z = at / grid.width / grid.height;

            if ((x + y + z) % 2 == odd)
                add_bind(s, i, x, y, z);
        }
    }
}

/* Requests ------------------------------------------------------------------------------------ */

static void tile_model(struct sparse *s, uint32_t subresource, uint32_t x, uint32_t y, uint32_t z,
                       uint64_t offset)
{
    struct ds_image_region box = tile_box(s, subresource, x, y, z);
    const struct ds_image_format *f = &s->model.format;

    box.row_pitch = (uint64_t)(s->tile.width / f->block_width) * f->block_bytes;
    box.slice_pitch = box.row_pitch * (s->tile.height / f->block_height);
    model_write(&s->model, &box, s->rig.content + offset);
}

static void read_tiles(struct sparse *s, const struct ds_image_tiles *tiles, uint32_t n,
                       uint64_t offset)
{
    cr_assert_eq(rig_read(&s->rig,
                          ds_image_target(.kind = DS_IMAGE_TILES, .image = s->image.image,
                                          .tiles = *tiles),
                          offset, (uint64_t)n * DS_IMAGE_TILE_BYTES), 0);
}

/* Is the box in the image what the model has there? */
static void check_tile(struct sparse *s, const uint8_t *back, const struct ds_image_region *box)
{
    const struct ds_image_format *f = &s->model.format;
    uint64_t column = (uint64_t)box->offset.x / f->block_width * f->block_bytes;
    uint64_t bytes = (uint64_t)((box->extent.width + f->block_width - 1) / f->block_width) *
                     f->block_bytes;
    uint32_t rows = (box->extent.height + f->block_height - 1) / f->block_height;

    for (uint32_t z = 0; z < box->extent.depth; z++) {
        for (uint32_t y = 0; y < rows; y++) {
            uint64_t at = column + rig_offset(s->model.footprints, box->subresource,
                                              (uint32_t)box->offset.z + z,
                                              (uint32_t)box->offset.y / f->block_height + y);

            cr_assert_arr_eq(back + at, s->model.bytes + at, bytes, "tile at %d, %d, %d of %u",
                             box->offset.x, box->offset.y, box->offset.z, box->subresource);
        }
    }
}

/* Half of the tiles have memory, in the pattern of a chess board: each is written by a request of
 * its own, all at once, and none may be disturbed by the others. */
static void write_bound_tiles(struct sparse *s)
{
    struct ds_image_region boxes[BINDS_MAX];
    uint32_t n = s->binds_n, mips = s->image.shape.mips;
    uint8_t *back;

    cr_assert_gt(n, 0);
    for (uint32_t i = 0; i < n; i++) {
        const VkSparseImageMemoryBind *bind = &s->binds[i];
        struct ds_image_tiles tile = {
            .subresource = bind->subresource.arrayLayer * mips + bind->subresource.mipLevel,
            .x = (uint32_t)bind->offset.x / s->tile.width,
            .y = (uint32_t)bind->offset.y / s->tile.height,
            .z = (uint32_t)bind->offset.z / s->tile.depth,
            .n = 1,
        };

        boxes[i] = tile_box(s, tile.subresource, tile.x, tile.y, tile.z);
        read_tiles(s, &tile, 1, 31 + 40009 * (uint64_t)i);
        tile_model(s, tile.subresource, tile.x, tile.y, tile.z, 31 + 40009 * (uint64_t)i);
    }
    rig_finish(&s->rig, n, DS_STATUS_OK);
    back = rig_readback(&s->rig, &s->image, SRC);
    for (uint32_t i = 0; i < n; i++)
        check_tile(s, back, &boxes[i]);
    free(back);
}

/* All is bound: a run of tiles from the middle of mip 0 to the last tile of the layer, which takes
 * it through the tail, and a box. */
static void write_run_and_box(struct sparse *s)
{
    VkExtent3D grid = grid_of(s, 0);
    struct ds_image_tiles run = {.x = grid.width - 1};
    struct ds_image_tiles box = {.use_box = true, .width = grid.width, .height = 1, .depth = 1};

    for (uint32_t i = 0; i < s->image.shape.mips; i++) {
        VkExtent3D g = grid_of(s, i);

        for (uint32_t at = i == 0 ? run.x : 0; at < g.width * g.height * g.depth; at++, run.n++)
            tile_model(s, i, at % g.width, at / g.width % g.height, at / g.width / g.height,
                       1001 + run.n * (uint64_t)DS_IMAGE_TILE_BYTES);
    }
    read_tiles(s, &run, run.n, 1001);
    rig_finish(&s->rig, 1, DS_STATUS_OK);
    box.y = grid.height - 1;
    box.z = grid.depth - 1;
    for (uint32_t x = 0; x < grid.width; x++)
        tile_model(s, 0, x, box.y, box.z, 77 + x * (uint64_t)DS_IMAGE_TILE_BYTES);
    read_tiles(s, &box, grid.width, 77);
    rig_finish(&s->rig, 1, DS_STATUS_OK);
}

static void check_shape(uint32_t which)
{
    VkSparseMemoryBind tails[8];
    struct sparse s;

    if (!sparse_open(&s, &shapes[which]))
        cr_skip_test("a sparse image of format %d in %dD, which this device lacks",
                     (int)shapes[which].format, (int)shapes[which].type + 1);
    rig_change(&s.rig, &s.image, VK_IMAGE_LAYOUT_UNDEFINED, SRC, 0, 0); /* what has no memory too */
    add_half(&s, 0);
    bind_now(&s, NULL, 0);
    write_bound_tiles(&s);
    s.binds_n = 0;
    add_half(&s, 1);
    bind_now(&s, tails, add_tails(&s, tails));
    model_fill(&s.rig, &s.image, &s.model, 5);
    model_check(&s.model, &s.rig, &s.image, SRC);
    write_run_and_box(&s);
    model_check(&s.model, &s.rig, &s.image, SRC);
    sparse_close(&s);
}

Test(image_sparse, r8)
{
    check_shape(0);
}

Test(image_sparse, r16)
{
    check_shape(1);
}

Test(image_sparse, rgba8)
{
    check_shape(2);
}

Test(image_sparse, rgba8_array)
{
    check_shape(3);
}

Test(image_sparse, rgba16)
{
    check_shape(4);
}

Test(image_sparse, rgba32)
{
    check_shape(5);
}

Test(image_sparse, bc1)
{
    check_shape(6);
}

Test(image_sparse, bc7)
{
    check_shape(7);
}

Test(image_sparse, rgba8_deep)
{
    check_shape(8);
}
