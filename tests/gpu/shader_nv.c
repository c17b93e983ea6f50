#include "gpu/shader_nv.h"

#include "engine/vulkan/gdeflate_gpu.h"

#include <criterion/criterion.h>
#include <string.h>

#define TILES_MAX 8192u

struct shader_nv shader_nv;

static struct {
    struct gdeflate_gpu gpu;
    struct vk_util_buffer tiles, statuses;
    PFN_vkGetDeviceProcAddr get;
} nv;

static void VKAPI_CALL nv_record(VkCommandBuffer commands, VkDeviceAddress regions,
                                 VkDeviceAddress count, uint32_t stride)
{
    const VkDecompressMemoryRegionNV *region = (const void *)(uintptr_t)regions;
    struct gdeflate_gpu_tile *tiles =
        (struct gdeflate_gpu_tile *)nv.tiles.mapped + shader_nv.tiles_n;
    uint32_t n = *(const uint32_t *)(uintptr_t)count;

    cr_assert(n >= 1 && shader_nv.tiles_n + n <= TILES_MAX);
    cr_assert_eq(stride, sizeof(*region));
    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq((region[i].srcAddress | region[i].dstAddress) % 4, 0);
        cr_assert(region[i].decompressedSize >= 1 && region[i].decompressedSize <= 65536);
        cr_assert_eq(region[i].decompressionMethod,
                     VK_MEMORY_DECOMPRESSION_METHOD_GDEFLATE_1_0_BIT_NV);
        tiles[i] = (struct gdeflate_gpu_tile){
            .source = region[i].srcAddress,
            .destination = region[i].dstAddress,
            .source_bytes = (uint32_t)region[i].compressedSize,
            .destination_bytes = (uint32_t)region[i].decompressedSize,
            .status = shader_nv.tiles_n + i,
        };
    }
    gdeflate_gpu_record(&nv.gpu, commands, nv.tiles.address + shader_nv.tiles_n * sizeof(*tiles),
                        nv.statuses.address, n);
    shader_nv.tiles_n += n;
}

static PFN_vkVoidFunction VKAPI_CALL nv_get(VkDevice device, const char *name)
{
    return strcmp(name, "vkCmdDecompressMemoryIndirectCountNV") == 0 ? (PFN_vkVoidFunction)nv_record
                                                                     : nv.get(device, name);
}

bool shader_nv_install(struct vk_util *vk, struct ds_vulkan_backend *backend)
{
    const VkBufferUsageFlags usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    struct vulkan_device *device = &backend->device;

    if (vk->properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU)
        return false;
    vk_util_buffer(vk, TILES_MAX * sizeof(struct gdeflate_gpu_tile), usage, true, &nv.tiles);
    vk_util_buffer(vk, TILES_MAX * sizeof(uint32_t), usage, true, &nv.statuses);
    cr_assert_eq(gdeflate_gpu_open(&nv.gpu, device, &backend->host, GDEFLATE_GPU_AUTO), 0);
    shader_nv = (struct shader_nv){.statuses = (const uint32_t *)nv.statuses.mapped};
    nv.get = device->vk.GetDeviceProcAddr;
    device->vk.GetDeviceProcAddr = nv_get;
    device->gdeflate.nv = true;
    return true;
}

void shader_nv_remove(struct vk_util *vk, struct ds_vulkan_backend *backend)
{
    gdeflate_gpu_close(&nv.gpu);
    vk_util_buffer_free(vk, &nv.tiles);
    vk_util_buffer_free(vk, &nv.statuses);
    backend->device.vk.GetDeviceProcAddr = nv.get;
    backend->device.gdeflate.nv = false;
}
