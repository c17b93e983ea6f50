#include "contract/copy_rig.h"

#include "gpu/vk_hook.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct rig_hooks rig_hooks;

/* The functions behind the hooks. */
static struct {
    PFN_vkGetDeviceProcAddr GetDeviceProcAddr;
    PFN_vkCmdCopyBuffer CmdCopyBuffer;
    PFN_vkCmdPipelineBarrier CmdPipelineBarrier;
    PFN_vkCmdDispatch CmdDispatch;
    PFN_vkQueueSubmit QueueSubmit;
    PFN_vkGetSemaphoreCounterValue GetSemaphoreCounterValue;
    PFN_vkWaitSemaphores WaitSemaphores;
    PFN_vkAllocateMemory AllocateMemory;
} real;

static bool must_hold_lock;

static VKAPI_ATTR void VKAPI_CALL hook_CmdCopyBuffer(VkCommandBuffer commands, VkBuffer from,
                                                     VkBuffer to, uint32_t n,
                                                     const VkBufferCopy *regions)
{
    rig_hooks.copy_calls++;
    rig_hooks.copy_regions += n;
    real.CmdCopyBuffer(commands, from, to, n, regions);
}

static VKAPI_ATTR void VKAPI_CALL hook_CmdPipelineBarrier(
    VkCommandBuffer commands, VkPipelineStageFlags from, VkPipelineStageFlags to,
    VkDependencyFlags flags, uint32_t memory_n, const VkMemoryBarrier *memory, uint32_t buffer_n,
    const VkBufferMemoryBarrier *buffer, uint32_t image_n, const VkImageMemoryBarrier *image)
{
    rig_hooks.barriers++;
    real.CmdPipelineBarrier(commands, from, to, flags, memory_n, memory, buffer_n, buffer, image_n,
                            image);
}

static VKAPI_ATTR void VKAPI_CALL hook_CmdDispatch(VkCommandBuffer commands, uint32_t x, uint32_t y,
                                                   uint32_t z)
{
    rig_hooks.dispatches++;
    rig_hooks.groups = x;
    real.CmdDispatch(commands, x, y, z);
}

static VKAPI_ATTR VkResult VKAPI_CALL hook_QueueSubmit(VkQueue queue, uint32_t n,
                                                       const VkSubmitInfo *submits, VkFence fence)
{
    rig_hooks.submits++;
    rig_hooks.submit_infos = n;
    rig_hooks.ticket_signals = submits[n - 1].signalSemaphoreCount;
    rig_hooks.ticket_semaphore = submits[n - 1].pSignalSemaphores[0];
    if (must_hold_lock && rig_hooks.lock_depth != 1)
        rig_hooks.submits_unlocked++;
    if (rig_hooks.submit_result != VK_SUCCESS)
        return rig_hooks.submit_result;
    return real.QueueSubmit(queue, n, submits, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL hook_GetSemaphoreCounterValue(VkDevice device,
                                                                    VkSemaphore semaphore,
                                                                    uint64_t *value)
{
    if (rig_hooks.counter_result != VK_SUCCESS)
        return rig_hooks.counter_result;
    if (rig_hooks.counter_value != 0) {
        *value = rig_hooks.counter_value;
        return VK_SUCCESS;
    }
    return real.GetSemaphoreCounterValue(device, semaphore, value);
}

static VKAPI_ATTR VkResult VKAPI_CALL hook_WaitSemaphores(VkDevice device,
                                                          const VkSemaphoreWaitInfo *info,
                                                          uint64_t timeout_ns)
{
    if (rig_hooks.wait_result != VK_SUCCESS)
        return rig_hooks.wait_result;
    return real.WaitSemaphores(device, info, timeout_ns);
}

static VKAPI_ATTR VkResult VKAPI_CALL hook_AllocateMemory(VkDevice device,
                                                          const VkMemoryAllocateInfo *info,
                                                          const VkAllocationCallbacks *callbacks,
                                                          VkDeviceMemory *memory)
{
    const VkBaseInStructure *next = info->pNext;

    for (; next != NULL && rig_hooks.import_fails; next = next->pNext) {
        if (next->sType == VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT)
            return VK_ERROR_INVALID_EXTERNAL_HANDLE;
    }
    return real.AllocateMemory(device, info, callbacks, memory);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL hook_GetDeviceProcAddr(VkDevice device,
                                                                       const char *name)
{
    PFN_vkVoidFunction function = real.GetDeviceProcAddr(device, name);

    VK_HOOK(CmdCopyBuffer)
    VK_HOOK(CmdPipelineBarrier)
    VK_HOOK(CmdDispatch)
    VK_HOOK(QueueSubmit)
    VK_HOOK(GetSemaphoreCounterValue)
    VK_HOOK(WaitSemaphores)
    VK_HOOK(AllocateMemory)
    if (strcmp(name, "vkDestroyDevice") == 0 || strcmp(name, "vkDeviceWaitIdle") == 0 ||
        strcmp(name, "vkQueueWaitIdle") == 0)
        rig_hooks.forbidden++;
    return function;
}

static void lock(void *ctx)
{
    vk_util_lock(ctx);
    rig_hooks.locks++;
    rig_hooks.lock_depth++;
}

static void unlock(void *ctx)
{
    rig_hooks.lock_depth--;
    vk_util_unlock(ctx);
}

void rig_log(void *ctx, enum ds_log_level level, const char *message)
{
    (void)ctx;
    if (level <= DS_LOG_WARNING)
        fprintf(stderr, "log: %s\n", message);
}

static void lend(struct rig *rig, struct ds_vulkan_backend_config *config)
{
    vk_util_lend(rig->util, config);
    real.GetDeviceProcAddr = rig->util->get_device_proc_addr;
    config->get_device_proc_addr = hook_GetDeviceProcAddr;
    if (rig->options.copy_path == DS_VULKAN_PATH_SCATTER || rig->options.scatter_max_bytes != 0 ||
        rig->options.decode_path != DS_VULKAN_DECODE_AUTO) {
        rig->options.locks = true; /* vk_util's own work is on this queue too */
        config->queue = rig->util->app_queue;
        config->queue_family = rig->util->app_queue_family;
    }
    must_hold_lock = rig->options.locks && rig->options.queue_mode != DS_VULKAN_QUEUE_MANUAL;
    if (rig->options.locks) {
        config->lock_queue = lock;
        config->unlock_queue = unlock;
        config->lock_ctx = rig->util;
    }
}

void rig_backend(struct rig *rig, const struct rig_options *options)
{
    struct ds_vulkan_backend_config config = {
        .struct_size = sizeof(config),
        .staging = options->staging,
        .queue_mode = options->queue_mode,
        .batches_max = options->batches_max,
        .batch_regions_max = options->regions_max,
        .copy_path = options->copy_path,
        .decode_path = options->decode_path,
        .scatter_max_bytes = options->scatter_max_bytes,
        .scatter_regions_min = options->scatter_regions_min,
        .scatter_groups_max = options->scatter_groups_max,
        .log = rig_log,
    };
    int error;

    *rig = (struct rig){.options = *options};
    rig_hooks = (struct rig_hooks){0};
    host_init(&rig->host, NULL, rig_log, NULL, DS_LOG_DEBUG);
    if (options->own) {
        if (!options->no_validation)
            vk_util_validate();
    } else {
        rig->util = vk_util_open(!options->no_validation);
        if (rig->util == NULL)
            cr_skip_test("%s", vk_util_reason());
        lend(rig, &config);
    }
    error = ds_vulkan_backend_create(&config, &rig->backend);
    if (options->own && error == -ENODEV)
        cr_skip_test("no Vulkan device");
    if (error == -ENOTSUP && options->staging == DS_VULKAN_STAGING_IMPORT)
        cr_skip_test("the device cannot import host memory");
    if (error == -ENOTSUP && (options->copy_path == DS_VULKAN_PATH_SCATTER ||
                              options->decode_path != DS_VULKAN_DECODE_AUTO))
        cr_skip_test("the device or this build cannot copy by shader");
    cr_assert_eq(error, 0, "ds_vulkan_backend_create: %d", error);
    if (options->own)
        rig->util = vk_util_adopt(rig->backend);
}

void rig_open(struct rig *rig, const struct rig_options *options, uint64_t staging_bytes)
{
    int error;

    rig_backend(rig, options);
    error = copy_vulkan_open(rig->backend, &rig->host, &rig->self);
    cr_assert_eq(error, 0, "copy_vulkan_open: %d", error);
    error = copy_vulkan_ops.staging_open(rig->self, staging_bytes, &rig->staging);
    cr_assert_eq(error, 0, "staging_open: %d", error);
    cr_assert_geq(rig->staging.bytes, staging_bytes);
    cr_assert_eq((uintptr_t)rig->staging.memory % 4096, 0, "the disk needs pages");
    cr_assert_neq(rig->staging.gpu_buffer, 0);
    if (options->staging == DS_VULKAN_STAGING_IMPORT)
        cr_assert_str_eq(rig->staging.kind, "imported");
    if (options->staging == DS_VULKAN_STAGING_ALLOCATE)
        cr_assert_str_eq(rig->staging.kind, "vulkan");
}

void rig_close(struct rig *rig)
{
    if (rig->self != NULL) {
        if (rig->staging.memory != NULL)
            copy_vulkan_ops.staging_close(rig->self, &rig->staging);
        cr_expect_null(rig->staging.memory);
        copy_vulkan_close(rig->self);
    }
    vk_util_close_both(&rig->util, &rig->backend);
    cr_expect_null(rig->backend);
    cr_expect_eq(rig_hooks.forbidden, 0, "a lent object was destroyed or waited idle");
    cr_expect_eq(rig_hooks.submits_unlocked, 0, "vkQueueSubmit without the host's lock");
    cr_expect_eq(rig_hooks.lock_depth, 0, "lock and unlock are not balanced");
    cr_expect_eq(vk_util_messages(), 0, "the validation layers complained");
}

struct rig_piece *rig_pieces(uint32_t n)
{
    struct rig_piece *pieces = aligned_alloc(_Alignof(struct rig_piece), n * sizeof(*pieces));

    memset(pieces, 0, n * sizeof(*pieces));
    return pieces;
}

void rig_piece(const struct rig *rig, struct rig_piece *piece, bool download, VkBuffer buffer,
               uint64_t gpu_offset, uint64_t staging_offset, uint32_t bytes,
               uint32_t payload_offset)
{
    uint64_t request_offset = gpu_offset / 2; /* any: it must cancel out */

    piece->request = (struct request){
        .kind = download ? REQUEST_WRITE : REQUEST_READ,
        .offset = 1000003,
        .size = request_offset + bytes,
        .gpu_buffer = ds_vulkan_buffer(buffer),
        .gpu_offset = gpu_offset - request_offset,
    };
    piece->chunk = (struct chunk){
        .request = &piece->request,
        .kind = download ? CHUNK_DOWNLOAD : CHUNK_READ,
        .state = CHUNK_IN_COPY,
        .status = DS_STATUS_OK,
        .request_offset = request_offset,
        .payload_bytes = bytes,
        .io_bytes = bytes + payload_offset,
        .memory = rig->staging.memory + staging_offset - (download ? 0 : payload_offset),
        .file_offset = piece->request.offset + request_offset - (download ? 0 : payload_offset),
    };
}

void rig_piece_address(struct rig_piece *piece, uint64_t address, bool alone)
{
    piece->request.gpu_address = address;
    piece->request.special = 1;
    if (alone)
        piece->request.gpu_buffer = 0;
}

uint64_t rig_submit(struct rig *rig, uint32_t index, struct chunk *const *chunks, uint32_t n,
                    const struct copy_signal *signals, uint32_t signals_n)
{
    int result = copy_vulkan_ops.record(rig->self, index, chunks, n);

    cr_assert_eq(result, VK_SUCCESS, "record: %d", result);
    result = copy_vulkan_ops.submit(rig->self, index, ++rig->ticket, signals, signals_n);
    cr_assert_eq(result, VK_SUCCESS, "submit: %d", result);
    return rig->ticket;
}

void rig_wait(struct rig *rig, uint64_t ticket)
{
    uint64_t reached = 0;
    int result;

    copy_vulkan_ops.wait(rig->self, ticket, RIG_TIMEOUT_NS);
    result = copy_vulkan_ops.reached(rig->self, &reached);
    cr_assert_eq(result, VK_SUCCESS, "reached: %d", result);
    cr_assert_geq(reached, ticket, "ticket %llu is not reached", (unsigned long long)ticket);
}
