/* Frames at a fixed rate, and how long each took. */
#ifndef DSBENCH_FRAMES_H
#define DSBENCH_FRAMES_H

#include "renderer.h"

/* What several runs yielded. Times are sorted by frames_finish. */
struct frames {
    uint64_t *frame_ns; /* from the moment that a frame was due to its end */
    uint64_t *gpu_ns;   /* on the GPU; of fewer frames: not of those that were never begun */
    uint32_t n;
    uint32_t gpu_n;
    uint32_t missed; /* not done before the next one was due */
};

/* frames_run renders for so long. A frame that is late does not move the next: that one counts from
 * its own moment too, and so do those that were due but not begun when the time was over. 0, or
 * -errno after a complaint. */
int frames_run(struct renderer *renderer, double fps, uint64_t ns, struct frames *frames);

void frames_finish(struct frames *frames);
void frames_free(struct frames *frames);

/* frames_quantile of sorted times: the smallest that at least a share of q does not exceed. 0 for
 * none. */
uint64_t frames_quantile(const uint64_t *ns, uint32_t n, double q);

#endif
