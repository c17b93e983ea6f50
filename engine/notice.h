/* Status arrays: outcomes that status entries set and any thread reads. */
#ifndef ENGINE_NOTICE_H
#define ENGINE_NOTICE_H

#include "engine/host.h"
#include "engine/order.h"

#include <ds/queue.h>
#include <stdatomic.h>

struct ds_status_array {
    struct ds_engine *engine;
    const struct host *host;
    _Atomic uint32_t references; /* the application's, and one for each queued entry */
    uint32_t n;
    _Atomic uint64_t outcomes[]; /* error << 32 | status */
};

/* status_array_open makes an array of n. 0, -EINVAL or -ENOMEM. */
int status_array_open(struct ds_engine *engine, const struct host *host, uint32_t n,
                      struct ds_status_array **array);

/* status_array_set publishes an outcome and lets go of the entry's reference. */
void status_array_set(struct ds_status_array *array, uint32_t index,
                      const struct order_error *outcome);

/* status_array_drop lets go of one reference. */
void status_array_drop(struct ds_status_array *array);

#endif
