/* A renderer that draws nothing: frames of a fixed amount of work on the application's queue, as a
 * game beside the engine submits them: full-screen compute passes, half arithmetic and half memory,
 * that each wait for the one before. Compute occupies all of a GPU, also of one that draws
 * triangles with a part of it only. */
#ifndef DSBENCH_RENDERER_H
#define DSBENCH_RENDERER_H

#include "gpu.h"

struct renderer;

/* How much a frame does. */
struct frame_work {
    uint32_t pixels;
    uint32_t passes;
};

/* renderer_open: 0, or -errno after a complaint. The gpu must outlive it. */
int renderer_open(struct gpu *gpu, struct renderer **renderer);
void renderer_close(struct renderer **renderer);

/* renderer_calibrate finds the work that takes so long while nothing else runs. As above. */
int renderer_calibrate(struct renderer *renderer, uint64_t ns, struct frame_work *work);

/* renderer_set makes the frames do this work. As above. */
int renderer_set(struct renderer *renderer, const struct frame_work *work);

/* renderer_frame submits a frame and waits until it is done. gpu_ns: what it took there, from its
 * first pass to the end of its last; 0 where the queue has no clock. As above. */
int renderer_frame(struct renderer *renderer, uint64_t *gpu_ns);

/* What the queue of the frames can do: "graphics", "compute". */
const char *renderer_queue_name(const struct renderer *renderer);

#endif
