/* How fast the GPU decodes GDeflate, by the shader and by VK_NV_memory_decompression: measured on
 * the device itself. */
#ifndef STAGES_COPY_DECODE_MEASURE_H
#define STAGES_COPY_DECODE_MEASURE_H

#include "engine/vulkan/backend.h"
#include "stages/copy_decode_sample.h"

/* For all runs together; what is only made for them, such as a pipeline, comes on top. */
#define DECODE_MEASURE_NS 20000000u

/* A batch of so many tiles is tried at most; and no more than half of the scratch memory holds. */
#define DECODE_MEASURE_TILES 1024u

struct decode_gpu_rates {
    uint64_t gpu, nv; /* bytes a second of content; 0: not measured, or it failed (logged) */
    uint64_t gpu_batch_ns, nv_batch_ns; /* what a batch of a few tiles takes; likewise */
};

/* copy_decode_measure decodes the sample from the GPU's memory into it, in batches that grow. With
 * `nv` the extension too, which the device has. No batch of the engine's may be in flight. Submits
 * to the queue. */
struct decode_gpu_rates copy_decode_measure(struct ds_vulkan_backend *backend,
                                            const struct host *host,
                                            const struct decode_sample *sample, bool nv);

#endif
