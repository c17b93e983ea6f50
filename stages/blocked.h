/* Requests that wait for a semaphore before they begin: a list that is polled, since a semaphore
 * tells nobody. They have their place in the order of their queue, but no chunk and no staging. */
#ifndef STAGES_BLOCKED_H
#define STAGES_BLOCKED_H

#include "engine/request.h"
#include "stages/copy.h"

struct blocked {
    const struct copy_gpu_ops *gpu; /* NULL: nothing can wait */
    void *gpu_self;
    struct request *first, *last;   /* linked by `newer` */
};

/* blocked_add puts a request behind the others, unless it need not wait. True: it waits. */
bool blocked_add(struct blocked *blocked, struct request *r);

/* blocked_take returns a request that waits no longer: its semaphore has reached the value, it was
 * cancelled, or the device is lost (its status says so). NULL: all still wait. */
struct request *blocked_take(struct blocked *blocked);

#endif
