#include "gpu/decode_measure_rig.h"

#include "engine/vulkan/gdeflate_gpu.h"
#include "gpu/shader_nv.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_NS       120000000000u
#define CONTENT_BYTES 100000u

struct fake fake;

static struct vulkan_dispatch real;
static PFN_vkGetQueryPoolResults real_results;
static struct vk_util *util;
static const struct ds_vulkan_backend *measuring;
static uint32_t nv_tiles; /* when the timestamps were last asked for */

/* Vulkan -------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL fake_allocate(VkDevice device,
                                                    const VkMemoryAllocateInfo *info,
                                                    const VkAllocationCallbacks *callbacks,
                                                    VkDeviceMemory *memory)
{
    if (measuring->decode_cpu_measured && ++fake.allocations == fake.fail_allocation)
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    return real.AllocateMemory(device, info, callbacks, memory);
}

static VKAPI_ATTR void VKAPI_CALL fake_dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y,
                                                uint32_t z)
{
    fake.dispatches++;
    if (!fake.skip_dispatches)
        real.CmdDispatch(commands, x, y, z);
}

/* It comes back when all is done, so that whoever polls for 100 ms sees it, however slow this
 * machine is. */
static VKAPI_ATTR VkResult VKAPI_CALL fake_submit(VkQueue queue, uint32_t n,
                                                  const VkSubmitInfo *submits, VkFence fence)
{
    VkResult result = fake.submit_result;

    fake.submits++;
    if (result == VK_SUCCESS)
        result = real.QueueSubmit(queue, n, submits, fence);
    if (result == VK_SUCCESS)
        cr_assert_eq(util->QueueWaitIdle(queue), VK_SUCCESS);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL fake_counter(VkDevice device, VkSemaphore semaphore,
                                                   uint64_t *value)
{
    VkResult result = real.GetSemaphoreCounterValue(device, semaphore, value);

    if (fake.never_ends)
        *value = 0;
    return result;
}

/* Between the two timestamps. */
static VKAPI_ATTR VkResult VKAPI_CALL fake_results(VkDevice device, VkQueryPool pool,
                                                   uint32_t first, uint32_t n, size_t bytes,
                                                   void *data, VkDeviceSize stride,
                                                   VkQueryResultFlags flags)
{
    uint64_t *at = data;
    bool by_nv = shader_nv.tiles_n != nv_tiles;

    nv_tiles = shader_nv.tiles_n;
    cr_assert_eq(n, 2);
    cr_assert_eq(real_results(device, pool, first, n, bytes, data, stride, flags), VK_SUCCESS);
    at[0] = 1000;
    at[1] = 1000 + (by_nv ? fake.nv_ns : fake.gpu_ns);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL fake_families(VkPhysicalDevice physical, uint32_t *n,
                                                VkQueueFamilyProperties *families)
{
    real.GetPhysicalDeviceQueueFamilyProperties(physical, n, families);
    for (uint32_t i = 0; families != NULL && i < *n; i++) {
        if (fake.no_timestamps)
            families[i].timestampValidBits = 0;
    }
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL fake_get(VkDevice device, const char *name)
{
    PFN_vkVoidFunction function = real.GetDeviceProcAddr(device, name);

    if (strcmp(name, "vkGetQueryPoolResults") != 0)
        return function;
    real_results = (PFN_vkGetQueryPoolResults)function;
    return (PFN_vkVoidFunction)fake_results;
}

static void fake_install(struct measure_rig *rig)
{
    struct vulkan_dispatch *vk = &rig->backend->device.vk;

    fake = (struct fake){.gpu_ns = 1, .nv_ns = 1};
    nv_tiles = 0;
    shader_nv.tiles_n = 0;
    util = rig->vk;
    measuring = rig->backend;
    real = *vk;
    vk->AllocateMemory = fake_allocate;
    vk->CmdDispatch = fake_dispatch;
    vk->QueueSubmit = fake_submit;
    vk->GetSemaphoreCounterValue = fake_counter;
    vk->GetPhysicalDeviceQueueFamilyProperties = fake_families;
    vk->GetDeviceProcAddr = fake_get;
    rig->backend->device.properties.limits.timestampPeriod = 1;
}

/* Opening and closing ------------------------------------------------------------------------- */

static void keep_lines(void *ctx, enum ds_log_level level, const char *message)
{
    struct measure_rig *rig = ctx;

    if (level <= DS_LOG_WARNING)
        fprintf(stderr, "log: %s\n", message);
    if (strstr(message, "the device cannot be used any more") != NULL)
        rig->lost = true;
    if (strncmp(message, "decode:", 7) != 0)
        return; /* io_uring is missing, say */
    if (level == DS_LOG_WARNING)
        rig->warnings++;
    if (strstr(message, "measured in ") == NULL)
        return;
    rig->measured++;
    snprintf(rig->line, sizeof(rig->line), "%s", message);
}

void measure_rig_open(struct measure_rig *rig, enum ds_vulkan_decode_path path, bool trusted)
{
    *rig = (struct measure_rig){.vk = vk_util_open(true)};
    if (rig->vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    rig->config = (struct ds_vulkan_backend_config){
        .struct_size = sizeof(rig->config),
        .decode_path = path,
        .decode_trusted = trusted,
        .decode_scratch_bytes = 1 << 20, /* batches of 8 tiles: the shader is slow on software */
        .copy_path = DS_VULKAN_PATH_COPY,
    };
    vk_util_lend(rig->vk, &rig->config);
    rig->config.queue = rig->vk->app_queue;
    rig->config.queue_family = rig->vk->app_queue_family;
    rig->config.lock_queue = vk_util_lock;
    rig->config.unlock_queue = vk_util_unlock;
    rig->config.lock_ctx = rig->vk;
    if (ds_vulkan_backend_create(&rig->config, &rig->backend) != 0 ||
        gdeflate_gpu_lacks(&rig->backend->device, GDEFLATE_GPU_AUTO) != NULL)
        cr_skip_test("the device or this build cannot decode by shader");
    fake_install(rig);
}

void measure_rig_pretend(struct measure_rig *rig, bool own, VkPhysicalDeviceType type)
{
    struct vulkan_device *device = &rig->backend->device;

    device->own = own;
    device->properties.deviceType = type;
    cr_assert_eq(vulkan_backend_decode(rig->backend, &rig->config), 0);
}

int measure_rig_engine(struct measure_rig *rig, uint32_t threads,
                       const struct ds_allocator *allocator)
{
    int error;

    rig->measured = rig->warnings = 0;
    rig->line[0] = '\0';
    fake.allocations = fake.submits = fake.dispatches = 0;
    error =
        ds_engine_create(ds_engine_config(.vulkan = rig->backend, .decode_threads = threads,
                                          .topology = DS_TOPOLOGY_SHARED, .arena_bytes = 2 << 20,
                                          .allocator = allocator, .log = keep_lines, .log_ctx = rig,
                                          .log_level = DS_LOG_INFO),
                         &rig->engine);
    if (error != 0)
        return error;
    rig->info.struct_size = sizeof(rig->info);
    rig->vulkan.struct_size = sizeof(rig->vulkan);
    rig->counters.struct_size = sizeof(rig->counters);
    cr_assert_eq(ds_engine_get_info(rig->engine, &rig->info), 0);
    cr_assert_eq(ds_vulkan_backend_get_info(rig->backend, &rig->vulkan), 0);
    cr_assert_eq(ds_engine_get_counters(rig->engine, &rig->counters), 0);
    cr_assert_str_eq(rig->info.decode_reason, rig->vulkan.decode_reason);
    return 0;
}

void measure_rig_engine_close(struct measure_rig *rig)
{
    ds_engine_destroy(&rig->engine);
}

void measure_rig_close(struct measure_rig *rig)
{
    ds_engine_destroy(&rig->engine);
    rig->vk->DeviceWaitIdle(rig->vk->device);
    rig->backend->device.own = false;
    ds_vulkan_backend_destroy(&rig->backend);
    vk_util_close(&rig->vk);
    cr_assert_eq(vk_util_messages(), 0);
}

/* A request ----------------------------------------------------------------------------------- */

static size_t content_pack(const uint8_t *content, uint8_t *packed, size_t bytes)
{
    struct ds_codec *codec;
    size_t n = 0;

    cr_assert_eq(ds_codec_create(DS_CODEC_GDEFLATE, NULL, &codec), 0);
    cr_assert_leq(ds_codec_compress_bound(codec, CONTENT_BYTES), bytes);
    cr_assert_eq(ds_codec_compress(codec, 1, content, CONTENT_BYTES, packed, bytes, &n), 0);
    ds_codec_destroy(&codec);
    return n;
}

static struct ds_result request_run(struct measure_rig *rig, const struct ds_request *request)
{
    struct ds_result result;
    struct ds_queue *queue;

    cr_assert_eq(ds_queue_create(rig->engine, NULL, &queue), 0);
    cr_assert_eq(ds_queue_enqueue(queue, request), 0);
    ds_queue_submit(queue);
    cr_assert_eq(ds_queue_wait(queue, &result, 1, WAIT_NS), 1);
    ds_queue_destroy(&queue);
    return result;
}

int32_t measure_rig_decode(struct measure_rig *rig, bool by_gpu)
{
    static uint8_t content[CONTENT_BYTES], packed[CONTENT_BYTES + 4096];
    struct vk_util_buffer buffer;
    struct ds_result result;
    size_t packed_bytes;

    for (uint32_t i = 0; i < CONTENT_BYTES; i++)
        content[i] = (uint8_t)(i * i >> 9);
    packed_bytes = content_pack(content, packed, sizeof(packed));
    vk_util_buffer(rig->vk, CONTENT_BYTES, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, true, &buffer);
    result =
        request_run(rig, ds_request(.fd = -1, .source = packed, .size = packed_bytes,
                                    .codec = DS_CODEC_GDEFLATE, .uncompressed_size = CONTENT_BYTES,
                                    .gpu_buffer = ds_vulkan_buffer(buffer.buffer),
                                    .gpu_buffer_bytes = CONTENT_BYTES));
    cr_assert_eq(ds_engine_get_counters(rig->engine, &rig->counters), 0);
    if (result.status == DS_STATUS_OK) {
        cr_assert_eq(memcmp(buffer.mapped, content, CONTENT_BYTES), 0);
        cr_assert_eq(rig->counters.gpu_decoded_tiles, by_gpu ? 2 : 0);
    }
    rig->vk->DeviceWaitIdle(rig->vk->device);
    vk_util_buffer_free(rig->vk, &buffer);
    return result.status;
}
