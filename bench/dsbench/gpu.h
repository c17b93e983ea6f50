/* Buffers on the GPU, and copies with the application's own queue: what a program beside the engine
 * does. One thread only. */
#ifndef DSBENCH_GPU_H
#define DSBENCH_GPU_H

#include <ds/vulkan.h>

/* Every Vulkan function that dsbench calls once it has a device. */
#define GPU_FUNCTIONS(X)                                                                           \
    X(AllocateCommandBuffers)                                                                      \
    X(AllocateDescriptorSets)                                                                      \
    X(AllocateMemory)                                                                              \
    X(BeginCommandBuffer)                                                                          \
    X(BindBufferMemory)                                                                            \
    X(CmdBindDescriptorSets)                                                                       \
    X(CmdBindPipeline)                                                                             \
    X(CmdCopyBuffer)                                                                               \
    X(CmdDispatch)                                                                                 \
    X(CmdFillBuffer)                                                                               \
    X(CmdPipelineBarrier)                                                                          \
    X(CmdPushConstants)                                                                            \
    X(CmdResetQueryPool)                                                                           \
    X(CmdWriteTimestamp)                                                                           \
    X(CreateBuffer)                                                                                \
    X(CreateCommandPool)                                                                           \
    X(CreateComputePipelines)                                                                      \
    X(CreateDescriptorPool)                                                                        \
    X(CreateDescriptorSetLayout)                                                                   \
    X(CreateFence)                                                                                 \
    X(CreatePipelineLayout)                                                                        \
    X(CreateQueryPool)                                                                             \
    X(CreateShaderModule)                                                                          \
    X(DestroyBuffer)                                                                               \
    X(DestroyCommandPool)                                                                          \
    X(DestroyDescriptorPool)                                                                       \
    X(DestroyDescriptorSetLayout)                                                                  \
    X(DestroyFence)                                                                                \
    X(DestroyPipeline)                                                                             \
    X(DestroyPipelineLayout)                                                                       \
    X(DestroyQueryPool)                                                                            \
    X(DestroyShaderModule)                                                                         \
    X(EndCommandBuffer)                                                                            \
    X(FreeMemory)                                                                                  \
    X(GetBufferMemoryRequirements)                                                                 \
    X(GetQueryPoolResults)                                                                         \
    X(MapMemory)                                                                                   \
    X(QueueSubmit)                                                                                 \
    X(ResetCommandPool)                                                                            \
    X(ResetFences)                                                                                 \
    X(UpdateDescriptorSets)                                                                        \
    X(WaitForFences)

struct gpu {
    struct ds_vulkan_backend *backend;
    struct ds_vulkan_info info;
    VkPhysicalDeviceMemoryProperties memory;
    bool destinations_mapped; /* and requests say so; by the caller */
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkFence fence;
#define GPU_POINTER_(name) PFN_vk##name name;
    GPU_FUNCTIONS(GPU_POINTER_)
#undef GPU_POINTER_
};

enum gpu_memory {
    GPU_LOCAL,    /* in VRAM; mapped only where that is host memory anyway */
    GPU_MAPPED,   /* in VRAM, and mapped: across the bus where it is behind one */
    GPU_UPLOAD,   /* mapped, written by the CPU */
    GPU_READBACK, /* mapped, read by the CPU */
};

struct gpu_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    uint64_t bytes;
    uint64_t address; /* or 0: the engine has no use for it */
    uint8_t *mapped; /* or NULL */
};

/* gpu_open makes a back end on its own device. 0, or what ds_vulkan_backend_create returned, or
 * -EIO; nothing is left behind. */
int gpu_open(struct gpu *gpu, const struct ds_vulkan_backend_config *config);
void gpu_close(struct gpu *gpu);

/* gpu_buffer_open makes a buffer that the engine's and the application's queue may both use.
 * 0, -ENOMEM or -EIO, without a complaint. */
int gpu_buffer_open(struct gpu *gpu, uint64_t bytes, enum gpu_memory kind,
                    struct gpu_buffer *buffer);
void gpu_buffer_close(struct gpu *gpu, struct gpu_buffer *buffer);

/* gpu_copy and gpu_fill submit to the application's queue and wait. 0, or -EIO after a complaint.
 * gpu_fill: the buffer is whole words. */
int gpu_copy(struct gpu *gpu, const struct gpu_buffer *from, uint64_t from_offset,
             const struct gpu_buffer *to, uint64_t to_offset, uint64_t bytes);
int gpu_fill(struct gpu *gpu, const struct gpu_buffer *buffer, uint32_t word);

/* gpu_sync makes what queues have written so far visible to mapped reads. As gpu_copy. */
int gpu_sync(struct gpu *gpu);

#endif
