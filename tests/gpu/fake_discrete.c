#include "gpu/fake_discrete.h"

#include <string.h>

struct fake_discrete fake_discrete;

/* What is told of: system memory, the GPU's own, and what of that the host can map. */
enum { TYPE_SYSTEM, TYPE_LOCAL, TYPE_WINDOW, TYPES };

static const VkMemoryPropertyFlags flags[TYPES] = {
    [TYPE_SYSTEM] = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
                    VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
    [TYPE_LOCAL] = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
    [TYPE_WINDOW] = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                    VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
};

static uint32_t real_types[TYPES];
static VkDeviceMemory window; /* the last that was allocated */

#define REAL(X)                                                                                    \
    X(GetPhysicalDeviceProperties2)                                                                \
    X(GetPhysicalDeviceMemoryProperties)                                                           \
    X(AllocateMemory)                                                                              \
    X(GetBufferMemoryRequirements)                                                                 \
    X(GetMemoryHostPointerPropertiesEXT)                                                           \
    X(MapMemory)

#define DECLARE(name) static PFN_vk##name real_##name;
REAL(DECLARE)
#undef DECLARE
static PFN_vkGetInstanceProcAddr real_get_instance;
static PFN_vkGetDeviceProcAddr real_get_device;

static VKAPI_ATTR void VKAPI_CALL fake_GetPhysicalDeviceProperties2(
    VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *properties)
{
    real_GetPhysicalDeviceProperties2(physical, properties);
    properties->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

/* The first real type with all of these, or UINT32_MAX. */
static uint32_t real_type(const VkPhysicalDeviceMemoryProperties *real, VkMemoryPropertyFlags all)
{
    for (uint32_t i = 0; i < real->memoryTypeCount; i++) {
        if ((real->memoryTypes[i].propertyFlags & all) == all)
            return i;
    }
    return UINT32_MAX;
}

static VKAPI_ATTR void VKAPI_CALL fake_GetPhysicalDeviceMemoryProperties(
    VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *memory)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    VkPhysicalDeviceMemoryProperties real;

    real_GetPhysicalDeviceMemoryProperties(physical, &real);
    *memory = real;
    memory->memoryTypeCount = fake_discrete.no_window ? TYPE_WINDOW : TYPES;
    for (uint32_t type = 0; type < TYPES; type++) {
        uint32_t i = real_type(&real, flags[type]);

        if (i == UINT32_MAX) /* or one that can do the same elsewhere */
            i = real_type(&real, flags[type] & ~local);
        if (i == UINT32_MAX)
            i = real_type(&real, 0);
        real_types[type] = i;
        if (type < memory->memoryTypeCount)
            memory->memoryTypes[type] = (VkMemoryType){flags[type], real.memoryTypes[i].heapIndex};
    }
}

/* The pretended types among real ones. */
static uint32_t types_of(uint32_t real_bits)
{
    uint32_t bits = 0;

    for (uint32_t type = 0; type < TYPES; type++)
        bits |= (real_bits & 1u << real_types[type]) != 0 ? 1u << type : 0;
    return bits;
}

static VKAPI_ATTR void VKAPI_CALL fake_GetBufferMemoryRequirements(VkDevice device, VkBuffer buffer,
                                                                   VkMemoryRequirements *needs)
{
    real_GetBufferMemoryRequirements(device, buffer, needs);
    needs->memoryTypeBits = types_of(needs->memoryTypeBits);
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_GetMemoryHostPointerPropertiesEXT(
    VkDevice device, VkExternalMemoryHandleTypeFlagBits handle, const void *pointer,
    VkMemoryHostPointerPropertiesEXT *properties)
{
    VkResult result = real_GetMemoryHostPointerPropertiesEXT(device, handle, pointer, properties);

    properties->memoryTypeBits = types_of(properties->memoryTypeBits) & 1u << TYPE_SYSTEM;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_AllocateMemory(VkDevice device,
                                                          const VkMemoryAllocateInfo *info,
                                                          const VkAllocationCallbacks *allocator,
                                                          VkDeviceMemory *memory)
{
    VkMemoryAllocateInfo real = *info;
    bool is_window = info->memoryTypeIndex == TYPE_WINDOW;
    VkResult result;

    if (is_window && fake_discrete.refuse_allocate) {
        fake_discrete.windows++;
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    real.memoryTypeIndex = real_types[info->memoryTypeIndex];
    result = real_AllocateMemory(device, &real, allocator, memory);
    if (is_window && result == VK_SUCCESS)
        window = *memory;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_MapMemory(VkDevice device, VkDeviceMemory memory,
                                                     VkDeviceSize offset, VkDeviceSize size,
                                                     VkMemoryMapFlags map_flags, void **mapped)
{
    bool is_window = memory == window;
    VkResult result;

    fake_discrete.windows += is_window;
    if (is_window && fake_discrete.refuse_map)
        return VK_ERROR_MEMORY_MAP_FAILED;
    result = real_MapMemory(device, memory, offset, size, map_flags, mapped);
    if (is_window && result == VK_SUCCESS && fake_discrete.map_as != NULL)
        *mapped = fake_discrete.map_as;
    if (is_window && result == VK_SUCCESS && fake_discrete.when_mapped != NULL)
        fake_discrete.when_mapped();
    return result;
}

/* Ours in the place of `real`, which may be NULL. */
static PFN_vkVoidFunction replace(const char *name, PFN_vkVoidFunction real)
{
#define REPLACE(function)                                                                          \
    if (real != NULL && strcmp(name, "vk" #function) == 0) {                                       \
        real_##function = (PFN_vk##function)real;                                                  \
        return (PFN_vkVoidFunction)fake_##function;                                                \
    }
    REAL(REPLACE)
#undef REPLACE
    return real;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device(VkDevice device, const char *name)
{
    return replace(name, real_get_device(device, name));
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance(VkInstance instance, const char *name)
{
    return replace(name, real_get_instance(instance, name));
}

void fake_discrete_lend(struct ds_vulkan_backend_config *config)
{
    real_get_instance = config->get_instance_proc_addr;
    real_get_device = config->get_device_proc_addr;
    if (real_get_device == NULL)
        real_get_device = (PFN_vkGetDeviceProcAddr)real_get_instance(config->instance,
                                                                     "vkGetDeviceProcAddr");
    config->get_instance_proc_addr = get_instance;
    config->get_device_proc_addr = get_device;
    window = VK_NULL_HANDLE;
}
