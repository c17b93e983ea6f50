#include "renderer.h"

#include "base.h"

#include <errno.h>
#include <stdlib.h>

#if DS_HAVE_SHADERS
#include "shaders/frame_spv.h"
#define FRAME_CODE       frame_spv
#define FRAME_CODE_BYTES sizeof(frame_spv)
#else
#define FRAME_CODE       NULL
#define FRAME_CODE_BYTES 0
#endif

#define LANES         256u /* of a workgroup, as frame.comp has it */
#define STEPS         64u  /* of arithmetic on a pixel */
#define PIXELS_LEAST  (1u << 10)
#define PIXELS_MOST   (1u << 22) /* an image of 64 MiB: two do not stay in a cache */
#define PASSES_LEAST  8u
#define PASSES_MOST   1024u
#define PIXEL_BYTES   16u
#define FAMILIES_MAX  32u
#define FRAME_TIMEOUT ((uint64_t)30 * NS_PER_S)
#define TRIALS        5 /* frames of which the fastest counts */

struct renderer {
    struct gpu *gpu;
    struct gpu_buffer images[2]; /* each pass reads one and writes the other */
    VkDescriptorSetLayout set_layout;
    VkDescriptorPool set_pool;
    VkDescriptorSet sets[2];
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkFence fence;
    VkQueryPool clock; /* or VK_NULL_HANDLE */
    double clock_ns;   /* of a tick */
    uint64_t clock_mask;
    bool graphics;
};

static int vk_fail(const char *call, VkResult result)
{
    complain("%s: VkResult %d", call, (int)result);
    return -EIO;
}

/* What the physical device says of the queue. */
static void queue_describe(struct renderer *r)
{
    const struct ds_vulkan_info *info = &r->gpu->info;
    PFN_vkGetPhysicalDeviceQueueFamilyProperties get_families =
        (PFN_vkGetPhysicalDeviceQueueFamilyProperties)info->get_instance_proc_addr(
            info->instance, "vkGetPhysicalDeviceQueueFamilyProperties");
    PFN_vkGetPhysicalDeviceProperties get_properties =
        (PFN_vkGetPhysicalDeviceProperties)info->get_instance_proc_addr(
            info->instance, "vkGetPhysicalDeviceProperties");
    VkQueueFamilyProperties families[FAMILIES_MAX];
    VkPhysicalDeviceProperties properties;
    uint32_t n = FAMILIES_MAX;

    if (get_families == NULL || get_properties == NULL)
        return;
    get_families(info->physical_device, &n, families);
    get_properties(info->physical_device, &properties);
    if (info->app_queue_family >= n)
        return;
    r->graphics = (families[info->app_queue_family].queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0;
    if (families[info->app_queue_family].timestampValidBits == 0)
        return;
    r->clock_mask = UINT64_MAX >> (64 - families[info->app_queue_family].timestampValidBits);
    r->clock_ns = (double)properties.limits.timestampPeriod;
}

static int images_open(struct renderer *r)
{
    for (uint32_t i = 0; i < 2; i++) {
        int error = gpu_buffer_open(r->gpu, (uint64_t)PIXELS_MOST * PIXEL_BYTES, GPU_LOCAL,
                                    &r->images[i]);

        if (error == 0)
            error = gpu_fill(r->gpu, &r->images[i], 0x3e800000u); /* 0.25 */
        else
            complain("no memory for the images of the frames");
        if (error != 0)
            return error;
    }
    return 0;
}

static VkResult sets_open(struct renderer *r)
{
    VkDevice device = r->gpu->info.device;
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 4};
    VkDescriptorPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = 2,
                                       .poolSizeCount = 1,
                                       .pPoolSizes = &size};
    VkDescriptorSetLayout layouts[2] = {r->set_layout, r->set_layout};
    VkDescriptorSetAllocateInfo sets = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorSetCount = 2,
                                        .pSetLayouts = layouts};
    VkResult result = r->gpu->CreateDescriptorPool(device, &pool, NULL, &r->set_pool);

    sets.descriptorPool = r->set_pool;
    if (result == VK_SUCCESS)
        result = r->gpu->AllocateDescriptorSets(device, &sets, r->sets);
    for (uint32_t i = 0; result == VK_SUCCESS && i < 4; i++) {
        VkDescriptorBufferInfo buffer = {.buffer = r->images[(i / 2 + i) % 2].buffer,
                                         .range = VK_WHOLE_SIZE};
        VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                      .dstSet = r->sets[i / 2],
                                      .dstBinding = i % 2,
                                      .descriptorCount = 1,
                                      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                      .pBufferInfo = &buffer};

        r->gpu->UpdateDescriptorSets(device, 1, &write, 0, NULL);
    }
    return result;
}

static VkResult layouts_open(struct renderer *r)
{
    VkDevice device = r->gpu->info.device;
    VkDescriptorSetLayoutBinding bindings[2] = {
        {0, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL},
        {1, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL},
    };
    VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = 2,
        .pBindings = bindings};
    VkPushConstantRange arguments = {VK_SHADER_STAGE_COMPUTE_BIT, 0, 2 * sizeof(uint32_t)};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .setLayoutCount = 1,
                                         .pSetLayouts = &r->set_layout,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &arguments};
    VkResult result = r->gpu->CreateDescriptorSetLayout(device, &set, NULL, &r->set_layout);

    if (result == VK_SUCCESS)
        result = r->gpu->CreatePipelineLayout(device, &layout, NULL, &r->layout);
    return result;
}

static VkResult pipeline_open(struct renderer *r)
{
    VkDevice device = r->gpu->info.device;
    VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = FRAME_CODE_BYTES,
                                     .pCode = FRAME_CODE};
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .pName = "main"},
        .layout = r->layout};
    VkResult result = r->gpu->CreateShaderModule(device, &code, NULL, &info.stage.module);

    if (result != VK_SUCCESS)
        return result;
    result =
        r->gpu->CreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &r->pipeline);
    r->gpu->DestroyShaderModule(device, info.stage.module, NULL);
    return result;
}

static VkResult commands_open(struct renderer *r)
{
    VkDevice device = r->gpu->info.device;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = r->gpu->info.app_queue_family};
    VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkQueryPoolCreateInfo clock = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                   .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                   .queryCount = 2};
    VkResult result = r->gpu->CreateCommandPool(device, &pool, NULL, &r->pool);

    commands.commandPool = r->pool;
    if (result == VK_SUCCESS)
        result = r->gpu->AllocateCommandBuffers(device, &commands, &r->commands);
    if (result == VK_SUCCESS)
        result = r->gpu->CreateFence(device, &fence, NULL, &r->fence);
    if (result == VK_SUCCESS && r->clock_mask != 0)
        result = r->gpu->CreateQueryPool(device, &clock, NULL, &r->clock);
    return result;
}

int renderer_open(struct gpu *gpu, struct renderer **renderer)
{
    struct renderer *r = calloc(1, sizeof(*r));
    VkResult result;
    int error;

    if (r == NULL)
        return -ENOMEM;
    *renderer = r;
    r->gpu = gpu;
    if (FRAME_CODE_BYTES == 0) {
        complain("frames need a shader, which this build lacks: glslangValidator was not found");
        renderer_close(renderer);
        return -ENOTSUP;
    }
    queue_describe(r);
    error = images_open(r);
    if (error == 0) {
        result = layouts_open(r);
        if (result == VK_SUCCESS)
            result = sets_open(r);
        if (result == VK_SUCCESS)
            result = pipeline_open(r);
        if (result == VK_SUCCESS)
            result = commands_open(r);
        error = result == VK_SUCCESS ? 0 : vk_fail("making the frames' pipeline", result);
    }
    if (error != 0)
        renderer_close(renderer);
    return error;
}

void renderer_close(struct renderer **renderer)
{
    struct renderer *r = *renderer;
    VkDevice device = r == NULL ? VK_NULL_HANDLE : r->gpu->info.device;

    if (r == NULL)
        return;
    r->gpu->DestroyQueryPool(device, r->clock, NULL);
    r->gpu->DestroyFence(device, r->fence, NULL);
    r->gpu->DestroyCommandPool(device, r->pool, NULL);
    r->gpu->DestroyPipeline(device, r->pipeline, NULL);
    r->gpu->DestroyPipelineLayout(device, r->layout, NULL);
    r->gpu->DestroyDescriptorPool(device, r->set_pool, NULL);
    r->gpu->DestroyDescriptorSetLayout(device, r->set_layout, NULL);
    gpu_buffer_close(r->gpu, &r->images[1]);
    gpu_buffer_close(r->gpu, &r->images[0]);
    free(r);
    *renderer = NULL;
}

/* Each pass waits for all of the one before: it reads the neighbours of what that one wrote. */
static void passes_record(struct renderer *r, const struct frame_work *work)
{
    const VkMemoryBarrier written = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask =
                                         VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    const uint32_t arguments[2] = {work->pixels, STEPS};
    uint32_t groups = (work->pixels + LANES - 1) / LANES;

    r->gpu->CmdBindPipeline(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, r->pipeline);
    r->gpu->CmdPushConstants(r->commands, r->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                             sizeof(arguments), arguments);
    for (uint32_t i = 0; i < work->passes; i++) {
        r->gpu->CmdPipelineBarrier(r->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                   VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &written, 0, NULL,
                                   0, NULL);
        r->gpu->CmdBindDescriptorSets(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, r->layout, 0, 1,
                                      &r->sets[i % 2], 0, NULL);
        r->gpu->CmdDispatch(r->commands, groups, 1, 1);
    }
}

int renderer_set(struct renderer *r, const struct frame_work *work)
{
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = r->gpu->ResetCommandPool(r->gpu->info.device, r->pool, 0);

    if (result == VK_SUCCESS)
        result = r->gpu->BeginCommandBuffer(r->commands, &info);
    if (result != VK_SUCCESS)
        return vk_fail("vkBeginCommandBuffer", result);
    if (r->clock != VK_NULL_HANDLE) {
        r->gpu->CmdResetQueryPool(r->commands, r->clock, 0, 2);
        r->gpu->CmdWriteTimestamp(r->commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, r->clock, 0);
    }
    passes_record(r, work);
    if (r->clock != VK_NULL_HANDLE)
        r->gpu->CmdWriteTimestamp(r->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, r->clock, 1);
    result = r->gpu->EndCommandBuffer(r->commands);
    return result == VK_SUCCESS ? 0 : vk_fail("vkEndCommandBuffer", result);
}

static VkResult frame_submit(struct renderer *r)
{
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &r->commands};
    bool shared = r->gpu->info.app_queue == r->gpu->info.queue;
    VkResult result = r->gpu->ResetFences(r->gpu->info.device, 1, &r->fence);

    if (result != VK_SUCCESS)
        return result;
    if (shared)
        ds_vulkan_queue_lock(r->gpu->backend);
    result = r->gpu->QueueSubmit(r->gpu->info.app_queue, 1, &submit, r->fence);
    if (shared)
        ds_vulkan_queue_unlock(r->gpu->backend);
    return result;
}

int renderer_frame(struct renderer *r, uint64_t *gpu_ns)
{
    VkDevice device = r->gpu->info.device;
    uint64_t ticks[2] = {0, 0};
    VkResult result = frame_submit(r);

    *gpu_ns = 0;
    if (result == VK_SUCCESS)
        result = r->gpu->WaitForFences(device, 1, &r->fence, VK_TRUE, FRAME_TIMEOUT);
    if (result == VK_SUCCESS && r->clock != VK_NULL_HANDLE)
        result = r->gpu->GetQueryPoolResults(device, r->clock, 0, 2, sizeof(ticks), ticks,
                                             sizeof(ticks[0]),
                                             VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
    if (result != VK_SUCCESS)
        return vk_fail("a frame", result);
    *gpu_ns = (uint64_t)((double)((ticks[1] - ticks[0]) & r->clock_mask) * r->clock_ns);
    return 0;
}

/* From the submission to its end as the CPU sees it: the fastest of a few. */
static int work_time(struct renderer *r, const struct frame_work *work, uint64_t *ns)
{
    int error = renderer_set(r, work);

    *ns = UINT64_MAX;
    for (uint32_t i = 0; error == 0 && i < TRIALS; i++) {
        uint64_t start_ns = now_ns();
        uint64_t gpu_ns;

        error = renderer_frame(r, &gpu_ns);
        *ns = min_u64(*ns, now_ns() - start_ns);
    }
    return error;
}

/* More pixels first, then more passes; in the end the pixels are fitted. */
int renderer_calibrate(struct renderer *r, uint64_t wanted_ns, struct frame_work *work)
{
    uint64_t ns = 0;
    int error;

    *work = (struct frame_work){.pixels = PIXELS_LEAST, .passes = PASSES_LEAST};
    error = work_time(r, work, &ns);
    while (error == 0 && ns < wanted_ns && !interrupted &&
           (work->pixels < PIXELS_MOST || work->passes < PASSES_MOST)) {
        if (work->pixels < PIXELS_MOST)
            work->pixels *= 2;
        else
            work->passes *= 2;
        error = work_time(r, work, &ns);
    }
    for (uint32_t i = 0; error == 0 && i < 2; i++) {
        double fitted = (double)work->pixels * (double)wanted_ns / (double)ns;

        work->pixels = fitted < PIXELS_LEAST  ? PIXELS_LEAST
                       : fitted > PIXELS_MOST ? PIXELS_MOST
                                              : (uint32_t)fitted;
        error = work_time(r, work, &ns);
    }
    return error;
}

const char *renderer_queue_name(const struct renderer *renderer)
{
    return renderer->graphics ? "graphics" : "compute";
}
