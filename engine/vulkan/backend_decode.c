/* Who may decode GDeflate, as far as device and config tell it. */
#include "engine/vulkan/backend.h"

#include <errno.h>

#define SCRATCH_DEFAULT ((uint64_t)64 << 20)

/* What a device lacks to decode by the shader, or by the extension; or NULL. */
static const char *decode_lacks(const struct vulkan_device *device, bool nv)
{
    if ((device->queue_flags & VK_QUEUE_COMPUTE_BIT) == 0)
        return "its queue family has no COMPUTE";
    if (!device->has_buffer_address)
        return "no bufferDeviceAddress";
    if (nv)
        return device->gdeflate.nv ? NULL : "no VK_NV_memory_decompression with GDeflate";
    if (!DS_HAVE_SHADERS)
        return "this build has no shaders";
    return device->gdeflate.shader ? NULL : "no shaderInt64 or no storageBuffer8BitAccess";
}

/* Software runs the shader lane by lane, slower than the CPU's own code. A lent queue is left alone
 * unless the host says otherwise, and so is one that it submits to by itself. */
static void settle_auto(struct ds_vulkan_backend *backend, bool measure)
{
    const struct vulkan_device *device = &backend->device;
    bool software = vulkan_device_is_software(device);
    const char *lacks = decode_lacks(device, false);

    backend->decode_path = DS_VULKAN_DECODE_AUTO;
    backend->decode_why = "no engine has started yet";
    if (lacks != NULL || (software && !measure)) {
        backend->decode_path = DS_VULKAN_DECODE_CPU;
        backend->decode_why = lacks != NULL ? lacks : "a software device";
    }
    backend->decode_measures_all = measure;
    backend->decode_measures =
        measure || (device->own && backend->queue_mode != DS_VULKAN_QUEUE_MANUAL);
}

int vulkan_backend_decode(struct ds_vulkan_backend *backend,
                          const struct ds_vulkan_backend_config *config)
{
    const struct vulkan_device *device = &backend->device;
    enum ds_vulkan_decode_path wanted = config->decode_path;
    const char *lacks = NULL;

    backend->decode_forced = vulkan_decode_is_forced(wanted);
    backend->decode_trusted = config->decode_trusted;
    backend->decode_scratch_bytes =
        config->decode_scratch_bytes != 0 ? config->decode_scratch_bytes : SCRATCH_DEFAULT;
    backend->decode_backlog_bytes = config->decode_backlog_bytes;
    backend->decode_path = wanted;
    backend->decode_why = "asked for";
    if (backend->decode_forced)
        lacks = decode_lacks(device, wanted == DS_VULKAN_DECODE_NV);
    else if (wanted != DS_VULKAN_DECODE_CPU)
        settle_auto(backend, wanted == DS_VULKAN_DECODE_MEASURE);
    vulkan_backend_decode_tell(backend, backend->decode_path, backend->decode_why);
    if (lacks == NULL)
        return 0;
    host_log(&backend->host, DS_LOG_ERROR, "decode_path: %s cannot decode: %s%s",
             device->properties.deviceName, lacks,
             device->own ? "" : "; has_shader_int64 and the like tell what was enabled");
    return -ENOTSUP;
}

void vulkan_backend_decode_tell(struct ds_vulkan_backend *backend, enum ds_vulkan_decode_path path,
                                const char *reason)
{
    atomic_store_explicit(&backend->decode_told, path, memory_order_relaxed);
    atomic_store_explicit(&backend->decode_reason, reason, memory_order_relaxed);
}
