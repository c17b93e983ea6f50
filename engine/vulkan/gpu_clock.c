/* Timestamps. */
#include "engine/vulkan/gpu_clock.h"

#define FAMILIES_MAX 32

static uint32_t valid_bits(const struct vulkan_device *device, uint32_t family)
{
    VkQueueFamilyProperties properties[FAMILIES_MAX];
    uint32_t n = FAMILIES_MAX;

    device->vk.GetPhysicalDeviceQueueFamilyProperties(device->physical, &n, properties);
    return family < n ? properties[family].timestampValidBits : 0;
}

void gpu_clock_open(struct gpu_clock *clock, const struct vulkan_device *device, uint32_t family)
{
    uint32_t bits = valid_bits(device, family);
    VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
        .queryType = VK_QUERY_TYPE_TIMESTAMP,
        .queryCount = 2,
    };
    PFN_vkCreateQueryPool create;

#define LOAD(name) (PFN_vk##name) device->vk.GetDeviceProcAddr(device->device, "vk" #name)
    *clock = (struct gpu_clock){
        .device = device->device,
        .mask = bits < 64 ? ((uint64_t)1 << bits) - 1 : UINT64_MAX,
        .period_ns = (double)device->properties.limits.timestampPeriod,
        .DestroyQueryPool = LOAD(DestroyQueryPool),
        .CmdResetQueryPool = LOAD(CmdResetQueryPool),
        .CmdWriteTimestamp = LOAD(CmdWriteTimestamp),
        .GetQueryPoolResults = LOAD(GetQueryPoolResults),
    };
    create = LOAD(CreateQueryPool);
#undef LOAD
    if (bits == 0 || create == NULL || clock->DestroyQueryPool == NULL ||
        clock->CmdResetQueryPool == NULL || clock->CmdWriteTimestamp == NULL ||
        clock->GetQueryPoolResults == NULL)
        return;
    if (create(clock->device, &info, NULL, &clock->pool) != VK_SUCCESS)
        clock->pool = VK_NULL_HANDLE;
}

void gpu_clock_close(struct gpu_clock *clock)
{
    if (clock->pool != VK_NULL_HANDLE)
        clock->DestroyQueryPool(clock->device, clock->pool, NULL);
    clock->pool = VK_NULL_HANDLE;
}

void gpu_clock_begin(const struct gpu_clock *clock, VkCommandBuffer commands)
{
    if (clock->pool == VK_NULL_HANDLE)
        return;
    clock->CmdResetQueryPool(commands, clock->pool, 0, 2);
    clock->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, clock->pool, 0);
}

void gpu_clock_end(const struct gpu_clock *clock, VkCommandBuffer commands)
{
    if (clock->pool != VK_NULL_HANDLE)
        clock->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, clock->pool, 1);
}

uint64_t gpu_clock_read(const struct gpu_clock *clock)
{
    uint64_t at[2];

    if (clock->pool == VK_NULL_HANDLE ||
        clock->GetQueryPoolResults(clock->device, clock->pool, 0, 2, sizeof(at), at, sizeof(at[0]),
                                   VK_QUERY_RESULT_64_BIT) != VK_SUCCESS)
        return 0;
    return (uint64_t)((double)((at[1] - at[0]) & clock->mask) * clock->period_ns);
}
