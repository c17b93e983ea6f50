/* Chooses and makes a device of our own, or looks at the one that the host lends. */
#include "engine/vulkan/device.h"

#include "engine/vulkan/families.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEVICES_MAX 32
#define FAMILIES_MAX 32
#define EXTENSIONS_MAX 1024
#define API_VERSION_MIN VK_API_VERSION_1_2
#define API_VERSION_KNOWN VK_API_VERSION_1_3

struct families {
    VkQueueFamilyProperties properties[FAMILIES_MAX];
    uint32_t n;
};

static void families_read(const struct vulkan_device *device, struct families *families)
{
    families->n = FAMILIES_MAX;
    device->vk.GetPhysicalDeviceQueueFamilyProperties(device->physical, &families->n,
                                                      families->properties);
}

/* describe_device fills what follows from the physical device alone. */
static void describe_device(struct vulkan_device *device)
{
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT import = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT,
    };
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
        .pNext = device->can_import_host ? &import : NULL,
    };

    device->vk.GetPhysicalDeviceProperties2(device->physical, &properties);
    device->properties = properties.properties;
    device->vk.GetPhysicalDeviceMemoryProperties(device->physical, &device->memory);
    device->import_align_bytes = import.minImportedHostPointerAlignment;
    device->unified_memory =
        device->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ||
        vulkan_device_is_software(device);
}

struct features {
    bool timeline;
    bool address;      /* bufferDeviceAddress */
    bool byte_storage; /* storageBuffer8BitAccess */
};

/* timeline_only: of a lent device, which may know nothing of the others. */
static struct features read_features(const struct vulkan_device *device, bool timeline_only)
{
    VkPhysicalDevice8BitStorageFeatures bytes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
    };
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
        .pNext = &bytes,
    };
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
        .pNext = timeline_only ? NULL : &address,
    };
    VkPhysicalDeviceFeatures2 features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = &timeline,
    };

    device->vk.GetPhysicalDeviceFeatures2(device->physical, &features);
    return (struct features){
        .timeline = timeline.timelineSemaphore == VK_TRUE,
        .address = address.bufferDeviceAddress == VK_TRUE,
        .byte_storage = bytes.storageBuffer8BitAccess == VK_TRUE,
    };
}

/* *found: the physical device has the extension. 0 or -ENOMEM. */
static int extension_find(const struct vulkan_device *device, const struct host *host,
                          const char *name, bool *found)
{
    size_t bytes = EXTENSIONS_MAX * sizeof(VkExtensionProperties);
    VkExtensionProperties *extensions = host_alloc(host, bytes, CACHE_LINE);
    uint32_t n = EXTENSIONS_MAX;
    VkResult result;

    *found = false;
    if (extensions == NULL)
        return -ENOMEM;
    result = device->vk.EnumerateDeviceExtensionProperties(device->physical, NULL, &n, extensions);
    if (result >= 0) {
        for (uint32_t i = 0; i < n && !*found; i++)
            *found = strcmp(extensions[i].extensionName, name) == 0;
    }
    host_free(host, extensions, bytes);
    return 0;
}

static bool has_extension(const struct vulkan_device *device, const struct host *host,
                          const char *name)
{
    bool found;

    return extension_find(device, host, name, &found) == 0 && found;
}

static int make_instance(struct vulkan_device *device, const struct host *host)
{
    uint32_t version = VK_API_VERSION_1_0;
    VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "ds-runtime",
        .pEngineName = "ds-runtime",
        .engineVersion = ds_version(),
    };
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &application,
    };
    VkResult result = device->vk.EnumerateInstanceVersion(&version);

    if (result != VK_SUCCESS)
        return vulkan_fail(host, "vkEnumerateInstanceVersion", result);
    if (version < API_VERSION_MIN) {
        host_log(host, DS_LOG_ERROR, "the Vulkan loader is older than Vulkan 1.2");
        return -ENOTSUP;
    }
    application.apiVersion = version < API_VERSION_KNOWN ? version : API_VERSION_KNOWN;
    result = device->vk.CreateInstance(&info, NULL, &device->instance);
    if (result != VK_SUCCESS) {
        device->instance = VK_NULL_HANDLE;
        return vulkan_fail(host, "vkCreateInstance", result);
    }
    return vulkan_dispatch_load_instance(&device->vk, host, device->instance, true);
}

/* The higher the better; 0 for what cannot be used. */
static uint32_t device_rank(const struct vulkan_device *device)
{
    if (device->properties.apiVersion < API_VERSION_MIN || !read_features(device, true).timeline)
        return 0;
    switch (device->properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 5;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return 4;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return 3;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return 2;
    default:
        return 1;
    }
}

static int choose_physical(struct vulkan_device *device, const struct host *host, const char *name)
{
    VkPhysicalDevice found[DEVICES_MAX];
    VkPhysicalDevice best = VK_NULL_HANDLE;
    uint32_t n = DEVICES_MAX;
    uint32_t best_rank = 0;
    bool matched = false;
    VkResult result = device->vk.EnumeratePhysicalDevices(device->instance, &n, found);

    if (result < 0)
        return vulkan_fail(host, "vkEnumeratePhysicalDevices", result);
    for (uint32_t i = 0; i < n && !(matched && name != NULL); i++) {
        uint32_t rank;

        device->physical = found[i];
        device->vk.GetPhysicalDeviceProperties(found[i], &device->properties);
        if (name != NULL && strstr(device->properties.deviceName, name) == NULL)
            continue;
        matched = true;
        rank = device_rank(device);
        if (rank > best_rank) {
            best_rank = rank;
            best = found[i];
        }
    }
    device->physical = best;
    if (best != VK_NULL_HANDLE)
        return 0;
    if (matched) {
        host_log(host, DS_LOG_ERROR, "%s: Vulkan 1.2 with timelineSemaphore is needed",
                 name != NULL ? device->properties.deviceName : "no usable Vulkan device");
        return -ENOTSUP;
    }
    host_log(host, DS_LOG_ERROR, "no Vulkan device of %u has \"%s\" in its name", n,
             name != NULL ? name : "");
    return -ENODEV;
}

/* Shaders copy on software devices only when they must: there they are far slower. */
static enum family_use family_use_of(const struct vulkan_device *device,
                                     enum ds_vulkan_copy_path path, bool decodes)
{
    bool capable = DS_HAVE_SHADERS && device->has_buffer_address && device->has_byte_storage;
    bool software = vulkan_device_is_software(device);

    if (decodes || (capable && path == DS_VULKAN_PATH_SCATTER))
        return FAMILY_MUST_HAVE_COMPUTE;
    return capable && path != DS_VULKAN_PATH_COPY && !software ? FAMILY_FOR_SHADERS
                                                               : FAMILY_FOR_COMMANDS;
}

static void take_family(struct vulkan_device *device, const struct families *families, uint32_t i)
{
    device->queue_family = i;
    device->queue_flags = families->properties[i].queueFlags;
    device->transfer_granularity = families->properties[i].minImageTransferGranularity;
}

/* 0 or -ENOTSUP: none can copy. */
static int choose_families(struct vulkan_device *device, const struct families *families,
                           enum family_use use)
{
    uint32_t copies = family_for_copies(families->properties, families->n, use);
    uint32_t application = family_for_application(families->properties, families->n);

    if (copies == FAMILY_NONE)
        return -ENOTSUP;
    take_family(device, families, copies);
    device->app_queue_family = application != FAMILY_NONE ? application : copies;
    return 0;
}

static int make_device(struct vulkan_device *device, const struct host *host,
                       const struct families *families)
{
    static const float priorities[2] = {1.0f, 1.0f};
    bool one_family = device->app_queue_family == device->queue_family;
    bool two_queues = one_family && families->properties[device->queue_family].queueCount >= 2;
    const char *extensions[1 + GDEFLATE_EXTENSIONS_MAX] = {
        VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME};
    struct gdeflate_features gdeflate_features;
    VkPhysicalDevice8BitStorageFeatures byte_features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
        .storageBuffer8BitAccess = device->has_byte_storage ? VK_TRUE : VK_FALSE,
    };
    VkPhysicalDeviceBufferDeviceAddressFeatures address_features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
        .pNext = &byte_features,
        .bufferDeviceAddress = device->has_buffer_address ? VK_TRUE : VK_FALSE,
    };
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline_features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
        .pNext = &address_features,
        .timelineSemaphore = VK_TRUE,
    };
    VkDeviceQueueCreateInfo queues[2] = {
        {
            .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
            .queueFamilyIndex = device->queue_family,
            .queueCount = two_queues ? 2 : 1,
            .pQueuePriorities = priorities,
        },
        {
            .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
            .queueFamilyIndex = device->app_queue_family,
            .queueCount = 1,
            .pQueuePriorities = priorities,
        },
    };
    bool import = has_extension(device, host, extensions[0]);
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &timeline_features,
        .queueCreateInfoCount = one_family ? 1 : 2,
        .pQueueCreateInfos = queues,
        .enabledExtensionCount = import ? 1 : 0,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult result;
    int error;

    device->gdeflate = gdeflate_support_read(
        &device->vk, device->physical,
        has_extension(device, host, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME),
        has_extension(device, host, VK_NV_MEMORY_DECOMPRESSION_EXTENSION_NAME));
    gdeflate_support_enable(&device->gdeflate, &gdeflate_features, &info, extensions);
    result = device->vk.CreateDevice(device->physical, &info, NULL, &device->device);
    if (result != VK_SUCCESS) {
        device->device = VK_NULL_HANDLE;
        return vulkan_fail(host, "vkCreateDevice", result);
    }
    device->can_import_host = import;
    error = vulkan_dispatch_load_device(&device->vk, host, device->device, true);
    if (error != 0)
        return error;
    device->vk.GetDeviceQueue(device->device, device->queue_family, 0, &device->queue);
    device->vk.GetDeviceQueue(device->device, device->app_queue_family, two_queues ? 1 : 0,
                              &device->app_queue);
    return 0;
}

static int fill_own_device(struct vulkan_device *device, const struct host *host, const char *name,
                           enum ds_vulkan_copy_path path, bool decodes)
{
    struct families families;
    struct features features;
    int error = make_instance(device, host);

    if (error == 0)
        error = choose_physical(device, host, name);
    if (error != 0)
        return error;
    device->vk.GetPhysicalDeviceProperties(device->physical, &device->properties);
    features = read_features(device, false);
    device->has_buffer_address = features.address;
    device->has_byte_storage = features.byte_storage;
    families_read(device, &families);
    if (choose_families(device, &families, family_use_of(device, path, decodes)) != 0) {
        host_log(host, DS_LOG_ERROR, "%s: no queue family can copy",
                 device->properties.deviceName);
        return -ENOTSUP;
    }
    return make_device(device, host, &families);
}

/* What extensions tell of it: its name in sysfs, as PCI devices have it
 * (domain:bus:device.function), and how many multiprocessors share the work. 0 or -ENOMEM. */
static int describe_hardware(struct vulkan_device *device, const struct host *host)
{
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV builtins = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV,
    };
    VkPhysicalDevicePCIBusInfoPropertiesEXT bus = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT,
    };
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
    };
    bool has_bus, has_builtins;
    int error = extension_find(device, host, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME, &has_bus);

    if (error == 0)
        error = extension_find(device, host, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME,
                               &has_builtins);
    if (error != 0)
        return error;
    bus.pNext = has_builtins ? &builtins : NULL;
    properties.pNext = has_bus ? &bus : bus.pNext;
    device->vk.GetPhysicalDeviceProperties2(device->physical, &properties);
    device->multiprocessors_n = builtins.shaderSMCount; /* 0 if nobody has told */
    if (has_bus)
        snprintf(device->pci, sizeof(device->pci), "%04x:%02x:%02x.%x", bus.pciDomain,
                 bus.pciBus & 0xff, bus.pciDevice & 0xff, bus.pciFunction & 0xf);
    return 0;
}

/* finish_device: what borrowed and own devices have in common. */
static int finish_device(struct vulkan_device *device, const struct host *host)
{
    device->can_import_host = device->can_import_host &&
                              device->vk.GetMemoryHostPointerPropertiesEXT != NULL;
    describe_device(device);
    if (!is_power_of_two(device->import_align_bytes))
        device->can_import_host = false;
    if (device->vk.GetBufferDeviceAddress == NULL)
        device->has_buffer_address = false;
    return describe_hardware(device, host);
}

bool vulkan_device_can_scatter(const struct vulkan_device *device)
{
    return DS_HAVE_SHADERS && device->has_buffer_address && device->has_byte_storage &&
           (device->queue_flags & VK_QUEUE_COMPUTE_BIT) != 0;
}

int vulkan_device_create(struct vulkan_device *device, const struct host *host, const char *name,
                         enum ds_vulkan_copy_path path, bool decodes)
{
    int error;

    *device = (struct vulkan_device){.own = true};
    error = vulkan_dispatch_open_loader(&device->vk, host);
    if (error != 0)
        return error;
    error = fill_own_device(device, host, name, path, decodes);
    if (error == 0)
        error = finish_device(device, host);
    if (error != 0)
        vulkan_device_destroy(device);
    return error;
}

int vulkan_device_borrow(struct vulkan_device *device, const struct host *host,
                         const struct ds_vulkan_backend_config *config)
{
    struct families families;
    int error;

    *device = (struct vulkan_device){
        .vk = {.GetInstanceProcAddr = config->get_instance_proc_addr,
               .GetDeviceProcAddr = config->get_device_proc_addr},
        .can_import_host = config->has_external_memory_host,
        .has_buffer_address = config->has_buffer_device_address,
        .has_byte_storage = config->has_8bit_storage,
        .queue_family = config->queue_family,
        .instance = config->instance,
        .physical = config->physical_device,
        .device = config->device,
        .queue = config->queue,
    };
    error = vulkan_dispatch_load_instance(&device->vk, host, device->instance, false);
    if (error != 0)
        return error;
    families_read(device, &families);
    if (device->queue_family >= families.n) {
        host_log(host, DS_LOG_ERROR, "queue_family %u: the device has %u families",
                 device->queue_family, families.n);
        return -EINVAL;
    }
    take_family(device, &families, device->queue_family);
    if (!family_can_copy(device->queue_flags)) {
        host_log(host, DS_LOG_ERROR, "queue_family %u cannot copy (queueFlags %#x)",
                 device->queue_family, device->queue_flags);
        return -EINVAL;
    }
    if (!read_features(device, true).timeline) {
        host_log(host, DS_LOG_ERROR, "the device lacks the timelineSemaphore feature");
        return -ENOTSUP;
    }
    device->gdeflate = gdeflate_support_told(&device->vk, device->physical, config);
    error = vulkan_dispatch_load_device(&device->vk, host, device->device, false);
    if (error == 0)
        error = finish_device(device, host);
    return error;
}

void vulkan_device_destroy(struct vulkan_device *device)
{
    if (!device->own)
        return;
    if (device->device != VK_NULL_HANDLE && device->vk.DestroyDevice != NULL)
        device->vk.DestroyDevice(device->device, NULL);
    if (device->instance != VK_NULL_HANDLE && device->vk.DestroyInstance != NULL)
        device->vk.DestroyInstance(device->instance, NULL);
    vulkan_dispatch_close_loader(&device->vk);
}
