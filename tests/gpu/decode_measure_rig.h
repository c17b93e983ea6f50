/* A lent device whose decoders seem as fast as a test likes, and whose calls fail when it likes. */
#ifndef TESTS_GPU_DECODE_MEASURE_RIG_H
#define TESTS_GPU_DECODE_MEASURE_RIG_H

#include "engine/vulkan/backend.h"
#include "gpu/vk_util.h"

#include <ds/ds.h>

/* What Vulkan shall answer, and what it was asked, from engine_open on. Rates are set by the
 * timestamps: a batch takes so many nanoseconds, whatever it really takes. */
struct fake {
    uint64_t gpu_ns, nv_ns;
    bool no_timestamps;
    uint32_t fail_allocation; /* the how manyeth of those that are counted, from 1 */
    bool skip_dispatches;
    bool never_ends;        /* as the counters tell */
    VkResult submit_result; /* VK_SUCCESS: what it really is */
    uint32_t allocations;     /* from when the CPU was measured */
    uint32_t submits, dispatches;
};

extern struct fake fake;

struct measure_rig {
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct ds_vulkan_backend_config config; /* that the back end was made with */
    struct ds_engine *engine;
    struct ds_engine_info info;          /* of the engine */
    struct ds_vulkan_info vulkan;        /* after it has started */
    struct ds_counters counters;         /* likewise */
    _Atomic uint32_t measured, warnings; /* lines of the log */
    _Atomic bool lost;                   /* it told of a loss */
    char line[512];                      /* the last about who decodes, while an engine starts */
};

/* measure_rig_open lends a device, with everything that decoding needs, and makes a back end with
 * `path`. Skips the test where there is none. */
void measure_rig_open(struct measure_rig *rig, enum ds_vulkan_decode_path path, bool trusted);

/* measure_rig_pretend makes the device an own one of another type, for what AUTO makes of it. */
void measure_rig_pretend(struct measure_rig *rig, bool own, VkPhysicalDeviceType type);

/* measure_rig_engine makes an engine with so many decode threads, and asks it. It allocates by
 * `allocator`, or by malloc. Returns what ds_engine_create did. */
int measure_rig_engine(struct measure_rig *rig, uint32_t threads,
                       const struct ds_allocator *allocator);
void measure_rig_engine_close(struct measure_rig *rig);

/* measure_rig_decode decodes a request to a buffer: its status. The bytes are checked if it is OK,
 * and that the GPU did it if `by_gpu`. */
int32_t measure_rig_decode(struct measure_rig *rig, bool by_gpu);

/* measure_rig_close asserts that the validation layer was silent. */
void measure_rig_close(struct measure_rig *rig);

#endif
