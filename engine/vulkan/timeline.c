/* Tickets: announced, reached, waited for, lost. */
#include "engine/vulkan/timeline.h"

#include "engine/clock.h"

#define DRAIN_WARN_NS 2000000000u

int vulkan_timeline_open(struct vulkan_timeline *timeline, const struct vulkan_device *device,
                         const struct host *host)
{
    VkSemaphoreTypeCreateInfo type = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
    };
    VkSemaphoreCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
        .pNext = &type,
    };
    VkResult result;

    timeline->vk = &device->vk;
    timeline->host = host;
    timeline->device = device->device;
    atomic_init(&timeline->submitted, 0);
    atomic_init(&timeline->reached, 0);
    atomic_init(&timeline->lost, VK_SUCCESS);
    result = device->vk.CreateSemaphore(device->device, &info, NULL, &timeline->semaphore);
    if (result == VK_SUCCESS)
        return 0;
    timeline->semaphore = VK_NULL_HANDLE;
    return vulkan_fail(host, "vkCreateSemaphore (timeline)", result);
}

void vulkan_timeline_close(struct vulkan_timeline *timeline)
{
    if (timeline->semaphore != VK_NULL_HANDLE)
        timeline->vk->DestroySemaphore(timeline->device, timeline->semaphore, NULL);
    timeline->semaphore = VK_NULL_HANDLE;
}

/* set_lost keeps the first cause, and logs it once. */
static VkResult set_lost(struct vulkan_timeline *timeline, const char *call, VkResult result)
{
    int32_t none = VK_SUCCESS;

    if (atomic_compare_exchange_strong_explicit(&timeline->lost, &none, result,
                                                memory_order_relaxed, memory_order_relaxed))
        host_log(timeline->host, DS_LOG_ERROR, "%s: %s (%d); the device cannot be used any more",
                 call, vulkan_result_name(result), (int)result);
    return vulkan_timeline_lost(timeline);
}

/* A poll that fails for want of memory says nothing about the device: ask again later. */
static bool is_transient(VkResult result)
{
    return result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

void vulkan_timeline_begin(struct vulkan_timeline *timeline, uint64_t ticket)
{
    DS_ASSERT(ticket > atomic_load_explicit(&timeline->submitted, memory_order_relaxed));
    /* before the submission, so that no thread sees the counter ahead of it; pairs with the load in
     * vulkan_timeline_read */
    atomic_store_explicit(&timeline->submitted, ticket, memory_order_release);
}

VkResult vulkan_timeline_end(struct vulkan_timeline *timeline, uint64_t before, VkResult result)
{
    if (result == VK_SUCCESS)
        return result;
    if (result == VK_ERROR_DEVICE_LOST)
        return set_lost(timeline, "vkQueueSubmit", result);
    atomic_store_explicit(&timeline->submitted, before, memory_order_release);
    vulkan_fail(timeline->host, "vkQueueSubmit", result);
    return result;
}

VkResult vulkan_timeline_read(struct vulkan_timeline *timeline, uint64_t *ticket)
{
    uint64_t value = 0;
    VkResult result = vulkan_timeline_lost(timeline);

    *ticket = UINT64_MAX;
    if (result != VK_SUCCESS)
        return result;
    result = timeline->vk->GetSemaphoreCounterValue(timeline->device, timeline->semaphore, &value);
    if (is_transient(result)) {
        *ticket = atomic_load_explicit(&timeline->reached, memory_order_relaxed);
        return VK_SUCCESS;
    }
    if (result != VK_SUCCESS)
        return set_lost(timeline, "vkGetSemaphoreCounterValue", result);
    /* drivers answer UINT64_MAX for a semaphore of a lost device */
    if (value > atomic_load_explicit(&timeline->submitted, memory_order_acquire))
        return set_lost(timeline, "vkGetSemaphoreCounterValue", VK_ERROR_DEVICE_LOST);
    /* two threads may store in either order: it is a lower bound all the same */
    atomic_store_explicit(&timeline->reached, value, memory_order_relaxed);
    *ticket = value;
    return VK_SUCCESS;
}

bool vulkan_timeline_is_past(struct vulkan_timeline *timeline, uint64_t ticket)
{
    uint64_t reached;

    if (atomic_load_explicit(&timeline->reached, memory_order_relaxed) >= ticket)
        return true;
    return vulkan_timeline_read(timeline, &reached) == VK_SUCCESS && reached >= ticket;
}

VkResult vulkan_timeline_wait(struct vulkan_timeline *timeline, uint64_t ticket,
                              uint64_t timeout_ns)
{
    VkSemaphoreWaitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
        .semaphoreCount = 1,
        .pSemaphores = &timeline->semaphore,
        .pValues = &ticket,
    };
    VkResult result = vulkan_timeline_lost(timeline);

    if (result != VK_SUCCESS)
        return result;
    result = timeline->vk->WaitSemaphores(timeline->device, &info, timeout_ns);
    if (result == VK_SUCCESS || result == VK_TIMEOUT)
        return result;
    return is_transient(result) ? VK_TIMEOUT : set_lost(timeline, "vkWaitSemaphores", result);
}

/* The GPU may use our memory until its last submission has ended, so there is nothing else to do
 * than to wait. A driver gives up on a hung GPU by itself, which shows as a loss. */
void vulkan_timeline_drain(struct vulkan_timeline *timeline)
{
    uint64_t last = atomic_load_explicit(&timeline->submitted, memory_order_acquire);
    uint64_t started_ns = clock_now_ns();

    while (last != 0 && vulkan_timeline_wait(timeline, last, DRAIN_WARN_NS) == VK_TIMEOUT)
        host_log(timeline->host, DS_LOG_WARNING,
                 "closing: the GPU has been busy for %llu ms; is the queue blocked by a semaphore?",
                 (unsigned long long)((clock_now_ns() - started_ns) / 1000000));
}
