#include "gpu.h"

#include "base.h"

#include <errno.h>
#include <string.h>

#define FENCE_TIMEOUT_NS ((uint64_t)30 * NS_PER_S)

static int vk_complain(const char *call, VkResult result)
{
    complain("%s: VkResult %d", call, (int)result);
    return -EIO;
}

static bool functions_load(struct gpu *gpu)
{
    PFN_vkGetInstanceProcAddr get = gpu->info.get_instance_proc_addr;
    PFN_vkGetDeviceProcAddr get_device =
        (PFN_vkGetDeviceProcAddr)get(gpu->info.instance, "vkGetDeviceProcAddr");
    PFN_vkGetPhysicalDeviceMemoryProperties get_memory =
        (PFN_vkGetPhysicalDeviceMemoryProperties)get(gpu->info.instance,
                                                     "vkGetPhysicalDeviceMemoryProperties");

    if (get_device == NULL || get_memory == NULL)
        return false;
    get_memory(gpu->info.physical_device, &gpu->memory);
#define GPU_LOAD_(name)                                                                            \
    gpu->name = (PFN_vk##name)get_device(gpu->info.device, "vk" #name);                            \
    if (gpu->name == NULL)                                                                         \
        return false;
    GPU_FUNCTIONS(GPU_LOAD_)
#undef GPU_LOAD_
    return true;
}

static int commands_open(struct gpu *gpu)
{
    VkDevice device = gpu->info.device;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = gpu->info.app_queue_family};
    VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult result = gpu->CreateCommandPool(device, &pool, NULL, &gpu->pool);

    if (result != VK_SUCCESS)
        return vk_complain("vkCreateCommandPool", result);
    commands.commandPool = gpu->pool;
    result = gpu->AllocateCommandBuffers(device, &commands, &gpu->commands);
    if (result != VK_SUCCESS)
        return vk_complain("vkAllocateCommandBuffers", result);
    result = gpu->CreateFence(device, &fence, NULL, &gpu->fence);
    return result == VK_SUCCESS ? 0 : vk_complain("vkCreateFence", result);
}

int gpu_open(struct gpu *gpu, const struct ds_vulkan_backend_config *config)
{
    int error;

    *gpu = (struct gpu){.info = {.struct_size = sizeof(gpu->info)}};
    error = ds_vulkan_backend_create(config, &gpu->backend);
    if (error != 0)
        return error;
    error = ds_vulkan_backend_get_info(gpu->backend, &gpu->info);
    if (error == 0 && !functions_load(gpu)) {
        complain("the Vulkan driver lacks a function of Vulkan 1.0");
        error = -EIO;
    }
    if (error == 0)
        error = commands_open(gpu);
    if (error != 0)
        gpu_close(gpu);
    return error;
}

void gpu_close(struct gpu *gpu)
{
    if (gpu->fence != VK_NULL_HANDLE)
        gpu->DestroyFence(gpu->info.device, gpu->fence, NULL);
    if (gpu->pool != VK_NULL_HANDLE)
        gpu->DestroyCommandPool(gpu->info.device, gpu->pool, NULL);
    ds_vulkan_backend_destroy(&gpu->backend);
    *gpu = (struct gpu){0};
}

/* The first type with all of `wanted` and none of `unwanted`, or -1. */
static int type_find(const struct gpu *gpu, uint32_t allowed, VkMemoryPropertyFlags wanted,
                     VkMemoryPropertyFlags unwanted)
{
    for (uint32_t i = 0; i < gpu->memory.memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = gpu->memory.memoryTypes[i].propertyFlags;

        if ((allowed >> i & 1) != 0 && (flags & wanted) == wanted && (flags & unwanted) == 0)
            return (int)i;
    }
    return -1;
}

static int type_choose(const struct gpu *gpu, uint32_t allowed, enum gpu_memory kind)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const VkMemoryPropertyFlags cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const VkMemoryPropertyFlags visible =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    int type = -1;

    switch (kind) {
    case GPU_LOCAL:
        if (gpu->info.unified_memory)
            type = type_find(gpu, allowed, local | visible | cached, 0);
        if (type < 0)
            type = type_find(gpu, allowed, local, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
        return type >= 0 ? type : type_find(gpu, allowed, local, 0);
    case GPU_MAPPED:
        type = type_find(gpu, allowed, local | visible | cached, 0);
        if (type < 0)
            type = type_find(gpu, allowed, local | visible, 0);
        break;
    case GPU_UPLOAD:
        type = type_find(gpu, allowed, visible, local);
        break;
    case GPU_READBACK:
        type = type_find(gpu, allowed, visible | cached, 0);
        break;
    }
    return type >= 0 ? type : type_find(gpu, allowed, visible, 0);
}

/* VRAM behind a bus is not mapped unless asked for: the CPU reads it at a few MB/s. */
static bool is_mapped(const struct gpu *gpu, uint32_t type, enum gpu_memory kind)
{
    VkMemoryPropertyFlags mappable = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                     VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
                                     VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    VkMemoryPropertyFlags flags = gpu->memory.memoryTypes[type].propertyFlags;

    return kind != GPU_LOCAL || (gpu->info.unified_memory && (flags & mappable) == mappable);
}

static VkResult buffer_create(struct gpu *gpu, struct gpu_buffer *buffer)
{
    uint32_t families[2] = {gpu->info.queue_family, gpu->info.app_queue_family};
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = buffer->bytes,
                               .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                        VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                                        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
                               .sharingMode = VK_SHARING_MODE_EXCLUSIVE};

    if (gpu->info.can_scatter)
        info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    if (families[0] != families[1]) {
        info.sharingMode = VK_SHARING_MODE_CONCURRENT;
        info.queueFamilyIndexCount = 2;
        info.pQueueFamilyIndices = families;
    }
    return gpu->CreateBuffer(gpu->info.device, &info, NULL, &buffer->buffer);
}

static VkResult memory_allocate(struct gpu *gpu, enum gpu_memory kind, struct gpu_buffer *buffer)
{
    VkDevice device = gpu->info.device;
    VkMemoryRequirements needs;
    VkMemoryAllocateFlagsInfo address = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                         .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .pNext = gpu->info.can_scatter ? &address : NULL};
    VkResult result;
    int type;

    gpu->GetBufferMemoryRequirements(device, buffer->buffer, &needs);
    type = type_choose(gpu, needs.memoryTypeBits, kind);
    if (type < 0)
        return VK_ERROR_FEATURE_NOT_PRESENT;
    info.allocationSize = needs.size;
    info.memoryTypeIndex = (uint32_t)type;
    result = gpu->AllocateMemory(device, &info, NULL, &buffer->memory);
    if (result == VK_SUCCESS)
        result = gpu->BindBufferMemory(device, buffer->buffer, buffer->memory, 0);
    if (result == VK_SUCCESS && is_mapped(gpu, info.memoryTypeIndex, kind)) {
        void *mapped = NULL;

        result = gpu->MapMemory(device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &mapped);
        buffer->mapped = mapped;
    }
    return result;
}

int gpu_buffer_open(struct gpu *gpu, uint64_t bytes, enum gpu_memory kind,
                    struct gpu_buffer *buffer)
{
    VkResult result;

    *buffer = (struct gpu_buffer){.bytes = bytes};
    result = buffer_create(gpu, buffer);
    if (result == VK_SUCCESS)
        result = memory_allocate(gpu, kind, buffer);
    if (result == VK_SUCCESS) {
        buffer->address = ds_vulkan_buffer_address(gpu->backend, buffer->buffer);
        return 0;
    }
    gpu_buffer_close(gpu, buffer);
    return result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY
               ? -ENOMEM
               : -EIO;
}

void gpu_buffer_close(struct gpu *gpu, struct gpu_buffer *buffer)
{
    if (buffer->buffer != VK_NULL_HANDLE)
        gpu->DestroyBuffer(gpu->info.device, buffer->buffer, NULL);
    if (buffer->memory != VK_NULL_HANDLE)
        gpu->FreeMemory(gpu->info.device, buffer->memory, NULL);
    *buffer = (struct gpu_buffer){0};
}

static void barrier_record(struct gpu *gpu, VkPipelineStageFlags from, VkAccessFlags from_access,
                           VkPipelineStageFlags to, VkAccessFlags to_access)
{
    VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                               .srcAccessMask = from_access,
                               .dstAccessMask = to_access};

    gpu->CmdPipelineBarrier(gpu->commands, from, to, 0, 1, &barrier, 0, NULL, 0, NULL);
}

/* What earlier submissions of either queue wrote is read here, and the host reads what is written
 * here. */
static int commands_begin(struct gpu *gpu)
{
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkResult result = gpu->BeginCommandBuffer(gpu->commands, &info);

    if (result != VK_SUCCESS)
        return vk_complain("vkBeginCommandBuffer", result);
    barrier_record(gpu, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_WRITE_BIT,
                   VK_PIPELINE_STAGE_TRANSFER_BIT,
                   VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
    return 0;
}

static int commands_run(struct gpu *gpu)
{
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &gpu->commands};
    bool shared = gpu->info.app_queue == gpu->info.queue;
    VkResult result;

    barrier_record(gpu, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_WRITE_BIT,
                   VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    result = gpu->EndCommandBuffer(gpu->commands);
    if (result != VK_SUCCESS)
        return vk_complain("vkEndCommandBuffer", result);
    if (shared)
        ds_vulkan_queue_lock(gpu->backend);
    result = gpu->QueueSubmit(gpu->info.app_queue, 1, &submit, gpu->fence);
    if (shared)
        ds_vulkan_queue_unlock(gpu->backend);
    if (result != VK_SUCCESS)
        return vk_complain("vkQueueSubmit", result);
    result = gpu->WaitForFences(gpu->info.device, 1, &gpu->fence, VK_TRUE, FENCE_TIMEOUT_NS);
    if (result == VK_SUCCESS)
        result = gpu->ResetFences(gpu->info.device, 1, &gpu->fence);
    return result == VK_SUCCESS ? 0 : vk_complain("vkWaitForFences", result);
}

int gpu_copy(struct gpu *gpu, const struct gpu_buffer *from, uint64_t from_offset,
             const struct gpu_buffer *to, uint64_t to_offset, uint64_t bytes)
{
    VkBufferCopy region = {.srcOffset = from_offset, .dstOffset = to_offset, .size = bytes};
    int error = commands_begin(gpu);

    if (error != 0)
        return error;
    gpu->CmdCopyBuffer(gpu->commands, from->buffer, to->buffer, 1, &region);
    return commands_run(gpu);
}

int gpu_fill(struct gpu *gpu, const struct gpu_buffer *buffer, uint32_t word)
{
    int error = commands_begin(gpu);

    if (error != 0)
        return error;
    gpu->CmdFillBuffer(gpu->commands, buffer->buffer, 0, buffer->bytes, word);
    return commands_run(gpu);
}

int gpu_sync(struct gpu *gpu)
{
    int error = commands_begin(gpu);

    return error != 0 ? error : commands_run(gpu);
}
