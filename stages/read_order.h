/* What other threads have a lane's back end do: it is entered by the lane's thread only. */
#ifndef STAGES_READ_ORDER_H
#define STAGES_READ_ORDER_H

#include "stages/read.h"

/* These are called on any thread, and return when it is done. `event` is the lane's worker's. In a
 * MANUAL engine the caller is the lane's thread, and it is done at once. */

/* read_forget asks the lane to let go of a file with nothing in flight. */
void read_forget(struct read_stage *stage, const struct ds_file *file, struct event *event);

/* read_pin has memory registered. 0, or -errno (-ENOTSUP: this back end has no use for it). */
int read_pin(struct read_stage *stage, const struct ds_memory *memory, struct event *event);

/* read_unpin undoes it, also where it was not done. */
void read_unpin(struct read_stage *stage, const struct ds_memory *memory, struct event *event);

/* read_order_serve, on the lane's thread: true if an order was carried out. */
bool read_order_serve(struct read_stage *stage);

static inline bool read_order_waits(const struct read_stage *stage)
{
    return atomic_load_explicit(&stage->order, memory_order_relaxed) != NULL;
}

#endif
