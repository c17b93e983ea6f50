/* GDeflate tiles decoded by VK_NV_memory_decompression.
 *
 * The extension tells nothing of errors: what comes of a damaged tile is undefined, so this is for
 * data that is known to be good. The direct command (vkCmdDecompressMemoryNV) runs its regions one
 * after the other (measured: a twelfth of the rate), so only the indirect one is used. */
#ifndef ENGINE_VULKAN_GDEFLATE_NV_H
#define ENGINE_VULKAN_GDEFLATE_NV_H

#include "engine/vulkan/gdeflate_gpu.h"

/* A table in device memory: the number of regions, then from GDEFLATE_NV_REGIONS_AT on the regions.
 * Its buffer needs VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT. */
#define GDEFLATE_NV_REGIONS_AT 64
#define GDEFLATE_NV_TABLE_BYTES(tiles_n)                                                           \
    (GDEFLATE_NV_REGIONS_AT + (uint64_t)(tiles_n) * sizeof(VkDecompressMemoryRegionNV))

struct gdeflate_nv {
    const struct vulkan_device *device; /* NULL: not open */
    PFN_vkCmdDecompressMemoryIndirectCountNV CmdDecompressMemoryIndirectCount;
};

/* gdeflate_nv_lacks: what the device lacks for it, in words, or NULL. Static. */
const char *gdeflate_nv_lacks(const struct vulkan_device *device);

/* gdeflate_nv_open: 0, or -ENOTSUP: the device has not the extension, or not this method (logged).
 * There is nothing to close. */
int gdeflate_nv_open(struct gdeflate_nv *nv, const struct vulkan_device *device,
                     const struct host *host);

/* gdeflate_nv_table writes the table of tiles_n tiles (1..65535) to mapped memory. False: a source
 * or destination is not a multiple of 4, which the extension does not bear. */
bool gdeflate_nv_table(void *table, const struct gdeflate_gpu_tile *tiles, uint32_t tiles_n);

/* gdeflate_nv_record decodes what the table at an address (a multiple of 8) says. Barriers as for
 * gdeflate_gpu_record; the table is read at DRAW_INDIRECT with INDIRECT_COMMAND_READ. */
void gdeflate_nv_record(const struct gdeflate_nv *nv, VkCommandBuffer commands, uint64_t table);

#endif
