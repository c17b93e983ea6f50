/* engine/worker.h: on what a thread of several stages sleeps, and for how long. */
#include "unit/fake_stage.h"

TestSuite(worker_sleep, .init = open_host);

/* What a stage waits for may change between two questions: polled for at one moment, told of by a
 * device at the next. Nobody signals here, so that a sleep on neither would be for ever. */
Test(worker_sleep, a_wait_that_changes_is_not_slept_through)
{
    for (uint32_t first = 0; first < 2; first++) {
        struct bench bench;

        bench_open(&bench, 2, &device_ops);
        for (uint32_t i = 0; i < 2; i++)
            bench.fakes[i].park_takes_ns = MS_NS;
        bench.fakes[0].ages = true;
        bench.fakes[0].answers = first;
        atomic_store(&bench.fakes[0].wait, STAGE_WAIT_DEVICE);
        cr_assert_eq(worker_launch(&bench.worker), 0);
        await(&bench.fakes[0].turns, 50);
        worker_stop(&bench.worker);
        worker_fini(&bench.worker);
    }
}

Test(worker_sleep, a_park_by_hand_ends_in_time_or_at_once_when_there_is_input)
{
    struct bench bench;
    uint64_t begin_ns = clock_now_ns();

    bench_open(&bench, 1, &plain_ops);
    cr_assert_not(worker_park(&bench.worker, 20 * MS_NS));
    cr_assert_geq(clock_now_ns() - begin_ns, 19 * MS_NS);
    atomic_store(&bench.fakes[0].input, 1);
    begin_ns = clock_now_ns();
    cr_assert(worker_park(&bench.worker, PATIENCE_NS));
    cr_assert_lt(clock_now_ns() - begin_ns, PATIENCE_NS / 2);
    worker_fini(&bench.worker);
}

/* Two devices have work in flight: no long sleep on either of them. */
Test(worker_sleep, sleeps_short_while_another_device_may_end_first)
{
    struct bench bench;

    bench_open(&bench, 2, &device_ops);
    bench.worker.stages[1].park_wakes_on_event = true;
    atomic_store(&bench.fakes[1].wait, STAGE_WAIT_DEVICE);
    bench.fakes[0].park_takes_ns = bench.fakes[1].park_takes_ns = MS_NS;
    worker_park(&bench.worker, SECOND_NS);
    cr_assert_eq(atomic_load(&bench.fakes[1].parks), 1, "the one that waits");
    cr_assert_eq(bench.fakes[1].parked_ns, SECOND_NS);
    atomic_store(&bench.fakes[0].wait, STAGE_WAIT_DEVICE);
    worker_park(&bench.worker, SECOND_NS);
    cr_assert_lt(min_u64(bench.fakes[0].parked_ns - 1, bench.fakes[1].parked_ns), MS_NS);
    cr_assert_eq(atomic_load(&bench.fakes[0].parks) + atomic_load(&bench.fakes[1].parks), 2);
    worker_fini(&bench.worker);
}

/* Input for the other stage would not end the sleep. */
Test(worker_sleep, sleeps_short_on_a_device_that_is_deaf_to_the_event)
{
    struct bench bench;

    bench_open(&bench, 2, &device_ops);
    bench.fakes[0].park_takes_ns = bench.fakes[1].park_takes_ns = MS_NS;
    atomic_store(&bench.fakes[1].wait, STAGE_WAIT_DEVICE);
    worker_park(&bench.worker, SECOND_NS);
    cr_assert_eq(atomic_load(&bench.fakes[1].parks), 1);
    cr_assert_lt(bench.fakes[1].parked_ns, MS_NS);
    worker_fini(&bench.worker);
    bench_open(&bench, 1, &device_ops);
    bench.fakes[0].park_takes_ns = MS_NS;
    atomic_store(&bench.fakes[0].wait, STAGE_WAIT_DEVICE);
    worker_park(&bench.worker, SECOND_NS);
    cr_assert_eq(bench.fakes[0].parked_ns, SECOND_NS, "alone: nobody else has input");
    worker_fini(&bench.worker);
}

/* The event of such a worker is a descriptor that only that stage's device sleeps on: a futex
 * would sleep through the signal. */
Test(worker_sleep, sleeps_where_its_event_can_wake_it_when_the_chosen_device_refuses)
{
    struct bench bench;

    bench_open(&bench, 2, &device_ops);
    bench.worker.stages[0].park_wakes_on_event = true;
    bench.fakes[0].park_takes_ns = MS_NS;
    atomic_store(&bench.fakes[1].wait, STAGE_WAIT_DEVICE); /* and its park refuses */
    worker_park(&bench.worker, 50 * MS_NS);
    cr_assert_eq(atomic_load(&bench.fakes[0].parks), 1);
    atomic_store(&bench.fakes[1].wait, STAGE_IDLE);
    worker_park(&bench.worker, 50 * MS_NS);
    cr_assert_eq(atomic_load(&bench.fakes[0].parks), 2);
    worker_fini(&bench.worker);
}
