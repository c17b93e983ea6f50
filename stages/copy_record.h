/* Recording the commands of a batch: what goes by copy command, what by shader, and the barriers.
 *
 *   chunk -> region -> joined with the one before where both sides touch
 *     -> no address, or larger than scatter_max_bytes:  sorted, joined again, vkCmdCopyBuffer
 *     -> else:                                          the scatter table, in the order of arrival
 *
 * For a few regions a dispatch is not worth it: then all go by command that have a buffer.
 *
 * The compressed bytes of what the GPU decodes are regions too, to scratch memory; behind them
 * comes copy_decode.h.
 */
#ifndef STAGES_COPY_RECORD_H
#define STAGES_COPY_RECORD_H

#include "engine/chunk.h"
#include "engine/vulkan/memory.h"
#include "engine/vulkan/scatter.h"
#include "stages/copy_decode.h"
#include "stages/copy_image.h"
#include "stages/copy_regions.h"

struct copy_recorder {
    const struct vulkan_dispatch *vk;
    const struct vulkan_staging *staging;
    struct copy_decoder *decoder;
    struct vulkan_scatter scatter; /* device NULL: by commands alone */
    uint32_t regions_max;
    struct copy_region *regions;   /* regions_max */
    struct copy_region *scratch;   /* regions_max, for sorting */
    VkBufferCopy *copies;          /* regions_max */

    /* The batch being recorded. */
    uint32_t scatter_max_bytes;    /* UINT32_MAX: whatever has an address */
    uint32_t regions_n;            /* for copy commands */
    bool sorted;                   /* they came in order, which is what sequential reads do */
    bool downloads;
};

/* copy_recorder_open makes the tables. 0 or -ENOMEM. copy_recorder_close takes one of zeros too. */
int copy_recorder_open(struct copy_recorder *recorder, const struct host *host,
                       uint32_t regions_max);
void copy_recorder_close(struct copy_recorder *recorder, const struct host *host);

/* copy_recorder_collect decides how each of the chunks of batch `index` goes, and fills the tables.
 * scatter_max_bytes: 0 where the batch is to go by command. True: there is something to record
 * beside copies to images. */
bool copy_recorder_collect(struct copy_recorder *recorder, uint32_t index,
                           struct chunk *const *chunks, uint32_t n, uint32_t scatter_max_bytes);

/* copy_recorder_record records what was collected, and the copies to images. */
void copy_recorder_record(struct copy_recorder *recorder, VkCommandBuffer commands,
                          const struct copy_images *images);

#endif
