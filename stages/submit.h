/* The submit stage: turns requests into chunks and gives them staging memory.
 *
 * Owns: the arena, the free chunks, the registry of queues. In: the queues' submission rings, and
 * chunks that come back from complete. Out: chunks READY, to the read lanes in turn.
 * Bounded by: free chunks and free staging, the only back-pressure of the pipeline. */
#ifndef STAGES_SUBMIT_H
#define STAGES_SUBMIT_H

#include "engine/arena.h"
#include "engine/chunk.h"
#include "engine/hist.h"
#include "engine/queue.h"
#include "engine/staging.h"
#include "engine/worker.h"
#include "stages/blocked.h"
#include "stages/join.h"
#include "stages/schedule.h"
#include "stages/window.h"

#define SUBMIT_LANES_MAX DS_READ_LANES_MAX
#define SUBMIT_BURST 64 /* chunks handed to a lane, and entries taken off a queue, at a time */

struct submit_lane {
    struct ring *out;        /* this stage -> read lane */
    struct event *event;     /* of the lane's worker; NULL = the same worker */
    struct chunk *burst[SUBMIT_BURST];
    uint32_t burst_n;
};

struct submit_config {
    const struct host *host;
    const struct staging *staging;
    uint32_t granularity_bytes;
    uint32_t chunk_bytes;
    uint32_t chunks_max;
    bool copies_data;        /* false for the nil copy: host destinations need no memory */
    bool mapped_direct;      /* O_DIRECT into mappings is to be tried */
    uint64_t mapped_max_bytes; /* larger requests use their mapping only where they are alone */
    const struct copy_gpu_ops *gpu; /* whose semaphores requests may wait for; or NULL */
    void *gpu_self;
};

/* A request that is being split. REALTIME has a flow of its own, so that it overtakes. */
struct submit_flow {
    struct request *current;
    uint32_t chunk;    /* next of current->chunks_total */
    bool starved;      /* no chunk, no staging, or no room in the window for it */
};

struct submit_stage {
    const struct host *host;
    const struct staging *staging;
    struct arena arena;
    uint32_t unit_shift;
    uint32_t chunk_bytes;
    uint32_t small_bytes;         /* of a chunk that must not keep realtime requests waiting */
    uint32_t chunks_max;
    bool copies_data;
    struct chunk *chunks;
    struct window_transfer *transfers; /* one for each chunk: what began when, if realtime */
    struct chunk **free_chunks;   /* stack */
    uint32_t free_chunks_n;
    struct ring returned;         /* complete -> submit */
    struct chunk *again;          /* by staging, not into their mapping; linked by group_next */
    uint64_t mapped_max_bytes;
    bool mapped_not_direct;       /* O_DIRECT into a mapping was refused: never (again) */
    bool mapped_not_at_all;       /* so was a buffered read */

    struct submit_lane lanes[SUBMIT_LANES_MAX];
    uint32_t lanes_n;
    uint32_t next_lane;
    struct join join;             /* the last chunk sent */

    _Atomic(struct ds_queue *) queues[QUEUES_MAX];
    /* Bit i: queue i has something new. By ds_queue_submit and ds_queue_destroy, on any thread. */
    _Atomic uint64_t ready CACHE_ALIGNED;
    uint64_t pending CACHE_ALIGNED; /* queues seen ready, not yet found empty */
    _Atomic uint32_t turn;        /* odd while a turn is under way; see submit_settle */
    uint64_t closing;             /* queues to be let go when they are at rest */
    struct event detached;        /* a queue was let go */
    struct schedule schedule;
    struct submit_flow realtime, ordinary;
    struct blocked blocked;
    struct window window;         /* of requests that are not REALTIME */

    struct stage_stats stats;     /* items: entries begun */
    struct tally tally;
    uint64_t arena_used_bytes, arena_high_water_bytes, chunks_in_flight;
};

int submit_open(struct submit_stage *stage, const struct submit_config *config);
void submit_close(struct submit_stage *stage);
void submit_add_lane(struct submit_stage *stage, struct ring *out, struct event *event);

/* submit_attach registers a queue at a free index, which queue->index holds. Any thread. */
void submit_attach(struct submit_stage *stage, struct ds_queue *queue);

/* submit_settle returns when no turn is under way any more that may have missed a store made before
 * the call (seq_cst). So a mark on a file costs the stage one fence a turn, and not one for each of
 * its requests. Waits for the end of a turn, at most. Any thread but the stage's in its turn. */
void submit_settle(const struct submit_stage *stage);

extern const struct stage_ops submit_stage_ops;

#endif
