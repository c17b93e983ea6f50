/* A command buffer in a pool of its own, which is recorded, submitted once, and recorded again. */
#ifndef ENGINE_VULKAN_COMMANDS_H
#define ENGINE_VULKAN_COMMANDS_H

#include "engine/vulkan/backend.h"
#include "engine/vulkan/timeline.h"

struct vulkan_commands {
    VkCommandPool pool; /* VK_NULL_HANDLE: not open */
    VkCommandBuffer buffer;
};

/* vulkan_commands_open: 0, -ENOMEM or -EIO (logged). To be closed in either case. */
int vulkan_commands_open(struct vulkan_commands *commands, const struct vulkan_device *device,
                         const struct host *host, uint32_t queue_family);

/* vulkan_commands_close: the GPU must be done with them. Those of zeros are ignored. */
void vulkan_commands_close(struct vulkan_commands *commands, const struct vulkan_device *device);

/* vulkan_commands_begin throws away what was recorded. The caller ends with vkEndCommandBuffer. */
VkResult vulkan_commands_begin(const struct vulkan_commands *commands,
                               const struct vulkan_device *device);

/* vulkan_commands_submit submits them alone, with the queue's lock held, to signal `ticket`. */
VkResult vulkan_commands_submit(const struct vulkan_commands *commands,
                                struct ds_vulkan_backend *backend, VkQueue queue,
                                struct vulkan_timeline *timeline, uint64_t ticket);

#endif
