#include "background.h"

#include "drive.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BACKGROUND_SIZE  (64u << 10)
#define BACKGROUND_DEPTH 64

struct background {
    uint64_t ramp_bytes; /* from then on the disk's queue is full */
    struct sequence sequence;
    struct target target;
    struct drive drive;
    struct ds_histogram latency_ns; /* not reported */
    struct measure measure;
    pthread_t thread;
    _Atomic bool stop;
    _Atomic bool ended; /* by itself: a request has failed, or a signal came */
};

struct workload background_workload(uint64_t seed)
{
    return (struct workload){.size = BACKGROUND_SIZE,
                             .depth = BACKGROUND_DEPTH,
                             .priority = DS_PRIORITY_LOW,
                             .seed = seed + 1};
}

int background_open(struct session *session, const struct workload *workload,
                    struct background **background)
{
    struct background *b = calloc(1, sizeof(*b));
    int error;

    if (b == NULL)
        return -ENOMEM;
    b->ramp_bytes = 2 * workload->size * workload->depth;
    error = sequence_open(&b->sequence, &session->inputs, workload, false);
    if (error == 0) {
        error = target_open(&b->target, session->dest, &session->gpu,
                            workload->size * workload->depth);
        if (error != 0)
            complain("no memory for the background's destination: %s", strerror(-error));
    }
    if (error == 0) {
        b->drive = (struct drive){.session = session,
                                  .target = &b->target,
                                  .sequence = &b->sequence,
                                  .depth = workload->depth,
                                  .priority = workload->priority,
                                  .latency_ns = &b->latency_ns,
                                  .stop = &b->stop,
                                  .issue_max = UINT64_MAX};
        error = drive_open(&b->drive);
    }
    if (error != 0)
        background_close(&b);
    else
        *background = b;
    return error;
}

void background_close(struct background **background)
{
    struct background *b = *background;

    if (b == NULL)
        return;
    drive_close(&b->drive);
    target_close(&b->target);
    sequence_close(&b->sequence);
    free(b);
    *background = NULL;
}

static void *background_main(void *argument)
{
    struct background *b = argument;

    drive_pass(&b->drive, NULL, &b->measure);
    atomic_store(&b->ended, true);
    return NULL;
}

int background_start(struct background *background)
{
    const struct timespec look = {.tv_nsec = 1000000};
    int error;

    background->measure = (struct measure){0};
    atomic_store_explicit(&background->stop, false, memory_order_relaxed);
    atomic_store(&background->ended, false);
    atomic_store(&background->drive.bytes, 0);
    error = -pthread_create(&background->thread, NULL, background_main, background);
    if (error != 0)
        complain("no thread for the background: %s", strerror(-error));
    while (error == 0 && !atomic_load(&background->ended) &&
           atomic_load_explicit(&background->drive.bytes, memory_order_relaxed) <
               background->ramp_bytes)
        nanosleep(&look, NULL);
    return error;
}

void background_stop(struct background *background, struct measure *measure)
{
    atomic_store_explicit(&background->stop, true, memory_order_relaxed);
    pthread_join(background->thread, NULL);
    *measure = background->measure;
}
