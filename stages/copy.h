/* The copy stage: moves staged bytes to their destination, in batches.
 *
 * Owns: the GPU batches. In: chunks DONE_READ, from every lane and decode. Out: host and failed
 * chunks at once through `done`; chunks of a GPU submission through `submitted`, in ticket order.
 * Bounded by: batches_max submissions in flight; what finds no room in them is set aside, so that
 * chunks which need no GPU never wait for it.
 *
 * A batch:   OPEN -> READY -> SUBMITTED -> (ticket reached) -> free
 * It is recorded and made READY when it is full, when a turn brought nothing more, or after 20 us;
 * while the GPU is busy with earlier batches it keeps growing, for flush_ns at most.
 *
 * What the GPU decodes goes in batches of its own, one at a time. A GPU takes some 2 ms for a tile
 * and hardly longer for a thousand, and batches of one queue come one after the other. So a second
 * one under way would end no sooner, but would have to be closed sooner: what comes while one
 * decodes had better be the next, which is filled when the one before it has ended, and so has all
 * of the scratch memory. What only copies passes whatever waits for that, and finds at most one
 * batch that decodes ahead of it. */
#ifndef STAGES_COPY_H
#define STAGES_COPY_H

#include "engine/chunk.h"
#include "engine/event.h"
#include "engine/gpu_decode.h"
#include "engine/hist.h"
#include "engine/ring.h"
#include "engine/staging.h"
#include "engine/worker.h"
#include "stages/copy_fifo.h"

#define COPY_BATCHES_MAX 16
#define COPY_LANES_MAX (DS_READ_LANES_MAX + 1) /* inputs: read lanes, decode */

/* A timeline value to signal when a submission ends. */
struct copy_signal {
    uint64_t semaphore; /* VkSemaphore */
    uint64_t value;
};

/* A GPU as the copy stage sees it. Tickets are 1, 2, 3, ... in the order of the submissions.
 * record and reset are called by whoever runs the copy stage, submit by whoever submits (the same,
 * but for DS_VULKAN_QUEUE_MANUAL), reached and wait by the complete stage and the copy stage. */
struct copy_gpu_ops {
    const char *name;
    /* Staging memory that the GPU can read. 0 or -errno. */
    int (*staging_open)(void *self, uint64_t bytes, struct staging *staging);
    void (*staging_close)(void *self, struct staging *staging);
    uint32_t (*batches_max)(void *self); /* 1..COPY_BATCHES_MAX */
    uint32_t (*regions_max)(void *self); /* chunks in one batch */
    uint64_t (*bytes_max)(void *self);   /* a batch is full once it has so many */
    uint64_t (*bytes_least)(void *self); /* and is not worth its submission with less */
    /* What the GPU decodes; the rule holds for as long as the stage is open. */
    struct gpu_decode (*decode)(void *self);
    /* Take what a chunk needs that the GPU decodes (packed, not failed) to be part of batch
     * `index`, to which it is added at once then. False: not now; never so when no batch holds
     * anything. */
    bool (*take)(void *self, uint32_t index, const struct chunk *chunk);
    /* Batch `index`, for which something was taken, has ended: that is free again. The oldest one
     * first. */
    void (*release)(void *self, uint32_t index);
    /* Record the copies of chunks[0..n) (CHUNK_READ: memory's payload -> GPU buffer, decoded on the
     * way if packed;
     * CHUNK_DOWNLOAD: GPU buffer -> payload) into batch `index`, whose last use is over. n may be
     * 0. Returns a VkResult. */
    int (*record)(void *self, uint32_t index, struct chunk *const *chunks, uint32_t n);
    /* vkQueueSubmit batch `index`, so that `ticket` and the signals are reached when it ends.
     * Returns a VkResult. */
    int (*submit)(void *self, uint32_t index, uint64_t ticket, const struct copy_signal *signals,
                  uint32_t signals_n);
    /* The highest ticket that has ended. On device loss *ticket = UINT64_MAX, and the VkResult. */
    int (*reached)(void *self, uint64_t *ticket);
    /* Sleep until `ticket` has ended or timeout_ns; errors show in reached. */
    void (*wait)(void *self, uint64_t ticket, uint64_t timeout_ns);
    /* The value of a caller's timeline semaphore, for the submit stage. Returns a VkResult. */
    int (*semaphore_value)(void *self, uint64_t semaphore, uint64_t *value);
    /* Signal a caller's timeline semaphore from the host. Returns a VkResult. */
    int (*signal)(void *self, uint64_t semaphore, uint64_t value);
    /* Requests may name GPU memory by its address alone. */
    bool (*addresses)(void *self);
    /* The submissions are made by ds_vulkan_submit (DS_VULKAN_QUEUE_MANUAL). */
    bool (*manual)(void *self);
};

extern const struct copy_gpu_ops copy_vulkan_ops;

enum copy_kind { COPY_KIND_HOST, COPY_KIND_NIL, COPY_KIND_GPU };

enum copy_batch_state { COPY_BATCH_FREE, COPY_BATCH_OPEN, COPY_BATCH_READY, COPY_BATCH_SUBMITTED };

struct copy_batch {
    struct chunk **chunks;       /* data chunks, to record */
    struct copy_signal *signals; /* to signal when it ends; one for each semaphore */
    struct chunk **signal_chunks; /* the entries that these came from */
    uint32_t chunks_n, signals_n, signal_chunks_n;
    uint64_t bytes;              /* payload of its chunks; of one that decodes: 0 */
    bool decodes;                /* all of its chunks are ones that the GPU decodes */
    uint64_t opened_ns;
    uint64_t ticket;             /* 0: it was never submitted, nothing to wait for */
    int vk_result;               /* of recording or submitting it */
    _Atomic uint8_t state;       /* enum copy_batch_state; READY -> SUBMITTED by the submitter */
};

enum copy_class { COPY_REALTIME, COPY_ORDINARY, COPY_CLASSES };

struct copy_config {
    const struct host *host;
    enum copy_kind kind;
    const struct copy_gpu_ops *gpu; /* GPU only */
    void *gpu_self;
    uint32_t flush_ns;
    uint32_t chunks_max;
    struct ring *done;           /* -> complete: nothing more to wait for */
    struct ring *submitted;      /* -> complete: until their ticket is reached */
    struct event *complete_event; /* NULL = the same worker */
    const _Atomic uint64_t *gpu_batch_ns; /* what a batch that decodes takes; or NULL */
};

struct copy_stage {
    struct copy_config config;
    struct ring in[COPY_LANES_MAX];
    uint32_t lanes_n;
    uint32_t next_lane;
    bool manual;
    bool decodes;                /* the GPU does */

    struct copy_batch batches[COPY_BATCHES_MAX];
    uint32_t batches_n, regions_max;
    uint64_t bytes_max;
    uint64_t bytes_limit;        /* of the open batch: see copy_batch_limit */
    uint64_t unfinished_bytes;   /* in batches that are not free */
    uint64_t peak_bytes;         /* the most of these, of late */
    uint64_t opened_n;           /* batches ever opened: the next is opened_n % batches_n */
    uint64_t freed_n;            /* batches ever freed */
    _Atomic uint64_t ready_n;    /* batches ever made READY; by the copy stage */
    _Atomic uint64_t submitted_n; /* batches ever submitted; by the submitter */
    struct copy_batch *open;     /* NULL, or the one being filled */
    uint64_t reached;            /* the highest ticket known to have ended */
    uint64_t unfired;            /* queues with signals that found no room in a batch */
    struct ds_queue *unfired_queues[64];
    bool flush_wanted;           /* a signal waits: do not hold the batch back */
    bool held;                   /* the open batch is held back while the GPU is busy */
    bool decoding;               /* a batch that decodes is under way */
    bool decoded_last;           /* the last batch opened was one that decodes */
    uint32_t decoded_n;          /* chunks of the last that decoded, */
    uint64_t decoded_ns;         /* and when it was seen to have ended */
    struct copy_fifo stalled;    /* for the GPU, while no batch has room */
    struct copy_fifo packed[COPY_CLASSES]; /* for the next batch that decodes */
    uint64_t packed_ns;          /* when the first of these came */
    uint64_t decode_batches;     /* of these, so many were made */

    struct chunk *finished[256]; /* host and failed chunks of this turn */
    uint32_t finished_n;

    struct stage_stats stats;
    struct tally tally;          /* of `finished` */
    struct stage_stats submitter_stats; /* by whoever runs copy_submit */
    _Atomic bool interrupted;    /* ds_vulkan_interrupt */
};

/* copy_open makes the stage with `lanes` input rings. 0 or -ENOMEM. */
int copy_open(struct copy_stage *stage, const struct copy_config *config, uint32_t lanes);
void copy_close(struct copy_stage *stage);

/* copy_submit hands the READY batches to the GPU, in order, and returns their number. One thread at
 * a time: the copy stage itself, or the caller of ds_vulkan_submit. */
uint32_t copy_submit(struct copy_stage *stage);

/* copy_ready_n returns how many batches wait for copy_submit. */
uint64_t copy_ready_n(const struct copy_stage *stage);

extern const struct stage_ops copy_stage_ops;

#endif
