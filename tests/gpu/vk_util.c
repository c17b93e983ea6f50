/* Loader, validation, instance and device. */
#include "gpu/vk_util_private.h"

#include "engine/vulkan/families.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LAYER "VK_LAYER_KHRONOS_validation"

#if defined(DS_TSAN)
/* The layer's own locks, freed while its threads let go of them, are reported as races. */
#define VALIDATION_WANTED false
#else
#define VALIDATION_WANTED true
#endif

static const char *reason = "";
static int log_fd = -1; /* the layer's log */

void vk_util_fatal(const char *what, int result)
{
    fprintf(stderr, "vk_util: %s: %d\n", what, result);
    abort();
}

const char *vk_util_reason(void)
{
    return reason;
}

/* Loader and validation ----------------------------------------------------------------------- */

static PFN_vkGetInstanceProcAddr open_loader(void)
{
    /* kept open: unloading drivers confuses leak checkers */
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);

    if (library == NULL)
        return NULL;
    return (PFN_vkGetInstanceProcAddr)(uintptr_t)dlsym(library, "vkGetInstanceProcAddr");
}

static bool layer_installed(void)
{
    PFN_vkGetInstanceProcAddr get = open_loader();
    PFN_vkEnumerateInstanceLayerProperties enumerate;
    VkLayerProperties layers[64];
    uint32_t n = 64;

    if (get == NULL)
        return false;
    enumerate = (PFN_vkEnumerateInstanceLayerProperties)get(NULL,
                                                            "vkEnumerateInstanceLayerProperties");
    if (enumerate == NULL || enumerate(&n, layers) < 0)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(layers[i].layerName, LAYER) == 0)
            return true;
    }
    return false;
}

/* Settings and log lie in memory, so nothing is left behind however the program ends. Both the
 * names of 2022 and those of later layers are given; unknown ones are ignored. The sample settings
 * file turns thread safety off, hence the empty `disables`. */
bool vk_util_validate(void)
{
    char text[1024];
    char path[64];
    int settings;

    if (log_fd >= 0)
        return true;
    if (!VALIDATION_WANTED || !layer_installed())
        return false;
    settings = memfd_create("vk_layer_settings.txt", 0);
    log_fd = memfd_create("validation.log", 0);
    if (settings < 0 || log_fd < 0)
        vk_util_fatal("memfd_create", -1);
    snprintf(text, sizeof(text),
             "khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG\n"
             "khronos_validation.log_filename = /proc/self/fd/%d\n"
             "khronos_validation.report_flags = error,warn,perf\n"
             "khronos_validation.disables = \n"
             "khronos_validation.enables = "
             "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT,"
             "VALIDATION_CHECK_ENABLE_SYNCHRONIZATION_VALIDATION_QUEUE_SUBMIT\n"
             "khronos_validation.validate_sync = true\n"
             "khronos_validation.syncval_submit_time_validation = true\n"
             "khronos_validation.thread_safety = true\n",
             log_fd);
    if (write(settings, text, strlen(text)) != (ssize_t)strlen(text))
        vk_util_fatal("write", -1);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", settings);
    setenv("VK_LAYER_SETTINGS_PATH", path, 1);
    setenv("VK_INSTANCE_LAYERS", LAYER, 1);
    return true;
}

/* What the layer of 2022 cannot know:
 * - It loses track of a timeline that one thread signals from the host while another looks at its
 *   value: it waits ten seconds for itself and then says so, "most likely a validation bug".
 * - Between queues its synchronization validation knows binary semaphores only, so that whatever a
 *   timeline semaphore orders is a race to it. On a device with one queue there is no such message.
 * Nothing that a program does wrong on one queue is reported by these names. */
static bool layer_blames_itself(const char *line, const char *end)
{
    static const char *const names[] = {"UNASSIGNED-VkSemaphore-state-timeout", "-RACING-WRITE",
                                        "-RACING-READ"};

    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (memmem(line, (size_t)(end - line), names[i], strlen(names[i])) != NULL)
            return true;
    }
    return false;
}

uint32_t vk_util_messages(void)
{
    static char text[1 << 16];
    ssize_t n = log_fd >= 0 ? pread(log_fd, text, sizeof(text) - 1, 0) : 0;
    uint32_t messages = 0, ignored = 0;

    if (n <= 0)
        return 0;
    text[n] = '\0';
    for (const char *line = text; *line != '\0';) {
        const char *end = strchrnul(line, '\n');

        if (layer_blames_itself(line, end))
            ignored++;
        else if (memmem(line, (size_t)(end - line), "MessageID = ", 12) != NULL)
            messages++;
        line = *end == '\0' ? end : end + 1;
    }
    if (messages + ignored == 0) /* of a form that this does not know: still not silence */
        messages = 1;
    if (ignored > 0)
        fprintf(stderr, "vk_util: skipped: %u messages of the layer about its own state\n",
                ignored);
    if (messages > 0)
        fprintf(stderr, "%s\n", text);
    return messages;
}

/* Instance and device ------------------------------------------------------------------------- */

static bool make_instance(struct vk_util *util)
{
    VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "ds-runtime tests",
        .apiVersion = VK_API_VERSION_1_2,
    };
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &application,
    };
    PFN_vkCreateInstance create =
        (PFN_vkCreateInstance)util->get_instance_proc_addr(NULL, "vkCreateInstance");

    if (create == NULL || create(&info, NULL, &util->instance) != VK_SUCCESS) {
        reason = "vkCreateInstance fails: no Vulkan driver";
        return false;
    }
    return true;
}

static PFN_vkVoidFunction instance_function(struct vk_util *util, const char *name)
{
    PFN_vkVoidFunction function = util->get_instance_proc_addr(util->instance, name);

    if (function == NULL)
        vk_util_fatal(name, 0);
    return function;
}
#define INSTANCE(util, name) ((PFN_##name)instance_function((util), #name))

static bool choose_physical(struct vk_util *util)
{
    VkPhysicalDevice found[16];
    uint32_t n = 16;

    if (INSTANCE(util, vkEnumeratePhysicalDevices)(util->instance, &n, found) < 0 || n == 0) {
        reason = "no Vulkan device";
        return false;
    }
    util->physical = found[0];
    for (uint32_t i = 0; i < n; i++) {
        VkPhysicalDeviceProperties properties;

        INSTANCE(util, vkGetPhysicalDeviceProperties)(found[i], &properties);
        if (properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU) {
            util->physical = found[i];
            break;
        }
    }
    return true;
}

static void describe(struct vk_util *util)
{
    INSTANCE(util, vkGetPhysicalDeviceProperties)(util->physical, &util->properties);
    INSTANCE(util, vkGetPhysicalDeviceMemoryProperties)(util->physical, &util->memory);
}

static bool extension_present(struct vk_util *util, const char *name)
{
    static VkExtensionProperties found[1024];
    uint32_t n = 1024;

    INSTANCE(util, vkEnumerateDeviceExtensionProperties)(util->physical, NULL, &n, found);
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(found[i].extensionName, name) == 0)
            return true;
    }
    return false;
}

/* The copy engines for copies where there are any, and a family with COMPUTE for the test (and with
 * GRAPHICS, if it can be), which is returned. */
static VkQueueFamilyProperties choose_families(struct vk_util *util)
{
    VkQueueFamilyProperties families[32];
    uint32_t n = 32, copies;

    INSTANCE(util, vkGetPhysicalDeviceQueueFamilyProperties)(util->physical, &n, families);
    util->app_queue_family = family_for_application(families, n);
    if (util->app_queue_family == FAMILY_NONE)
        vk_util_fatal("no family with COMPUTE", 0);
    copies = family_for_copies(families, n, FAMILY_FOR_COMMANDS);
    util->queue_family = family_is_for_transfers(families[copies].queueFlags)
                             ? copies : util->app_queue_family;
    return families[util->app_queue_family];
}

/* Whatever of sparse residency there is, and 64-bit integers for shaders. */
static VkPhysicalDeviceFeatures choose_features(struct vk_util *util, VkQueueFlags app)
{
    VkPhysicalDeviceFeatures have, want = {.sparseBinding = VK_FALSE};

    INSTANCE(util, vkGetPhysicalDeviceFeatures)(util->physical, &have);
    if (have.sparseBinding && (app & VK_QUEUE_SPARSE_BINDING_BIT) != 0) {
        want.sparseBinding = VK_TRUE;
        want.sparseResidencyImage2D = have.sparseResidencyImage2D;
        want.sparseResidencyImage3D = have.sparseResidencyImage3D;
    }
    want.shaderInt64 = have.shaderInt64;
    util->has_int64 = have.shaderInt64;
    util->binds_sparse_2d = want.sparseResidencyImage2D;
    util->binds_sparse_3d = want.sparseResidencyImage3D;
    return want;
}

static void load_device(struct vk_util *util)
{
    util->get_device_proc_addr = INSTANCE(util, vkGetDeviceProcAddr);
#define LOAD(name)                                                                                 \
    util->name = (PFN_vk##name)util->get_device_proc_addr(util->device, "vk" #name);               \
    if (util->name == NULL)                                                                        \
        vk_util_fatal("vk" #name, 0);
    VK_UTIL_FUNCTIONS(LOAD)
#undef LOAD
}

/* The features that copies by shader need: all of them, or none. */
static bool addresses_present(struct vk_util *util)
{
    VkPhysicalDevice8BitStorageFeatures bytes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
    };
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
        .pNext = &bytes,
    };
    VkPhysicalDeviceFeatures2 features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = &address,
    };

    INSTANCE(util, vkGetPhysicalDeviceFeatures2)(util->physical, &features);
    return address.bufferDeviceAddress && bytes.storageBuffer8BitAccess;
}

static void make_device(struct vk_util *util)
{
    static const float priorities[2] = {1.0f, 1.0f};
    static const char *const extensions[] = {VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME};
    VkQueueFamilyProperties app = choose_families(util);
    VkPhysicalDeviceFeatures features = choose_features(util, app.queueFlags);
    bool one_family = util->queue_family == util->app_queue_family;
    bool second = one_family && app.queueCount >= 2;
    VkPhysicalDevice8BitStorageFeatures bytes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
        .storageBuffer8BitAccess = VK_TRUE,
    };
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
        .pNext = &bytes,
        .bufferDeviceAddress = VK_TRUE,
    };
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES,
        .timelineSemaphore = VK_TRUE,
    };
    VkDeviceQueueCreateInfo queues[2] = {
        {
            .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
            .queueFamilyIndex = util->queue_family,
            .queueCount = second ? 2 : 1,
            .pQueuePriorities = priorities,
        },
        {
            .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
            .queueFamilyIndex = util->app_queue_family,
            .queueCount = 1,
            .pQueuePriorities = priorities,
        },
    };
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &timeline,
        .queueCreateInfoCount = one_family ? 1 : 2,
        .pQueueCreateInfos = queues,
        .ppEnabledExtensionNames = extensions,
        .pEnabledFeatures = &features,
    };

    util->has_addresses = addresses_present(util);
    timeline.pNext = util->has_addresses ? &address : NULL;
    util->has_external_memory_host = extension_present(util, extensions[0]);
    info.enabledExtensionCount = util->has_external_memory_host ? 1 : 0;
    CHECK(INSTANCE(util, vkCreateDevice)(util->physical, &info, NULL, &util->device));
    load_device(util);
    util->GetDeviceQueue(util->device, util->queue_family, 0, &util->queue);
    util->GetDeviceQueue(util->device, util->app_queue_family, second ? 1 : 0, &util->app_queue);
}

static struct vk_util *util_new(void)
{
    struct vk_util *util = calloc(1, sizeof(*util));

    if (util == NULL)
        vk_util_fatal("calloc", 0);
    pthread_mutex_init(&util->mutex, NULL);
    return util;
}

struct vk_util *vk_util_open(bool validation)
{
    struct vk_util *util = util_new();

    util->own = true;
    if (validation && !vk_util_validate())
        fprintf(stderr, "skipped: validation, %s\n",
                VALIDATION_WANTED ? "no " LAYER : "which ThreadSanitizer does not bear");
    util->get_instance_proc_addr = open_loader();
    if (util->get_instance_proc_addr == NULL)
        reason = "no libvulkan.so.1";
    else if (make_instance(util) && choose_physical(util)) {
        describe(util);
        make_device(util);
        return util;
    }
    vk_util_close(&util);
    return NULL;
}

struct vk_util *vk_util_adopt(struct ds_vulkan_backend *backend)
{
    struct vk_util *util = util_new();
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};

    if (ds_vulkan_backend_get_info(backend, &info) != 0 || !info.own_device)
        vk_util_fatal("vk_util_adopt: not an own device", 0);
    util->backend = backend;
    util->instance = info.instance;
    util->physical = info.physical_device;
    util->device = info.device;
    util->queue = info.queue;
    util->queue_family = info.queue_family;
    util->app_queue = info.app_queue;
    util->app_queue_family = info.app_queue_family;
    util->has_external_memory_host = info.can_import_host;
    util->has_addresses = info.can_scatter;
    util->get_instance_proc_addr = info.get_instance_proc_addr;
    describe(util);
    load_device(util);
    return util;
}

void vk_util_close(struct vk_util **util)
{
    struct vk_util *gone = *util;

    if (gone == NULL)
        return;
    if (gone->own && gone->device != VK_NULL_HANDLE)
        gone->DestroyDevice(gone->device, NULL);
    if (gone->own && gone->instance != VK_NULL_HANDLE)
        INSTANCE(gone, vkDestroyInstance)(gone->instance, NULL);
    pthread_mutex_destroy(&gone->mutex);
    free(gone);
    *util = NULL;
}

void vk_util_close_both(struct vk_util **util, struct ds_vulkan_backend **backend)
{
    if (*util != NULL && (*util)->backend != NULL)
        vk_util_close(util);
    ds_vulkan_backend_destroy(backend);
    vk_util_close(util);
}

void vk_util_lend(struct vk_util *util, struct ds_vulkan_backend_config *config)
{
    config->instance = util->instance;
    config->physical_device = util->physical;
    config->device = util->device;
    config->queue = util->queue;
    config->queue_family = util->queue_family;
    config->get_instance_proc_addr = util->get_instance_proc_addr;
    config->get_device_proc_addr = util->get_device_proc_addr;
    config->has_external_memory_host = util->has_external_memory_host;
    config->has_buffer_device_address = util->has_addresses;
    config->has_8bit_storage = util->has_addresses;
    config->has_shader_int64 = util->has_int64;
}

void vk_util_lend_compute(struct vk_util *util, struct ds_vulkan_backend_config *config)
{
    util->queue = util->app_queue;
    util->queue_family = util->app_queue_family;
    vk_util_lend(util, config);
    config->lock_queue = vk_util_lock;
    config->unlock_queue = vk_util_unlock;
    config->lock_ctx = util;
}

void vk_util_lock(void *util)
{
    struct vk_util *self = util;

    if (self->backend != NULL)
        ds_vulkan_queue_lock(self->backend);
    else
        pthread_mutex_lock(&self->mutex);
}

void vk_util_unlock(void *util)
{
    struct vk_util *self = util;

    if (self->backend != NULL)
        ds_vulkan_queue_unlock(self->backend);
    else
        pthread_mutex_unlock(&self->mutex);
}
