/* A compute shader that copies many small regions at once, between memory named by address.
 *
 * A batch is a table of pieces in mapped memory and one dispatch; regions larger than a piece are
 * cut, so that every region gets as many workgroups as it can feed. */
#ifndef ENGINE_VULKAN_SCATTER_H
#define ENGINE_VULKAN_SCATTER_H

#include "engine/vulkan/buffer.h"

#define SCATTER_PIECE_BYTES 16384u
#define SCATTER_GROUPS_DEFAULT 128u /* keeps PCIe 5 x16 busy, and a GPU with 132 SMs free to draw */
#define SCATTER_GROUPS_MAX  65535u /* what every device grants; the shader strides over the rest */

/* As shaders/scatter.comp has it. */
struct scatter_piece {
    uint64_t source; /* VkDeviceAddress */
    uint64_t target;
    uint32_t bytes;
    uint32_t reserved;
};

_Static_assert(sizeof(struct scatter_piece) == 24, "a piece as the shader reads it");

struct vulkan_scatter {
    const struct vulkan_device *device; /* NULL: not open */
    VkPipelineLayout layout;
    VkPipeline pipeline;
    struct vulkan_buffer table; /* pieces_max for each batch */
    uint32_t pieces_max;
    uint32_t groups_max; /* of one dispatch */
    struct scatter_piece *pieces; /* of the batch that is being filled */
    uint32_t pieces_n;
    uint32_t batch;
};

/* vulkan_scatter_pieces_max: pieces that regions_n regions of bytes_n bytes together may become. */
uint32_t vulkan_scatter_pieces_max(uint32_t regions_n, uint64_t bytes_n);

/* vulkan_scatter_open makes the pipeline and a table for each of `batches` batches. The device can
 * scatter; groups_max is 1 to SCATTER_GROUPS_MAX. 0, -ENOMEM or -EIO, with nothing left behind. */
int vulkan_scatter_open(struct vulkan_scatter *scatter, const struct vulkan_device *device,
                        const struct host *host, uint32_t batches, uint32_t pieces_max,
                        uint32_t groups_max);

/* vulkan_scatter_close: the GPU must be done with it. One of zeros is ignored. */
void vulkan_scatter_close(struct vulkan_scatter *scatter);

/* vulkan_scatter_begin empties the table of `batch`, whose last use by the GPU is over. */
void vulkan_scatter_begin(struct vulkan_scatter *scatter, uint32_t batch);

/* vulkan_scatter_add appends a region to the table. Any addresses, any number of bytes. */
void vulkan_scatter_add(struct vulkan_scatter *scatter, uint64_t source, uint64_t target,
                        uint64_t bytes);

/* vulkan_scatter_record dispatches the table. The caller's barriers are for COMPUTE_SHADER, with
 * SHADER_READ of the sources and SHADER_WRITE of the targets. */
void vulkan_scatter_record(const struct vulkan_scatter *scatter, VkCommandBuffer commands);

#endif
