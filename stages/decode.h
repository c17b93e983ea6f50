/* The decode stage: decompresses requests with a codec.
 *
 * Owns: the jobs, and the threads that share them. In: packed chunks, read, from every lane. Out:
 * the same chunks to copy, decoded or failed, in any order; REALTIME ones are taken first.
 * What the application decodes takes no job (decode_custom.h).
 * Bounded by: DECODE_JOBS jobs; what comes beyond them waits in the order of its arrival. Never
 * waits for memory: all that a chunk needs lies in its staging run (engine/packed.h).
 *
 * The thread that runs the stage hands the work out; where it has a CPU of its own, or where there
 * is nobody else, it also decodes, one item a turn. */
#ifndef STAGES_DECODE_H
#define STAGES_DECODE_H

#include "engine/chunk.h"
#include "engine/worker.h"
#include "stages/decode_balance.h"
#include "stages/decode_custom.h"
#include "stages/decode_pool.h"

#define DECODE_LANES_MAX DS_READ_LANES_MAX
/* Jobs that only REALTIME requests get, so that they never wait for the others' to end. */
#define DECODE_JOBS_REALTIME 16u
#define DECODE_BURST 64

struct decode_config {
    const struct host *host;
    uint32_t chunks_max;
    uint32_t lanes;
    uint32_t threads;          /* beside the one that runs the stage */
    bool helps;                /* that one decodes too; always where threads is 0 */
    struct event *event;       /* of the worker that runs the stage */
    struct ring *out;          /* -> copy */
    struct event *copy_event;  /* of the worker that runs copy; NULL = the same worker */
    struct custom_config custom; /* what the application decodes */
    struct balance balance;      /* figures to begin with, of what may go either way */
    const _Atomic uint64_t *gpu_batch_ns; /* how they follow the GPU; or NULL */
};

/* Chunks that wait for a job, in order. */
struct decode_queue {
    struct chunk **chunks;     /* mask + 1 */
    uint32_t mask, head, tail;
};

struct decode_stage {
    struct decode_config config;
    struct ring in[DECODE_LANES_MAX];
    struct decode_pool pool;
    struct decode_hand hand;   /* of the thread that runs the stage */
    struct decode_job *jobs;   /* DECODE_JOBS */
    struct decode_job *free_jobs[DECODE_JOBS]; /* stack */
    uint32_t free_n;
    struct decode_queue waiting[DECODE_CLASSES];
    struct decode_custom custom;
    struct decode_balance balance;
    struct chunk *done[DECODE_BURST];
    uint32_t done_n;
    struct stage_stats stats;
};

/* decode_open makes the stage and starts its threads. 0, -ENOMEM or -EAGAIN. copy_event may be set
 * after it. */
int decode_open(struct decode_stage *stage, const struct decode_config *config);
void decode_close(struct decode_stage *stage);

extern const struct stage_ops decode_stage_ops;

#endif
