/* What ds/queue.h promises of threads that meet on one queue: one that is stopped, wherever it is,
 * stops no other. A signal stops it at a random instruction of enqueue, submit, poll or cancel. */
#include "engine/clock.h"
#include "unit/support.h"

#include <ds/ds.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* As many as fit into STOPS_NS, between these. */
#define STOPS_MIN 100
#define STOPS_MAX 3000
#define STOPS_NS SECOND_NS
#define REQUESTS 16
#define OURS 1 /* user_data of the requests of the thread that goes on */

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
    _Atomic uint64_t done; /* requests of ours */
    _Atomic bool over;
};

static void take(struct crowd *crowd, const struct ds_result *results, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        atomic_fetch_add(&crowd->done, results[i].user_data == OURS ? 1 : 0);
}

static void on_complete(void *ctx, const struct ds_result *results, uint32_t n)
{
    take(ctx, results, n);
}

/* One result at a time: of those not counted yet, the victim has no more than one in its hands. */
static void poll_one(struct crowd *crowd)
{
    struct ds_result result;

    take(crowd, &result, ds_queue_poll(crowd->queue, &result, 1));
}

static int enqueue(struct crowd *crowd, uint64_t user_data)
{
    return ds_queue_enqueue(crowd->queue, ds_request(.fd = -1, .size = 100,
                                                     .user_data = user_data,
                                                     .cancel_tag = user_data));
}

static void *victim_main(void *argument)
{
    struct crowd *crowd = argument;

    for (uint32_t i = 0; !atomic_load(&crowd->over); i++) {
        enqueue(crowd, OURS + 1);
        if (i % 3 != 0)
            ds_queue_submit(crowd->queue);
        if (i % 7 == 0)
            ds_queue_cancel(crowd->queue, UINT64_MAX, OURS + 1);
        poll_one(crowd);
        poll_one(crowd);
    }
    ds_queue_submit(crowd->queue);
    return NULL;
}

/* While the victim is stopped requests go in, through and out; one of them may be in its hands. */
static void go_on(struct crowd *crowd, uint64_t *sent)
{
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;

    for (uint32_t i = 0; i < REQUESTS;) {
        if (enqueue(crowd, OURS) == 0)
            i++;
        ds_queue_submit(crowd->queue);
        poll_one(crowd);
        cr_assert_lt(clock_now_ns(), end_ns, "it cannot enqueue");
    }
    *sent += REQUESTS;
    while (atomic_load(&crowd->done) + 1 < *sent) {
        poll_one(crowd);
        sched_yield();
        cr_assert_lt(clock_now_ns(), end_ns, "%lu of its results are missing",
                     (unsigned long)(*sent - atomic_load(&crowd->done)));
    }
}

static void check(bool by_callback)
{
    struct sigaction action = {.sa_handler = stop_here, .sa_flags = SA_RESTART};
    struct crowd crowd = {.over = false};
    uint64_t sent = 0, end_ns = clock_now_ns() + STOPS_NS;
    uint32_t stops = 0;
    pthread_t victim;

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(ds_engine_create(ds_engine_config(.topology = DS_TOPOLOGY_SHARED,
                                                   .read_backend = DS_READ_NIL,
                                                   .copy_backend = DS_COPY_NIL,
                                                   .arena_bytes = 2 << 20),
                                  &crowd.engine), 0);
    cr_assert_eq(ds_queue_create(crowd.engine,
                                 ds_queue_config(.capacity = 128,
                                                 .on_complete = by_callback ? on_complete : NULL,
                                                 .on_complete_ctx = &crowd),
                                 &crowd.queue), 0);
    cr_assert_eq(pthread_create(&victim, NULL, victim_main, &crowd), 0);
    while (stops < STOPS_MIN || (stops < STOPS_MAX && clock_now_ns() < end_ns)) {
        pthread_kill(victim, SIGUSR1);
        stops++;
        while (atomic_load(&stopped) < stops)
            sched_yield();
        go_on(&crowd, &sent);
        atomic_store(&released, stops);
    }
    atomic_store(&crowd.over, true);
    pthread_join(victim, NULL);
    while (atomic_load(&crowd.done) < sent)
        poll_one(&crowd);
    fprintf(stderr, "stopped %u times\n", stops);
    ds_queue_destroy(&crowd.queue);
    ds_engine_destroy(&crowd.engine);
}

Test(stopped, a_thread_among_producers_and_pollers)
{
    check(false);
}

Test(stopped, a_thread_among_producers)
{
    check(true);
}
