/* Staging memory that the GPU can read and write: our pages imported, or the driver's mapped. */
#ifndef ENGINE_VULKAN_MEMORY_H
#define ENGINE_VULKAN_MEMORY_H

#include "engine/staging.h"
#include "engine/vulkan/device.h"

/* O_DIRECT and io_uring want at least this; drivers promise 64 bytes for mapped memory. */
#define STAGING_PAGE_BYTES 4096

struct vulkan_staging {
    VkBuffer buffer;
    VkDeviceMemory memory;
    const uint8_t *base; /* host address of the buffer's first byte, <= staging.memory */
    uint64_t bytes;      /* of the buffer */
    VkDeviceAddress address; /* of base; 0 without bufferDeviceAddress */
    bool imported;
    bool cached;         /* by the CPU; where it is not imported */
};

/* vulkan_staging_open makes `bytes` bytes that host and GPU share, mapped until
 * vulkan_staging_close. AUTO imports where that works and allocates where it does not.
 * 0, -ENOTSUP: IMPORT is not available; -ENOMEM; -EIO. Nothing is left behind on error. */
int vulkan_staging_open(struct vulkan_staging *gpu, const struct vulkan_device *device,
                        const struct host *host, enum ds_vulkan_staging how, uint64_t bytes,
                        struct staging *staging);

/* vulkan_staging_close: the GPU must be done with it. */
void vulkan_staging_close(struct vulkan_staging *gpu, const struct vulkan_device *device,
                          struct staging *staging);

/* vulkan_staging_offset: where memory[0..bytes) lies in the buffer; asserts that it does. */
static inline uint64_t vulkan_staging_offset(const struct vulkan_staging *gpu,
                                             const uint8_t *memory, uint64_t bytes)
{
    uint64_t offset = (uint64_t)((uintptr_t)memory - (uintptr_t)gpu->base);

    DS_ASSERT(offset <= gpu->bytes && bytes <= gpu->bytes - offset);
    return offset;
}

#endif
