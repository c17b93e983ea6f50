/* What ds/queue.h promises of threads that meet on one queue: one that is stopped, wherever it is,
 * stops no other. A signal stops it at a random instruction of enqueue, submit, poll or cancel. */
#include "unit/stopper.h"

#include <ds/ds.h>

#define STOPS_MIN 100
#define STOPS_MAX 3000
#define REQUESTS 16
#define OURS 1 /* user_data of the requests of the thread that goes on */

struct crowd {
    struct ds_engine *engine;
    struct ds_queue *queue;
    uint64_t sent;         /* requests of ours */
    _Atomic uint64_t done; /* of these */
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
static void go_on(void *ctx)
{
    struct crowd *crowd = ctx;
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;

    for (uint32_t i = 0; i < REQUESTS;) {
        if (enqueue(crowd, OURS) == 0)
            i++;
        ds_queue_submit(crowd->queue);
        poll_one(crowd);
        cr_assert_lt(clock_now_ns(), end_ns, "it cannot enqueue");
    }
    crowd->sent += REQUESTS;
    while (atomic_load(&crowd->done) + 1 < crowd->sent) {
        poll_one(crowd);
        sched_yield();
        cr_assert_lt(clock_now_ns(), end_ns, "%lu of its results are missing",
                     (unsigned long)(crowd->sent - atomic_load(&crowd->done)));
    }
}

static void check(bool by_callback)
{
    struct crowd crowd = {.over = false};
    pthread_t victim;

    stopper_open();
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
    stopper_run(victim, STOPS_MIN, STOPS_MAX, go_on, &crowd);
    atomic_store(&crowd.over, true);
    pthread_join(victim, NULL);
    while (atomic_load(&crowd.done) < crowd.sent)
        poll_one(&crowd);
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
