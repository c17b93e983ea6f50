/* What a device must have to decode GDeflate, and how a device of our own is made to have it. */
#ifndef ENGINE_VULKAN_GDEFLATE_SUPPORT_H
#define ENGINE_VULKAN_GDEFLATE_SUPPORT_H

#include "engine/vulkan/dispatch.h"

#include <ds/vulkan.h>

#define GDEFLATE_GPU_LANES          32
#define GDEFLATE_GPU_SUBGROUP_TILES 4 /* of a workgroup, with subgroups; TILES in the shader */
#define GDEFLATE_GPU_COPIERS        3 /* beside the one that decodes; COPIERS in the shader */

/* Of features that were enabled when the device was made. */
struct gdeflate_support {
    bool shader;      /* bufferDeviceAddress, storageBuffer8BitAccess and shaderInt64 */
    bool subgroup_32; /* subgroups of 32 lanes can be had, with the operations that we use */
    bool set_size;    /* they must be asked for: subgroupSizeControl is enabled */
    bool memory_model; /* vulkanMemoryModel, with device scope */
    bool nv;          /* VK_NV_memory_decompression with the GDeflate method */
};

/* Feature structures in a chain for VkDeviceCreateInfo. */
struct gdeflate_features {
    VkPhysicalDeviceFeatures core;
    VkPhysicalDevice8BitStorageFeatures bytes;
    VkPhysicalDeviceSubgroupSizeControlFeatures size;
    VkPhysicalDeviceVulkanMemoryModelFeatures model;
    VkPhysicalDeviceMemoryDecompressionFeaturesNV nv;
};

#define GDEFLATE_EXTENSIONS_MAX 2

/* gdeflate_support_read asks what the physical device has. With has_extension_* as its list of
 * extensions says. bufferDeviceAddress is for the caller to know. */
struct gdeflate_support gdeflate_support_read(const struct vulkan_dispatch *vk,
                                              VkPhysicalDevice physical, bool has_size_control,
                                              bool has_nv);

/* gdeflate_support_told is the same for a lent device: what the host says to have enabled. */
struct gdeflate_support gdeflate_support_told(const struct vulkan_dispatch *vk,
                                              VkPhysicalDevice physical,
                                              const struct ds_vulkan_backend_config *config);

/* gdeflate_support_enable adds to *info what `support` names: the features, whose memory is
 * *features, and extensions behind the first extensions_n of `extensions`, which has room for
 * GDEFLATE_EXTENSIONS_MAX more. A feature structure that is there already is left alone. */
void gdeflate_support_enable(const struct gdeflate_support *support,
                             struct gdeflate_features *features, VkDeviceCreateInfo *info,
                             const char **extensions);

#endif
