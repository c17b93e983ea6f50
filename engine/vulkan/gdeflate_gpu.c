#include "engine/vulkan/gdeflate_gpu.h"

#include <errno.h>

#if DS_HAVE_SHADERS
#include "shaders/gdeflate_group_spv.h"
#include "shaders/gdeflate_portable_spv.h"
#include "shaders/gdeflate_subgroup_spv.h"
#else
static const uint32_t gdeflate_portable_spv[1], gdeflate_subgroup_spv[1], gdeflate_group_spv[1];
#endif

/* As long as a multiprocessor has so many tiles, or fewer, GROUP ends before SUBGROUP. */
#define GROUP_TILES_EACH 8
#define MULTIPROCESSORS_LEAST 16 /* where the device does not say how many it has */

/* As the shader has them. */
struct push {
    uint64_t tiles;
    uint64_t statuses;
    uint32_t tiles_n;
    uint32_t three;
};

_Static_assert(sizeof(struct push) == 24, "no padding");

static int layout_make(struct gdeflate_gpu *gpu, const struct host *host)
{
    VkPushConstantRange range = {
        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        .size = sizeof(struct push),
    };
    VkPipelineLayoutCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &range,
    };
    const struct vulkan_device *device = gpu->device;
    VkResult result =
        device->vk.CreatePipelineLayout(device->device, &info, NULL, &gpu->layout);

    return result == VK_SUCCESS ? 0 : vulkan_fail(host, "vkCreatePipelineLayout", result);
}

static int pipeline_make(struct gdeflate_gpu *gpu, const struct host *host,
                         enum gdeflate_gpu_form form, const uint32_t *code, size_t code_bytes)
{
    bool subgroup = form != GDEFLATE_GPU_PORTABLE;
    VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = code_bytes,
        .pCode = code,
    };
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = GDEFLATE_GPU_LANES,
    };
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = subgroup ? &size : NULL,
                  .flags = subgroup
                               ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .pName = "main"},
        .layout = gpu->layout,
    };
    const struct vulkan_device *device = gpu->device;
    VkResult result =
        device->vk.CreateShaderModule(device->device, &module_info, NULL, &info.stage.module);

    if (result != VK_SUCCESS)
        return vulkan_fail(host, "vkCreateShaderModule", result);
    result = device->vk.CreateComputePipelines(device->device, VK_NULL_HANDLE, 1, &info, NULL,
                                               &gpu->pipelines[form]);
    device->vk.DestroyShaderModule(device->device, info.stage.module, NULL);
    if (result == VK_SUCCESS)
        return 0;
    gpu->pipelines[form] = VK_NULL_HANDLE;
    return vulkan_fail(host, "vkCreateComputePipelines", result);
}

const char *gdeflate_gpu_lacks(const struct vulkan_device *device, enum gdeflate_gpu_form form)
{
    if (!DS_HAVE_SHADERS)
        return "this build has no shaders (glslangValidator was not found)";
    if (!device->has_buffer_address || !device->gdeflate.shader)
        return "the device lacks bufferDeviceAddress, storageBuffer8BitAccess or shaderInt64";
    if ((form == GDEFLATE_GPU_SUBGROUP || form == GDEFLATE_GPU_GROUP) &&
        !device->gdeflate.subgroup_32)
        return "the device has no subgroups of 32 lanes that can be asked for";
    return NULL;
}

int gdeflate_gpu_open_code(struct gdeflate_gpu *gpu, const struct vulkan_device *device,
                           const struct host *host, enum gdeflate_gpu_form form,
                           const uint32_t *code, size_t code_bytes)
{
    const char *lacks = gdeflate_gpu_lacks(device, form);
    int error;

    *gpu = (struct gdeflate_gpu){.device = NULL};
    if (lacks != NULL) {
        host_log(host, DS_LOG_INFO, "no GDeflate by shader: %s", lacks);
        return -ENOTSUP;
    }
    gpu->device = device;
    gpu->form = form;
    gpu->groups_max = device->properties.limits.maxComputeWorkGroupCount[0];
    error = layout_make(gpu, host);
    if (error == 0)
        error = pipeline_make(gpu, host, form, code, code_bytes);
    if (error != 0)
        gdeflate_gpu_close(gpu);
    return error;
}

/* Adds the form for a few tiles to the one for many. */
static int add_group(struct gdeflate_gpu *gpu, const struct host *host)
{
    uint32_t multiprocessors_n = gpu->device->multiprocessors_n;
    int error = pipeline_make(gpu, host, GDEFLATE_GPU_GROUP, gdeflate_group_spv,
                              sizeof(gdeflate_group_spv));

    if (error != 0) {
        gdeflate_gpu_close(gpu);
        return error;
    }
    gpu->group_tiles_max =
        GROUP_TILES_EACH * (multiprocessors_n != 0 ? multiprocessors_n : MULTIPROCESSORS_LEAST);
    return 0;
}

int gdeflate_gpu_open(struct gdeflate_gpu *gpu, const struct vulkan_device *device,
                      const struct host *host, enum gdeflate_gpu_form form)
{
    static const struct {
        const uint32_t *code;
        size_t bytes;
    } codes[GDEFLATE_GPU_FORMS] = {
        [GDEFLATE_GPU_PORTABLE] = {gdeflate_portable_spv, sizeof(gdeflate_portable_spv)},
        [GDEFLATE_GPU_SUBGROUP] = {gdeflate_subgroup_spv, sizeof(gdeflate_subgroup_spv)},
        [GDEFLATE_GPU_GROUP] = {gdeflate_group_spv, sizeof(gdeflate_group_spv)},
    };
    bool both = form == GDEFLATE_GPU_AUTO && device->gdeflate.subgroup_32;
    int error;

    if (form == GDEFLATE_GPU_AUTO)
        form = both ? GDEFLATE_GPU_SUBGROUP : GDEFLATE_GPU_PORTABLE;
    error = gdeflate_gpu_open_code(gpu, device, host, form, codes[form].code, codes[form].bytes);
    return error == 0 && both ? add_group(gpu, host) : error;
}

void gdeflate_gpu_close(struct gdeflate_gpu *gpu)
{
    if (gpu->device == NULL)
        return;
    for (uint32_t i = 0; i < GDEFLATE_GPU_FORMS; i++)
        gpu->device->vk.DestroyPipeline(gpu->device->device, gpu->pipelines[i], NULL);
    gpu->device->vk.DestroyPipelineLayout(gpu->device->device, gpu->layout, NULL);
    *gpu = (struct gdeflate_gpu){.device = NULL};
}

void gdeflate_gpu_tiles(struct gdeflate_gpu_tile *tiles, const struct gdeflate_stream *stream,
                        uint64_t source, uint64_t destination, uint32_t first_status)
{
    const uint8_t *begin = stream->table - GDEFLATE_HEADER_BYTES;

    for (uint32_t i = 0; i < stream->tile_count; i++) {
        struct gdeflate_tile tile = gdeflate_stream_tile(stream, i);

        tiles[i] = (struct gdeflate_gpu_tile){
            .source = source + (uint64_t)(tile.packed - begin),
            .destination = destination + (uint64_t)i * GDEFLATE_TILE_BYTES,
            .source_bytes = tile.packed_bytes,
            .destination_bytes = tile.bytes,
            .status = first_status + i,
        };
    }
}

void gdeflate_gpu_record(const struct gdeflate_gpu *gpu, VkCommandBuffer commands, uint64_t tiles,
                         uint64_t statuses, uint32_t tiles_n)
{
    struct push push = {.tiles = tiles, .statuses = statuses, .tiles_n = tiles_n, .three = 3};
    const struct vulkan_dispatch *vk = &gpu->device->vk;
    enum gdeflate_gpu_form form =
        tiles_n <= gpu->group_tiles_max ? GDEFLATE_GPU_GROUP : gpu->form;
    uint32_t group_tiles = form == GDEFLATE_GPU_SUBGROUP ? GDEFLATE_GPU_SUBGROUP_TILES : 1;
    uint32_t groups_n = (tiles_n - 1) / group_tiles + 1;
    uint32_t columns = min_u32(groups_n, gpu->groups_max);

    DS_ASSERT(tiles_n > 0 && tiles % 8 == 0 && statuses % 4 == 0);
    vk->CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, gpu->pipelines[form]);
    vk->CmdPushConstants(commands, gpu->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(push),
                          &push);
    vk->CmdDispatch(commands, columns, (groups_n - 1) / columns + 1, 1);
}

enum ds_codec_error gdeflate_gpu_verdict(const uint32_t *statuses, uint32_t statuses_n,
                                         uint32_t *tile)
{
    for (uint32_t i = 0; i < statuses_n; i++) {
        DS_ASSERT(statuses[i] != GDEFLATE_GPU_NOT_RUN);
        if (statuses[i] == DS_CODEC_ERROR_NONE)
            continue;
        if (tile != NULL)
            *tile = i;
        return (enum ds_codec_error)statuses[i];
    }
    return DS_CODEC_ERROR_NONE;
}
