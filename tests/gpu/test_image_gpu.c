/* Every format the device has, in every shape, uploaded by the engine and read back equal. */
#include "gpu/test_image_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (16u << 10)
#define SUBRESOURCES_MAX 64

static const struct ds_image_config upload = {
    .layout = VK_IMAGE_LAYOUT_UNDEFINED,
    .layout_after = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
};

static const struct {
    const char *name;
    struct ds_image_shape shape;
} shapes[] = {
    {"1D", {.type = VK_IMAGE_TYPE_1D, .extent = {37, 1, 1}, .mips = 6, .layers = 1}},
    {"1D array", {.type = VK_IMAGE_TYPE_1D, .extent = {19, 1, 1}, .mips = 2, .layers = 3}},
    {"2D 1x1", {.type = VK_IMAGE_TYPE_2D, .extent = {1, 1, 1}, .mips = 1, .layers = 1}},
    {"2D 3x5", {.type = VK_IMAGE_TYPE_2D, .extent = {3, 5, 1}, .mips = 3, .layers = 1}},
    {"2D", {.type = VK_IMAGE_TYPE_2D, .extent = {167, 95, 1}, .mips = 8, .layers = 1}},
    {"2D array", {.type = VK_IMAGE_TYPE_2D, .extent = {20, 12, 1}, .mips = 5, .layers = 3}},
    {"cube", {.type = VK_IMAGE_TYPE_2D, .extent = {24, 24, 1}, .mips = 5, .layers = 6}},
    {"3D", {.type = VK_IMAGE_TYPE_3D, .extent = {29, 17, 9}, .mips = 5, .layers = 1}},
};

/* Depth values of D24 come with eight bits of anything. */
static bool equal_rows(VkFormat format, const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
    if (format != VK_FORMAT_X8_D24_UNORM_PACK32)
        return memcmp(a, b, bytes) == 0;
    for (uint64_t i = 0; i < bytes; i += 4) {
        if (memcmp(a + i, b + i, 3) != 0)
            return false;
    }
    return true;
}

/* Does what came back equal `source`, which is laid out as `layout`? */
static void check_image(struct image_rig *rig, const struct rig_image *image, const char *name,
                        const uint8_t *source, enum ds_image_layout layout)
{
    struct ds_image_footprint from[SUBRESOURCES_MAX], to[SUBRESOURCES_MAX];
    uint32_t n = image->shape.mips * image->shape.layers;
    uint8_t *back = rig_readback(rig, image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);

    cr_assert_leq(n, SUBRESOURCES_MAX);
    cr_assert_eq(ds_image_footprints(&image->shape, 0, n, layout, 0, from, NULL), 0);
    cr_assert_eq(ds_image_footprints(&image->shape, 0, n, DS_IMAGE_LAYOUT_TIGHT, RIG_ALIGN, to,
                                     NULL), 0);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t slice = 0; slice < from[i].slices; slice++) {
            for (uint32_t row = 0; row < from[i].rows; row++)
                cr_assert(equal_rows(image->shape.format, source + rig_offset(from, i, slice, row),
                                     back + rig_offset(to, i, slice, row), from[i].row_bytes),
                          "format %d, %s, layout %d: subresource %u, slice %u, row %u",
                          (int)image->shape.format, name, (int)layout, i, slice, row);
        }
    }
    free(back);
}

/* Uploads all subresources with one request. False: as rig_image_open. */
static bool check_format(struct image_rig *rig, VkFormat format, uint32_t which,
                         enum ds_image_layout layout)
{
    struct ds_image_shape shape = shapes[which].shape;
    struct ds_image_format f;
    struct rig_image image;
    uint64_t offset, bytes;
    uint32_t n = shape.mips * shape.layers;

    shape.format = format;
    if (!rig_image_open(rig, &shape, &upload, &image))
        return false;
    cr_assert_eq(ds_image_format_get(format, &f), 0);
    offset = f.aspect == VK_IMAGE_ASPECT_DEPTH_BIT
                 ? RIG_FLOATS_AT + 4 * (which + 1)
                 : 1001 + 4099 * (uint64_t)which + (uint64_t)format % 1000;
    cr_assert_eq(ds_image_footprints(&shape, 0, n, layout, 0, NULL, &bytes), 0);
    cr_assert_eq(rig_read(rig, ds_image_target(.kind = DS_IMAGE_SUBRESOURCES,
                                               .image = image.image,
                                               .range = {.n = n, .layout = layout}),
                          offset, bytes), 0);
    rig_finish(rig, 1, DS_STATUS_OK);
    check_image(rig, &image, shapes[which].name, rig->content + offset, layout);
    rig_image_close(rig, &image);
    return true;
}

static void check_range(struct image_rig *rig, uint32_t first, uint32_t last)
{
    struct ds_image_format f;

    for (uint32_t format = first; format <= last; format++) {
        uint32_t missing = 0, refused = rig->refused;

        if (ds_image_format_get((VkFormat)format, &f) != 0)
            continue;
        for (uint32_t which = 0; which < sizeof(shapes) / sizeof(shapes[0]); which++) {
            for (uint32_t layout = 0; layout < 2; layout++)
                missing += !check_format(rig, (VkFormat)format, which, layout);
        }
        missing -= rig->refused - refused;
        if (missing > 0)
            fprintf(stderr, "skipped: format %u in %u of 8 shapes, which this device lacks\n",
                    format, missing / 2);
    }
}

static void check_formats(uint32_t first, uint32_t last, enum ds_topology topology)
{
    struct image_rig rig;

    image_rig_open(&rig, CHUNK_BYTES, topology);
    check_range(&rig, first, last);
    image_rig_close(&rig);
}

Test(image_gpu, formats_of_8_bits)
{
    check_formats(VK_FORMAT_R4G4_UNORM_PACK8, VK_FORMAT_A2B10G10R10_SINT_PACK32,
                  DS_TOPOLOGY_SHARED);
}

Test(image_gpu, formats_of_16_bits)
{
    check_formats(VK_FORMAT_R16_UNORM, VK_FORMAT_R16G16B16A16_SFLOAT, DS_TOPOLOGY_DEDICATED);
}

Test(image_gpu, formats_of_32_bits_and_more)
{
    check_formats(VK_FORMAT_R32_UINT, VK_FORMAT_E5B9G9R9_UFLOAT_PACK32, DS_TOPOLOGY_MANUAL);
}

/* On the queue for copies, where that does not draw, they are refused; on one that draws they are
 * not. */
Test(image_gpu, formats_of_depth_and_stencil)
{
    struct image_rig rig;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_MANUAL);
    if (rig.vk->queue_family != rig.vk->app_queue_family)
        check_range(&rig, VK_FORMAT_D16_UNORM, VK_FORMAT_S8_UINT);
    image_rig_close(&rig);
    image_rig_draws = true;
    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_MANUAL);
    check_range(&rig, VK_FORMAT_D16_UNORM, VK_FORMAT_S8_UINT);
    if (rig.refused > 0)
        fprintf(stderr, "skipped: depth and stencil: no queue of this device's draws\n");
    image_rig_close(&rig);
    image_rig_draws = false;
}

Test(image_gpu, formats_of_blocks)
{
    check_formats(VK_FORMAT_BC1_RGB_UNORM_BLOCK, VK_FORMAT_EAC_R11G11_SNORM_BLOCK,
                  DS_TOPOLOGY_SHARED);
}

Test(image_gpu, formats_of_astc)
{
    struct image_rig rig;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_SHARED);
    check_range(&rig, VK_FORMAT_ASTC_4x4_UNORM_BLOCK, VK_FORMAT_ASTC_12x12_SRGB_BLOCK);
    check_range(&rig, VK_FORMAT_ASTC_4x4_SFLOAT_BLOCK, VK_FORMAT_ASTC_12x12_SFLOAT_BLOCK);
    image_rig_close(&rig);
}

/* One format of each size of block through a family that can do nothing but copy: offsets are
 * multiples of 4 then, and boxes of `granularity`. */
static void check_family(VkExtent3D granularity, uint32_t chunk_bytes)
{
    static const VkFormat formats[] = {
        VK_FORMAT_R8_UNORM,         VK_FORMAT_R8G8_UNORM,          VK_FORMAT_R8G8B8A8_UNORM,
        VK_FORMAT_R16G16B16_SFLOAT, VK_FORMAT_R16G16B16A16_SFLOAT, VK_FORMAT_R32G32B32_SFLOAT,
        VK_FORMAT_BC1_RGB_UNORM_BLOCK, VK_FORMAT_BC7_UNORM_BLOCK,  VK_FORMAT_D16_UNORM,
    };
    VkQueueFamilyProperties family = {.queueFlags = VK_QUEUE_TRANSFER_BIT,
                                      .minImageTransferGranularity = granularity};
    struct image_rig rig;

    image_rig_pretend = &family;
    image_rig_open(&rig, chunk_bytes, DS_TOPOLOGY_SHARED);
    for (uint32_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        check_range(&rig, formats[i], formats[i]);
    image_rig_close(&rig);
    image_rig_pretend = NULL;
}

Test(image_gpu, a_family_for_copies)
{
    check_family((VkExtent3D){1, 1, 1}, CHUNK_BYTES);
}

Test(image_gpu, a_family_of_coarse_copies)
{
    check_family((VkExtent3D){16, 16, 8}, 256 << 10);
}

Test(image_gpu, a_family_of_whole_subresources)
{
    check_family((VkExtent3D){0, 0, 0}, 512 << 10);
}
