/* Vulkan through function pointers: nothing here links to a loader.
 *
 * Functions that destroy what a host could have lent us are loaded for an own device only: for a
 * borrowed one their pointers are NULL. */
#ifndef ENGINE_VULKAN_DISPATCH_H
#define ENGINE_VULKAN_DISPATCH_H

#include "engine/host.h"

#include <vulkan/vulkan_core.h>

/* X(name): vk##name. */
#define VULKAN_GLOBAL_OWN(X)                                                                       \
    X(CreateInstance)                                                                              \
    X(EnumerateInstanceVersion)

#define VULKAN_INSTANCE_OWN(X)                                                                     \
    X(DestroyInstance)                                                                             \
    X(EnumeratePhysicalDevices)                                                                    \
    X(CreateDevice)

#define VULKAN_INSTANCE(X)                                                                         \
    X(EnumerateDeviceExtensionProperties)                                                          \
    X(GetPhysicalDeviceProperties)                                                                 \
    X(GetPhysicalDeviceQueueFamilyProperties)                                                      \
    X(GetPhysicalDeviceMemoryProperties)

/* Core, or under the same name with KHR appended. The last one may be absent. */
#define VULKAN_INSTANCE_KHR(X)                                                                     \
    X(GetPhysicalDeviceFeatures2)                                                                  \
    X(GetPhysicalDeviceProperties2)                                                                \
    X(GetPhysicalDeviceExternalBufferProperties)

#define VULKAN_DEVICE_OWN(X)                                                                       \
    X(DestroyDevice)                                                                               \
    X(GetDeviceQueue)

#define VULKAN_DEVICE(X)                                                                           \
    X(QueueSubmit)                                                                                 \
    X(AllocateMemory)                                                                              \
    X(FreeMemory)                                                                                  \
    X(MapMemory)                                                                                   \
    X(UnmapMemory)                                                                                 \
    X(CreateBuffer)                                                                                \
    X(DestroyBuffer)                                                                               \
    X(GetBufferMemoryRequirements)                                                                 \
    X(BindBufferMemory)                                                                            \
    X(CreateCommandPool)                                                                           \
    X(DestroyCommandPool)                                                                          \
    X(ResetCommandPool)                                                                            \
    X(AllocateCommandBuffers)                                                                      \
    X(BeginCommandBuffer)                                                                          \
    X(EndCommandBuffer)                                                                            \
    X(CmdCopyBuffer)                                                                               \
    X(CmdCopyBufferToImage)                                                                        \
    X(CmdPipelineBarrier)                                                                          \
    X(CmdBindPipeline)                                                                             \
    X(CmdPushConstants)                                                                            \
    X(CmdDispatch)                                                                                 \
    X(CreateShaderModule)                                                                          \
    X(DestroyShaderModule)                                                                         \
    X(CreatePipelineLayout)                                                                        \
    X(DestroyPipelineLayout)                                                                       \
    X(CreateComputePipelines)                                                                      \
    X(DestroyPipeline)                                                                             \
    X(CreateSemaphore)                                                                             \
    X(DestroySemaphore)

#define VULKAN_DEVICE_KHR(X)                                                                       \
    X(GetSemaphoreCounterValue)                                                                    \
    X(SignalSemaphore)                                                                             \
    X(WaitSemaphores)

struct vulkan_dispatch {
    void *library; /* own device: dlopen handle of the loader */
    PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
    PFN_vkGetDeviceProcAddr GetDeviceProcAddr;
#define VULKAN_POINTER_(name) PFN_vk##name name;
    VULKAN_GLOBAL_OWN(VULKAN_POINTER_)
    VULKAN_INSTANCE_OWN(VULKAN_POINTER_)
    VULKAN_INSTANCE(VULKAN_POINTER_)
    VULKAN_INSTANCE_KHR(VULKAN_POINTER_)
    VULKAN_DEVICE_OWN(VULKAN_POINTER_)
    VULKAN_DEVICE(VULKAN_POINTER_)
    VULKAN_DEVICE_KHR(VULKAN_POINTER_)
#undef VULKAN_POINTER_
    PFN_vkGetMemoryHostPointerPropertiesEXT GetMemoryHostPointerPropertiesEXT; /* or NULL */
    PFN_vkGetBufferDeviceAddress GetBufferDeviceAddress;                       /* or NULL */
};

/* vulkan_dispatch_open_loader opens libvulkan.so.1 and loads the global functions. 0, -ENODEV:
 * there is no loader (logged), -ENOTSUP: it is older than Vulkan 1.1. */
int vulkan_dispatch_open_loader(struct vulkan_dispatch *vk, const struct host *host);
void vulkan_dispatch_close_loader(struct vulkan_dispatch *vk);

/* vulkan_dispatch_load_instance needs vk->GetInstanceProcAddr; it keeps vk->GetDeviceProcAddr where
 * that is set. 0, or -ENOTSUP: a function is missing (logged). */
int vulkan_dispatch_load_instance(struct vulkan_dispatch *vk, const struct host *host,
                                  VkInstance instance, bool own);

/* vulkan_dispatch_load_device: 0, or -ENOTSUP: a function is missing (logged). */
int vulkan_dispatch_load_device(struct vulkan_dispatch *vk, const struct host *host,
                                VkDevice device, bool own);

/* vulkan_result_name returns "VK_ERROR_DEVICE_LOST" and the like; static. */
const char *vulkan_result_name(VkResult result);

/* vulkan_fail logs a failed call and returns its errno: -ENOMEM, -ENODEV (no driver), -ENOTSUP
 * (missing feature or extension) or -EIO. */
int vulkan_fail(const struct host *host, const char *call, VkResult result);

/* vulkan_warn is vulkan_fail for a failure that has a way round it. */
int vulkan_warn(const struct host *host, const char *call, VkResult result);

#endif
