#include "stages/copy_trial.h"

#include "engine/clock.h"

#define WAIT_NS 100000000u /* a GPU that is busy for so long tells nothing */

static VkResult commands_make(struct copy_trial *trial)
{
    const struct vulkan_device *device = &trial->backend->device;
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
        .queueFamilyIndex = device->queue_family,
    };
    VkCommandBufferAllocateInfo commands = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VkResult result = device->vk.CreateCommandPool(device->device, &pool, NULL, &trial->pool);

    if (result != VK_SUCCESS) {
        trial->pool = VK_NULL_HANDLE;
        return result;
    }
    commands.commandPool = trial->pool;
    return device->vk.AllocateCommandBuffers(device->device, &commands, &trial->commands);
}

int copy_trial_open(struct copy_trial *trial, struct ds_vulkan_backend *backend,
                    const struct host *host)
{
    VkResult result;
    int error;

    *trial = (struct copy_trial){.backend = backend, .host = host};
    error = vulkan_timeline_open(&trial->timeline, &backend->device, host);
    if (error != 0)
        return error;
    result = commands_make(trial);
    return result == VK_SUCCESS ? 0 : vulkan_fail(host, "vkCreateCommandPool", result);
}

void copy_trial_drain(struct copy_trial *trial)
{
    vulkan_timeline_drain(&trial->timeline);
}

void copy_trial_close(struct copy_trial *trial)
{
    const struct vulkan_device *device = &trial->backend->device;

    copy_trial_drain(trial);
    if (trial->pool != VK_NULL_HANDLE)
        device->vk.DestroyCommandPool(device->device, trial->pool, NULL);
    trial->pool = VK_NULL_HANDLE;
    vulkan_timeline_close(&trial->timeline);
}

/* The memory is read and written again and again. */
static void barrier(const struct copy_trial *trial)
{
    VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
    };

    trial->backend->device.vk.CmdPipelineBarrier(
        trial->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0,
        1, &memory, 0, NULL, 0, NULL);
}

static VkResult commands_record(struct copy_trial *trial, copy_trial_record_fn record, void *ctx)
{
    const struct vulkan_device *device = &trial->backend->device;
    VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VkResult result = device->vk.ResetCommandPool(device->device, trial->pool, 0);

    if (result == VK_SUCCESS)
        result = device->vk.BeginCommandBuffer(trial->commands, &begin);
    if (result != VK_SUCCESS)
        return result;
    barrier(trial);
    record(ctx, trial->commands);
    return device->vk.EndCommandBuffer(trial->commands);
}

static VkResult submit(struct copy_trial *trial)
{
    uint64_t before = trial->ticket++;
    VkTimelineSemaphoreSubmitInfo values = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .signalSemaphoreValueCount = 1,
        .pSignalSemaphoreValues = &trial->ticket,
    };
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &values,
        .commandBufferCount = 1,
        .pCommandBuffers = &trial->commands,
        .signalSemaphoreCount = 1,
        .pSignalSemaphores = &trial->timeline.semaphore,
    };
    VkResult result;

    vulkan_timeline_begin(&trial->timeline, trial->ticket);
    ds_vulkan_queue_lock(trial->backend);
    result = trial->backend->device.vk.QueueSubmit(trial->backend->device.queue, 1, &info,
                                                   VK_NULL_HANDLE);
    ds_vulkan_queue_unlock(trial->backend);
    return vulkan_timeline_end(&trial->timeline, before, result);
}

/* Polled: a sleep takes longer to end than most of what is measured. */
uint64_t copy_trial_run(struct copy_trial *trial, copy_trial_record_fn record, void *ctx)
{
    uint64_t reached = 0, begun_ns = clock_now_ns(), started_ns, now_ns;

    trial->cpu_ns = 0;
    if (trial->given_up || commands_record(trial, record, ctx) != VK_SUCCESS)
        return 0;
    started_ns = clock_now_ns();
    if (submit(trial) != VK_SUCCESS)
        return 0;
    trial->cpu_ns = clock_now_ns() - begun_ns;
    do {
        if (vulkan_timeline_read(&trial->timeline, &reached) != VK_SUCCESS)
            return 0;
        now_ns = clock_now_ns();
    } while (reached < trial->ticket && now_ns - started_ns < WAIT_NS);
    trial->given_up = reached < trial->ticket;
    return trial->given_up ? 0 : max_u64(now_ns - started_ns, 1);
}
