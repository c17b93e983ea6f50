#include "stages/copy_trial.h"

#include "engine/clock.h"

#define WAIT_NS 100000000u /* a GPU that is busy for so long tells nothing */

int copy_trial_open(struct copy_trial *trial, struct ds_vulkan_backend *backend,
                    const struct host *host)
{
    int error;

    *trial = (struct copy_trial){.backend = backend};
    error = vulkan_timeline_open(&trial->timeline, &backend->device, host);
    if (error == 0)
        error = vulkan_commands_open(&trial->commands, &backend->device, host,
                                     backend->device.queue_family);
    return error;
}

void copy_trial_drain(struct copy_trial *trial)
{
    vulkan_timeline_drain(&trial->timeline);
}

void copy_trial_close(struct copy_trial *trial)
{
    copy_trial_drain(trial);
    vulkan_commands_close(&trial->commands, &trial->backend->device);
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
        trial->commands.buffer, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
        VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1, &memory, 0, NULL, 0, NULL);
}

static VkResult commands_record(struct copy_trial *trial, copy_trial_record_fn record, void *ctx)
{
    const struct vulkan_device *device = &trial->backend->device;
    VkResult result = vulkan_commands_begin(&trial->commands, device);

    if (result != VK_SUCCESS)
        return result;
    barrier(trial);
    record(ctx, trial->commands.buffer);
    return device->vk.EndCommandBuffer(trial->commands.buffer);
}

/* Polled: a sleep takes longer to end than most of what is measured. */
uint64_t copy_trial_run(struct copy_trial *trial, copy_trial_record_fn record, void *ctx)
{
    uint64_t reached = 0, begun_ns = clock_now_ns(), started_ns, now_ns;

    trial->cpu_ns = 0;
    if (trial->given_up || commands_record(trial, record, ctx) != VK_SUCCESS)
        return 0;
    started_ns = clock_now_ns();
    if (vulkan_commands_submit(&trial->commands, trial->backend, trial->backend->device.queue,
                               &trial->timeline, ++trial->ticket) != VK_SUCCESS)
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
