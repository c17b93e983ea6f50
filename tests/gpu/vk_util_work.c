/* Buffers, commands, semaphores. */
#include "gpu/vk_util_private.h"

#include "engine/clock.h"

#include <sched.h>
#include <string.h>

#define FENCE_TIMEOUT_NS 120000000000u

/* Buffers ------------------------------------------------------------------------------------- */

static uint32_t memory_type(struct vk_util *util, uint32_t types, VkMemoryPropertyFlags flags)
{
    for (uint32_t i = 0; i < util->memory.memoryTypeCount; i++) {
        if ((types & (1u << i)) != 0 &&
            (util->memory.memoryTypes[i].propertyFlags & flags) == flags)
            return i;
    }
    vk_util_fatal("no memory type with these flags", (int)flags);
    return 0;
}

void vk_util_buffer(struct vk_util *util, uint64_t bytes, VkBufferUsageFlags usage,
                    bool host_visible, struct vk_util_buffer *buffer)
{
    uint32_t families[2] = {util->queue_family, util->app_queue_family};
    bool shared = families[0] != families[1];
    VkBufferUsageFlags all = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                             (util->has_addresses ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0);
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = usage | all,
        .sharingMode = shared ? VK_SHARING_MODE_CONCURRENT : VK_SHARING_MODE_EXCLUSIVE,
        .queueFamilyIndexCount = shared ? 2 : 0,
        .pQueueFamilyIndices = families,
    };
    VkMemoryAllocateFlagsInfo address = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
    };
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
    VkMemoryRequirements needs;
    void *mapped = NULL;

    *buffer = (struct vk_util_buffer){.bytes = bytes};
    CHECK(util->CreateBuffer(util->device, &info, NULL, &buffer->buffer));
    util->GetBufferMemoryRequirements(util->device, buffer->buffer, &needs);
    if ((info.usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0)
        allocate.pNext = &address;
    allocate.allocationSize = needs.size;
    allocate.memoryTypeIndex =
        memory_type(util, needs.memoryTypeBits,
                    host_visible ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                       VK_MEMORY_PROPERTY_HOST_COHERENT_BIT
                                 : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    CHECK(util->AllocateMemory(util->device, &allocate, NULL, &buffer->memory));
    CHECK(util->BindBufferMemory(util->device, buffer->buffer, buffer->memory, 0));
    if (util->has_addresses)
        buffer->address = util->GetBufferDeviceAddress(
            util->device, &(VkBufferDeviceAddressInfo){
                              .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                              .buffer = buffer->buffer,
                          });
    if (host_visible)
        CHECK(util->MapMemory(util->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &mapped));
    buffer->mapped = mapped;
}

void vk_util_buffer_free(struct vk_util *util, struct vk_util_buffer *buffer)
{
    util->DestroyBuffer(util->device, buffer->buffer, NULL);
    util->FreeMemory(util->device, buffer->memory, NULL);
    *buffer = (struct vk_util_buffer){0};
}

/* Commands ------------------------------------------------------------------------------------ */

static void barrier_all(struct vk_util *util, VkCommandBuffer commands)
{
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask =
            VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT | VK_ACCESS_HOST_READ_BIT,
    };

    util->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                             VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                             &barrier, 0, NULL, 0, NULL);
}

/* A semaphore VK_NULL_HANDLE: none. */
struct sync {
    VkSemaphore wait, signal;
    uint64_t wait_value, signal_value;
};

static void submit_and_wait(struct vk_util *util, VkCommandBuffer commands,
                            const struct sync *sync)
{
    VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    VkTimelineSemaphoreSubmitInfo values = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .waitSemaphoreValueCount = sync->wait != VK_NULL_HANDLE ? 1 : 0,
        .pWaitSemaphoreValues = &sync->wait_value,
        .signalSemaphoreValueCount = sync->signal != VK_NULL_HANDLE ? 1 : 0,
        .pSignalSemaphoreValues = &sync->signal_value,
    };
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &values,
        .waitSemaphoreCount = sync->wait != VK_NULL_HANDLE ? 1 : 0,
        .pWaitSemaphores = &sync->wait,
        .pWaitDstStageMask = &stage,
        .commandBufferCount = 1,
        .pCommandBuffers = &commands,
        .signalSemaphoreCount = sync->signal != VK_NULL_HANDLE ? 1 : 0,
        .pSignalSemaphores = &sync->signal,
    };
    VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkFence fence;
    VkResult result, idle;

    CHECK(util->CreateFence(util->device, &info, NULL, &fence));
    vk_util_lock(util);
    result = util->QueueSubmit(util->app_queue, 1, &submit, fence);
    vk_util_unlock(util);
    CHECK(result);
    CHECK(util->WaitForFences(util->device, 1, &fence, VK_TRUE, FENCE_TIMEOUT_NS));
    /* Mesa's submit thread touches the submission's semaphores after its fence: without this a
     * caller that destroys one now can hang that thread (seen with 22.3) */
    vk_util_lock(util);
    idle = util->QueueWaitIdle(util->app_queue);
    vk_util_unlock(util);
    CHECK(idle);
    util->DestroyFence(util->device, fence, NULL);
}

static void run(struct vk_util *util, void (*record)(struct vk_util *, VkCommandBuffer, void *),
                void *ctx, const struct sync *sync)
{
    VkCommandPoolCreateInfo pool_info = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .queueFamilyIndex = util->app_queue_family,
    };
    VkCommandBufferAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VkCommandPool pool;
    VkCommandBuffer commands;

    CHECK(util->CreateCommandPool(util->device, &pool_info, NULL, &pool));
    allocate.commandPool = pool;
    CHECK(util->AllocateCommandBuffers(util->device, &allocate, &commands));
    CHECK(util->BeginCommandBuffer(commands, &begin));
    barrier_all(util, commands);
    record(util, commands, ctx);
    barrier_all(util, commands);
    CHECK(util->EndCommandBuffer(commands));
    submit_and_wait(util, commands, sync);
    util->DestroyCommandPool(util->device, pool, NULL);
}

void vk_util_run(struct vk_util *util, void (*record)(struct vk_util *, VkCommandBuffer, void *),
                 void *ctx, VkSemaphore wait, uint64_t wait_value)
{
    run(util, record, ctx, &(struct sync){.wait = wait, .wait_value = wait_value});
}

void vk_util_run_signal(struct vk_util *util,
                        void (*record)(struct vk_util *, VkCommandBuffer, void *), void *ctx,
                        VkSemaphore signal, uint64_t signal_value)
{
    run(util, record, ctx, &(struct sync){.signal = signal, .signal_value = signal_value});
}

struct fill {
    VkBuffer buffer;
    uint32_t word;
};

static void record_fill(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    const struct fill *fill = ctx;

    util->CmdFillBuffer(commands, fill->buffer, 0, VK_WHOLE_SIZE, fill->word);
}

void vk_util_fill(struct vk_util *util, const struct vk_util_buffer *buffer, uint8_t value)
{
    struct fill fill = {buffer->buffer, value * 0x01010101u};

    vk_util_run(util, record_fill, &fill, VK_NULL_HANDLE, 0);
}

struct copy {
    VkBuffer from;
    VkBuffer to;
    VkBufferCopy region;
};

static void record_copy(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    const struct copy *copy = ctx;

    util->CmdCopyBuffer(commands, copy->from, copy->to, 1, &copy->region);
}

void vk_util_readback(struct vk_util *util, const struct vk_util_buffer *buffer, uint64_t offset,
                      uint64_t bytes, void *out)
{
    vk_util_readback_after(util, buffer, offset, bytes, out, VK_NULL_HANDLE, 0);
}

void vk_util_readback_after(struct vk_util *util, const struct vk_util_buffer *buffer,
                            uint64_t offset, uint64_t bytes, void *out, VkSemaphore wait,
                            uint64_t wait_value)
{
    struct vk_util_buffer host;
    struct copy copy = {.from = buffer->buffer, .region = {offset, 0, bytes}};

    vk_util_buffer(util, bytes, 0, true, &host);
    copy.to = host.buffer;
    vk_util_run(util, record_copy, &copy, wait, wait_value);
    memcpy(out, host.mapped, bytes);
    vk_util_buffer_free(util, &host);
}

/* Semaphores ---------------------------------------------------------------------------------- */

VkSemaphore vk_util_timeline(struct vk_util *util, uint64_t value)
{
    VkSemaphoreTypeCreateInfo type = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
        .initialValue = value,
    };
    VkSemaphoreCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
        .pNext = &type,
    };
    VkSemaphore semaphore;

    CHECK(util->CreateSemaphore(util->device, &info, NULL, &semaphore));
    return semaphore;
}

uint64_t vk_util_timeline_value(struct vk_util *util, VkSemaphore semaphore)
{
    uint64_t value = 0;

    CHECK(util->GetSemaphoreCounterValue(util->device, semaphore, &value));
    return value;
}

/* By asking again and again: layer 1.3.239 reports a vkWaitSemaphores of one thread as timed out
 * when another signals the semaphore from the host meanwhile ("most likely a validation bug"). */
bool vk_util_timeline_wait(struct vk_util *util, VkSemaphore semaphore, uint64_t value,
                           uint64_t timeout_ns)
{
    uint64_t deadline_ns = clock_now_ns() + timeout_ns;

    while (vk_util_timeline_value(util, semaphore) < value) {
        if (clock_now_ns() >= deadline_ns)
            return false;
        sched_yield();
    }
    return true;
}
