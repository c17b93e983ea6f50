/* Keeps a number of requests in flight: every completion callback enqueues what follows on the
 * thread that delivers it, so that no thread stands between two requests. */
#ifndef DSBENCH_DRIVE_H
#define DSBENCH_DRIVE_H

#include "measure.h"
#include "packed.h"

#include <semaphore.h>

struct drive_slot {
    uint64_t offset;
    uint32_t file;
};

struct drive {
    struct session *session;
    struct ds_queue *queue;
    struct target *target;
    struct sequence *sequence;
    const struct packed *packed; /* where the blocks lie compressed; NULL = read them as they are */
    uint32_t depth;
    uint32_t priority;        /* enum ds_priority of the queue */
    bool polled;              /* results are polled, by whoever calls drive_take */
    uint64_t slots_before;    /* of others, in the same target */
    bool by_block;            /* a block goes to its own place in the target, not to its slot's */
    struct ds_request *batch; /* `depth` requests, refilled in place */
    struct drive_slot *slots; /* what is in flight under user_data 0..depth-1 */
    struct ds_histogram *latency_ns;
    ds_complete_fn on_complete; /* NULL = the drive's own */
    void *on_complete_ctx;
    const _Atomic bool *stop; /* ends a pass early; NULL = nobody does */

    /* One pass. */
    uint64_t issue_max;
    uint64_t begin_ns;    /* of the time until the deadline */
    uint64_t deadline_ns; /* 0 = none */
    uint64_t issued;
    uint64_t completed;
    uint64_t errors;
    uint32_t in_flight;
    uint64_t end_ns;
    uint64_t end_cpu_ns;
    _Atomic uint64_t bytes; /* one writer: the completing thread */
    _Atomic bool primed;    /* the first fill is submitted: the callback is the producer now */
    sem_t done;
};

/* drive_open makes the queue and the tables. 0, or -errno after a complaint. */
int drive_open(struct drive *drive);
void drive_close(struct drive *drive);

/* drive_request_fill makes a request of the next place in the sequence, for a slot. */
void drive_request_fill(struct drive *drive, struct ds_request *request, uint64_t slot);

/* For a loop of one's own: drive_send enqueues and submits batch[0..n), drive_take counts results,
 * and drive_goes_on tells whether there is more to issue. */
void drive_send(struct drive *drive, uint32_t n);
void drive_take(struct drive *drive, const struct ds_result *results, uint32_t n);
bool drive_goes_on(const struct drive *drive, uint64_t now);

/* drive_failure_tell complains about a result. */
void drive_failure_tell(const struct drive *drive, const struct ds_result *result);

/* drive_pass issues up to issue_max requests until the deadline, waits for all of them, and adds to
 * *measure. */
void drive_pass(struct drive *drive, const char *progress, struct measure *measure);

#endif
