/* Makes buffers of the back end's own. */
#include "engine/vulkan/buffer.h"

#include <errno.h>

VkBufferUsageFlags vulkan_buffer_usage(const struct vulkan_device *device)
{
    VkBufferUsageFlags usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;

    if (device->has_buffer_address)
        usage |= VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    if (device->gdeflate.nv)
        usage |= VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT;
    return usage;
}

VkDeviceAddress vulkan_buffer_address(const struct vulkan_device *device, VkBuffer buffer)
{
    VkBufferDeviceAddressInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
        .buffer = buffer,
    };

    return device->has_buffer_address ? device->vk.GetBufferDeviceAddress(device->device, &info)
                                      : 0;
}

/* The first type with all of `wanted` and none of `refused`, or UINT32_MAX. */
static uint32_t find_type(const struct vulkan_device *device, uint32_t allowed,
                          VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags refused)
{
    refused |= VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD;
    for (uint32_t i = 0; i < device->memory.memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = device->memory.memoryTypes[i].propertyFlags;

        if ((allowed & (1u << i)) != 0 && (flags & wanted) == wanted && (flags & refused) == 0)
            return i;
    }
    return UINT32_MAX;
}

static const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
static const VkMemoryPropertyFlags visible =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

bool vulkan_buffer_has_window(const struct vulkan_device *device)
{
    return find_type(device, UINT32_MAX, local | visible, 0) != UINT32_MAX;
}

static uint32_t choose_type(const struct vulkan_device *device, uint32_t allowed,
                            enum vulkan_buffer_kind kind)
{
    VkMemoryPropertyFlags wanted = kind == VULKAN_BUFFER_LOCAL ? local : visible;
    VkMemoryPropertyFlags unwanted =
        kind == VULKAN_BUFFER_LOCAL ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT : local;
    uint32_t type = UINT32_MAX;

    if (kind == VULKAN_BUFFER_WINDOW)
        return find_type(device, allowed, local | visible, 0);
    if (kind == VULKAN_BUFFER_DOWNLOAD) /* reads of what is not cached are very slow */
        type = find_type(device, allowed, wanted | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 0);
    if (type == UINT32_MAX)
        type = find_type(device, allowed, wanted, unwanted);
    return type != UINT32_MAX ? type : find_type(device, allowed, wanted, 0);
}

static VkResult allocate_memory(struct vulkan_buffer *buffer, const struct vulkan_device *device,
                                enum vulkan_buffer_kind kind)
{
    VkMemoryAllocateFlagsInfo address = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
    };
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = device->has_buffer_address ? &address : NULL,
    };
    VkMemoryRequirements needs;
    VkResult result;

    device->vk.GetBufferMemoryRequirements(device->device, buffer->buffer, &needs);
    info.allocationSize = needs.size;
    info.memoryTypeIndex = choose_type(device, needs.memoryTypeBits, kind);
    if (info.memoryTypeIndex == UINT32_MAX)
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    result = device->vk.AllocateMemory(device->device, &info, NULL, &buffer->memory);
    if (result != VK_SUCCESS) {
        buffer->memory = VK_NULL_HANDLE;
        return result;
    }
    return device->vk.BindBufferMemory(device->device, buffer->buffer, buffer->memory, 0);
}

int vulkan_buffer_open(struct vulkan_buffer *buffer, const struct vulkan_device *device,
                       const struct host *host, enum vulkan_buffer_kind kind, uint64_t bytes)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = vulkan_buffer_usage(device),
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
    };
    const char *call = "vkCreateBuffer";
    VkResult result;

    *buffer = (struct vulkan_buffer){.bytes = bytes};
    result = device->vk.CreateBuffer(device->device, &info, NULL, &buffer->buffer);
    if (result != VK_SUCCESS) {
        buffer->buffer = VK_NULL_HANDLE;
    } else {
        call = "vkAllocateMemory or vkBindBufferMemory";
        result = allocate_memory(buffer, device, kind);
    }
    if (result == VK_SUCCESS && kind != VULKAN_BUFFER_LOCAL) {
        call = "vkMapMemory";
        result = device->vk.MapMemory(device->device, buffer->memory, 0, VK_WHOLE_SIZE, 0,
                                      &buffer->mapped);
    }
    if (result != VK_SUCCESS) {
        vulkan_buffer_close(buffer, device);
        return kind == VULKAN_BUFFER_WINDOW ? vulkan_warn(host, call, result)
                                            : vulkan_fail(host, call, result);
    }
    buffer->address = vulkan_buffer_address(device, buffer->buffer);
    DS_ASSERT(buffer->address % 16 == 0);
    return 0;
}

void vulkan_buffer_close(struct vulkan_buffer *buffer, const struct vulkan_device *device)
{
    if (buffer->buffer != VK_NULL_HANDLE)
        device->vk.DestroyBuffer(device->device, buffer->buffer, NULL);
    if (buffer->memory != VK_NULL_HANDLE)
        device->vk.FreeMemory(device->device, buffer->memory, NULL); /* unmaps */
    *buffer = (struct vulkan_buffer){0};
}
