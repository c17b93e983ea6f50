/* GDeflate tiles decoded by a compute shader: from and to memory of the device's, named by address,
 * with a verdict for each tile. Nothing here allocates device memory: tables and statuses lie where
 * the caller has room. */
#ifndef ENGINE_VULKAN_GDEFLATE_GPU_H
#define ENGINE_VULKAN_GDEFLATE_GPU_H

#include "engine/codec/gdeflate.h"
#include "engine/vulkan/device.h"

/* Forms of the same decoder. */
enum gdeflate_gpu_form {
    GDEFLATE_GPU_AUTO = 0,     /* SUBGROUP, or GROUP for a few tiles, if possible */
    GDEFLATE_GPU_PORTABLE = 1, /* shared memory and barriers: any subgroup size */
    GDEFLATE_GPU_SUBGROUP = 2, /* a tile for each subgroup of 32 lanes: the most bytes a second */
    GDEFLATE_GPU_GROUP = 3,    /* a tile for several such subgroups: the soonest for a few tiles */
    GDEFLATE_GPU_FORMS,
};

/* One tile, as the shader reads it. The addresses are VkDeviceAddresses of any alignment. The
 * source's buffer must also hold the rest of the 4-byte words in which the source begins and
 * ends, which are read with it. */
struct gdeflate_gpu_tile {
    uint64_t source;
    uint64_t destination;
    uint32_t source_bytes;
    uint32_t destination_bytes; /* exactly so many must come out; 1..65536 */
    uint32_t status;            /* index of the tile's verdict */
    uint32_t reserved;
};

_Static_assert(sizeof(struct gdeflate_gpu_tile) == 32, "a tile as the shader reads it");

/* A status before the shader has run: no enum ds_codec_error. */
#define GDEFLATE_GPU_NOT_RUN UINT32_MAX

/* A tile may use this many bytes of words; encoders need 65,800 at most. A longer one is refused
 * with INPUT_END where its bits go on behind them: it would be blocks without content, which the
 * CPU decoder reads to their end, but a GPU must not be kept busy with. */
#define GDEFLATE_GPU_WORDS_BYTES_MAX 131072u

struct gdeflate_gpu {
    const struct vulkan_device *device; /* NULL: not open */
    enum gdeflate_gpu_form form;        /* for many tiles; never AUTO */
    uint32_t group_tiles_max;           /* so many go by GROUP; 0: none */
    uint32_t groups_max;
    VkPipelineLayout layout;
    VkPipeline pipelines[GDEFLATE_GPU_FORMS];
};

/* gdeflate_gpu_lacks: what the device or this build lacks for a form, in words, or NULL. Static. */
const char *gdeflate_gpu_lacks(const struct vulkan_device *device, enum gdeflate_gpu_form form);

/* gdeflate_gpu_open makes the pipeline. 0, -ENOTSUP: the device (its features, or no family with
 * COMPUTE) or this build lacks what the form needs (logged); -ENOMEM; -EIO. Nothing is left behind
 * on error. */
int gdeflate_gpu_open(struct gdeflate_gpu *gpu, const struct vulkan_device *device,
                      const struct host *host, enum gdeflate_gpu_form form);

/* gdeflate_gpu_open_code is the same for SPIR-V of the caller's: other variants of the shader, for
 * measurements. `form` is what it was compiled as. */
int gdeflate_gpu_open_code(struct gdeflate_gpu *gpu, const struct vulkan_device *device,
                           const struct host *host, enum gdeflate_gpu_form form,
                           const uint32_t *code, size_t code_bytes);

/* gdeflate_gpu_close: the GPU must be done with it. One of zeros is ignored. */
void gdeflate_gpu_close(struct gdeflate_gpu *gpu);

/* gdeflate_gpu_tiles describes all tiles of a checked stream: stream->tile_count entries of
 * `tiles`, with statuses from first_status on. source: the address of the stream's first byte,
 * destination: where its content goes, stream->content_bytes long. */
void gdeflate_gpu_tiles(struct gdeflate_gpu_tile *tiles, const struct gdeflate_stream *stream,
                        uint64_t source, uint64_t destination, uint32_t first_status);

/* gdeflate_gpu_record decodes tiles_n tiles. `tiles` and `statuses` are addresses (multiples of 8
 * and 4) of the table and of a uint32_t for each status index. Needs a queue with COMPUTE and no
 * render pass. What the caller's barriers must order, all of it at COMPUTE_SHADER:
 *   before  SHADER_READ of table and sources, SHADER_WRITE of destinations and statuses
 *   after   SHADER_WRITE of destinations and statuses
 * Sources and destinations must not overlap. Tiles are decoded in no particular order. */
void gdeflate_gpu_record(const struct gdeflate_gpu *gpu, VkCommandBuffer commands, uint64_t tiles,
                         uint64_t statuses, uint32_t tiles_n);

/* gdeflate_gpu_verdict looks through statuses_n statuses. NONE, or the error of the first tile that
 * has one, and its index in *tile (may be NULL). Asserts that the shader has run. */
enum ds_codec_error gdeflate_gpu_verdict(const uint32_t *statuses, uint32_t statuses_n,
                                         uint32_t *tile);

#endif
