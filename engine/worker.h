/* The only run loop: a thread that gives each of its stages a turn, and sleeps when nothing moves.
 *
 *   start -> ( turn | spin | park )* -> stop
 */
#ifndef ENGINE_WORKER_H
#define ENGINE_WORKER_H

#include "engine/event.h"
#include "engine/host.h"
#include "engine/stats.h"

#include <pthread.h>

/* Why a stage that moved nothing has nothing to move. */
enum stage_wait {
    STAGE_IDLE,
    STAGE_WAIT_CREDIT,
    STAGE_WAIT_DEVICE,
    STAGE_WAIT_POLL, /* on something that tells nobody: it must be asked again before long */
};

struct stage_ops {
    const char *name;
    /* On the worker's thread, before the first turn. 0, or -errno, which fails engine creation. */
    int (*start)(void *self);
    /* One bounded turn; never blocks. Returns how much moved. */
    uint32_t (*work)(void *self, uint64_t now_ns);
    /* After a turn that moved nothing. */
    enum stage_wait (*waiting)(void *self);
    /* Is there input, unseen by the last turn? Asked after the park was announced. */
    bool (*ready)(void *self);
    /* Sleep until the stage's device progresses, the worker's event is signalled (where the stage
     * can arrange that) or timeout_ns. False: this stage cannot sleep on its device; nothing was
     * done. NULL: the stage has no device. */
    bool (*park)(void *self, uint64_t timeout_ns);
    /* On the worker's thread, after the last turn. The pipeline is empty. */
    void (*stop)(void *self);
};

struct stage {
    const struct stage_ops *ops;
    void *self;
    struct stage_stats *stats;
    /* park() also ends when the worker's event is signalled, so it may be the only sleep. */
    bool park_wakes_on_event;
};

#define WORKER_STAGES_MAX 16

struct worker {
    char name[16];                 /* thread name */
    struct stage stages[WORKER_STAGES_MAX];
    uint32_t stages_n;
    int32_t cpu;                   /* DS_CPU_ANY or a CPU number */
    uint32_t spin_ns;              /* UINT32_MAX = for ever */
    uint32_t spin_most_ns;         /* while nothing would wake it (engine/spin.h); 0: as spin_ns */
    const struct host *host;

    struct event event;            /* signalled when one of the stages has got input */
    _Atomic bool stopping;
    pthread_t thread;
    bool started;
    int start_error;
    _Atomic uint32_t start_state;  /* futex: 0 starting, 1 running, 2 failed */
};

void worker_init(struct worker *worker, const struct host *host, const char *name);
void worker_fini(struct worker *worker);
void worker_add(struct worker *worker, struct stage stage);

/* worker_launch starts the thread, and returns when all stages have started: 0, or the -errno of
 * the stage that failed (the thread is gone then). */
int worker_launch(struct worker *worker);

/* worker_stop makes the loop end and joins the thread. The stages must be at rest. */
void worker_stop(struct worker *worker);

/* The pieces of the loop, for MANUAL topology, on the caller's thread. */
int worker_start_stages(struct worker *worker);
void worker_stop_stages(struct worker *worker);
uint32_t worker_turn(struct worker *worker);
/* False: timeout_ns has passed, and nothing is known to have come. */
bool worker_park(struct worker *worker, uint64_t timeout_ns);

#endif
