/* The part of the Vulkan copy stage that decodes: requests that the GPU decompresses, on their way
 * from staging to their destination.
 *
 *   staging -> scratch memory -> decode -> buffer, by address
 *                                       -> scratch memory -> buffer or image
 *
 * A GPU that shares the memory of the host reads staging itself. Each tile's verdict is written to
 * the request's own run of staging (engine/packed.h), for the complete stage to read. */
#ifndef STAGES_COPY_DECODE_H
#define STAGES_COPY_DECODE_H

#include "engine/gpu_decode.h"
#include "engine/packed.h"
#include "engine/vulkan/backend.h"
#include "engine/vulkan/decode.h"
#include "engine/vulkan/memory.h"
#include "stages/copy_regions.h"

/* A request of the batch that is being filled. */
struct copy_decode_item {
    const struct chunk *chunk;
    uint64_t packed_at;   /* in the scratch buffer, if it gathers */
    uint64_t unpacked_at; /* likewise, if it does not decode to its destination */
    bool direct;
};

struct copy_decoder {
    const struct vulkan_staging *staging;
    struct gpu_decode rule;
    struct vulkan_decode decode;      /* device NULL: nothing is decoded here */
    struct copy_decode_item *items;   /* items_max, in the order of the chunks */
    uint32_t items_max, items_n;
    uint32_t items_at;                /* for copy_decoder_next */
    uint32_t batch;                   /* that the items are of */
};

/* copy_decoder_open decides by back end, arena and CPU threads that could do it whether the GPU
 * decodes (rule.on, rule.reason), and makes what that takes. 0, or why it cannot, where it was
 * asked for. */
int copy_decoder_open(struct copy_decoder *decoder, struct ds_vulkan_backend *backend,
                      const struct host *host, const struct vulkan_staging *staging,
                      uint32_t threads_n);
void copy_decoder_close(struct copy_decoder *decoder, const struct host *host);

/* copy_decoder_take takes what a packed chunk needs to be part of a batch; false: not now. */
bool copy_decoder_take(struct copy_decoder *decoder, uint32_t batch, const struct chunk *chunk);

/* copy_decoder_next finds the item of a packed chunk. The chunks are asked for in their order, from
 * copy_decoder_rewind on. */
static inline void copy_decoder_rewind(struct copy_decoder *decoder)
{
    decoder->items_at = 0;
}

const struct copy_decode_item *copy_decoder_next(struct copy_decoder *decoder,
                                                 const struct chunk *chunk);

/* copy_decoder_gather: the copy of an item's compressed bytes to scratch memory. False: none. */
bool copy_decoder_gather(const struct copy_decoder *decoder, const struct copy_decode_item *item,
                         struct copy_region *region);

/* copy_decoder_record decodes the items, whose bytes were copied by TRANSFER or COMPUTE_SHADER, and
 * copies to buffers what was not decoded there. Behind it TRANSFER may read scratch memory. */
void copy_decoder_record(struct copy_decoder *decoder, VkCommandBuffer commands);

#endif
