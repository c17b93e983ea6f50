/* What ds/custom.h promises: a thread that is stopped anywhere in take or finish stops no other. A
 * signal stops it at a random instruction. */
#include "engine/clock.h"
#include "unit/support.h"

#include <ds/ds.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

/* As many as fit into STOPS_NS, between these. */
#define STOPS_MIN 50
#define STOPS_MAX 2000
#define STOPS_NS SECOND_NS
#define REQUESTS 8

static _Atomic uint32_t stopped, released; /* how often */

static void stop_here(int signal_number)
{
    uint32_t mine = atomic_fetch_add(&stopped, 1) + 1;

    (void)signal_number;
    while (atomic_load(&released) < mine)
        sched_yield();
}

struct crowd {
    struct ds_engine *engine;
    struct ds_queue *queue;
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
static uint64_t go_on(struct crowd *crowd, uint64_t open)
{
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;
    struct ds_result results[REQUESTS];

    for (uint32_t i = 0; i < REQUESTS; i++)
        cr_assert_eq(ds_queue_enqueue(crowd->queue, ds_request(.fd = -1, .size = 100,
                                                               .codec = DS_CODEC_CUSTOM_0,
                                                               .uncompressed_size = 100)), 0);
    ds_queue_submit(crowd->queue);
    for (open += REQUESTS; open > 1; open -= ds_queue_poll(crowd->queue, results, REQUESTS)) {
        serve_one(crowd);
        sched_yield();
        cr_assert_lt(clock_now_ns(), end_ns, "%lu results are missing", (unsigned long)open);
    }
    return open;
}

Test(stopped_custom, a_thread_among_those_that_decode)
{
    struct sigaction action = {.sa_handler = stop_here, .sa_flags = SA_RESTART};
    struct crowd crowd = {.over = false};
    uint64_t open = 0, end_ns = clock_now_ns() + STOPS_NS;
    struct ds_result result;
    uint32_t stops = 0;
    pthread_t victim;

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(ds_engine_create(ds_engine_config(.topology = DS_TOPOLOGY_SHARED,
                                                   .read_backend = DS_READ_NIL,
                                                   .copy_backend = DS_COPY_NIL,
                                                   .arena_bytes = 2 << 20, .custom_codecs = 1),
                                  &crowd.engine), 0);
    cr_assert_eq(ds_queue_create(crowd.engine, NULL, &crowd.queue), 0);
    cr_assert_geq(ds_custom_eventfd(crowd.engine), 0); /* its system calls are stopped at, too */
    cr_assert_eq(pthread_create(&victim, NULL, victim_main, &crowd), 0);
    while (stops < STOPS_MIN || (stops < STOPS_MAX && clock_now_ns() < end_ns)) {
        pthread_kill(victim, SIGUSR1);
        stops++;
        while (atomic_load(&stopped) < stops)
            sched_yield();
        open = go_on(&crowd, open);
        atomic_store(&released, stops);
    }
    atomic_store(&crowd.over, true);
    pthread_join(victim, NULL);
    while (open > 0) {
        serve_one(&crowd);
        open -= ds_queue_poll(crowd.queue, &result, 1);
    }
    fprintf(stderr, "stopped %u times\n", stops);
    ds_queue_destroy(&crowd.queue);
    ds_engine_destroy(&crowd.engine);
}
