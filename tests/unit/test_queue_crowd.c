/* ds/queue.h: many producers and many pollers on one queue; each request ends exactly once. */
#include "unit/support.h"

#include <ds/queue.h>
#include <pthread.h>
#include <sched.h>

#define PRODUCERS 4
#define POLLERS 3
#define EACH (200000 / SLOWNESS)

static int enqueue_one(struct ds_queue *queue, uint64_t user_data)
{
    struct ds_request request = {.struct_size = sizeof(request), .fd = -1, .size = 100,
                                 .user_data = user_data};

    return ds_queue_enqueue(queue, &request);
}

struct crowd {
    struct ds_queue *queue;
    uint32_t producers;
    _Atomic uint32_t left;
    uint8_t *seen;
    _Atomic uint32_t bad;
};

struct member {
    struct crowd *crowd;
    uint32_t number;
    pthread_t thread;
};

static void *crowd_produce(void *argument)
{
    struct member *member = argument;

    for (uint32_t i = 0; i < EACH; i++) {
        while (enqueue_one(member->crowd->queue, (uint64_t)member->number * EACH + i) != 0) {
            ds_queue_submit(member->crowd->queue);
            sched_yield();
        }
        if (i % 7 == 0)
            ds_queue_submit(member->crowd->queue);
    }
    ds_queue_submit(member->crowd->queue);
    return NULL;
}

static void *crowd_poll(void *argument)
{
    struct crowd *crowd = ((struct member *)argument)->crowd;
    struct ds_result results[16];

    while (atomic_load(&crowd->left) > 0) {
        uint32_t n = ds_queue_wait(crowd->queue, results, 16, 10 * MS_NS);

        for (uint32_t i = 0; i < n; i++) {
            if (results[i].user_data >= (uint64_t)crowd->producers * EACH ||
                results[i].status != DS_STATUS_OK || results[i].bytes != 100 ||
                __atomic_fetch_add(&crowd->seen[results[i].user_data], 1, __ATOMIC_RELAXED) != 0)
                atomic_fetch_add(&crowd->bad, 1);
        }
        atomic_fetch_sub(&crowd->left, n);
    }
    return NULL;
}

static void run_crowd(enum ds_topology topology, uint32_t flags, uint32_t producers,
                      uint32_t pollers)
{
    struct ds_engine *engine = NULL;
    struct ds_queue_info info = {.struct_size = sizeof(info)};
    struct member members[PRODUCERS + POLLERS];
    struct crowd crowd = {.producers = producers, .left = producers * EACH};

    cr_assert_eq(ds_engine_create(ds_engine_config(.topology = topology,
                                                   .read_backend = DS_READ_NIL,
                                                   .copy_backend = DS_COPY_NIL,
                                                   .arena_bytes = 4 << 20), &engine), 0);
    cr_assert_eq(ds_queue_create(engine, ds_queue_config(.capacity = 256, .flags = flags),
                                 &crowd.queue), 0);
    crowd.seen = calloc(producers, EACH);
    for (uint32_t i = 0; i < producers + pollers; i++) {
        members[i] = (struct member){.crowd = &crowd, .number = i};
        pthread_create(&members[i].thread, NULL, i < producers ? crowd_produce : crowd_poll,
                       &members[i]);
    }
    for (uint32_t i = 0; i < producers + pollers; i++)
        pthread_join(members[i].thread, NULL);
    cr_assert_eq(atomic_load(&crowd.bad), 0, "lost, doubled or damaged results");
    cr_assert_eq(ds_queue_get_info(crowd.queue, &info), 0);
    cr_assert_eq(info.free_slots, 256);
    free(crowd.seen);
    ds_queue_destroy(&crowd.queue);
    ds_engine_destroy(&engine);
}

Test(crowd, many_producers_and_pollers_lose_no_slot_shared)
{
    run_crowd(DS_TOPOLOGY_SHARED, 0, PRODUCERS, POLLERS);
}

Test(crowd, many_producers_and_pollers_lose_no_slot_dedicated)
{
    run_crowd(DS_TOPOLOGY_DEDICATED, 0, PRODUCERS, POLLERS);
}

Test(crowd, many_producers_and_pollers_lose_no_slot_hybrid)
{
    run_crowd(DS_TOPOLOGY_HYBRID, 0, PRODUCERS, POLLERS);
}

Test(crowd, many_producers_and_pollers_lose_no_slot_manual)
{
    run_crowd(DS_TOPOLOGY_MANUAL, 0, 2, 2);
}

Test(crowd, the_promised_single_ones_lose_no_slot)
{
    run_crowd(DS_TOPOLOGY_SHARED, DS_QUEUE_SINGLE_PRODUCER | DS_QUEUE_SINGLE_CONSUMER, 1, 1);
    run_crowd(DS_TOPOLOGY_SHARED, DS_QUEUE_SINGLE_PRODUCER, 1, POLLERS);
    run_crowd(DS_TOPOLOGY_SHARED, DS_QUEUE_SINGLE_CONSUMER, PRODUCERS, 1);
}
