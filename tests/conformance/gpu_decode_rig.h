/* What the tests of decoding on the GPU share: a lent device that is forced to decode, a buffer
 * with guard bytes in it, and a mix of requests. */
#ifndef CONFORMANCE_GPU_DECODE_RIG_H
#define CONFORMANCE_GPU_DECODE_RIG_H

#include "conformance/packed.h"
#include "engine/vulkan/backend.h"
#include "gpu/vk_util.h"

#define BUFFER_BYTES (8u << 20)
#define FILL 0x6d
#define TILE 65536u

struct gpu_rig {
    struct rig rig;
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct vk_util_buffer buffer;
    bool manual;
    char log[512];               /* the last error */
};

struct gpu_options {
    bool only_copies;            /* the CPU decodes, for once */
    uint64_t backlog_bytes;      /* not 0: both do, BALANCED, with so much for the CPU */
    bool gathers;                /* compressed bytes reach the decoder through scratch memory */
    uint64_t scratch_bytes;
    enum ds_vulkan_copy_path copy_path;
    enum ds_vulkan_queue_mode queue_mode;
    uint32_t regions_max;
    uint32_t chunk_bytes;
    uint32_t decode_threads;     /* 0: 2 */
    /* What the back end takes the device's functions from, given what the device has; or NULL. */
    PFN_vkGetDeviceProcAddr (*hook)(PFN_vkGetDeviceProcAddr below);
};

/* gpu_open skips the test where there is no device that can; gpu_close asserts that the validation
 * layer was silent. */
void gpu_open(struct gpu_rig *g, enum ds_topology topology, const struct gpu_options *options);
void gpu_close(struct gpu_rig *g);

/* gpu_to_buffer gives a request the buffer as destination. */
struct ds_request gpu_to_buffer(struct gpu_rig *g, struct ds_request request, uint64_t at,
                                bool by_address);

struct ds_counters gpu_counters(const struct gpu_rig *g);

/* gpu_check_place: is the content there, and were the bytes beside it left alone? */
void gpu_check_place(const struct gpu_rig *g, const struct packed *p, uint64_t at,
                     const char *what);

/* gpu_check_cancelled: was the request cancelled? Only those that were meant are, and all of them
 * where it came before the submit; the others are done. */
bool gpu_check_cancelled(const struct ds_result *result, bool meant, bool before_submit);

/* gpu_damage damages a tile so that its container is in order and the tile is not. */
void gpu_damage(struct packed *p, uint32_t tile);

/* gpu_finish waits for n results, and drives the queue where the caller must. */
void gpu_finish(struct gpu_rig *g, struct ds_result *results, uint32_t n);

/* gpu_mix_run: everything at once. What waits for scratch memory gets it, and what the GPU cannot
 * goes to the CPU. */
void gpu_mix_run(struct gpu_rig *g);

#endif
