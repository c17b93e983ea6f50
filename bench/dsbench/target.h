/* Where a workload's data goes. */
#ifndef DSBENCH_TARGET_H
#define DSBENCH_TARGET_H

#include "gpu.h"
#include "options.h"

/* The most that target_view shows at once. */
#define TARGET_VIEW_BYTES ((uint64_t)8 << 20)

struct target {
    enum dest dest; /* GPU, HOST or NIL */
    uint64_t bytes;
    uint8_t *host;   /* HOST and NIL */
    struct gpu *gpu; /* GPU */
    struct gpu_buffer buffer;
    struct gpu_buffer readback; /* GPU, when buffer is not mapped; made when first needed */
};

/* target_open makes a destination of at least `bytes`. 0, or -ENOMEM or -EIO without a complaint.
 */
int target_open(struct target *target, enum dest dest, struct gpu *gpu, uint64_t bytes);
void target_close(struct target *target);

/* target_poison sets every byte. 0, or -EIO after a complaint. */
int target_poison(struct target *target, uint8_t poison);

/* target_view returns target bytes [offset, offset + bytes), bytes <= TARGET_VIEW_BYTES; valid
 * until the next call. NULL after a complaint. Nothing may be in flight. */
const uint8_t *target_view(struct target *target, uint64_t offset, uint64_t bytes);

#endif
