#include "frames.h"

#include "base.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static int room_make(struct frames *frames, uint32_t more)
{
    size_t n = (size_t)frames->n + more;
    uint64_t *frame_ns = realloc(frames->frame_ns, n * sizeof(*frame_ns));
    uint64_t *gpu_ns;

    if (frame_ns == NULL)
        return -ENOMEM;
    frames->frame_ns = frame_ns;
    gpu_ns = realloc(frames->gpu_ns, n * sizeof(*gpu_ns));
    if (gpu_ns == NULL)
        return -ENOMEM;
    frames->gpu_ns = gpu_ns;
    return 0;
}

static void frame_count(struct frames *frames, uint64_t ns, uint64_t period_ns)
{
    frames->frame_ns[frames->n++] = ns;
    frames->missed += ns > period_ns;
}

int frames_run(struct renderer *renderer, double fps, uint64_t ns, struct frames *frames)
{
    uint64_t period_ns = (uint64_t)(NS_PER_S / fps);
    uint32_t n = (uint32_t)(ns / period_ns);
    uint64_t start_ns, end_ns, due_ns, gpu_ns;
    int error;

    n = n == 0 ? 1 : n;
    error = room_make(frames, n);
    prctl(PR_SET_TIMERSLACK, 1000);
    start_ns = now_ns() + period_ns;
    end_ns = start_ns + n * period_ns;
    for (uint32_t i = 0; error == 0 && i < n; i++) {
        due_ns = start_ns + i * period_ns;
        for (uint64_t now = now_ns(); now < due_ns; now = now_ns())
            moment_approach(due_ns, now);
        if (now_ns() >= end_ns) { /* it does not keep up: what is left is later still */
            frame_count(frames, now_ns() - due_ns, period_ns);
            continue;
        }
        error = renderer_frame(renderer, &gpu_ns);
        frame_count(frames, now_ns() - due_ns, period_ns);
        if (gpu_ns != 0)
            frames->gpu_ns[frames->gpu_n++] = gpu_ns;
        if (interrupted)
            error = -EINTR;
    }
    return error;
}

static int ns_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void frames_finish(struct frames *frames)
{
    if (frames->n > 0)
        qsort(frames->frame_ns, frames->n, sizeof(*frames->frame_ns), ns_order);
    if (frames->gpu_n > 0)
        qsort(frames->gpu_ns, frames->gpu_n, sizeof(*frames->gpu_ns), ns_order);
}

void frames_free(struct frames *frames)
{
    free(frames->frame_ns);
    free(frames->gpu_ns);
    *frames = (struct frames){0};
}

uint64_t frames_quantile(const uint64_t *ns, uint32_t n, double q)
{
    uint32_t rank = (uint32_t)ceil(q * n);

    if (n == 0)
        return 0;
    return ns[rank == 0 ? 0 : rank > n ? n - 1 : rank - 1];
}
