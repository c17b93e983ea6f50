/* How long frames take beside streaming: the same frames alone, and beside each way of copying at
 * each size of request, in alternating rounds. */
#ifndef DSBENCH_FRAME_TRIAL_H
#define DSBENCH_FRAME_TRIAL_H

#include "background.h"
#include "frames.h"

#define FRAME_LANES_MAX 32

/* One size of request through one lane. */
struct frame_stream {
    uint64_t size;
    uint32_t depth;
    struct background *load;
    struct measure measure; /* of the load */
    struct frames frames;
};

/* One way of copying: a device with an engine and a renderer of its own. */
struct frame_lane {
    struct options options;
    struct session session;
    struct renderer *renderer;
    struct frame_stream streams[LIST_MAX];
    uint32_t streams_n;
    bool open;         /* else it is skipped: */
    char skipped[256]; /* why */
};

struct frame_trial {
    const struct options *options;
    struct frame_work work;
    struct frames idle; /* of all lanes */
    struct frame_lane *lanes;
    uint32_t lanes_n;
};

/* frame_trial_open makes a lane for each of options->copy_paths, and of those that copy by shader
 * for each of options->scatter_groups. A lane that the device cannot do is skipped. 0, or -errno
 * after a complaint: there is no device, or none of the lanes can be. */
int frame_trial_open(const struct options *options, const struct inputs *inputs,
                     struct frame_trial *trial);
void frame_trial_close(struct frame_trial *trial);

/* frame_trial_run measures all rounds; on a terminal with progress that begins with `label`. 0 with
 * all times sorted, or -errno after a complaint. */
int frame_trial_run(struct frame_trial *trial, const char *label);

/* frame_above_ms: by how much a quantile of the frame times is above that of the idle ones. */
double frame_above_ms(const struct frame_trial *trial, const struct frames *frames, double q);

#endif
