#include "engine/vulkan/gdeflate_nv.h"

#include <errno.h>

const char *gdeflate_nv_lacks(const struct vulkan_device *device)
{
    return device->gdeflate.nv && device->has_buffer_address
               ? NULL
               : "no VK_NV_memory_decompression with GDeflate on this device";
}

int gdeflate_nv_open(struct gdeflate_nv *nv, const struct vulkan_device *device,
                     const struct host *host)
{
    *nv = (struct gdeflate_nv){.device = NULL};
    if (gdeflate_nv_lacks(device) != NULL) {
        host_log(host, DS_LOG_INFO, "%s", gdeflate_nv_lacks(device));
        return -ENOTSUP;
    }
    nv->CmdDecompressMemoryIndirectCount =
        (PFN_vkCmdDecompressMemoryIndirectCountNV)device->vk.GetDeviceProcAddr(
            device->device, "vkCmdDecompressMemoryIndirectCountNV");
    if (nv->CmdDecompressMemoryIndirectCount == NULL) {
        host_log(host, DS_LOG_WARNING,
                 "the driver has no vkCmdDecompressMemoryIndirectCountNV");
        return -ENOTSUP;
    }
    nv->device = device;
    return 0;
}

bool gdeflate_nv_table(void *table, const struct gdeflate_gpu_tile *tiles, uint32_t tiles_n)
{
    VkDecompressMemoryRegionNV *regions =
        (VkDecompressMemoryRegionNV *)((uint8_t *)table + GDEFLATE_NV_REGIONS_AT);

    DS_ASSERT(tiles_n >= 1 && tiles_n <= GDEFLATE_TILES_MAX);
    for (uint32_t i = 0; i < tiles_n; i++) {
        if (((tiles[i].source | tiles[i].destination) & 3) != 0)
            return false;
        regions[i] = (VkDecompressMemoryRegionNV){
            .srcAddress = tiles[i].source,
            .dstAddress = tiles[i].destination,
            .compressedSize = tiles[i].source_bytes,
            .decompressedSize = tiles[i].destination_bytes,
            .decompressionMethod = VK_MEMORY_DECOMPRESSION_METHOD_GDEFLATE_1_0_BIT_NV,
        };
    }
    memcpy(table, &tiles_n, sizeof(tiles_n));
    return true;
}

void gdeflate_nv_record(const struct gdeflate_nv *nv, VkCommandBuffer commands, uint64_t table)
{
    DS_ASSERT(table % 8 == 0);
    nv->CmdDecompressMemoryIndirectCount(commands, table + GDEFLATE_NV_REGIONS_AT, table,
                                         sizeof(VkDecompressMemoryRegionNV));
}
