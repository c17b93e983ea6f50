/* Which regions are faster by shader than by copy command: measured on the device itself. */
#ifndef STAGES_COPY_MEASURE_H
#define STAGES_COPY_MEASURE_H

#include "engine/vulkan/backend.h"
#include "stages/copy_record.h"

#define COPY_MEASURE_NS 20000000u

/* copy_measure copies from the recorder's staging to scratch memory, both ways, for about
 * COPY_MEASURE_NS, and sets the back end's scatter_max_bytes and, unless that is given,
 * scatter_regions_min. What goes wrong is logged, and leaves a rule of thumb in its place. No batch
 * may be in flight. Submits to the queue. */
void copy_measure(struct ds_vulkan_backend *backend, const struct host *host,
                  struct copy_recorder *recorder);

#endif
