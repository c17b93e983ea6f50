/* Makes the back end from its config, and guards its queue. */
#include "engine/vulkan/backend.h"

#include "engine/vulkan/families.h"
#include "engine/vulkan/scatter.h"

#include <errno.h>

#define BATCHES_DEFAULT 4
#define BATCHES_MAX 16
#define REGIONS_DEFAULT 1024
#define REGIONS_MAX 65536
#define BYTES_DEFAULT ((uint64_t)16 << 20)
#define SCRATCH_MIN ((uint64_t)1 << 20)
#define SCRATCH_MAX ((uint64_t)16 << 30)

#define RELAXED(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* Counts the objects that must be given together. */
static uint32_t count_borrowed(const struct ds_vulkan_backend_config *config)
{
    return (config->instance != VK_NULL_HANDLE) + (config->physical_device != VK_NULL_HANDLE) +
           (config->device != VK_NULL_HANDLE) + (config->queue != VK_NULL_HANDLE) +
           (config->get_instance_proc_addr != NULL);
}

static int refuse(const struct host *host, const char *why)
{
    host_log(host, DS_LOG_ERROR, "ds_vulkan_backend_config: %s", why);
    return -EINVAL;
}

static int check_config(const struct host *host, const struct ds_vulkan_backend_config *config)
{
    uint32_t borrowed = count_borrowed(config);
    bool locks = config->lock_queue != NULL;

    if (config->next != NULL)
        return refuse(host, "next is not NULL");
    if (borrowed != 0 && borrowed != 5)
        return refuse(host, "instance, physical_device, device, queue and get_instance_proc_addr "
                            "are borrowed together or not at all");
    if (borrowed == 0 && (config->queue_family != 0 || config->get_device_proc_addr != NULL))
        return refuse(host, "queue_family or get_device_proc_addr without a borrowed device");
    if ((uint32_t)config->queue_mode > DS_VULKAN_QUEUE_MANUAL)
        return refuse(host, "unknown queue_mode");
    if ((uint32_t)config->staging > DS_VULKAN_STAGING_IMPORT)
        return refuse(host, "unknown staging");
    if ((uint32_t)config->copy_path > DS_VULKAN_PATH_MEASURE)
        return refuse(host, "unknown copy_path");
    if (config->copy_path == DS_VULKAN_PATH_MEASURE &&
        config->queue_mode == DS_VULKAN_QUEUE_MANUAL)
        return refuse(host, "DS_VULKAN_PATH_MEASURE submits, which DS_VULKAN_QUEUE_MANUAL forbids");
    if ((uint32_t)config->mapped_path > DS_VULKAN_MAPPED_ALWAYS)
        return refuse(host, "unknown mapped_path");
    if (config->mapped_path != DS_VULKAN_MAPPED_AUTO && config->mapped_max_bytes != 0)
        return refuse(host, "mapped_max_bytes belongs to DS_VULKAN_MAPPED_AUTO");
    if (locks != (config->unlock_queue != NULL))
        return refuse(host, "lock_queue and unlock_queue are given together or not at all");
    if (config->queue_mode == DS_VULKAN_QUEUE_LOCKED && !locks)
        return refuse(host, "DS_VULKAN_QUEUE_LOCKED without lock_queue and unlock_queue");
    if (config->batches_max > BATCHES_MAX)
        return refuse(host, "batches_max is above 16");
    if (config->batch_regions_max > REGIONS_MAX)
        return refuse(host, "batch_regions_max is above 65536");
    if (config->scatter_groups_max > SCATTER_GROUPS_MAX)
        return refuse(host, "scatter_groups_max is above 65535");
    if ((uint32_t)config->decode_path > DS_VULKAN_DECODE_BALANCED)
        return refuse(host, "unknown decode_path");
    if (config->decode_path == DS_VULKAN_DECODE_MEASURE &&
        config->queue_mode == DS_VULKAN_QUEUE_MANUAL)
        return refuse(host, "DS_VULKAN_DECODE_MEASURE submits, which DS_VULKAN_QUEUE_MANUAL "
                            "forbids");
    if (config->decode_scratch_bytes != 0 && (config->decode_scratch_bytes < SCRATCH_MIN ||
                                              config->decode_scratch_bytes > SCRATCH_MAX))
        return refuse(host, "decode_scratch_bytes is not 0 and not in 1 MiB..16 GiB");
    return 0;
}

static enum ds_vulkan_queue_mode resolve_mode(const struct ds_vulkan_backend_config *config)
{
    if (config->queue_mode != DS_VULKAN_QUEUE_AUTO)
        return config->queue_mode;
    return config->lock_queue != NULL ? DS_VULKAN_QUEUE_LOCKED : DS_VULKAN_QUEUE_EXCLUSIVE;
}

static void log_choice(const struct ds_vulkan_backend *backend)
{
    static const char *const modes[] = {"auto", "exclusive", "locked", "manual"};
    const struct vulkan_device *device = &backend->device;
    uint64_t mapped_max = RELAXED(backend->mapped_max_bytes);

    host_log(&backend->host, DS_LOG_INFO,
             "Vulkan: %s device \"%s\", queue family %u%s, queue %s, host import %s",
             device->own ? "own" : "borrowed", device->properties.deviceName, device->queue_family,
             family_is_for_transfers(device->queue_flags) ? " (transfer only)" : "",
             modes[backend->queue_mode], device->can_import_host ? "available" : "not available");
    if (mapped_max != 0)
        host_log(&backend->host, DS_LOG_INFO,
                 "Vulkan: mapped destinations are read into directly, up to %llu bytes a request%s "
                 "(%s; mapped_path, mapped_max_bytes)", (unsigned long long)mapped_max,
                 backend->mapped_decodes ? "" : ", but for those with a codec",
                 RELAXED(backend->mapped_reason));
}

/* Where regions of 64 KiB and less cost a copy engine more than they take to transfer, which was so
 * wherever it was measured on discrete GPUs. Software runs a shader lane by lane. */
static uint32_t scatter_rule(const struct vulkan_device *device)
{
    return vulkan_device_is_software(device) ? 0 : 64u << 10;
}

/* Decides who copies what; the measurement is left to the first engine. */
static int open_path(struct ds_vulkan_backend *backend,
                     const struct ds_vulkan_backend_config *config)
{
    const struct vulkan_device *device = &backend->device;
    bool software = vulkan_device_is_software(device);
    bool measure = config->copy_path == DS_VULKAN_PATH_MEASURE ||
                   (config->copy_path == DS_VULKAN_PATH_AUTO && device->own && !software &&
                    config->queue_mode != DS_VULKAN_QUEUE_MANUAL);
    uint32_t most = config->scatter_max_bytes;
    uint32_t least = config->scatter_regions_min;

    backend->copy_path = config->copy_path;
    backend->may_submit_trials = measure;
    backend->can_scatter =
        vulkan_device_can_scatter(device) && config->copy_path != DS_VULKAN_PATH_COPY;
    if (config->copy_path == DS_VULKAN_PATH_SCATTER && !backend->can_scatter) {
        host_log(&backend->host, DS_LOG_ERROR,
                 "DS_VULKAN_PATH_SCATTER: needs shaders%s, a queue family with COMPUTE (flags "
                 "%#x), and the features bufferDeviceAddress (%d) and storageBuffer8BitAccess "
                 "(%d)%s",
                 DS_HAVE_SHADERS ? "" : " (left out of this build)", device->queue_flags,
                 device->has_buffer_address, device->has_byte_storage,
                 device->own ? "" : "; has_buffer_device_address, has_8bit_storage tell of them");
        vulkan_device_destroy(&backend->device);
        return -ENOTSUP;
    }
    if (config->copy_path == DS_VULKAN_PATH_SCATTER) {
        most = UINT32_MAX;
        least = 1;
    }
    measure = measure && backend->can_scatter && most == 0;
    if (most == 0 && !measure)
        most = scatter_rule(device);
    atomic_init(&backend->scatter_measured, !measure);
    atomic_init(&backend->scatter_max_bytes, backend->can_scatter ? most : 0);
    atomic_init(&backend->scatter_regions_min, least);
    return 0;
}

static int open_device(struct ds_vulkan_backend *backend,
                       const struct ds_vulkan_backend_config *config)
{
    int error = config->instance != VK_NULL_HANDLE
                    ? vulkan_device_borrow(&backend->device, &backend->host, config)
                    : vulkan_device_create(&backend->device, &backend->host, config->device_name,
                                           config->copy_path,
                                           vulkan_decode_is_forced(config->decode_path));

    if (error != 0)
        return error;
    if (config->staging == DS_VULKAN_STAGING_IMPORT && !backend->device.can_import_host) {
        host_log(&backend->host, DS_LOG_ERROR,
                 "DS_VULKAN_STAGING_IMPORT: %s has no VK_EXT_external_memory_host%s",
                 backend->device.properties.deviceName,
                 backend->device.own ? "" : " (or has_external_memory_host is not set)");
        vulkan_device_destroy(&backend->device);
        return -ENOTSUP;
    }
    error = open_path(backend, config);
    if (error != 0)
        return error;
    error = vulkan_backend_decode(backend, config);
    if (error != 0)
        vulkan_device_destroy(&backend->device);
    return error;
}

static void fill_backend(struct ds_vulkan_backend *backend,
                         const struct ds_vulkan_backend_config *config)
{
    backend->queue_mode = resolve_mode(config);
    backend->staging = config->staging;
    backend->batches_max = config->batches_max != 0 ? config->batches_max : BATCHES_DEFAULT;
    backend->batch_regions_max =
        config->batch_regions_max != 0 ? config->batch_regions_max : REGIONS_DEFAULT;
    backend->batch_bytes_max =
        config->batch_bytes_max != 0 ? config->batch_bytes_max : BYTES_DEFAULT;
    backend->scatter_groups_max =
        config->scatter_groups_max != 0 ? config->scatter_groups_max : SCATTER_GROUPS_DEFAULT;
    if (backend->queue_mode == DS_VULKAN_QUEUE_LOCKED) {
        backend->lock_queue = config->lock_queue;
        backend->unlock_queue = config->unlock_queue;
        backend->lock_ctx = config->lock_ctx;
    }
}

int ds_vulkan_backend_create(const struct ds_vulkan_backend_config *config,
                             struct ds_vulkan_backend **backend)
{
    struct ds_vulkan_backend_config copy = {0};
    struct ds_vulkan_backend *made;
    struct host host;
    int error = config != NULL ? copy_struct_in(&copy, sizeof(copy), config) : 0;

    if (error != 0)
        return error;
    host_init(&host, copy.allocator, copy.log, copy.log_ctx, DS_LOG_DEBUG);
    error = check_config(&host, &copy);
    if (error != 0)
        return error;
    made = host_alloc(&host, sizeof(*made), CACHE_LINE);
    if (made == NULL)
        return -ENOMEM;
    made->host = host;
    atomic_init(&made->in_use, false);
    fill_backend(made, &copy);
    error = open_device(made, &copy);
    if (error != 0) {
        host_free(&host, made, sizeof(*made));
        return error;
    }
    pthread_mutex_init(&made->own_queue_mutex, NULL);
    vulkan_backend_mapped(made, &copy);
    log_choice(made);
    *backend = made;
    return 0;
}

void ds_vulkan_backend_destroy(struct ds_vulkan_backend **backend)
{
    struct ds_vulkan_backend *gone = *backend;
    struct host host;

    if (gone == NULL)
        return;
    DS_ASSERT(!atomic_load_explicit(&gone->in_use, memory_order_acquire));
    host = gone->host;
    vulkan_device_destroy(&gone->device);
    pthread_mutex_destroy(&gone->own_queue_mutex);
    host_free(&host, gone, sizeof(*gone));
    *backend = NULL;
}

int ds_vulkan_backend_get_info(const struct ds_vulkan_backend *backend, struct ds_vulkan_info *info)
{
    const struct vulkan_device *device = &backend->device;
    struct ds_vulkan_info ours = {
        .struct_size = sizeof(ours),
        .own_device = device->own,
        .unified_memory = device->unified_memory,
        .transfer_queue = family_is_for_transfers(device->queue_flags),
        .can_import_host = device->can_import_host,
        .instance = device->instance,
        .physical_device = device->physical,
        .device = device->device,
        .queue = device->queue,
        .queue_family = device->queue_family,
        .app_queue_family = device->app_queue_family,
        .app_queue = device->app_queue,
        .get_instance_proc_addr = device->vk.GetInstanceProcAddr,
        .device_type = device->properties.deviceType,
        .device_name = device->properties.deviceName,
        .can_scatter = backend->can_scatter,
        .scatter_max_bytes = RELAXED(backend->scatter_max_bytes),
        .scatter_regions_min = (uint32_t)max_u64(RELAXED(backend->scatter_regions_min), 1),
        .mapped_max_bytes = RELAXED(backend->mapped_max_bytes),
        .mapped_decodes = backend->mapped_decodes,
        .mapped_alone_max_bytes = RELAXED(backend->mapped_alone_max_bytes),
        .mapped_reason = RELAXED(backend->mapped_reason),
        .mapped_direct = backend->mapped_direct,
        .mapping_write_ns = RELAXED(backend->mapping_write_ns),
        .staging_write_ns = RELAXED(backend->staging_write_ns),
        .submit_ns = RELAXED(backend->submit_ns),
        .decode_path = (enum ds_vulkan_decode_path)RELAXED(backend->decode_told),
        .decode_reason = RELAXED(backend->decode_reason),
        .decode_cpu_bytes_per_s = RELAXED(backend->decode_rates[DS_VULKAN_DECODE_CPU]),
        .decode_gpu_bytes_per_s = RELAXED(backend->decode_rates[DS_VULKAN_DECODE_GPU]),
        .decode_nv_bytes_per_s = RELAXED(backend->decode_rates[DS_VULKAN_DECODE_NV]),
        .decode_measure_ns = RELAXED(backend->decode_measure_ns),
    };

    return copy_struct_out(info, &ours, sizeof(ours));
}

uint64_t ds_vulkan_buffer_address(const struct ds_vulkan_backend *backend, VkBuffer buffer)
{
    return backend->can_scatter || backend->decode_path != DS_VULKAN_DECODE_CPU
               ? vulkan_buffer_address(&backend->device, buffer)
               : 0;
}

void ds_vulkan_queue_lock(struct ds_vulkan_backend *backend)
{
    if (backend->lock_queue != NULL)
        backend->lock_queue(backend->lock_ctx);
    else if (backend->device.own)
        pthread_mutex_lock(&backend->own_queue_mutex);
}

void ds_vulkan_queue_unlock(struct ds_vulkan_backend *backend)
{
    if (backend->lock_queue != NULL)
        backend->unlock_queue(backend->lock_ctx);
    else if (backend->device.own)
        pthread_mutex_unlock(&backend->own_queue_mutex);
}

int vulkan_backend_acquire(struct ds_vulkan_backend *backend)
{
    bool free_now = false;

    /* acquire: pairs with the release below, of the engine before this one */
    if (!atomic_compare_exchange_strong_explicit(&backend->in_use, &free_now, true,
                                                 memory_order_acquire, memory_order_relaxed))
        return -EBUSY;
    return 0;
}

void vulkan_backend_release(struct ds_vulkan_backend *backend)
{
    bool was = atomic_exchange_explicit(&backend->in_use, false, memory_order_release);

    DS_ASSERT(was);
}
