/* Staging memory: VK_EXT_external_memory_host import, or a mapped allocation. */
#include "engine/vulkan/memory.h"

#include "engine/vulkan/buffer.h"

#include <errno.h>

#define IMPORT_HANDLE VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT

static int make_buffer(struct vulkan_staging *gpu, const struct vulkan_device *device,
                       const struct host *host, const void *next)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .pNext = next,
        .size = gpu->bytes,
        .usage = vulkan_buffer_usage(device),
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
    };
    VkResult result = device->vk.CreateBuffer(device->device, &info, NULL, &gpu->buffer);

    if (result == VK_SUCCESS)
        return 0;
    gpu->buffer = VK_NULL_HANDLE;
    return vulkan_fail(host, "vkCreateBuffer (staging)", result);
}

/* How well a memory type serves as staging; 0 = not at all. Cached: the CPU reads what the GPU
 * downloads. Not device-local: on a discrete GPU that is VRAM behind the bus, into which the disk
 * cannot write. */
static uint32_t rank_type(const struct vulkan_device *device, uint32_t type, uint64_t bytes)
{
    const VkMemoryType *memory_type = &device->memory.memoryTypes[type];
    VkMemoryPropertyFlags flags = memory_type->propertyFlags;
    VkMemoryPropertyFlags refused = VK_MEMORY_PROPERTY_PROTECTED_BIT |
                                    VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD;
    uint32_t rank = 1;

    if ((flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) == 0 ||
        (flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) == 0 || (flags & refused) != 0)
        return 0;
    if (device->memory.memoryHeaps[memory_type->heapIndex].size < bytes)
        return 0;
    if ((flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0)
        rank += 1;
    if ((flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) == 0 || device->unified_memory)
        rank += 2;
    return rank;
}

/* best_type takes the best type out of *types; UINT32_MAX when none is left that serves. */
static uint32_t best_type(const struct vulkan_device *device, uint32_t *types, uint64_t bytes)
{
    uint32_t best = UINT32_MAX;
    uint32_t best_rank = 0;

    for (uint32_t i = 0; i < device->memory.memoryTypeCount; i++) {
        uint32_t rank = (*types & (1u << i)) != 0 ? rank_type(device, i, bytes) : 0;

        if (rank > best_rank) {
            best_rank = rank;
            best = i;
        }
    }
    if (best != UINT32_MAX)
        *types &= ~(1u << best);
    return best;
}

/* allocate_memory tries the types, best first. `import` is chained, or NULL. */
static VkResult allocate_memory(struct vulkan_staging *gpu, const struct vulkan_device *device,
                                uint32_t types, uint64_t bytes, const void *import)
{
    VkMemoryAllocateFlagsInfo address = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
        .pNext = import,
        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
    };
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = device->has_buffer_address ? &address : import,
        .allocationSize = bytes,
    };
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY; /* no type serves */

    for (;;) {
        info.memoryTypeIndex = best_type(device, &types, bytes);
        if (info.memoryTypeIndex == UINT32_MAX)
            break;
        result = device->vk.AllocateMemory(device->device, &info, NULL, &gpu->memory);
        if (result != VK_SUCCESS)
            continue;
        gpu->cached = (device->memory.memoryTypes[info.memoryTypeIndex].propertyFlags &
                       VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
        return result;
    }
    gpu->memory = VK_NULL_HANDLE;
    return result;
}

static void free_gpu(struct vulkan_staging *gpu, const struct vulkan_device *device)
{
    if (gpu->buffer != VK_NULL_HANDLE)
        device->vk.DestroyBuffer(device->device, gpu->buffer, NULL);
    if (gpu->memory != VK_NULL_HANDLE)
        device->vk.FreeMemory(device->device, gpu->memory, NULL); /* unmaps */
    *gpu = (struct vulkan_staging){0};
}

/* Does the driver say that such a buffer can lie on imported pages? */
static bool buffer_importable(const struct vulkan_device *device)
{
    VkPhysicalDeviceExternalBufferInfo info = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
        .usage = vulkan_buffer_usage(device),
        .handleType = IMPORT_HANDLE,
    };
    VkExternalBufferProperties properties = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES,
    };
    VkExternalMemoryFeatureFlags features;

    if (device->vk.GetPhysicalDeviceExternalBufferProperties == NULL)
        return true; /* not asked; the import itself will tell */
    device->vk.GetPhysicalDeviceExternalBufferProperties(device->physical, &info, &properties);
    features = properties.externalMemoryProperties.externalMemoryFeatures;
    return (features & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT) != 0 &&
           (features & VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT) == 0;
}

/* import_pages binds gpu->buffer to the pages of *staging. */
static int import_pages(struct vulkan_staging *gpu, const struct vulkan_device *device,
                        const struct host *host, const struct staging *staging)
{
    VkMemoryHostPointerPropertiesEXT pointer = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT,
    };
    VkImportMemoryHostPointerInfoEXT import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
        .handleType = IMPORT_HANDLE,
        .pHostPointer = staging->memory,
    };
    VkExternalMemoryBufferCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = IMPORT_HANDLE,
    };
    VkMemoryRequirements needs;
    VkResult result;
    int error;

    /* the validation layers do not check these two */
    DS_ASSERT((uintptr_t)staging->memory % device->import_align_bytes == 0);
    DS_ASSERT(staging->bytes % device->import_align_bytes == 0);
    gpu->bytes = staging->bytes;
    gpu->base = staging->memory;
    result = device->vk.GetMemoryHostPointerPropertiesEXT(device->device, IMPORT_HANDLE,
                                                          staging->memory, &pointer);
    if (result != VK_SUCCESS)
        return vulkan_warn(host, "vkGetMemoryHostPointerPropertiesEXT", result);
    error = make_buffer(gpu, device, host, &external);
    if (error != 0)
        return error;
    device->vk.GetBufferMemoryRequirements(device->device, gpu->buffer, &needs);
    if (needs.size > staging->bytes) {
        host_log(host, DS_LOG_WARNING, "host import: the driver wants %llu bytes for %llu",
                 (unsigned long long)needs.size, (unsigned long long)staging->bytes);
        return -ENOTSUP;
    }
    result = allocate_memory(gpu, device, needs.memoryTypeBits & pointer.memoryTypeBits,
                             staging->bytes, &import);
    if (result != VK_SUCCESS)
        return vulkan_warn(host, "vkAllocateMemory (host import)", result);
    result = device->vk.BindBufferMemory(device->device, gpu->buffer, gpu->memory, 0);
    return result == VK_SUCCESS ? 0 : vulkan_warn(host, "vkBindBufferMemory", result);
}

static int open_import(struct vulkan_staging *gpu, const struct vulkan_device *device,
                       const struct host *host, uint64_t bytes, struct staging *staging)
{
    int error;

    if (!device->can_import_host || device->import_align_bytes > STAGING_ALIGN ||
        !buffer_importable(device)) {
        host_log(host, DS_LOG_INFO, "%s cannot import host memory for buffers "
                 "(VK_EXT_external_memory_host)", device->properties.deviceName);
        return -ENOTSUP;
    }
    bytes = align_up_u64(bytes, device->import_align_bytes);
    error = staging_map(staging, bytes);
    if (error != 0) {
        host_log(host, DS_LOG_ERROR, "mapping %llu bytes of staging memory failed (%d); lower "
                 "arena_bytes or raise RLIMIT_AS", (unsigned long long)bytes, error);
        return error;
    }
    error = import_pages(gpu, device, host, staging);
    if (error != 0) {
        free_gpu(gpu, device);
        staging_unmap(staging);
        return error;
    }
    gpu->imported = true;
    staging->kind = "imported";
    return 0;
}

/* A page more than asked for, so that the arena can start on one. */
static int map_allocation(struct vulkan_staging *gpu, const struct vulkan_device *device,
                          const struct host *host)
{
    VkMemoryRequirements needs;
    VkResult result;
    void *mapped = NULL;
    int error = make_buffer(gpu, device, host, NULL);

    if (error != 0)
        return error;
    device->vk.GetBufferMemoryRequirements(device->device, gpu->buffer, &needs);
    result = allocate_memory(gpu, device, needs.memoryTypeBits, needs.size, NULL);
    if (result != VK_SUCCESS) {
        host_log(host, DS_LOG_ERROR, "no %llu bytes of host-visible, coherent memory; lower "
                 "arena_bytes", (unsigned long long)needs.size);
        return vulkan_fail(host, "vkAllocateMemory (staging)", result);
    }
    result = device->vk.BindBufferMemory(device->device, gpu->buffer, gpu->memory, 0);
    if (result != VK_SUCCESS)
        return vulkan_fail(host, "vkBindBufferMemory", result);
    result = device->vk.MapMemory(device->device, gpu->memory, 0, VK_WHOLE_SIZE, 0, &mapped);
    if (result != VK_SUCCESS)
        return vulkan_fail(host, "vkMapMemory", result);
    gpu->base = mapped;
    return 0;
}

static int open_allocate(struct vulkan_staging *gpu, const struct vulkan_device *device,
                         const struct host *host, uint64_t bytes, struct staging *staging)
{
    uint64_t skip;
    int error;

    gpu->bytes = bytes + STAGING_PAGE_BYTES;
    error = map_allocation(gpu, device, host);
    if (error != 0) {
        free_gpu(gpu, device);
        return error;
    }
    skip = align_up_u64((uintptr_t)gpu->base, STAGING_PAGE_BYTES) - (uintptr_t)gpu->base;
    *staging = (struct staging){
        .memory = (uint8_t *)(uintptr_t)(gpu->base + skip),
        .bytes = bytes,
        .kind = "vulkan",
        .write_combined = !gpu->cached,
    };
    return 0;
}

int vulkan_staging_open(struct vulkan_staging *gpu, const struct vulkan_device *device,
                        const struct host *host, enum ds_vulkan_staging how, uint64_t bytes,
                        struct staging *staging)
{
    int error = -ENOTSUP;

    DS_ASSERT(bytes != 0 && bytes <= UINT64_MAX - 2 * STAGING_ALIGN);
    *gpu = (struct vulkan_staging){0};
    if (how != DS_VULKAN_STAGING_ALLOCATE) {
        error = open_import(gpu, device, host, bytes, staging);
        if (error != 0 && how == DS_VULKAN_STAGING_AUTO)
            host_log(host, DS_LOG_INFO, "staging: no host import (%d); the driver's memory instead",
                     error);
    }
    if (how == DS_VULKAN_STAGING_ALLOCATE || (error != 0 && how == DS_VULKAN_STAGING_AUTO))
        error = open_allocate(gpu, device, host, bytes, staging);
    if (error != 0)
        return error;
    staging->gpu_buffer = ds_vulkan_buffer(gpu->buffer);
    gpu->address = vulkan_buffer_address(device, gpu->buffer);
    DS_ASSERT(gpu->address % 16 == 0);
    return 0;
}

void vulkan_staging_close(struct vulkan_staging *gpu, const struct vulkan_device *device,
                          struct staging *staging)
{
    bool imported = gpu->imported;

    free_gpu(gpu, device); /* before the pages go */
    if (imported)
        staging_unmap(staging);
    *staging = (struct staging){0};
}
