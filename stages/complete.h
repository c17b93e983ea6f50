/* The complete stage: the only one that ends anything.
 *
 * In: chunks that are done, and chunks of GPU submissions in ticket order. Out: results to the
 * queues, credit back to submit. Bounded by: the chunk table. */
#ifndef STAGES_COMPLETE_H
#define STAGES_COMPLETE_H

#include "engine/chunk.h"
#include "engine/hist.h"
#include "engine/queue.h"
#include "engine/worker.h"
#include "stages/copy.h"

#define COMPLETE_BURST 64

struct complete_config {
    const struct host *host;
    const struct copy_gpu_ops *gpu; /* NULL without a GPU */
    void *gpu_self;
    uint32_t chunks_max;
    struct ring *returned;          /* -> submit */
    struct event *submit_event;     /* NULL = the same worker */
    bool leaves_young;              /* see struct gpu_decode */
};

/* Finished slots of one queue, to be delivered together. */
struct complete_delivery {
    struct ds_queue *queue;
    struct request *requests[COMPLETE_BURST];
    uint32_t n;
};

struct complete_stage {
    struct complete_config config;
    struct ring done;               /* copy -> complete: nothing more to wait for */
    struct ring submitted;          /* copy -> complete: until the ticket is reached */

    struct chunk **held;            /* popped off `submitted`, ticket not reached: FIFO */
    uint32_t held_mask, held_head, held_tail;

    struct chunk *credit[COMPLETE_BURST];
    uint32_t credit_n;
    struct complete_delivery delivery;
    struct event files;             /* a request with a file has ended; for ds_file_close */
    bool file_ended;

    struct stage_stats stats;
    struct tally tally;             /* chunks */
    struct ds_histogram latency_ns; /* requests */
    uint64_t completed, failed, bytes;
    uint64_t gpu_tiles, gpu_bytes;  /* decoded by the GPU */
    uint64_t gpu_ticket;            /* of the last batch that did */
    uint64_t mapped_bytes;          /* straight into their mapping */
    struct hist_run delivery_latency_ns; /* of `delivery`, not in the above yet */
    uint64_t delivery_bytes;

    _Atomic uint64_t gpu_batch_ns CACHE_ALIGNED; /* that gpu_ticket took; for the decode stage */
};

int complete_open(struct complete_stage *stage, const struct complete_config *config);
void complete_close(struct complete_stage *stage);

extern const struct stage_ops complete_stage_ops;

#endif
