/* The order between a queue's signals and the requests enqueued before them, as one stage sees it.
 *
 * Requests between two signals form an epoch. A stage counts what it has finished of each epoch; a
 * signal closes its epoch with the number of requests in it. A signal may fire when its epoch is
 * closed and complete and every earlier signal has fired. Single-threaded. */
#ifndef ENGINE_ORDER_H
#define ENGINE_ORDER_H

#include "engine/host.h"

/* Both counts run modulo 2^32; they are never further apart than the queue's capacity. */
/* The first failure, in the order of the enqueues. */
struct order_error {
    uint32_t sequence;
    int32_t status;  /* enum ds_status; DS_STATUS_OK: none */
    int32_t error;
};

struct order_epoch {
    uint32_t done;   /* requests finished */
    uint32_t total;  /* valid once closed */
    void *signal;    /* not NULL: closed by this entry */
    struct order_error error;
};

struct order {
    struct order_epoch *epochs; /* ring, indexed by epoch number */
    uint32_t mask;
    uint32_t front;             /* the oldest epoch whose signal has not fired */
};

/* order_open: at most `signals_max` signals are open at once. 0 or -ENOMEM. */
int order_open(struct order *order, const struct host *host, uint32_t signals_max);
void order_close(struct order *order, const struct host *host);

static inline struct order_epoch *order_at(struct order *order, uint32_t epoch)
{
    DS_ASSERT(epoch - order->front <= order->mask);
    return &order->epochs[epoch & order->mask];
}

/* order_done: one request of `epoch` has finished. */
static inline void order_done(struct order *order, uint32_t epoch)
{
    order_at(order, epoch)->done++;
}

/* order_fail: one request of `epoch` has failed; before its order_done. */
static inline void order_fail(struct order *order, uint32_t epoch, struct order_error error)
{
    struct order_error *first = &order_at(order, epoch)->error;

    if (first->status == DS_STATUS_OK || (int32_t)(error.sequence - first->sequence) < 0)
        *first = error;
}

/* order_signal: the entry that closes `epoch`, which has `total` requests. */
static inline void order_signal(struct order *order, uint32_t epoch, uint32_t total, void *signal)
{
    struct order_epoch *e = order_at(order, epoch);

    DS_ASSERT(e->signal == NULL && signal != NULL && (int32_t)(total - e->done) >= 0);
    e->total = total;
    e->signal = signal;
}

/* order_waits: a signal is open, so finishing a request may let it fire. */
static inline bool order_waits(const struct order *order)
{
    return order->epochs[order->front & order->mask].signal != NULL;
}

/* order_fire returns the next signal that may fire, once, or NULL. The failure of its epoch goes to
 * *error, unless that holds an earlier one. */
static inline void *order_fire(struct order *order, struct order_error *error)
{
    struct order_epoch *e = &order->epochs[order->front & order->mask];
    void *signal = e->signal;

    if (signal == NULL || e->done != e->total)
        return NULL;
    if (error->status == DS_STATUS_OK)
        *error = e->error;
    *e = (struct order_epoch){.done = 0};
    order->front++;
    return signal;
}

#endif
