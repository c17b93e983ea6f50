/* A queue: slots, the way into the submit stage, and the ring of results.
 *
 *   producer   --intake-->  submit stage          complete stage  --results-->  poller
 *      ^-------------------------- free slots <-------------------------------------'
 *
 * Who may do what: any number of producers and pollers (fewer, cheaper, by the queue's flags); one
 * submit stage; one complete stage. */
#ifndef ENGINE_QUEUE_H
#define ENGINE_QUEUE_H

#include "engine/event.h"
#include "engine/failures.h"
#include "engine/gpu_decode.h"
#include "engine/image/target.h"
#include "engine/intake.h"
#include "engine/order.h"
#include "engine/ring.h"
#include "engine/slots.h"

#include <ds/queue.h>
#include <pthread.h>

#define QUEUES_MAX 64
#define QUEUE_CAPACITY_MAX SLOTS_MAX

/* How the decode stage is told to look again at the requests that wait for the application. */
struct sweep {
    _Atomic uint32_t wanted;      /* enum sweep_reason */
    struct event *event;          /* of the worker that runs the stage */
};

enum sweep_reason { SWEEP_CANCELLED = 1u << 0, SWEEP_CLOSING = 1u << 1 };

/* sweep_ask: any thread; what it marked before is seen by the sweep. NULL is ignored. */
void sweep_ask(struct sweep *sweep, enum sweep_reason reason);

/* What a queue knows of its engine. */
struct queue_port {
    struct ds_engine *engine;
    const struct host *host;
    struct event *submit_event;   /* of the worker that runs the submit stage */
    _Atomic uint64_t *ready;      /* bit i: queue i has something for the submit stage */
    _Atomic bool *cancels;        /* set by the first cancellation; or NULL */
    bool gpu_allowed;             /* GPU buffers may be named */
    bool address_allowed;         /* GPU memory may be named by its address alone */
    bool signals_by_host;         /* there is a GPU whose semaphores the host can signal */
    bool memory_checked;          /* a request must name memory (not so for the nil copy) */
    bool file_checked;            /* a request must name a file (not so for the nil read) */
    bool mapped_decodes;          /* mapped_max_bytes is for requests with a codec, too */
    uint64_t mapped_max_bytes;    /* larger requests do not use their mapping; 0: none does */
    bool custom_codecs;           /* the application decodes DS_CODEC_CUSTOM_0 and above */
    struct sweep *sweep;          /* of what waits for the application; NULL: nothing does */
    uint32_t chunk_bytes;
    uint64_t arena_bytes;
    struct gpu_decode decode;
    /* MANUAL topology: run the stages until something moved, the queue has results, or timeout_ns.
     * NULL otherwise. */
    void (*step)(struct ds_queue *queue, uint64_t timeout_ns);
};

struct ds_queue {
    struct queue_port port;
    struct request *slots;        /* all of them */
    struct image_target *images;  /* one for each slot, or NULL without DS_QUEUE_IMAGES */
    uint32_t capacity;
    uint32_t flags;               /* enum ds_queue_flags */
    uint32_t index;               /* in the engine's registry */
    ds_complete_fn on_complete;
    void *on_complete_ctx;
    uint32_t priority;            /* enum ds_priority */
    uint32_t source;              /* enum ds_queue_source */
    char name[32];

    struct slots free;            /* producers take, complete stage or pollers give */
    struct intake intake;         /* producers -> submit stage */
    struct ring results;          /* complete stage -> pollers; unused with on_complete */

    /* Submit stage. */
    uint32_t epoch CACHE_ALIGNED; /* signals begun so far */
    uint32_t epoch_requests;      /* requests begun since the last signal */
    _Atomic uint64_t begun;       /* entries begun */
    uint32_t sequence;            /* entries begun, modulo 2^32 */
    uint32_t notice_epoch;        /* as epoch and epoch_requests, for `notices` */
    uint32_t notice_requests;
    uint32_t notices_begun;
    struct request *popped[64];   /* off the intake, not yet begun */
    uint32_t popped_n, popped_at;
    struct order order CACHE_ALIGNED; /* copy stage: signals by the GPU */

    /* Complete stage. */
    _Atomic uint64_t completed CACHE_ALIGNED; /* the stage's last touch of the queue */
    struct order notices;         /* status and event entries, signals by the host */
    struct failures failures;     /* of writes, not told by a flush yet */
    struct order_error unreported; /* first failure since the last status entry */
    _Atomic uint32_t notices_fired;
    struct event done CACHE_ALIGNED; /* results, for ds_queue_wait */
    _Atomic int done_fd;          /* eventfd, or -1 */
    struct event freed CACHE_ALIGNED; /* slots, for ds_queue_enqueue_wait */

    /* The record; taken only when a request has failed. */
    pthread_mutex_t error_lock CACHE_ALIGNED;
    struct ds_error_record error_record;
    uint32_t error_sequence;      /* of the record's request */
    _Atomic int error_fd;         /* eventfd, or -1 */

    _Atomic bool closed;          /* ds_queue_close: nothing more may be enqueued */
    _Atomic bool closing;         /* ds_queue_close or _destroy has begun */
    _Atomic bool abandons;        /* ds_queue_destroy has: what waits for the application ends */
    _Atomic bool detached;        /* the submit stage has let go of the queue */
};

/* queue_open fills *queue. 0, -EINVAL or -ENOMEM. */
int queue_open(struct ds_queue *queue, const struct queue_port *port,
               const struct ds_queue_config *config, uint32_t index);
void queue_close(struct ds_queue *queue);

/* Complete stage: n finished slots of this queue become results for its pollers. */
void queue_publish_results(struct ds_queue *queue, struct request **requests, uint32_t n);

/* queue_sleep sleeps until results are announced, or timeout_ns. */
void queue_sleep(struct ds_queue *queue, uint64_t timeout_ns);

/* queue_wake_waiters wakes ds_queue_wait and the eventfd. */
void queue_wake_waiters(struct ds_queue *queue);

/* queue_give_slots frees n slots and wakes who waits for one. */
void queue_give_slots(struct ds_queue *queue, struct request **requests, uint32_t n);

/* queue_take_slot starts an entry that is no request: 0 with *slot cleared, -EAGAIN or -ESHUTDOWN;
 * queue_push_slot pushes it. */
int queue_take_slot(struct ds_queue *queue, enum request_kind kind, struct request **slot);
void queue_push_slot(struct ds_queue *queue, struct request *slot);

/* queue_record_error: a request of the queue has failed; complete stage. */
void queue_record_error(struct ds_queue *queue, const struct request *request);

/* What the check of a request finds out beside its verdict. */
struct request_checked {
    bool extras;                /* it has what most do not: a mapping, an image or a codec */
    uint8_t fd_direct;          /* the request's own descriptor was opened with O_DIRECT */
    uint32_t room_bytes;        /* see struct request */
    uint8_t way;                /* with a codec: SPECIAL_ON_GPU, SPECIAL_EITHER or 0 */
    struct image_target target; /* when it has one */
};

/* request_check refuses what ds_queue_enqueue documents: 0 or -errno. */
int request_check(const struct ds_queue *queue, const struct ds_request *request,
                  struct request_checked *checked);

/* request_result fills a result from a finished slot, whose enqueued_ns holds the latency by
 * now. */
void request_result(const struct request *request, struct ds_result *result);

#endif
