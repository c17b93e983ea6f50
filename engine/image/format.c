/* The formats, by VkFormat number. */
#include "engine/image/format.h"

#include <errno.h>

struct format_entry {
    uint8_t width, height, bytes; /* of a block; bytes 0: not supported */
    uint8_t aspect;
};

#define PLAIN(n) {1, 1, (n), VK_IMAGE_ASPECT_COLOR_BIT}
#define DEPTH(n) {1, 1, (n), VK_IMAGE_ASPECT_DEPTH_BIT}
#define BLOCK(w, h, n) {(w), (h), (n), VK_IMAGE_ASPECT_COLOR_BIT}
#define ASTC_SIZES(X)                                                                              \
    X(4, 4) X(5, 4) X(5, 5) X(6, 5) X(6, 6) X(8, 5) X(8, 6) X(8, 8) X(10, 5) X(10, 6) X(10, 8)     \
    X(10, 10) X(12, 10) X(12, 12)

static const struct format_entry core_formats[] = {
    [VK_FORMAT_R4G4_UNORM_PACK8] = PLAIN(1),
    [VK_FORMAT_R4G4B4A4_UNORM_PACK16 ... VK_FORMAT_A1R5G5B5_UNORM_PACK16] = PLAIN(2),
    [VK_FORMAT_R8_UNORM ... VK_FORMAT_R8_SRGB] = PLAIN(1),
    [VK_FORMAT_R8G8_UNORM ... VK_FORMAT_R8G8_SRGB] = PLAIN(2),
    [VK_FORMAT_R8G8B8_UNORM ... VK_FORMAT_B8G8R8_SRGB] = PLAIN(3),
    [VK_FORMAT_R8G8B8A8_UNORM ... VK_FORMAT_A2B10G10R10_SINT_PACK32] = PLAIN(4),
    [VK_FORMAT_R16_UNORM ... VK_FORMAT_R16_SFLOAT] = PLAIN(2),
    [VK_FORMAT_R16G16_UNORM ... VK_FORMAT_R16G16_SFLOAT] = PLAIN(4),
    [VK_FORMAT_R16G16B16_UNORM ... VK_FORMAT_R16G16B16_SFLOAT] = PLAIN(6),
    [VK_FORMAT_R16G16B16A16_UNORM ... VK_FORMAT_R16G16B16A16_SFLOAT] = PLAIN(8),
    [VK_FORMAT_R32_UINT ... VK_FORMAT_R32_SFLOAT] = PLAIN(4),
    [VK_FORMAT_R32G32_UINT ... VK_FORMAT_R32G32_SFLOAT] = PLAIN(8),
    [VK_FORMAT_R32G32B32_UINT ... VK_FORMAT_R32G32B32_SFLOAT] = PLAIN(12),
    [VK_FORMAT_R32G32B32A32_UINT ... VK_FORMAT_R32G32B32A32_SFLOAT] = PLAIN(16),
    [VK_FORMAT_R64_UINT ... VK_FORMAT_R64_SFLOAT] = PLAIN(8),
    [VK_FORMAT_R64G64_UINT ... VK_FORMAT_R64G64_SFLOAT] = PLAIN(16),
    [VK_FORMAT_R64G64B64_UINT ... VK_FORMAT_R64G64B64_SFLOAT] = PLAIN(24),
    [VK_FORMAT_R64G64B64A64_UINT ... VK_FORMAT_R64G64B64A64_SFLOAT] = PLAIN(32),
    [VK_FORMAT_B10G11R11_UFLOAT_PACK32 ... VK_FORMAT_E5B9G9R9_UFLOAT_PACK32] = PLAIN(4),
    [VK_FORMAT_D16_UNORM] = DEPTH(2),
    [VK_FORMAT_X8_D24_UNORM_PACK32 ... VK_FORMAT_D32_SFLOAT] = DEPTH(4),
    [VK_FORMAT_S8_UINT] = {1, 1, 1, VK_IMAGE_ASPECT_STENCIL_BIT},
    [VK_FORMAT_BC1_RGB_UNORM_BLOCK ... VK_FORMAT_BC1_RGBA_SRGB_BLOCK] = BLOCK(4, 4, 8),
    [VK_FORMAT_BC2_UNORM_BLOCK ... VK_FORMAT_BC3_SRGB_BLOCK] = BLOCK(4, 4, 16),
    [VK_FORMAT_BC4_UNORM_BLOCK ... VK_FORMAT_BC4_SNORM_BLOCK] = BLOCK(4, 4, 8),
    [VK_FORMAT_BC5_UNORM_BLOCK ... VK_FORMAT_BC7_SRGB_BLOCK] = BLOCK(4, 4, 16),
    [VK_FORMAT_ETC2_R8G8B8_UNORM_BLOCK ... VK_FORMAT_ETC2_R8G8B8A1_SRGB_BLOCK] = BLOCK(4, 4, 8),
    [VK_FORMAT_ETC2_R8G8B8A8_UNORM_BLOCK ... VK_FORMAT_ETC2_R8G8B8A8_SRGB_BLOCK] =
        BLOCK(4, 4, 16),
    [VK_FORMAT_EAC_R11_UNORM_BLOCK ... VK_FORMAT_EAC_R11_SNORM_BLOCK] = BLOCK(4, 4, 8),
    [VK_FORMAT_EAC_R11G11_UNORM_BLOCK ... VK_FORMAT_EAC_R11G11_SNORM_BLOCK] = BLOCK(4, 4, 16),
#define ASTC_LDR_(w, h)                                                                            \
    [VK_FORMAT_ASTC_##w##x##h##_UNORM_BLOCK ... VK_FORMAT_ASTC_##w##x##h##_SRGB_BLOCK] =           \
        BLOCK(w, h, 16),
    ASTC_SIZES(ASTC_LDR_)
#undef ASTC_LDR_
};

/* Sparse numbers, of later versions and extensions. */
static struct format_entry late_format(VkFormat format)
{
    switch ((uint32_t)format) {
    case VK_FORMAT_A4R4G4B4_UNORM_PACK16:
    case VK_FORMAT_A4B4G4R4_UNORM_PACK16:
    case 1000470000: /* VK_FORMAT_A1B5G5R5_UNORM_PACK16_KHR, which older headers lack */
        return (struct format_entry)PLAIN(2);
    case 1000470001: /* VK_FORMAT_A8_UNORM_KHR */
        return (struct format_entry)PLAIN(1);
#define ASTC_HDR_(w, h)                                                                            \
    case VK_FORMAT_ASTC_##w##x##h##_SFLOAT_BLOCK:                                                  \
        return (struct format_entry)BLOCK(w, h, 16);
        ASTC_SIZES(ASTC_HDR_)
#undef ASTC_HDR_
    default:
        return (struct format_entry){0, 0, 0, 0};
    }
}

int ds_image_format_get(VkFormat format, struct ds_image_format *description)
{
    struct format_entry entry = (uint32_t)format < ARRAY_LENGTH(core_formats)
                                    ? core_formats[format]
                                    : late_format(format);

    if (entry.bytes == 0)
        return -ENOTSUP;
    *description = (struct ds_image_format){
        .block_width = entry.width,
        .block_height = entry.height,
        .block_bytes = entry.bytes,
        .aspect = entry.aspect,
    };
    return 0;
}

uint32_t format_copy_align(const struct ds_image_format *format, bool transfer_only)
{
    uint32_t bytes = format->block_bytes;

    if (format->aspect == VK_IMAGE_ASPECT_COLOR_BIT && !transfer_only)
        return bytes;
    return bytes % 4 == 0 ? bytes : bytes % 2 == 0 ? bytes * 2 : bytes * 4;
}

/* The standard shapes of 64 KiB, in blocks, by the logarithm of the block's bytes (Vulkan 1.3,
 * 33.4.3 "Standard Sparse Image Block Shapes"; Direct3D 12's are the same). */
int ds_image_tile_extent(VkFormat format, VkImageType type, VkExtent3D *extent)
{
    static const uint8_t flat[5][2] = {{8, 8}, {8, 7}, {7, 7}, {7, 6}, {6, 6}};
    static const uint8_t deep[5][3] = {{6, 5, 5}, {5, 5, 5}, {5, 5, 4}, {5, 4, 4}, {4, 4, 4}};
    struct ds_image_format f;
    int rc = ds_image_format_get(format, &f);
    uint32_t size;

    if (rc != 0)
        return rc;
    if (!is_power_of_two(f.block_bytes) || f.block_bytes > 16 ||
        (type != VK_IMAGE_TYPE_2D && type != VK_IMAGE_TYPE_3D))
        return -ENOTSUP;
    size = (uint32_t)__builtin_ctz(f.block_bytes);
    if (type == VK_IMAGE_TYPE_2D)
        *extent = (VkExtent3D){f.block_width << flat[size][0], f.block_height << flat[size][1], 1};
    else
        *extent = (VkExtent3D){f.block_width << deep[size][0], f.block_height << deep[size][1],
                               1u << deep[size][2]};
    return 0;
}
