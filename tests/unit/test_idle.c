/* An engine at rest sleeps, whatever it did last; and a queue goes away when it is at rest, however
 * its last entries ended. */
#include <criterion/criterion.h>
#include <ds/ds.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define ENTRIES 64 /* credit goes back in bursts of so many */

static void pause_ns(long ns)
{
    struct timespec t = {.tv_nsec = ns};

    nanosleep(&t, NULL);
}

static uint64_t parks(struct ds_engine *engine, enum ds_stage stage)
{
    struct ds_counters *counters = calloc(1, sizeof(*counters));
    uint64_t n;

    counters->struct_size = sizeof(*counters);
    cr_assert_eq(ds_engine_get_counters(engine, counters), 0);
    n = counters->stages[stage].parks;
    free(counters);
    return n;
}

/* Nothing but notifications, so that nothing ever is in the disk. */
static void notify(struct ds_engine *engine, struct ds_status_array *array)
{
    struct ds_queue *queue;

    cr_assert_eq(ds_queue_create(engine, NULL, &queue), 0);
    for (uint32_t i = 0; i < ENTRIES; i++)
        cr_assert_eq(ds_queue_enqueue_status(queue, array, i), 0);
    ds_queue_submit(queue);
    while (ds_status_array_get(array, ENTRIES - 1, NULL) == DS_STATUS_PENDING)
        sched_yield();
    ds_queue_destroy(&queue);
}

static void sleeps_after_notifications(enum ds_topology topology)
{
    struct ds_status_array *array;
    struct ds_engine *engine;
    uint64_t before[DS_STAGE_COUNT];

    cr_assert_eq(ds_engine_create(ds_engine_config(.topology = topology), &engine), 0);
    cr_assert_eq(ds_status_array_create(engine, ENTRIES, &array), 0);
    for (int round = 0; round < 100; round++)
        notify(engine, array);
    pause_ns(50000000);
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++)
        before[i] = parks(engine, i);
    pause_ns(200000000);
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++)
        cr_assert_leq(parks(engine, i) - before[i], 10, "%s does not sleep", ds_stage_name(i));
    ds_status_array_destroy(&array);
    ds_engine_destroy(&engine);
}

Test(idle, dedicated)
{
    sleeps_after_notifications(DS_TOPOLOGY_DEDICATED);
}

Test(idle, hybrid)
{
    sleeps_after_notifications(DS_TOPOLOGY_HYBRID);
}

Test(idle, shared)
{
    sleeps_after_notifications(DS_TOPOLOGY_SHARED);
}
