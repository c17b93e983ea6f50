/* What it costs the CPU to write into the GPU's memory across the bus: measured on the device. */
#ifndef STAGES_COPY_MAPPED_MEASURE_H
#define STAGES_COPY_MAPPED_MEASURE_H

#include "engine/staging.h"
#include "engine/vulkan/backend.h"

#define COPY_MAPPED_MEASURE_NS 8000000u

/* copy_mapped_measure writes to GPU memory that it allocates for so long, and to staging, as the
 * engine would: the kernel out of a file in memory, and memcpy. It stops after about
 * COPY_MAPPED_MEASURE_NS. The figures, and what the rule makes of them, go to the back end
 * (engine/mapped.h). What goes wrong is logged, and then nothing goes straight into mappings.
 * Nothing may be in staging, and no batch in flight. Submits to the queue where that is allowed. */
void copy_mapped_measure(struct ds_vulkan_backend *backend, const struct host *host,
                         const struct staging *staging);

#endif
