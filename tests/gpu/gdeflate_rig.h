/* Decodes GDeflate tiles on the GPU for tests: in one submission, with guard bytes around every
 * tile's input and output, the table and the statuses. On software devices each of them ends at a
 * page that cannot even be read: a step over it is a crash. */
#ifndef TESTS_GPU_GDEFLATE_RIG_H
#define TESTS_GPU_GDEFLATE_RIG_H

#include "engine/vulkan/gdeflate_gpu.h"

#include "gpu/vk_util.h"

/* A tile to decode, and what came of it. */
struct rig_tile {
    const uint8_t *packed;
    uint32_t packed_bytes;
    uint32_t bytes;
    uint8_t *content; /* room for `bytes` */
    enum ds_codec_error verdict;
};

struct gdeflate_rig {
    struct ds_vulkan_backend *backend;
    struct vk_util *util;
    struct gdeflate_gpu gpu;
    struct host host;
    bool walls; /* software */
};

/* gdeflate_rig_open: false when this machine cannot, with a line "skipped: why". */
bool gdeflate_rig_open(struct gdeflate_rig *rig, enum gdeflate_gpu_form form);

/* gdeflate_rig_close asserts that the validation layer had nothing to say. */
void gdeflate_rig_close(struct gdeflate_rig *rig);

/* gdeflate_rig_decode runs the tiles, and asserts that nothing around them was touched. */
void gdeflate_rig_decode(struct gdeflate_rig *rig, struct rig_tile *tiles, uint32_t tiles_n);

/* gdeflate_rig_address asks for a buffer's device address. */
uint64_t gdeflate_rig_address(struct gdeflate_rig *rig, const struct vk_util_buffer *buffer);

#endif
