/* Jobs in order, worked on by several threads: begun and ended one by one in their order by the
 * caller, worked on side by side in between. So what `end` sees does not depend on the number of
 * threads. */
#ifndef DSPACK_CREW_H
#define DSPACK_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CREW_THREADS_MAX 64
#define CREW_SLOTS_MAX (4 * CREW_THREADS_MAX)

struct crew_ops {
    /* On the caller's thread, in order; false stops everything. */
    bool (*begin)(void *ctx, void *job);
    bool (*end)(void *ctx, void *job);
    /* On any thread; `worker` is that thread's own entry of workers[]. */
    void (*work)(void *ctx, void *worker, void *job);
};

struct crew {
    const struct crew_ops *ops;
    void *ctx;
    uint32_t threads;     /* 1..CREW_THREADS_MAX */
    void *workers;        /* `threads` of worker_bytes */
    size_t worker_bytes;
    uint32_t slots_n;     /* jobs at once: threads..CREW_SLOTS_MAX */
    void *slots;          /* slots_n of slot_bytes: the jobs, used over and over */
    size_t slot_bytes;
};

/* crew_run does jobs_n jobs. false: begin or end answered false, or a thread could not be started
 * (which prints a line). No job is being worked on when it returns. */
bool crew_run(const struct crew *crew, uint64_t jobs_n);

/* crew_threads_default returns the number of CPUs this process may use. */
uint32_t crew_threads_default(void);

#endif
