/* The device that copies: borrowed from the host, or made here. */
#ifndef ENGINE_VULKAN_DEVICE_H
#define ENGINE_VULKAN_DEVICE_H

#include "engine/vulkan/dispatch.h"
#include "engine/vulkan/gdeflate_support.h"

#include <ds/vulkan.h>

struct vulkan_device {
    struct vulkan_dispatch vk;
    bool own;
    bool can_import_host;    /* VK_EXT_external_memory_host is enabled */
    bool has_buffer_address; /* bufferDeviceAddress is enabled */
    bool has_byte_storage;   /* storageBuffer8BitAccess is enabled */
    struct gdeflate_support gdeflate;
    bool unified_memory;
    uint32_t queue_family;
    uint32_t app_queue_family;
    VkQueueFlags queue_flags; /* of queue_family */
    VkExtent3D transfer_granularity; /* of queue_family */
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    VkQueue app_queue;        /* own: never NULL, == queue where there is only one */
    uint32_t multiprocessors_n; /* 0: the device does not say */
    uint64_t import_align_bytes;
    char pci[24];             /* its address, as sysfs has it; "" = unknown */
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
};

/* vulkan_device_create makes an instance and a device. `name` as ds_vulkan_backend_config's
 * device_name; `path` has a say in which queue family copies, and `decodes` that it must have
 * COMPUTE. 0, -ENODEV, -ENOTSUP, -ENOMEM or
 * -EIO, with nothing left behind. */
int vulkan_device_create(struct vulkan_device *device, const struct host *host, const char *name,
                         enum ds_vulkan_copy_path path, bool decodes);

/* vulkan_device_borrow takes the host's objects, all of which are given. 0, -EINVAL: the family
 * does not exist or cannot copy; -ENOTSUP: no timeline semaphores; -ENOMEM. */
int vulkan_device_borrow(struct vulkan_device *device, const struct host *host,
                         const struct ds_vulkan_backend_config *config);

/* vulkan_device_is_software: its work takes the CPU's time. */
static inline bool vulkan_device_is_software(const struct vulkan_device *device)
{
    return device->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

/* vulkan_device_can_scatter: shaders may copy bytes between addresses on the device's queue. */
bool vulkan_device_can_scatter(const struct vulkan_device *device);

/* vulkan_device_destroy destroys what vulkan_device_create made, and nothing that was lent. */
void vulkan_device_destroy(struct vulkan_device *device);

#endif
