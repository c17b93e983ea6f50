/* GDeflate tiles of many requests, decoded in one go by a batch of the copy stage: scratch memory
 * of the GPU's, the table of tiles, and the commands.
 *
 * Both memories are rings: what a batch takes is given back when the batch has ended, and batches
 * end in their order. So what fits an empty ring never waits for anything but batches before it. */
#ifndef ENGINE_VULKAN_DECODE_H
#define ENGINE_VULKAN_DECODE_H

#include "engine/span_ring.h"
#include "engine/vulkan/buffer.h"
#include "engine/vulkan/gdeflate_nv.h"

#define VULKAN_DECODE_BATCHES_MAX 16

/* Runs of the table: two, when it went round. */
struct vulkan_decode_batch {
    uint64_t scratch_taken, tiles_taken; /* units of the rings */
    struct {
        uint32_t first, n;
    } runs[2];
    uint32_t runs_n;
};

struct vulkan_decode {
    const struct vulkan_device *device; /* NULL: not open */
    const struct host *host;
    struct gdeflate_gpu gpu;            /* device NULL: nv it is */
    struct gdeflate_nv nv;
    struct vulkan_buffer scratch;       /* bytes 0: none */
    struct vulkan_buffer table;         /* of tiles; nv: of each batch */
    struct gdeflate_gpu_tile *tiles;    /* GDEFLATE_TILES_MAX; mapped, or (nv) of the host's */
    uint64_t statuses;                  /* VkDeviceAddress of status 0 */
    struct span_ring scratch_ring, tiles_ring;
    struct vulkan_decode_batch batches[VULKAN_DECODE_BATCHES_MAX];
    uint32_t batches_n;
};

/* vulkan_decode_open makes the decoder by shader or by `nv`, with scratch_bytes of scratch memory.
 * Statuses count from an address (a multiple of 4). 0; -ENOTSUP: the device lacks something
 * (logged); -ENOMEM; -EIO. Nothing is left behind on error. */
int vulkan_decode_open(struct vulkan_decode *decode, const struct vulkan_device *device,
                       const struct host *host, bool nv, uint64_t scratch_bytes,
                       uint32_t batches_n, uint64_t statuses);

/* vulkan_decode_close: the GPU must be done with it. One of zeros is ignored. */
void vulkan_decode_close(struct vulkan_decode *decode);

/* vulkan_decode_take takes scratch memory (or none) and tiles_n entries of the table for a batch:
 * *at in the scratch buffer, *tiles to be filled. False: not now; when earlier batches have ended,
 * or at once when there is none. */
bool vulkan_decode_take(struct vulkan_decode *decode, uint32_t batch, uint64_t scratch_bytes,
                        uint32_t tiles_n, uint64_t *at, struct gdeflate_gpu_tile **tiles);

/* vulkan_decode_release gives back what a batch has taken, the oldest that has taken anything. */
void vulkan_decode_release(struct vulkan_decode *decode, uint32_t batch);

/* vulkan_decode_record decodes all tiles of a batch. Barriers as gdeflate_gpu_record says. */
void vulkan_decode_record(struct vulkan_decode *decode, uint32_t batch, VkCommandBuffer commands);

#endif
