/* What ds/custom.h promises: a thread that is stopped anywhere in take or finish stops no other. A
 * signal stops it at a random instruction. */
#include "unit/stopper.h"

#include <ds/ds.h>

#define STOPS_MIN 50
#define STOPS_MAX 2000
#define REQUESTS 8

struct crowd {
    struct ds_engine *engine;
    struct ds_queue *queue;
    uint64_t open; /* requests without a result */
    _Atomic bool over;
};

/* One at a time, so that nobody holds more than one. */
static void serve_one(struct crowd *crowd)
{
    struct ds_custom_request request;
    int n = ds_custom_take(crowd->engine, DS_CUSTOM_SELECT_ALL, &request, 1);

    if (n == 1)
        ds_custom_finish(crowd->engine, &(struct ds_custom_result){.id = request.id}, 1);
}

static void *victim_main(void *argument)
{
    struct crowd *crowd = argument;

    while (!atomic_load(&crowd->over))
        serve_one(crowd);
    return NULL;
}

/* While the victim is stopped requests are decoded; one of them may be in its hands. */
static void go_on(void *ctx)
{
    struct crowd *crowd = ctx;
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;
    struct ds_result results[REQUESTS];

    for (uint32_t i = 0; i < REQUESTS; i++)
        cr_assert_eq(ds_queue_enqueue(crowd->queue, ds_request(.fd = -1, .size = 100,
                                                               .codec = DS_CODEC_CUSTOM_0,
                                                               .uncompressed_size = 100)), 0);
    ds_queue_submit(crowd->queue);
    crowd->open += REQUESTS;
    while (crowd->open > 1) {
        serve_one(crowd);
        sched_yield();
        crowd->open -= ds_queue_poll(crowd->queue, results, REQUESTS);
        cr_assert_lt(clock_now_ns(), end_ns, "%lu results are missing",
                     (unsigned long)crowd->open);
    }
}

Test(stopped_custom, a_thread_among_those_that_decode)
{
    struct crowd crowd = {.over = false};
    struct ds_result result;
    pthread_t victim;

    stopper_open();
    cr_assert_eq(ds_engine_create(ds_engine_config(.topology = DS_TOPOLOGY_SHARED,
                                                   .read_backend = DS_READ_NIL,
                                                   .copy_backend = DS_COPY_NIL,
                                                   .arena_bytes = 2 << 20, .custom_codecs = 1),
                                  &crowd.engine), 0);
    cr_assert_eq(ds_queue_create(crowd.engine, NULL, &crowd.queue), 0);
    cr_assert_geq(ds_custom_eventfd(crowd.engine), 0); /* its system calls are stopped at, too */
    cr_assert_eq(pthread_create(&victim, NULL, victim_main, &crowd), 0);
    stopper_run(victim, STOPS_MIN, STOPS_MAX, go_on, &crowd);
    atomic_store(&crowd.over, true);
    pthread_join(victim, NULL);
    while (crowd.open > 0) {
        serve_one(&crowd);
        crowd.open -= ds_queue_poll(crowd.queue, &result, 1);
    }
    ds_queue_destroy(&crowd.queue);
    ds_engine_destroy(&crowd.engine);
}
