/* A piece of a tile stream on its way through the GPU and back: the memory for it, the commands,
 * and the tiles that are in it.
 *
 *   upload:   [ table | tiles ]  ->  source:   [ tiles ]     mapped; the GPU's own
 *   download: [ statuses | content ]  <-  output: [ content ]
 *
 * Where the GPU's memory is the host's, source and output are left out. */
#ifndef ENGINE_VULKAN_GDEFLATE_SLOT_H
#define ENGINE_VULKAN_GDEFLATE_SLOT_H

#include "engine/vulkan/buffer.h"
#include "engine/vulkan/commands.h"
#include "engine/vulkan/gdeflate_nv.h"
#include "engine/vulkan/gpu_clock.h"

/* How a slot decodes: one of the two is open. */
struct gdeflate_way {
    const struct vulkan_device *device;
    struct gdeflate_gpu shader;
    struct gdeflate_nv nv;
    uint32_t queue_family;
};

struct gdeflate_slot {
    const struct gdeflate_way *way;
    uint32_t tiles_max;
    uint64_t source_bytes; /* room */
    struct vulkan_buffer upload, source, output, download;
    struct gdeflate_gpu_tile *table; /* of those tiles that the GPU decodes, in order */
    uint64_t *placed;                /* for each tile: where it lies in upload */
    struct vulkan_commands commands;
    struct gpu_clock clock;

    uint32_t first;   /* tile of the stream */
    uint32_t tiles_n; /* 0: the slot is empty */
    uint32_t table_n;
    uint64_t used;   /* of source_bytes */
    uint64_t ticket; /* 0: nothing was submitted */
};

/* gdeflate_slot_bytes: the memory that a slot for so many tiles takes on the GPU and mapped. */
uint64_t gdeflate_slot_bytes(const struct vulkan_device *device, uint32_t tiles_max);

/* gdeflate_slot_bytes_held: what an open one takes. */
uint64_t gdeflate_slot_bytes_held(const struct gdeflate_slot *slot);

/* gdeflate_slot_open: 0, -ENOMEM or -EIO (logged), with nothing left behind. `way` must outlive
 * it. */
int gdeflate_slot_open(struct gdeflate_slot *slot, const struct gdeflate_way *way,
                       const struct host *host, uint32_t tiles_max);

/* gdeflate_slot_close: the GPU must be done with it. A slot of zeros is ignored. */
void gdeflate_slot_close(struct gdeflate_slot *slot, const struct host *host);

/* gdeflate_slot_fill takes as many tiles of a checked stream, from `first` on, as there is room
 * for: one at least. Their bytes are to be put at gdeflate_slot_source before the commands run, but
 * for tiles for which that is NULL: those the GPU does not decode. */
void gdeflate_slot_fill(struct gdeflate_slot *slot, const struct gdeflate_stream *stream,
                        uint32_t first);

/* Of tile i of the slot. gdeflate_slot_status is a verdict of the shader's once the commands have
 * run; NV has none but NONE. DEVICE: for the CPU to decode. */
uint8_t *gdeflate_slot_source(const struct gdeflate_slot *slot, uint32_t i);
const uint8_t *gdeflate_slot_content(const struct gdeflate_slot *slot, uint32_t i);
enum ds_codec_error gdeflate_slot_status(const struct gdeflate_slot *slot, uint32_t i);

/* gdeflate_slot_record records the commands for what was filled in; table_n > 0. The host may read
 * what comes out as soon as they have run. VK_SUCCESS or what went wrong. */
VkResult gdeflate_slot_record(struct gdeflate_slot *slot);

#endif
