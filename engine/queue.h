/* A queue: slots, the ring into the submit stage, and the ring of results.
 *
 *   producer   --submissions-->  submit stage          complete stage  --results-->  poller
 *      ^---------------------- free list (slots) <----------------------------------'
 *
 * Who may do what: any number of producers and pollers (fewer, cheaper, by the queue's flags); one
 * submit stage; one complete stage. */
#ifndef ENGINE_QUEUE_H
#define ENGINE_QUEUE_H

#include "engine/event.h"
#include "engine/order.h"
#include "engine/request.h"
#include "engine/ring.h"

#include <ds/queue.h>

#define QUEUES_MAX 64
#define QUEUE_CAPACITY_MAX 65536

/* What a queue knows of its engine. */
struct queue_port {
    struct ds_engine *engine;
    const struct host *host;
    struct event *submit_event;   /* of the worker that runs the submit stage */
    _Atomic uint64_t *ready;      /* bit i: queue i has something for the submit stage */
    bool gpu_allowed;             /* GPU buffers may be named */
    bool memory_checked;          /* a request must name memory (not so for the nil copy) */
    bool file_checked;            /* a request must name a file (not so for the nil read) */
    /* MANUAL topology: run the stages until something moved or timeout_ns. NULL otherwise. */
    void (*step)(struct ds_engine *engine, uint64_t timeout_ns);
};

struct ds_queue {
    struct queue_port port;
    struct request *slots;
    uint32_t capacity;
    uint32_t flags;               /* enum ds_queue_flags */
    uint32_t index;               /* in the engine's registry */
    ds_complete_fn on_complete;
    void *on_complete_ctx;
    char name[32];

    struct ring submissions;      /* heads of chains of slots, in the order of the enqueues */
    struct ring results;          /* finished slots; unused with on_complete */

    /* The free list: index of the first slot, number of slots, and a tag against ABA. */
    _Atomic uint64_t free_list CACHE_ALIGNED;

    /* Producer side. SINGLE_PRODUCER: slots taken off the list in one exchange, not yet used. */
    uint32_t own_first CACHE_ALIGNED;
    _Atomic uint32_t own_count;
    _Atomic uint32_t published;   /* position in `submissions` up to which submit may pop */

    /* Submit stage. */
    uint32_t epoch CACHE_ALIGNED; /* signals popped so far */
    uint32_t epoch_requests;      /* requests popped since the last signal */
    _Atomic uint64_t begun;       /* entries popped */
    struct order order;           /* copy stage */

    /* Complete stage. */
    _Atomic uint64_t completed CACHE_ALIGNED; /* the stage's last touch of the queue */
    struct event done;            /* results, for ds_queue_wait */
    _Atomic int done_fd;          /* eventfd, or -1 */

    _Atomic bool closing;         /* ds_queue_destroy has begun */
    _Atomic bool detached;        /* the submit stage has let go of the queue */
};

/* queue_open fills *queue. 0, -EINVAL or -ENOMEM. */
int queue_open(struct ds_queue *queue, const struct queue_port *port,
               const struct ds_queue_config *config, uint32_t index);
void queue_close(struct ds_queue *queue);

/* Submit stage: pops up to max published entries, and gives their chains' slots one by one. */
uint32_t queue_pop(struct ds_queue *queue, struct request **chains, uint32_t max);
bool queue_has_published(const struct ds_queue *queue);

/* queue_chain_next returns the slot enqueued after `request` in the same batch, or NULL. Read it
 * before the request is completed. */
struct request *queue_chain_next(struct ds_queue *queue, const struct request *request);

/* Complete stage: n finished slots of this queue become results (polled queues), or free slots. */
void queue_publish_results(struct ds_queue *queue, struct request **requests, uint32_t n);
void queue_free_slots(struct ds_queue *queue, struct request **requests, uint32_t n);

/* queue_wake_waiters wakes ds_queue_wait and the eventfd. */
void queue_wake_waiters(struct ds_queue *queue);

/* request_check refuses what ds_queue_enqueue documents: 0 or -errno. *fd_direct tells whether the
 * request's own descriptor was opened with O_DIRECT. */
int request_check(const struct queue_port *port, const struct ds_request *request,
                  uint8_t *fd_direct);

/* request_result fills a result from a finished slot, whose enqueued_ns holds the latency by now. */
void request_result(const struct request *request, struct ds_result *result);

#endif
