/* The threads of the decode stage, and the rings between it and them.
 *
 *   stage --tickets--> any thread --finished (a bit a job)--> stage
 *
 * No lock, and no operation in which a stopped thread holds up another one, but for the item that
 * it has taken. Threads with nothing to do sleep; as many are woken as there are new tickets. */
#ifndef STAGES_DECODE_POOL_H
#define STAGES_DECODE_POOL_H

#include "engine/event.h"
#include "engine/ring.h"
#include "stages/decode_job.h"

#include <ds/engine.h>
#include <pthread.h>

#define DECODE_JOBS 256u
#define DECODE_WORDS (DECODE_JOBS / 64)

struct decode_pool;

struct decode_thread {
    struct decode_pool *pool;
    struct decode_hand hand;
    pthread_t thread;
    uint32_t number;
    struct event event;
} CACHE_ALIGNED;

struct decode_pool {
    const struct host *host;
    struct event *stage_event; /* of the worker that runs the stage */
    struct decode_thread *threads;
    uint32_t threads_max;
    uint32_t hands_n, threads_n; /* opened, started */
    struct ring tickets[DECODE_CLASSES]; /* a job, once for each of its tickets */
    _Atomic uint64_t idle CACHE_ALIGNED; /* bit i: thread i sleeps, or is about to */
    _Atomic bool stopping;
    _Atomic uint64_t finished[DECODE_WORDS]; /* jobs that are over */
};

/* decode_pool_open starts `threads` (0..DS_DECODE_THREADS_MAX) threads. 0, -ENOMEM or -EAGAIN with
 * nothing left behind. */
int decode_pool_open(struct decode_pool *pool, const struct host *host, struct event *stage_event,
                     uint32_t threads);

/* decode_pool_close joins them. There is no job left. */
void decode_pool_close(struct decode_pool *pool);

/* decode_pool_tickets: how many a job should have, at most, so that everybody can work on it. */
uint32_t decode_pool_tickets(const struct decode_pool *pool);

/* decode_pool_push hands the tickets of a job out that has just begun, and wakes threads for them;
 * stage only. */
void decode_pool_push(struct decode_pool *pool, enum decode_class class, struct decode_job *job);

/* decode_pool_step makes one step of a job, as `hand`. False: there is none. Any thread. */
bool decode_pool_step(struct decode_pool *pool, struct decode_hand *hand);

/* decode_pool_finish: the job is over; any thread. */
void decode_pool_finish(struct decode_pool *pool, const struct decode_job *job);

/* decode_pool_finished takes the finished jobs among those of word `word`: a bit each. */
uint64_t decode_pool_finished(struct decode_pool *pool, uint32_t word);

/* decode_pool_pending: is there a finished job? */
bool decode_pool_pending(const struct decode_pool *pool);

#endif
