/* What config, device and measurement say about destinations that are mapped. */
#include "engine/vulkan/backend.h"
#include "engine/vulkan/buffer.h"

/* Is whatever the host can map of this device's memory cached? A caller may have taken any type. */
static bool mappings_are_cached(const struct vulkan_device *device)
{
    for (uint32_t i = 0; i < device->memory.memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = device->memory.memoryTypes[i].propertyFlags;

        if ((flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0 &&
            (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) == 0)
            return false;
    }
    return true;
}

static void choose(struct ds_vulkan_backend *backend, const struct mapped_limits *limits,
                   const char *reason)
{
    atomic_store_explicit(&backend->mapped_max_bytes, limits->max_bytes, memory_order_relaxed);
    atomic_store_explicit(&backend->mapped_alone_max_bytes, limits->alone_max_bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&backend->mapped_reason, reason, memory_order_relaxed);
}

/* Where memory is unified the copy is spared altogether. Across a bus it is a matter of rates,
 * whatever the size of the heap: it is the caller who has chosen what to map. */
void vulkan_backend_mapped(struct ds_vulkan_backend *backend,
                           const struct ds_vulkan_backend_config *config)
{
    const struct vulkan_device *device = &backend->device;
    bool asked = config->mapped_path != DS_VULKAN_MAPPED_AUTO || config->mapped_max_bytes != 0;
    bool all = config->mapped_path == DS_VULKAN_MAPPED_ALWAYS || (!asked && device->unified_memory);
    uint64_t most = all ? UINT64_MAX : config->mapped_max_bytes;
    struct mapped_limits limits = {.max_bytes = most, .alone_max_bytes = most};
    bool measure = !asked && !all && vulkan_buffer_has_window(device);

    backend->mapped_measures = measure;
    backend->mapped_direct = asked || all;
    backend->mapped_decodes = most != 0 && device->unified_memory && mappings_are_cached(device);
    choose(backend, &limits,
           asked     ? "asked for"
           : all     ? "unified memory"
           : measure ? "not measured yet"
                     : "none of its memory can be mapped");
}

void vulkan_backend_mapped_measured(struct ds_vulkan_backend *backend,
                                    const struct mapped_figures *figures)
{
    struct mapped_limits limits = {.max_bytes = 0};

    if (figures != NULL) {
        limits = mapped_rule(figures, backend->batch_bytes_max);
        atomic_store_explicit(&backend->mapping_write_ns, figures->mapping_ns,
                              memory_order_relaxed);
        atomic_store_explicit(&backend->staging_write_ns, figures->staging_ns,
                              memory_order_relaxed);
        atomic_store_explicit(&backend->submit_ns, figures->submit_ns, memory_order_relaxed);
    }
    backend->mapped_measures = false;
    choose(backend, &limits, figures != NULL ? "measured" : "could not be measured");
}
