/* Boxes of any place, size and pitch in images of every format and shape: each arrives, and nothing
 * beside it changes. */
#include "gpu/test_image_model.h"
#include "unit/support.h"

#define CHUNK_BYTES (16u << 10)
#define BOXES 3

static const struct ds_image_config upload = {
    .layout = VK_IMAGE_LAYOUT_UNDEFINED,
    .layout_after = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
};

static const struct ds_image_shape shapes[] = {
    {.type = VK_IMAGE_TYPE_1D, .extent = {37, 1, 1}, .mips = 6, .layers = 1},
    {.type = VK_IMAGE_TYPE_1D, .extent = {19, 1, 1}, .mips = 2, .layers = 3},
    {.type = VK_IMAGE_TYPE_2D, .extent = {3, 5, 1}, .mips = 3, .layers = 1},
    {.type = VK_IMAGE_TYPE_2D, .extent = {97, 55, 1}, .mips = 7, .layers = 1},
    {.type = VK_IMAGE_TYPE_2D, .extent = {21, 13, 1}, .mips = 5, .layers = 3},
    {.type = VK_IMAGE_TYPE_2D, .extent = {24, 24, 1}, .mips = 5, .layers = 6}, /* a cube */
    {.type = VK_IMAGE_TYPE_3D, .extent = {29, 17, 9}, .mips = 5, .layers = 1},
};

static uint32_t mip_size(uint32_t size, uint32_t mip)
{
    return size >> mip != 0 ? size >> mip : 1;
}

/* Some whole blocks of `size` texels, or up to its edge. */
static uint32_t some(uint32_t size, uint32_t block, uint64_t *rng, int32_t *from)
{
    uint32_t blocks = (size + block - 1) / block;
    uint32_t first = (uint32_t)support_below(rng, blocks);
    uint32_t n = 1 + (uint32_t)support_below(rng, blocks - first);

    *from = (int32_t)(first * block);
    return first + n == blocks ? size - first * block : n * block;
}

/* A box, and how many bytes of source it takes. Pitches keep the floats of a depth image whole. */
static uint64_t choose(const struct rig_image *image, const struct ds_image_format *f,
                       uint64_t *rng, struct ds_image_region *box)
{
    const struct ds_image_shape *shape = &image->shape;
    uint32_t subresource = (uint32_t)support_below(rng, shape->mips * shape->layers);
    uint32_t mip = subresource % shape->mips;
    uint64_t row_bytes, rows;

    *box = (struct ds_image_region){.subresource = subresource};
    box->extent.width =
        some(mip_size(shape->extent.width, mip), f->block_width, rng, &box->offset.x);
    box->extent.height =
        some(mip_size(shape->extent.height, mip), f->block_height, rng, &box->offset.y);
    box->extent.depth = some(mip_size(shape->extent.depth, mip), 1, rng, &box->offset.z);
    row_bytes = (uint64_t)(box->extent.width + f->block_width - 1) / f->block_width *
                f->block_bytes;
    rows = (box->extent.height + f->block_height - 1) / f->block_height;
    if (support_below(rng, 2) == 0) {
        uint64_t unit = f->aspect == VK_IMAGE_ASPECT_DEPTH_BIT ? 4 : 1;

        box->row_pitch = (row_bytes + unit - 1) / unit * unit + unit * support_below(rng, 300);
        box->slice_pitch = box->row_pitch * rows + unit * support_below(rng, 100);
        return box->slice_pitch * (box->extent.depth - 1) + box->row_pitch * (rows - 1) +
               row_bytes;
    }
    return row_bytes * rows * box->extent.depth;
}

/* False: as rig_image_open. */
static bool check_shape(struct image_rig *rig, const struct ds_image_shape *shape, uint64_t *rng)
{
    struct rig_image image;
    struct model m;
    uint64_t at;

    if (!rig_image_open(rig, shape, &upload, &image))
        return false;
    model_open(&m, shape);
    at = m.format.aspect == VK_IMAGE_ASPECT_DEPTH_BIT ? RIG_FLOATS_AT : 0;
    model_fill(rig, &image, &m, at + 4 * support_below(rng, 1000));
    for (uint32_t i = 0; i < BOXES; i++) {
        struct ds_image_region box;
        uint64_t bytes = choose(&image, &m.format, rng, &box);
        uint64_t offset = at + support_below(rng, 1000) * (at != 0 ? 4 : 1);

        cr_assert_eq(rig_read(rig, ds_image_target(.kind = DS_IMAGE_REGION, .image = image.image,
                                                   .region = box),
                              offset, bytes), 0);
        model_write(&m, &box, rig->content + offset);
        rig_finish(rig, 1, DS_STATUS_OK);
    }
    model_check(&m, rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(rig, &image);
    return true;
}

static void check_range(uint32_t first, uint32_t last, enum ds_topology topology)
{
    uint64_t rng = support_seed("image_boxes");
    struct image_rig rig;

    image_rig_open(&rig, CHUNK_BYTES, topology);
    for (uint32_t format = first; format <= last; format++) {
        uint32_t missing = 0, refused = rig.refused;
        struct ds_image_format f;

        /* X8_D24 reads back with eight bits of anything */
        if (ds_image_format_get((VkFormat)format, &f) != 0 ||
            format == VK_FORMAT_X8_D24_UNORM_PACK32)
            continue;
        for (uint32_t i = 0; i < ARRAY_LENGTH(shapes); i++) {
            struct ds_image_shape shape = shapes[i];

            shape.format = (VkFormat)format;
            missing += !check_shape(&rig, &shape, &rng);
        }
        missing -= rig.refused - refused;
        if (missing > 0)
            fprintf(stderr, "skipped: format %u in %u of 7 shapes, which this device lacks\n",
                    format, missing);
    }
    image_rig_close(&rig);
}

Test(image_boxes, formats_of_8_bits)
{
    check_range(VK_FORMAT_R4G4_UNORM_PACK8, VK_FORMAT_A2B10G10R10_SINT_PACK32,
                DS_TOPOLOGY_SHARED);
}

Test(image_boxes, formats_of_16_bits_and_more)
{
    check_range(VK_FORMAT_R16_UNORM, VK_FORMAT_E5B9G9R9_UFLOAT_PACK32, DS_TOPOLOGY_MANUAL);
}

/* Which a queue that does not draw refuses (test_image_gpu.c). */
Test(image_boxes, formats_of_depth_and_stencil)
{
    image_rig_draws = true;
    check_range(VK_FORMAT_D16_UNORM, VK_FORMAT_S8_UINT, DS_TOPOLOGY_SHARED);
    image_rig_draws = false;
}

Test(image_boxes, formats_of_blocks)
{
    check_range(VK_FORMAT_BC1_RGB_UNORM_BLOCK, VK_FORMAT_EAC_R11G11_SNORM_BLOCK,
                DS_TOPOLOGY_SHARED);
}

Test(image_boxes, formats_of_astc)
{
    check_range(VK_FORMAT_ASTC_4x4_UNORM_BLOCK, VK_FORMAT_ASTC_12x12_SRGB_BLOCK,
                DS_TOPOLOGY_SHARED);
}
