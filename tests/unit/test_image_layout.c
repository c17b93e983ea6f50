/* engine/image/format and layout: blocks of every family, and footprints against tables worked out
 * by hand from the rules of GetCopyableFootprints. */
#include "engine/image/layout.h"

#include <criterion/criterion.h>
#include <errno.h>

static void expect_format(VkFormat format, uint32_t width, uint32_t height, uint32_t bytes,
                          VkImageAspectFlags aspect)
{
    struct ds_image_format f;

    cr_assert_eq(ds_image_format_get(format, &f), 0, "format %d", (int)format);
    cr_assert_eq(f.block_width, width, "format %d", (int)format);
    cr_assert_eq(f.block_height, height, "format %d", (int)format);
    cr_assert_eq(f.block_bytes, bytes, "format %d", (int)format);
    cr_assert_eq(f.aspect, aspect, "format %d", (int)format);
}

Test(image_format, one_of_each_family)
{
    const VkImageAspectFlags color = VK_IMAGE_ASPECT_COLOR_BIT;

    expect_format(VK_FORMAT_R4G4_UNORM_PACK8, 1, 1, 1, color);
    expect_format(VK_FORMAT_R5G6B5_UNORM_PACK16, 1, 1, 2, color);
    expect_format(VK_FORMAT_R8_SRGB, 1, 1, 1, color);
    expect_format(VK_FORMAT_B8G8R8_SRGB, 1, 1, 3, color);
    expect_format(VK_FORMAT_R8G8B8A8_UNORM, 1, 1, 4, color);
    expect_format(VK_FORMAT_A2B10G10R10_SINT_PACK32, 1, 1, 4, color);
    expect_format(VK_FORMAT_R16G16B16_SFLOAT, 1, 1, 6, color);
    expect_format(VK_FORMAT_R16G16B16A16_SFLOAT, 1, 1, 8, color);
    expect_format(VK_FORMAT_R32G32B32_SFLOAT, 1, 1, 12, color);
    expect_format(VK_FORMAT_R32G32B32A32_UINT, 1, 1, 16, color);
    expect_format(VK_FORMAT_R64G64B64A64_SFLOAT, 1, 1, 32, color);
    expect_format(VK_FORMAT_E5B9G9R9_UFLOAT_PACK32, 1, 1, 4, color);
    expect_format(VK_FORMAT_A4B4G4R4_UNORM_PACK16, 1, 1, 2, color);
    expect_format(VK_FORMAT_D16_UNORM, 1, 1, 2, VK_IMAGE_ASPECT_DEPTH_BIT);
    expect_format(VK_FORMAT_D32_SFLOAT, 1, 1, 4, VK_IMAGE_ASPECT_DEPTH_BIT);
    expect_format(VK_FORMAT_S8_UINT, 1, 1, 1, VK_IMAGE_ASPECT_STENCIL_BIT);
}

Test(image_format, blocks)
{
    const VkImageAspectFlags color = VK_IMAGE_ASPECT_COLOR_BIT;

    expect_format(VK_FORMAT_BC1_RGBA_SRGB_BLOCK, 4, 4, 8, color);
    expect_format(VK_FORMAT_BC2_UNORM_BLOCK, 4, 4, 16, color);
    expect_format(VK_FORMAT_BC3_SRGB_BLOCK, 4, 4, 16, color);
    expect_format(VK_FORMAT_BC4_SNORM_BLOCK, 4, 4, 8, color);
    expect_format(VK_FORMAT_BC5_UNORM_BLOCK, 4, 4, 16, color);
    expect_format(VK_FORMAT_BC6H_SFLOAT_BLOCK, 4, 4, 16, color);
    expect_format(VK_FORMAT_BC7_SRGB_BLOCK, 4, 4, 16, color);
    expect_format(VK_FORMAT_ETC2_R8G8B8A1_SRGB_BLOCK, 4, 4, 8, color);
    expect_format(VK_FORMAT_ETC2_R8G8B8A8_SRGB_BLOCK, 4, 4, 16, color);
    expect_format(VK_FORMAT_EAC_R11_UNORM_BLOCK, 4, 4, 8, color);
    expect_format(VK_FORMAT_EAC_R11G11_SNORM_BLOCK, 4, 4, 16, color);
    expect_format(VK_FORMAT_ASTC_4x4_UNORM_BLOCK, 4, 4, 16, color);
    expect_format(VK_FORMAT_ASTC_10x6_SRGB_BLOCK, 10, 6, 16, color);
    expect_format(VK_FORMAT_ASTC_12x12_SRGB_BLOCK, 12, 12, 16, color);
    expect_format(VK_FORMAT_ASTC_8x5_SFLOAT_BLOCK, 8, 5, 16, color);
}

/* Every number of Vulkan 1.0 but the undefined one and three combinations of depth and stencil. */
Test(image_format, all_but_the_combined_are_there)
{
    struct ds_image_format f;
    uint32_t refused = 0;

    for (uint32_t i = 0; i <= VK_FORMAT_ASTC_12x12_SRGB_BLOCK; i++)
        refused += ds_image_format_get((VkFormat)i, &f) == -ENOTSUP;
    cr_assert_eq(refused, 4);
    cr_assert_eq(ds_image_format_get(VK_FORMAT_D24_UNORM_S8_UINT, &f), -ENOTSUP);
    cr_assert_eq(ds_image_format_get(VK_FORMAT_G8_B8R8_2PLANE_420_UNORM, &f), -ENOTSUP);
    cr_assert_eq(ds_image_format_get((VkFormat)-1, &f), -ENOTSUP);
}

Test(image_format, alignment_of_copies)
{
    struct ds_image_format f = {1, 1, 3, VK_IMAGE_ASPECT_COLOR_BIT};

    cr_assert_eq(format_copy_align(&f, false), 3);
    cr_assert_eq(format_copy_align(&f, true), 12);
    f.block_bytes = 6;
    cr_assert_eq(format_copy_align(&f, true), 12);
    f.block_bytes = 1;
    cr_assert_eq(format_copy_align(&f, true), 4);
    f.block_bytes = 2;
    f.aspect = VK_IMAGE_ASPECT_DEPTH_BIT;
    cr_assert_eq(format_copy_align(&f, false), 4);
    f.block_bytes = 16;
    cr_assert_eq(format_copy_align(&f, true), 16);
}

struct row {
    uint64_t offset, row_pitch, slice_pitch, row_bytes;
    uint32_t rows, slices;
};

static void expect_layout(const struct ds_image_shape *shape, enum ds_image_layout layout,
                          uint32_t align, uint32_t first, const struct row *rows, uint32_t n,
                          uint64_t bytes)
{
    struct ds_image_footprint got[16];
    struct layout_shape own;
    struct layout_rule rule;
    uint64_t total;

    cr_assert_eq(ds_image_footprints(shape, first, n, layout, align, got, &total), 0);
    cr_assert_eq(total, bytes, "%llu bytes", (unsigned long long)total);
    cr_assert_eq(layout_shape_init(&own, shape), 0);
    cr_assert_eq(layout_rule_init(&rule, &own, layout, align), 0);
    for (uint32_t i = 0; i < n; i++) {
        struct ds_image_footprint at = layout_at(&own, &rule, first, i);

        cr_assert_eq(got[i].offset, rows[i].offset, "%u: %llu", i,
                     (unsigned long long)got[i].offset);
        cr_assert_eq(got[i].row_pitch, rows[i].row_pitch, "%u", i);
        cr_assert_eq(got[i].slice_pitch, rows[i].slice_pitch, "%u", i);
        cr_assert_eq(got[i].row_bytes, rows[i].row_bytes, "%u", i);
        cr_assert_eq(got[i].rows, rows[i].rows, "%u", i);
        cr_assert_eq(got[i].slices, rows[i].slices, "%u", i);
        cr_assert_eq(at.offset, got[i].offset, "%u: one alone", i);
    }
}

static const struct ds_image_shape bc1_array = {
    VK_FORMAT_BC1_RGBA_UNORM_BLOCK, VK_IMAGE_TYPE_2D, {100, 60, 1}, 4, 2};

Test(image_layout, d3d12_of_a_bc1_array)
{
    static const struct row rows[] = {
        {0, 256, 15 * 256, 200, 15, 1},     {4096, 256, 8 * 256, 104, 8, 1},
        {6144, 256, 4 * 256, 56, 4, 1},     {7168, 256, 2 * 256, 24, 2, 1},
        {7680, 256, 15 * 256, 200, 15, 1},  {11776, 256, 8 * 256, 104, 8, 1},
        {13824, 256, 4 * 256, 56, 4, 1},    {14848, 256, 2 * 256, 24, 2, 1},
    };
    static const struct row middle[] = {
        {0, 256, 4 * 256, 56, 4, 1},
        {1024, 256, 2 * 256, 24, 2, 1},
        {1536, 256, 15 * 256, 200, 15, 1},
    };

    expect_layout(&bc1_array, DS_IMAGE_LAYOUT_D3D12, 0, 0, rows, 8, 15128);
    expect_layout(&bc1_array, DS_IMAGE_LAYOUT_D3D12, 0, 2, middle, 3, 1536 + 14 * 256 + 200);
}

Test(image_layout, tight_of_a_bc1_array)
{
    static const struct row rows[] = {
        {0, 200, 3000, 200, 15, 1}, {3000, 104, 832, 104, 8, 1}, {3832, 56, 224, 56, 4, 1},
        {4056, 24, 48, 24, 2, 1},   {4104, 200, 3000, 200, 15, 1},
    };
    static const struct row apart[] = {
        {0, 200, 3000, 200, 15, 1}, {3008, 104, 832, 104, 8, 1}, {3840, 56, 224, 56, 4, 1},
        {4064, 24, 48, 24, 2, 1},   {4128, 200, 3000, 200, 15, 1},
    };

    expect_layout(&bc1_array, DS_IMAGE_LAYOUT_TIGHT, 0, 0, rows, 5, 7104);
    expect_layout(&bc1_array, DS_IMAGE_LAYOUT_TIGHT, 32, 0, apart, 5, 7128);
}

Test(image_layout, depth_slices_and_odd_blocks)
{
    static const struct ds_image_shape deep = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_3D, {5, 3, 3}, 2, 1};
    static const struct row deep_rows[] = {{0, 256, 768, 20, 3, 3}, {2560, 256, 256, 8, 1, 1}};
    static const struct ds_image_shape rgb = {
        VK_FORMAT_R32G32B32_SFLOAT, VK_IMAGE_TYPE_1D, {7, 1, 1}, 3, 1};
    static const struct row rgb_rows[] = {
        {0, 84, 84, 84, 1, 1}, {84, 36, 36, 36, 1, 1}, {120, 12, 12, 12, 1, 1}};

    expect_layout(&deep, DS_IMAGE_LAYOUT_D3D12, 0, 0, deep_rows, 2, 2568);
    expect_layout(&rgb, DS_IMAGE_LAYOUT_TIGHT, 0, 0, rgb_rows, 3, 132);
}

Test(image_layout, refusals)
{
    struct ds_image_shape s = {VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, {8, 8, 1}, 4, 1};
    uint64_t bytes;

    cr_assert_eq(ds_image_footprints(&s, 0, 4, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, &bytes), 0);
    cr_assert_eq(bytes, 64 + 16 + 4 + 1);
    cr_assert_eq(ds_image_footprints(&s, 0, 5, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), -EINVAL);
    cr_assert_eq(ds_image_footprints(&s, 4, 1, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), -EINVAL);
    cr_assert_eq(ds_image_footprints(&s, 0, 0, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), -EINVAL);
    cr_assert_eq(ds_image_footprints(&s, 0, 1, DS_IMAGE_LAYOUT_EXPLICIT, 0, NULL, NULL), -EINVAL);
    cr_assert_eq(ds_image_footprints(&s, 0, 1, DS_IMAGE_LAYOUT_D3D12, 8, NULL, NULL), -EINVAL);
    s.mips = 5;
    cr_assert_eq(ds_image_footprints(&s, 0, 1, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), -EINVAL);
    s.mips = 1;
    s.extent.depth = 2;
    cr_assert_eq(ds_image_footprints(&s, 0, 1, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), -EINVAL);
    s.extent.depth = 0;
    cr_assert_eq(ds_image_footprints(&s, 0, 1, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), -EINVAL);
    s = (struct ds_image_shape){VK_FORMAT_D24_UNORM_S8_UINT, VK_IMAGE_TYPE_2D, {8, 8, 1}, 1, 1};
    cr_assert_eq(ds_image_footprints(&s, 0, 1, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), -ENOTSUP);
}

Test(image_layout, what_overflows_is_refused)
{
    struct ds_image_shape s = {VK_FORMAT_R64G64B64A64_UINT, VK_IMAGE_TYPE_3D,
                               {UINT32_MAX, UINT32_MAX, UINT32_MAX}, 1, 1};

    for (uint32_t layout = 0; layout < 2; layout++)
        cr_assert_eq(ds_image_footprints(&s, 0, 1, layout, 0, NULL, NULL), -EOVERFLOW);
    s = (struct ds_image_shape){VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D,
                                {1u << 31, 1u << 31, 1}, 1, 4};
    cr_assert_eq(ds_image_footprints(&s, 0, 1, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), 0);
    cr_assert_eq(ds_image_footprints(&s, 0, 4, DS_IMAGE_LAYOUT_TIGHT, 0, NULL, NULL), -EOVERFLOW);
}

Test(image_layout, tiles)
{
    VkExtent3D e;

    cr_assert_eq(ds_image_tile_extent(VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, &e), 0);
    cr_assert(e.width == 256 && e.height == 256 && e.depth == 1);
    cr_assert_eq(ds_image_tile_extent(VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, &e), 0);
    cr_assert(e.width == 128 && e.height == 128 && e.depth == 1);
    cr_assert_eq(ds_image_tile_extent(VK_FORMAT_BC1_RGB_UNORM_BLOCK, VK_IMAGE_TYPE_2D, &e), 0);
    cr_assert(e.width == 512 && e.height == 256 && e.depth == 1);
    cr_assert_eq(ds_image_tile_extent(VK_FORMAT_BC7_UNORM_BLOCK, VK_IMAGE_TYPE_2D, &e), 0);
    cr_assert(e.width == 256 && e.height == 256 && e.depth == 1);
    cr_assert_eq(ds_image_tile_extent(VK_FORMAT_R16_SFLOAT, VK_IMAGE_TYPE_3D, &e), 0);
    cr_assert(e.width == 32 && e.height == 32 && e.depth == 32);
    cr_assert_eq(ds_image_tile_extent(VK_FORMAT_R8G8B8_UNORM, VK_IMAGE_TYPE_2D, &e), -ENOTSUP);
    cr_assert_eq(ds_image_tile_extent(VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_1D, &e), -ENOTSUP);
}
