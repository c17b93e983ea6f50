#include "gpu/fake_nv.h"

#include "engine/vulkan/buffer.h"
#include "engine/vulkan/gdeflate_nv.h"

#include <criterion/criterion.h>

struct fake_nv fake_nv;

static PFN_vkGetDeviceProcAddr real_get;
static PFN_vkQueueSubmit real_submit;
static VkDeviceAddress counts[16], regions[16]; /* recorded, not yet submitted */
static uint32_t recorded;

static void region_decode(const VkDecompressMemoryRegionNV *region)
{
    uint8_t *dst = (uint8_t *)(uintptr_t)region->dstAddress;

    cr_assert_eq((region->srcAddress | region->dstAddress) % 4, 0);
    cr_assert(region->decompressedSize >= 1 && region->decompressedSize <= 65536);
    cr_assert_neq(region->compressedSize, 0);
    cr_assert_eq(region->decompressionMethod, VK_MEMORY_DECOMPRESSION_METHOD_GDEFLATE_1_0_BIT_NV);
    if (gdeflate_tile_decode(gdeflate_rounds_for(DS_CODEC_PATH_AUTO, NULL),
                             (const uint8_t *)(uintptr_t)region->srcAddress, region->compressedSize,
                             dst, region->decompressedSize) != DS_CODEC_ERROR_NONE)
        fake_nv.damaged++;
    if (++fake_nv.regions == fake_nv.spoil)
        dst[region->decompressedSize / 2] ^= 1;
}

static void VKAPI_CALL fake_record(VkCommandBuffer commands, VkDeviceAddress addresses,
                                   VkDeviceAddress count, uint32_t stride)
{
    (void)commands;
    cr_assert_eq(stride, sizeof(VkDecompressMemoryRegionNV));
    cr_assert_lt(recorded, 16);
    regions[recorded] = addresses;
    counts[recorded++] = count;
}

static VkResult VKAPI_CALL fake_submit(VkQueue queue, uint32_t n, const VkSubmitInfo *infos,
                                       VkFence fence)
{
    for (uint32_t i = 0; i < recorded; i++) {
        const VkDecompressMemoryRegionNV *region = (const void *)(uintptr_t)regions[i];
        uint32_t regions_n = *(const uint32_t *)(uintptr_t)counts[i];

        for (uint32_t k = 0; k < regions_n; k++)
            region_decode(&region[k]);
    }
    recorded = 0;
    return real_submit(queue, n, infos, fence);
}

static PFN_vkVoidFunction VKAPI_CALL fake_get(VkDevice device, const char *name)
{
    return strcmp(name, "vkCmdDecompressMemoryIndirectCountNV") == 0
               ? (PFN_vkVoidFunction)fake_record
               : real_get(device, name);
}

bool fake_nv_install(struct ds_vulkan_backend *backend)
{
    struct vulkan_device *device = &backend->device;
    struct vulkan_buffer buffer;
    bool same;

    if (!device->unified_memory ||
        vulkan_buffer_open(&buffer, device, &backend->host, VULKAN_BUFFER_UPLOAD, 4096) != 0)
        return false;
    same = buffer.address == (VkDeviceAddress)(uintptr_t)buffer.mapped;
    vulkan_buffer_close(&buffer, device);
    if (!same)
        return false;
    fake_nv = (struct fake_nv){0};
    recorded = 0;
    real_get = device->vk.GetDeviceProcAddr;
    real_submit = device->vk.QueueSubmit;
    device->vk.GetDeviceProcAddr = fake_get;
    device->vk.QueueSubmit = fake_submit;
    device->gdeflate.nv = true;
    return true;
}
