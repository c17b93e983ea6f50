/* From the pool to the queue. */
#include "engine/vulkan/commands.h"

int vulkan_commands_open(struct vulkan_commands *commands, const struct vulkan_device *device,
                         const struct host *host, uint32_t queue_family)
{
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
        .queueFamilyIndex = queue_family,
    };
    VkCommandBufferAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VkResult result = device->vk.CreateCommandPool(device->device, &pool, NULL, &commands->pool);

    if (result != VK_SUCCESS) {
        commands->pool = VK_NULL_HANDLE;
        return vulkan_fail(host, "vkCreateCommandPool", result);
    }
    info.commandPool = commands->pool;
    result = device->vk.AllocateCommandBuffers(device->device, &info, &commands->buffer);
    return result == VK_SUCCESS ? 0 : vulkan_fail(host, "vkAllocateCommandBuffers", result);
}

void vulkan_commands_close(struct vulkan_commands *commands, const struct vulkan_device *device)
{
    if (commands->pool != VK_NULL_HANDLE)
        device->vk.DestroyCommandPool(device->device, commands->pool, NULL);
    commands->pool = VK_NULL_HANDLE;
}

VkResult vulkan_commands_begin(const struct vulkan_commands *commands,
                               const struct vulkan_device *device)
{
    VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VkResult result = device->vk.ResetCommandPool(device->device, commands->pool, 0);

    return result == VK_SUCCESS ? device->vk.BeginCommandBuffer(commands->buffer, &begin) : result;
}

VkResult vulkan_commands_submit(const struct vulkan_commands *commands,
                                struct ds_vulkan_backend *backend, VkQueue queue,
                                struct vulkan_timeline *timeline, uint64_t ticket)
{
    uint64_t before = atomic_load_explicit(&timeline->submitted, memory_order_relaxed);
    VkTimelineSemaphoreSubmitInfo values = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .signalSemaphoreValueCount = 1,
        .pSignalSemaphoreValues = &ticket,
    };
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &values,
        .commandBufferCount = 1,
        .pCommandBuffers = &commands->buffer,
        .signalSemaphoreCount = 1,
        .pSignalSemaphores = &timeline->semaphore,
    };
    VkResult result;

    vulkan_timeline_begin(timeline, ticket);
    ds_vulkan_queue_lock(backend);
    result = backend->device.vk.QueueSubmit(queue, 1, &submit, VK_NULL_HANDLE);
    ds_vulkan_queue_unlock(backend);
    return vulkan_timeline_end(timeline, before, result);
}
