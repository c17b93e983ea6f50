/* The way of requests from producers to the submit stage, in the order of their enqueues.
 *
 * One producer: a Concurrency Kit SPSC ring, wait-free. Many: a list that producers push onto with
 * one compare-and-swap (lock-free) and that the submit stage takes whole and turns round
 * (wait-free). Not ck's multi-producer ring: its producers wait for each other in turn, and with
 * more of them than CPUs each turn costs a time slice (docs/performance.md).
 *
 * What was pushed is taken only after it was published, up to a position: entries are numbered 1,
 * 2, 3, ... modulo 2^32 in the order of their pushes. */
#ifndef ENGINE_INTAKE_H
#define ENGINE_INTAKE_H

#include "engine/request.h"
#include "engine/ring.h"

#include <stdatomic.h>

struct intake {
    struct request *slots;
    bool single_producer;
    struct ring ring;              /* single producer */

    _Atomic uint64_t list CACHE_ALIGNED; /* pushed so far << 32 | index of the newest slot */
    _Atomic uint32_t published;

    /* Submit stage. */
    struct request *oldest CACHE_ALIGNED; /* taken off the list, not yet popped */
    _Atomic uint32_t popped;
};

/* intake_open: `capacity` slots at most are inside at once. 0 or -ENOMEM. */
int intake_open(struct intake *intake, const struct host *host, struct request *slots,
                uint32_t capacity, bool single_producer);
void intake_close(struct intake *intake, const struct host *host);

/* intake_push: any thread, or the single producer. */
void intake_push(struct intake *intake, struct request *slot);

/* intake_publish publishes everything that this thread has pushed. True: something is new. */
bool intake_publish(struct intake *intake);

/* intake_pop takes up to max published entries; submit stage. */
uint32_t intake_pop(struct intake *intake, struct request **requests, uint32_t max);

/* intake_drain is intake_pop for what was never published. Nobody else may use the intake. */
struct request *intake_drain(struct intake *intake);

/* intake_unpublished: pushed, not published. Any thread. */
uint32_t intake_unpublished(const struct intake *intake);

/* intake_pending: published, not popped. Any thread; exact on the submit stage's. */
uint32_t intake_pending(const struct intake *intake);

#endif
