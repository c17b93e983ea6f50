/* Buffers of the back end's own that have an address: in the GPU's memory, or mapped. */
#ifndef ENGINE_VULKAN_BUFFER_H
#define ENGINE_VULKAN_BUFFER_H

#include "engine/vulkan/device.h"

enum vulkan_buffer_kind {
    VULKAN_BUFFER_LOCAL,  /* the GPU's own memory, not mapped */
    VULKAN_BUFFER_UPLOAD, /* written by the CPU, read by the GPU: mapped and coherent */
    VULKAN_BUFFER_DOWNLOAD, /* the other way round: cached, where there is such memory */
    VULKAN_BUFFER_WINDOW, /* the GPU's own memory, mapped and coherent, or none: failing is a
                             warning */
};

struct vulkan_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceAddress address; /* a multiple of 16; 0 without bufferDeviceAddress */
    void *mapped;            /* all but LOCAL */
    uint64_t bytes;
};

/* vulkan_buffer_open makes a buffer for copies in both directions, and for storage by address where
 * the device can. 0, -ENOMEM or -EIO (logged), with nothing left behind. */
int vulkan_buffer_open(struct vulkan_buffer *buffer, const struct vulkan_device *device,
                       const struct host *host, enum vulkan_buffer_kind kind, uint64_t bytes);

/* vulkan_buffer_has_window: is there memory for VULKAN_BUFFER_WINDOW? */
bool vulkan_buffer_has_window(const struct vulkan_device *device);

/* vulkan_buffer_close: the GPU must be done with it. A buffer of zeros is ignored. */
void vulkan_buffer_close(struct vulkan_buffer *buffer, const struct vulkan_device *device);

/* vulkan_buffer_usage: what buffers of ours may be used for. */
VkBufferUsageFlags vulkan_buffer_usage(const struct vulkan_device *device);

/* vulkan_buffer_address: asks the device. 0 without bufferDeviceAddress. */
VkDeviceAddress vulkan_buffer_address(const struct vulkan_device *device, VkBuffer buffer);

#endif
