/* How long the GPU takes between two points of a command buffer, by timestamps. Where it has none,
 * everything here does nothing and takes no time. */
#ifndef ENGINE_VULKAN_GPU_CLOCK_H
#define ENGINE_VULKAN_GPU_CLOCK_H

#include "engine/vulkan/device.h"

struct gpu_clock {
    VkDevice device;
    VkQueryPool pool; /* VK_NULL_HANDLE: no timestamps */
    uint64_t mask;    /* the bits that count */
    double period_ns;
    PFN_vkDestroyQueryPool DestroyQueryPool;
    PFN_vkCmdResetQueryPool CmdResetQueryPool;
    PFN_vkCmdWriteTimestamp CmdWriteTimestamp;
    PFN_vkGetQueryPoolResults GetQueryPoolResults;
};

/* gpu_clock_open makes a clock for one command buffer at a time, of a queue family. It cannot fail:
 * what does not work is a clock that does nothing. */
void gpu_clock_open(struct gpu_clock *clock, const struct vulkan_device *device, uint32_t family);
void gpu_clock_close(struct gpu_clock *clock);

/* gpu_clock_begin and gpu_clock_end mark the points, outside of a render pass. */
void gpu_clock_begin(const struct gpu_clock *clock, VkCommandBuffer commands);
void gpu_clock_end(const struct gpu_clock *clock, VkCommandBuffer commands);

/* gpu_clock_read returns the nanoseconds between the points, after the commands have run. */
uint64_t gpu_clock_read(const struct gpu_clock *clock);

#endif
