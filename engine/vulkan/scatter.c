/* The scatter shader's pipeline and tables. */
#include "engine/vulkan/scatter.h"

#include <errno.h>

#if DS_HAVE_SHADERS
#include "shaders/scatter_spv.h"
#define SCATTER_CODE scatter_spv
#define SCATTER_CODE_BYTES sizeof(scatter_spv)
#else
#define SCATTER_CODE NULL
#define SCATTER_CODE_BYTES 0
#endif

struct arguments {
    uint64_t pieces;
    uint32_t pieces_n;
    uint32_t reserved;
};

uint32_t vulkan_scatter_pieces_max(uint32_t regions_n, uint64_t bytes_n)
{
    /* a region above a piece may begin and end with a short one, and there are no more of those
     * than there are whole pieces */
    return regions_n + (uint32_t)(3 * (bytes_n / SCATTER_PIECE_BYTES + 1));
}

static VkResult open_layout(struct vulkan_scatter *scatter)
{
    VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(struct arguments)};
    VkPipelineLayoutCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &range,
    };
    const struct vulkan_device *device = scatter->device;

    return device->vk.CreatePipelineLayout(device->device, &info, NULL, &scatter->layout);
}

static VkResult open_pipeline(struct vulkan_scatter *scatter)
{
    const struct vulkan_device *device = scatter->device;
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = SCATTER_CODE_BYTES,
        .pCode = SCATTER_CODE,
    };
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .pName = "main"},
        .layout = scatter->layout,
    };
    VkResult result =
        device->vk.CreateShaderModule(device->device, &code, NULL, &info.stage.module);

    if (result != VK_SUCCESS)
        return result;
    result = device->vk.CreateComputePipelines(device->device, VK_NULL_HANDLE, 1, &info, NULL,
                                               &scatter->pipeline);
    device->vk.DestroyShaderModule(device->device, info.stage.module, NULL);
    return result;
}

int vulkan_scatter_open(struct vulkan_scatter *scatter, const struct vulkan_device *device,
                        const struct host *host, uint32_t batches, uint32_t pieces_max,
                        uint32_t groups_max)
{
    uint64_t table_bytes = (uint64_t)batches * pieces_max * sizeof(struct scatter_piece);
    const char *call = "vkCreatePipelineLayout";
    VkResult result;
    int error;

    DS_ASSERT(vulkan_device_can_scatter(device) && batches > 0 && pieces_max > 0);
    DS_ASSERT(groups_max > 0 && groups_max <= SCATTER_GROUPS_MAX);
    *scatter = (struct vulkan_scatter){
        .device = device, .pieces_max = pieces_max, .groups_max = groups_max};
    error = vulkan_buffer_open(&scatter->table, device, host, VULKAN_BUFFER_UPLOAD, table_bytes);
    if (error != 0) {
        vulkan_scatter_close(scatter);
        return error;
    }
    result = open_layout(scatter);
    if (result == VK_SUCCESS) {
        call = "making the scatter pipeline";
        result = open_pipeline(scatter);
    }
    if (result == VK_SUCCESS)
        return 0;
    vulkan_scatter_close(scatter);
    return vulkan_fail(host, call, result);
}

void vulkan_scatter_close(struct vulkan_scatter *scatter)
{
    const struct vulkan_device *device = scatter->device;

    if (device == NULL)
        return;
    if (scatter->pipeline != VK_NULL_HANDLE)
        device->vk.DestroyPipeline(device->device, scatter->pipeline, NULL);
    if (scatter->layout != VK_NULL_HANDLE)
        device->vk.DestroyPipelineLayout(device->device, scatter->layout, NULL);
    vulkan_buffer_close(&scatter->table, device);
    *scatter = (struct vulkan_scatter){0};
}

void vulkan_scatter_begin(struct vulkan_scatter *scatter, uint32_t batch)
{
    scatter->batch = batch;
    scatter->pieces =
        (struct scatter_piece *)scatter->table.mapped + (size_t)batch * scatter->pieces_max;
    scatter->pieces_n = 0;
}

static void add_piece(struct vulkan_scatter *scatter, uint64_t source, uint64_t target,
                      uint64_t bytes)
{
    DS_ASSERT(scatter->pieces_n < scatter->pieces_max);
    scatter->pieces[scatter->pieces_n++] = (struct scatter_piece){
        .source = source,
        .target = target,
        .bytes = (uint32_t)bytes,
    };
}

/* Cuts lie where the target is aligned for vectors, so that only the ends of the region are not. */
void vulkan_scatter_add(struct vulkan_scatter *scatter, uint64_t source, uint64_t target,
                        uint64_t bytes)
{
    uint64_t piece_bytes = SCATTER_PIECE_BYTES - target % 16;

    while (bytes > SCATTER_PIECE_BYTES) {
        add_piece(scatter, source, target, piece_bytes);
        source += piece_bytes;
        target += piece_bytes;
        bytes -= piece_bytes;
        piece_bytes = SCATTER_PIECE_BYTES;
    }
    if (bytes > 0)
        add_piece(scatter, source, target, bytes);
}

void vulkan_scatter_record(const struct vulkan_scatter *scatter, VkCommandBuffer commands)
{
    const struct vulkan_dispatch *vk = &scatter->device->vk;
    struct arguments arguments = {
        .pieces = scatter->table.address +
                  (uint64_t)scatter->batch * scatter->pieces_max * sizeof(struct scatter_piece),
        .pieces_n = scatter->pieces_n,
    };

    vk->CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, scatter->pipeline);
    vk->CmdPushConstants(commands, scatter->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                         sizeof(arguments), &arguments);
    vk->CmdDispatch(commands, min_u32(scatter->pieces_n, scatter->groups_max), 1, 1);
}
