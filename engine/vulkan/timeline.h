/* A timeline semaphore whose value is the ticket of the last submission that ended, and the news of
 * a lost device. */
#ifndef ENGINE_VULKAN_TIMELINE_H
#define ENGINE_VULKAN_TIMELINE_H

#include "engine/vulkan/device.h"

#include <stdatomic.h>

struct vulkan_timeline {
    const struct vulkan_dispatch *vk;
    const struct host *host;
    VkDevice device;
    VkSemaphore semaphore;
    _Atomic uint64_t submitted; /* the last ticket that was given to the queue */
    _Atomic uint64_t reached;   /* a ticket known to be reached; the truth may be higher */
    _Atomic int32_t lost;       /* VkResult that ended it all, or VK_SUCCESS; sticky */
};

/* vulkan_timeline_open: 0, -ENOMEM or -EIO. */
int vulkan_timeline_open(struct vulkan_timeline *timeline, const struct vulkan_device *device,
                         const struct host *host);
void vulkan_timeline_close(struct vulkan_timeline *timeline);

/* vulkan_timeline_begin announces a submission that will signal `ticket`, which is above all before
 * (asserted: no validation layer checks it). vulkan_timeline_end takes its VkResult, and takes the
 * announcement back if the queue refused. Runs on: whoever submits, one thread at a time. */
void vulkan_timeline_begin(struct vulkan_timeline *timeline, uint64_t ticket);
VkResult vulkan_timeline_end(struct vulkan_timeline *timeline, uint64_t before, VkResult result);

/* vulkan_timeline_read: the highest ticket reached; after a loss UINT64_MAX, and the VkResult.
 * Thread-safety of this and all below: any thread. */
VkResult vulkan_timeline_read(struct vulkan_timeline *timeline, uint64_t *ticket);

/* vulkan_timeline_is_past: is `ticket` reached? False for a lost device. */
bool vulkan_timeline_is_past(struct vulkan_timeline *timeline, uint64_t ticket);

/* vulkan_timeline_wait: VK_SUCCESS, VK_TIMEOUT or the loss. */
VkResult vulkan_timeline_wait(struct vulkan_timeline *timeline, uint64_t ticket,
                              uint64_t timeout_ns);

/* vulkan_timeline_drain waits until all that was submitted has ended, or the device is lost. */
void vulkan_timeline_drain(struct vulkan_timeline *timeline);

static inline VkResult vulkan_timeline_lost(const struct vulkan_timeline *timeline)
{
    return (VkResult)atomic_load_explicit(&timeline->lost, memory_order_relaxed);
}

#endif
