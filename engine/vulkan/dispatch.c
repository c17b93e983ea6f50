/* Loads the function table. */
#include "engine/vulkan/dispatch.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>

const char *vulkan_result_name(VkResult result)
{
    switch (result) {
#define RESULT(name)                                                                               \
    case name:                                                                                     \
        return #name;
        RESULT(VK_SUCCESS)
        RESULT(VK_NOT_READY)
        RESULT(VK_TIMEOUT)
        RESULT(VK_INCOMPLETE)
        RESULT(VK_ERROR_OUT_OF_HOST_MEMORY)
        RESULT(VK_ERROR_OUT_OF_DEVICE_MEMORY)
        RESULT(VK_ERROR_INITIALIZATION_FAILED)
        RESULT(VK_ERROR_DEVICE_LOST)
        RESULT(VK_ERROR_MEMORY_MAP_FAILED)
        RESULT(VK_ERROR_LAYER_NOT_PRESENT)
        RESULT(VK_ERROR_EXTENSION_NOT_PRESENT)
        RESULT(VK_ERROR_FEATURE_NOT_PRESENT)
        RESULT(VK_ERROR_INCOMPATIBLE_DRIVER)
        RESULT(VK_ERROR_TOO_MANY_OBJECTS)
        RESULT(VK_ERROR_UNKNOWN)
        RESULT(VK_ERROR_INVALID_EXTERNAL_HANDLE)
#undef RESULT
    default:
        return "VkResult";
    }
}

static int result_errno(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_TOO_MANY_OBJECTS:
        return -ENOMEM;
    case VK_ERROR_INCOMPATIBLE_DRIVER:
        return -ENODEV;
    case VK_ERROR_EXTENSION_NOT_PRESENT:
    case VK_ERROR_FEATURE_NOT_PRESENT:
        return -ENOTSUP;
    default:
        return -EIO;
    }
}

int vulkan_fail(const struct host *host, const char *call, VkResult result)
{
    host_log(host, DS_LOG_ERROR, "%s: %s (%d)", call, vulkan_result_name(result), (int)result);
    return result_errno(result);
}

int vulkan_warn(const struct host *host, const char *call, VkResult result)
{
    host_log(host, DS_LOG_WARNING, "%s: %s (%d)", call, vulkan_result_name(result), (int)result);
    return result_errno(result);
}

int vulkan_dispatch_open_loader(struct vulkan_dispatch *vk, const struct host *host)
{
    vk->library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (vk->library == NULL) {
        host_log(host, DS_LOG_ERROR, "no Vulkan loader: %s", dlerror());
        return -ENODEV;
    }
    vk->GetInstanceProcAddr =
        (PFN_vkGetInstanceProcAddr)(uintptr_t)dlsym(vk->library, "vkGetInstanceProcAddr");
    if (vk->GetInstanceProcAddr == NULL) {
        host_log(host, DS_LOG_ERROR, "libvulkan.so.1 has no vkGetInstanceProcAddr");
        vulkan_dispatch_close_loader(vk);
        return -ENODEV;
    }
#define LOAD(name) vk->name = (PFN_vk##name)vk->GetInstanceProcAddr(NULL, "vk" #name);
    VULKAN_GLOBAL_OWN(LOAD)
#undef LOAD
    if (vk->CreateInstance == NULL || vk->EnumerateInstanceVersion == NULL) {
        host_log(host, DS_LOG_ERROR, "the Vulkan loader is older than Vulkan 1.1");
        vulkan_dispatch_close_loader(vk);
        return -ENOTSUP;
    }
    return 0;
}

void vulkan_dispatch_close_loader(struct vulkan_dispatch *vk)
{
    if (vk->library != NULL)
        dlclose(vk->library);
    *vk = (struct vulkan_dispatch){0};
}

static int function_missing(const struct host *host, const char *name)
{
    host_log(host, DS_LOG_ERROR, "the Vulkan driver has no vk%s; Vulkan 1.2 is needed, or 1.0 with "
             "VK_KHR_get_physical_device_properties2 and VK_KHR_timeline_semaphore", name);
    return -ENOTSUP;
}

static PFN_vkVoidFunction instance_function(const struct vulkan_dispatch *vk, VkInstance instance,
                                            const char *name, const char *alias)
{
    PFN_vkVoidFunction function = vk->GetInstanceProcAddr(instance, name);

    return function != NULL ? function : vk->GetInstanceProcAddr(instance, alias);
}

static PFN_vkVoidFunction device_function(const struct vulkan_dispatch *vk, VkDevice device,
                                          const char *name, const char *alias)
{
    PFN_vkVoidFunction function = vk->GetDeviceProcAddr(device, name);

    return function != NULL ? function : vk->GetDeviceProcAddr(device, alias);
}

int vulkan_dispatch_load_instance(struct vulkan_dispatch *vk, const struct host *host,
                                  VkInstance instance, bool own)
{
#define LOAD(name)                                                                                 \
    vk->name = (PFN_vk##name)vk->GetInstanceProcAddr(instance, "vk" #name);                        \
    if (vk->name == NULL)                                                                          \
        return function_missing(host, #name);
#define LOAD_KHR(name)                                                                             \
    vk->name = (PFN_vk##name)instance_function(vk, instance, "vk" #name, "vk" #name "KHR");
    if (own) { /* first: DestroyInstance is needed to clean up after the others */
        VULKAN_INSTANCE_OWN(LOAD)
    }
    VULKAN_INSTANCE(LOAD)
    VULKAN_INSTANCE_KHR(LOAD_KHR)
    if (vk->GetDeviceProcAddr == NULL) {
        LOAD(GetDeviceProcAddr)
    }
#undef LOAD_KHR
#undef LOAD
    if (vk->GetPhysicalDeviceFeatures2 == NULL)
        return function_missing(host, "GetPhysicalDeviceFeatures2");
    if (vk->GetPhysicalDeviceProperties2 == NULL)
        return function_missing(host, "GetPhysicalDeviceProperties2");
    return 0;
}

int vulkan_dispatch_load_device(struct vulkan_dispatch *vk, const struct host *host,
                                VkDevice device, bool own)
{
#define LOAD(name)                                                                                 \
    vk->name = (PFN_vk##name)vk->GetDeviceProcAddr(device, "vk" #name);                            \
    if (vk->name == NULL)                                                                          \
        return function_missing(host, #name);
#define LOAD_KHR(name)                                                                             \
    vk->name = (PFN_vk##name)device_function(vk, device, "vk" #name, "vk" #name "KHR");            \
    if (vk->name == NULL)                                                                          \
        return function_missing(host, #name);
    if (own) { /* first: DestroyDevice is needed to clean up after the others */
        VULKAN_DEVICE_OWN(LOAD)
    }
    VULKAN_DEVICE(LOAD)
    VULKAN_DEVICE_KHR(LOAD_KHR)
#undef LOAD_KHR
#undef LOAD
    vk->GetMemoryHostPointerPropertiesEXT =
        (PFN_vkGetMemoryHostPointerPropertiesEXT)vk->GetDeviceProcAddr(
            device, "vkGetMemoryHostPointerPropertiesEXT");
    vk->GetBufferDeviceAddress = (PFN_vkGetBufferDeviceAddress)device_function(
        vk, device, "vkGetBufferDeviceAddress", "vkGetBufferDeviceAddressKHR");
    return 0;
}
