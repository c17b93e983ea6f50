/* Strict priority for REALTIME, weighted round robin of bytes for the rest. */
#include "stages/schedule.h"

static const int64_t quota_bytes[SCHEDULE_CLASSES] = {
    [DS_PRIORITY_LOW] = 64 << 10,
    [DS_PRIORITY_NORMAL] = 640 << 10,
    [DS_PRIORITY_HIGH] = 6400 << 10,
};

static const enum ds_priority descending[] = {
    DS_PRIORITY_HIGH,
    DS_PRIORITY_NORMAL,
    DS_PRIORITY_LOW,
};

void schedule_add(struct schedule *schedule, uint32_t queue, enum ds_priority class)
{
    atomic_fetch_or_explicit(&schedule->members[class], (uint64_t)1 << queue,
                             memory_order_relaxed);
}

void schedule_remove(struct schedule *schedule, uint32_t queue)
{
    for (uint32_t class = 0; class < SCHEDULE_CLASSES; class ++)
        atomic_fetch_and_explicit(&schedule->members[class], ~((uint64_t)1 << queue),
                                  memory_order_relaxed);
}

/* The next of `set` in turn. */
static uint32_t take_turn(struct schedule *schedule, enum ds_priority class, uint64_t set)
{
    uint64_t from = set & (~(uint64_t)0 << schedule->next[class]);
    uint32_t queue = (uint32_t)__builtin_ctzll(from != 0 ? from : set);

    schedule->next[class] = (queue + 1) % 64;
    return queue;
}

/* Rounds of quotas until the class may be served again. */
static int64_t rounds_needed(const struct schedule *schedule, enum ds_priority class)
{
    int64_t quota = schedule->quota_bytes[class];

    return quota > 0 ? 0 : -quota / quota_bytes[class] + 1;
}

/* All have used theirs up: gives every class as many quotas as the first of `pending` needs. What a
 * large request took beforehand is paid back, and nobody saves up more than one quota. */
static void quotas_refill(struct schedule *schedule, uint64_t pending)
{
    int64_t rounds = INT64_MAX;

    for (uint32_t i = 0; i < ARRAY_LENGTH(descending); i++) {
        int64_t needed = rounds_needed(schedule, descending[i]);

        if ((pending & schedule_members(schedule, descending[i])) != 0 && needed < rounds)
            rounds = needed;
    }
    if (rounds == INT64_MAX)
        return; /* none of them is a member: it has just detached */
    for (uint32_t i = 0; i < ARRAY_LENGTH(descending); i++) {
        enum ds_priority class = descending[i];

        schedule->quota_bytes[class] += rounds * quota_bytes[class];
        if (schedule->quota_bytes[class] > quota_bytes[class])
            schedule->quota_bytes[class] = quota_bytes[class];
    }
}

uint32_t schedule_pick(struct schedule *schedule, uint64_t pending)
{
    uint64_t set = pending & schedule_members(schedule, DS_PRIORITY_REALTIME);

    DS_ASSERT(pending != 0);
    if (set != 0)
        return take_turn(schedule, DS_PRIORITY_REALTIME, set);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < ARRAY_LENGTH(descending); i++) {
            enum ds_priority class = descending[i];

            set = pending & schedule_members(schedule, class);
            if (set != 0 && schedule->quota_bytes[class] > 0)
                return take_turn(schedule, class, set);
        }
        quotas_refill(schedule, pending);
    }
    /* a queue that just detached: whoever it is, it has nothing */
    return (uint32_t)__builtin_ctzll(pending);
}
