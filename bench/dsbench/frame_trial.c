#include "frame_trial.h"

#include "option_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLIGHT_BYTES ((uint64_t)16 << 20) /* in flight, unless --depth says how many */
#define DEPTH_LEAST  32u
#define DEPTH_USUAL  2048u
#define WARM_FRAMES  16u

static uint32_t depth_choose(const struct options *options, uint64_t size)
{
    uint64_t depth = FLIGHT_BYTES / size;

    if (options->depth != 0)
        return options->depth;
    return depth < DEPTH_LEAST ? DEPTH_LEAST : (uint32_t)min_u64(depth, DEPTH_USUAL);
}

static int streams_open(struct frame_lane *lane)
{
    const struct options *o = &lane->options;
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < o->sizes.n; i++) {
        struct frame_stream *s = &lane->streams[i];
        struct workload workload = {.size = o->sizes.at[i],
                                    .depth = depth_choose(o, o->sizes.at[i]),
                                    .priority = DS_PRIORITY_NORMAL,
                                    .seed = o->seed};

        s->size = workload.size;
        s->depth = workload.depth;
        lane->streams_n++;
        error = background_open(&lane->session, &workload, &s->load);
    }
    return error;
}

/* 0 but not open: the device cannot do it, and lane->skipped tells why. */
static int lane_open(struct frame_lane *lane, const struct options *options,
                     const struct inputs *inputs, int copy_path, uint32_t groups)
{
    int error;

    lane->options = *options;
    lane->options.copy_path = copy_path;
    lane->options.scatter_groups = (struct number_list){.n = 1, .at = {groups}};
    error = session_open_on(&lane->options, inputs, &lane->session);
    if (error != 0)
        return error;
    if (lane->session.dest != DEST_GPU) {
        snprintf(lane->skipped, sizeof(lane->skipped), "%s", lane->session.device_reason);
        session_close(&lane->session);
        return 0;
    }
    lane->open = true;
    error = renderer_open(&lane->session.gpu, &lane->renderer);
    return error != 0 ? error : streams_open(lane);
}

static void lane_close(struct frame_lane *lane)
{
    for (uint32_t i = 0; i < lane->streams_n; i++) {
        background_close(&lane->streams[i].load);
        frames_free(&lane->streams[i].frames);
    }
    renderer_close(&lane->renderer);
    if (lane->open)
        session_close(&lane->session);
}

static int lanes_open(struct frame_trial *t, const struct inputs *inputs)
{
    const struct options *o = t->options;
    uint32_t usable = 0;
    int error = 0;

    for (int path = DS_VULKAN_PATH_AUTO; path <= DS_VULKAN_PATH_SCATTER; path++) {
        uint32_t n = path == DS_VULKAN_PATH_COPY ? 1 : o->scatter_groups.n;

        for (uint32_t i = 0; i < n && (o->copy_paths >> path & 1) != 0; i++) {
            uint32_t groups = path == DS_VULKAN_PATH_COPY ? 0 : (uint32_t)o->scatter_groups.at[i];

            if (t->lanes_n == FRAME_LANES_MAX) {
                complain("--scatter-groups: too many of them for all --copy-paths together");
                return -EINVAL;
            }
            error = lane_open(&t->lanes[t->lanes_n++], o, inputs, path, groups);
            if (error != 0)
                return error;
            usable += t->lanes[t->lanes_n - 1].open;
        }
    }
    if (usable > 0)
        return 0;
    complain("no usable Vulkan device: %s", t->lanes[0].skipped);
    return -ENODEV;
}

/* All lanes draw alike: what one finds holds for all. */
static int work_find(struct frame_trial *t)
{
    uint64_t wanted_ns = (uint64_t)(t->options->frame_work_ms * 1e6);
    uint64_t gpu_ns;
    bool found = false;
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < t->lanes_n; i++) {
        struct frame_lane *lane = &t->lanes[i];

        if (!lane->open)
            continue;
        error = found ? renderer_set(lane->renderer, &t->work)
                      : renderer_calibrate(lane->renderer, wanted_ns, &t->work);
        found = true;
        for (uint32_t k = 0; error == 0 && k < WARM_FRAMES && !interrupted; k++)
            error = renderer_frame(lane->renderer, &gpu_ns);
    }
    return error;
}

int frame_trial_open(const struct options *options, const struct inputs *inputs,
                     struct frame_trial *trial)
{
    int error = -ENOMEM;

    *trial = (struct frame_trial){.options = options,
                                  .lanes = calloc(FRAME_LANES_MAX, sizeof(*trial->lanes))};
    if (trial->lanes != NULL)
        error = lanes_open(trial, inputs);
    if (error == 0)
        error = work_find(trial);
    if (error != 0)
        frame_trial_close(trial);
    return error;
}

void frame_trial_close(struct frame_trial *trial)
{
    for (uint32_t i = 0; i < trial->lanes_n; i++)
        lane_close(&trial->lanes[i]);
    free(trial->lanes);
    frames_free(&trial->idle);
    *trial = (struct frame_trial){0};
}

static void measure_add(struct measure *sum, const struct measure *more)
{
    sum->wall_ns += more->wall_ns;
    sum->cpu_ns += more->cpu_ns;
    sum->requests += more->requests;
    sum->bytes += more->bytes;
    sum->errors += more->errors;
}

/* Turn 0 is idle, the others are the streams. */
static int turn_run(struct frame_trial *t, struct frame_lane *lane, uint32_t turn)
{
    const struct options *o = t->options;
    uint64_t ns = (uint64_t)(o->seconds * NS_PER_S);
    struct measure measure = {0};
    struct frame_stream *s;
    int error;

    if (turn == 0)
        return frames_run(lane->renderer, o->fps, ns, &t->idle);
    s = &lane->streams[turn - 1];
    error = background_start(s->load);
    if (error != 0)
        return error;
    error = frames_run(lane->renderer, o->fps, ns, &s->frames);
    background_stop(s->load, &measure);
    measure_add(&s->measure, &measure);
    return error == 0 && measure.errors != 0 ? -EIO : error;
}

static void progress_show(const struct frame_trial *t, const char *label, uint32_t round,
                          const struct frame_lane *lane)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%sround %u of %u: %-8s", label, round + 1, t->options->rounds,
                option_word("copy-path", lane->options.copy_path));
}

/* Each round begins with another lane, and each lane with another turn. */
static int round_run(struct frame_trial *t, const char *label, uint32_t round)
{
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < t->lanes_n; i++) {
        struct frame_lane *lane = &t->lanes[(i + round) % t->lanes_n];
        uint32_t turns = lane->streams_n + 1;

        if (!lane->open)
            continue;
        progress_show(t, label, round, lane);
        for (uint32_t k = 0; error == 0 && k < turns; k++)
            error = turn_run(t, lane, (k + round) % turns);
    }
    return error;
}

int frame_trial_run(struct frame_trial *trial, const char *label)
{
    int error = 0;

    for (uint32_t round = 0; error == 0 && round < trial->options->rounds; round++)
        error = round_run(trial, label, round);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%*s\r", 48, "");
    if (interrupted) {
        complain("interrupted");
        error = -EINTR;
    }
    frames_finish(&trial->idle);
    for (uint32_t i = 0; i < trial->lanes_n; i++) {
        for (uint32_t k = 0; k < trial->lanes[i].streams_n; k++)
            frames_finish(&trial->lanes[i].streams[k].frames);
    }
    return error;
}

double frame_above_ms(const struct frame_trial *trial, const struct frames *frames, double q)
{
    double idle_ns = (double)frames_quantile(trial->idle.frame_ns, trial->idle.n, q);

    return ((double)frames_quantile(frames->frame_ns, frames->n, q) - idle_ns) / 1e6;
}
