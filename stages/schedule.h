/* Which queue is served next.
 *
 * REALTIME always goes first. The other priorities share by bytes, 100 : 10 : 1: each has a quota,
 * and when all that have work have used theirs up, every quota is filled again. So none starves.
 * Within a priority, queues take turns by requests. */
#ifndef STAGES_SCHEDULE_H
#define STAGES_SCHEDULE_H

#include "engine/base.h"

#include <ds/queue.h>
#include <stdatomic.h>

#define SCHEDULE_CLASSES 4 /* enum ds_priority */

struct schedule {
    _Atomic uint64_t members[SCHEDULE_CLASSES]; /* bit i: queue i has this priority */
    int64_t quota_bytes[SCHEDULE_CLASSES];
    uint32_t next[SCHEDULE_CLASSES]; /* queue where the turn goes on */
};

static inline uint64_t schedule_members(const struct schedule *schedule, enum ds_priority class)
{
    return atomic_load_explicit(&schedule->members[class], memory_order_relaxed);
}

/* schedule_add and _remove: any thread. */
void schedule_add(struct schedule *schedule, uint32_t queue, enum ds_priority class);
void schedule_remove(struct schedule *schedule, uint32_t queue);

/* schedule_pick returns the queue, out of the nonempty set `pending`, to serve next. */
uint32_t schedule_pick(struct schedule *schedule, uint64_t pending);

/* schedule_charge: a request of so many bytes was begun. */
static inline void schedule_charge(struct schedule *schedule, enum ds_priority class,
                                   uint64_t bytes)
{
    /* a request costs something even when it moves little */
    schedule->quota_bytes[class] -= (int64_t)max_u64(bytes, 4096);
}

#endif
