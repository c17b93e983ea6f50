#include "engine/vulkan/gdeflate_support.h"

_Static_assert(1 + GDEFLATE_GPU_COPIERS <= GDEFLATE_GPU_SUBGROUP_TILES,
               "subgroups of a workgroup, as subgroup_features asks for");

/* bufferDeviceAddress aside. */
static bool shader_features(const struct vulkan_dispatch *vk, VkPhysicalDevice physical,
                            bool *memory_model)
{
    VkPhysicalDeviceVulkanMemoryModelFeatures model = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
    };
    VkPhysicalDevice8BitStorageFeatures bytes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
        .pNext = &model,
    };
    VkPhysicalDeviceFeatures2 features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = &bytes,
    };

    vk->GetPhysicalDeviceFeatures2(physical, &features);
    *memory_model = model.vulkanMemoryModel && model.vulkanMemoryModelDeviceScope;
    return bytes.storageBuffer8BitAccess && features.features.shaderInt64;
}

static bool subgroup_features(const struct vulkan_dispatch *vk, VkPhysicalDevice physical,
                              bool has_size_control, bool *set_size)
{
    const VkSubgroupFeatureFlags needed =
        VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT |
        VK_SUBGROUP_FEATURE_SHUFFLE_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    VkPhysicalDeviceSubgroupSizeControlFeatures control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
    };
    VkPhysicalDeviceFeatures2 features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = has_size_control ? &control : NULL,
    };
    VkPhysicalDeviceSubgroupSizeControlProperties sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES,
    };
    VkPhysicalDeviceSubgroupProperties subgroups = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
        .pNext = has_size_control ? &sizes : NULL,
    };
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
        .pNext = &subgroups,
    };

    vk->GetPhysicalDeviceFeatures2(physical, &features);
    vk->GetPhysicalDeviceProperties2(physical, &properties);
    *set_size = control.subgroupSizeControl && control.computeFullSubgroups &&
                (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0 &&
                sizes.minSubgroupSize <= GDEFLATE_GPU_LANES &&
                sizes.maxSubgroupSize >= GDEFLATE_GPU_LANES &&
                sizes.maxComputeWorkgroupSubgroups >= GDEFLATE_GPU_SUBGROUP_TILES;
    /* Without the promise of full subgroups a size of 32 is only what the device prefers. */
    return *set_size && (subgroups.supportedOperations & needed) == needed &&
           (subgroups.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
}

static bool nv_features(const struct vulkan_dispatch *vk, VkPhysicalDevice physical)
{
    VkPhysicalDeviceMemoryDecompressionFeaturesNV nv = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_DECOMPRESSION_FEATURES_NV,
    };
    VkPhysicalDeviceFeatures2 features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = &nv,
    };
    VkPhysicalDeviceMemoryDecompressionPropertiesNV methods = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_DECOMPRESSION_PROPERTIES_NV,
    };
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
        .pNext = &methods,
    };

    vk->GetPhysicalDeviceFeatures2(physical, &features);
    vk->GetPhysicalDeviceProperties2(physical, &properties);
    return nv.memoryDecompression &&
           (methods.decompressionMethods & VK_MEMORY_DECOMPRESSION_METHOD_GDEFLATE_1_0_BIT_NV) != 0;
}

struct gdeflate_support gdeflate_support_read(const struct vulkan_dispatch *vk,
                                              VkPhysicalDevice physical, bool has_size_control,
                                              bool has_nv)
{
    struct gdeflate_support support = {0};

    support.shader = shader_features(vk, physical, &support.memory_model);
    support.subgroup_32 = subgroup_features(vk, physical, has_size_control, &support.set_size);
    support.nv = has_nv && nv_features(vk, physical);
    return support;
}

struct gdeflate_support gdeflate_support_told(const struct vulkan_dispatch *vk,
                                              VkPhysicalDevice physical,
                                              const struct ds_vulkan_backend_config *config)
{
    struct gdeflate_support support = {
        .shader = config->has_8bit_storage && config->has_shader_int64,
    };

    if (config->has_subgroup_size_control)
        support.subgroup_32 = subgroup_features(vk, physical, true, &support.set_size);
    support.nv = config->has_memory_decompression && nv_features(vk, physical);
    return support;
}

static bool chain_has(const void *chain, VkStructureType type)
{
    for (const VkBaseInStructure *link = chain; link != NULL; link = link->pNext) {
        if (link->sType == type)
            return true;
    }
    return false;
}

void gdeflate_support_enable(const struct gdeflate_support *support,
                             struct gdeflate_features *features, VkDeviceCreateInfo *info,
                             const char **extensions)
{
    *features = (struct gdeflate_features){
        .core = {.shaderInt64 = VK_TRUE},
        .bytes = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
                  .storageBuffer8BitAccess = VK_TRUE},
        .size = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
                 .subgroupSizeControl = VK_TRUE,
                 .computeFullSubgroups = VK_TRUE},
        .model = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
                  .vulkanMemoryModel = VK_TRUE,
                  .vulkanMemoryModelDeviceScope = VK_TRUE},
        .nv = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_DECOMPRESSION_FEATURES_NV,
               .memoryDecompression = VK_TRUE},
    };
    if (support->shader) {
        info->pEnabledFeatures = &features->core;
        if (!chain_has(info->pNext, features->bytes.sType)) {
            features->bytes.pNext = (void *)info->pNext;
            info->pNext = &features->bytes;
        }
    }
    if (support->shader && support->memory_model) {
        features->model.pNext = (void *)info->pNext;
        info->pNext = &features->model;
    }
    if (support->shader && support->set_size) {
        features->size.pNext = (void *)info->pNext;
        info->pNext = &features->size;
        extensions[info->enabledExtensionCount++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    }
    if (support->nv) {
        features->nv.pNext = (void *)info->pNext;
        info->pNext = &features->nv;
        extensions[info->enabledExtensionCount++] = VK_NV_MEMORY_DECOMPRESSION_EXTENSION_NAME;
    }
}
