/* The copy stage: moves staged bytes to their destination, in batches.
 *
 * Owns: the GPU batches. In: chunks DONE_READ, from every lane. Out: host and failed chunks at once
 * through `done`; chunks of a GPU submission through `submitted`, in ticket order.
 * Bounded by: batches_max submissions in flight.
 *
 * A batch:   OPEN -> READY -> SUBMITTED -> (ticket reached) -> free
 * It is recorded and made READY when it is full, when the input is empty, or after flush_ns; while
 * the GPU is busy with earlier batches it keeps growing instead. */
#ifndef STAGES_COPY_H
#define STAGES_COPY_H

#include "engine/chunk.h"
#include "engine/ring.h"
#include "engine/staging.h"
#include "engine/worker.h"

#define COPY_BATCHES_MAX 16
#define COPY_LANES_MAX DS_READ_LANES_MAX

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
    /* Record the copies of chunks[0..n) (CHUNK_READ: memory's payload -> GPU buffer;
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
    /* The submissions are made by ds_vulkan_submit (DS_VULKAN_QUEUE_MANUAL). */
    bool (*manual)(void *self);
};

extern const struct copy_gpu_ops copy_vulkan_ops;

enum copy_kind { COPY_KIND_HOST, COPY_KIND_NIL, COPY_KIND_GPU };

#endif
