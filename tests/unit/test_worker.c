/* engine/worker.h: the run loop starts and stops its stages, sleeps when nothing moves and is
 * woken, and knows where its time went. */
#include "unit/fake_stage.h"

#include <errno.h>
#include <signal.h>

TestSuite(worker, .init = open_host);

Test(worker, stages_start_in_order_and_stop_in_reverse_on_the_workers_thread)
{
    struct bench bench;

    bench_open(&bench, 3, &plain_ops);
    cr_assert_eq(worker_launch(&bench.worker), 0);
    worker_stop(&bench.worker);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(bench.fakes[i].starts == 1 && bench.fakes[i].stops == 1);
        cr_assert_eq(bench.fakes[i].started_at, i + 1);
        cr_assert_eq(bench.fakes[i].stopped_at, i + 1);
        cr_assert_neq(bench.fakes[i].thread, gettid());
    }
    worker_stop(&bench.worker); /* nothing runs: nothing to do */
    worker_fini(&bench.worker);
}

/* A stage's error is what launch returns; those before it are stopped, those after it untouched. */
Test(worker, a_stage_that_cannot_start_unwinds_those_before_it)
{
    for (uint32_t bad = 0; bad < 3; bad++) {
        struct bench bench;

        bench_open(&bench, 3, &plain_ops);
        bench.fakes[bad].start_rc = -ENODEV;
        cr_assert_eq(worker_launch(&bench.worker), -ENODEV);
        for (uint32_t i = 0; i < 3; i++) {
            cr_assert_eq(bench.fakes[i].starts, i <= bad);
            cr_assert_eq(bench.fakes[i].stops, i < bad);
            cr_assert_eq(atomic_load(&bench.fakes[i].turns), 0);
        }
        worker_stop(&bench.worker);
        worker_fini(&bench.worker);

        bench_open(&bench, 3, &plain_ops);
        bench.fakes[bad].start_rc = -EPERM;
        cr_assert_eq(worker_start_stages(&bench.worker), -EPERM, "by hand");
        cr_assert_eq(bench.fakes[0].stops, bad > 0);
        worker_fini(&bench.worker);
    }
}

Test(worker, a_parked_worker_is_woken_by_its_event)
{
    struct bench bench;

    bench_open(&bench, 2, &plain_ops);
    cr_assert_eq(worker_launch(&bench.worker), 0);
    for (uint32_t i = 1; i <= 2000 / SLOWNESS; i++) {
        give_input(&bench, i % 2, 1);
        if (i % 16 == 0)
            await(&bench.fakes[0].moved, i / 2);
        if (i % 100 == 0)
            pause_for(MS_NS); /* time to park */
    }
    await(&bench.fakes[0].moved, 1000 / SLOWNESS);
    await(&bench.fakes[1].moved, 1000 / SLOWNESS);
    await_sleep(&bench);
    give_input(&bench, 0, 1);
    await(&bench.fakes[0].moved, 1000 / SLOWNESS + 1);
    cr_assert_gt(STAT_GET(bench.fakes[0].stats.counters.parks), 0);
    worker_stop(&bench.worker);
    worker_fini(&bench.worker);
}

/* It must not burn a CPU: a parked worker takes no turns. */
Test(worker, a_parked_worker_takes_no_turns)
{
    struct bench bench;
    uint32_t turns;

    bench_open(&bench, 1, &plain_ops);
    cr_assert_eq(worker_launch(&bench.worker), 0);
    await_sleep(&bench);
    turns = atomic_load(&bench.fakes[0].turns);
    pause_for(50 * MS_NS);
    cr_assert_leq(atomic_load(&bench.fakes[0].turns), turns + 2);
    worker_stop(&bench.worker);
    worker_fini(&bench.worker);
}

/* For spin_ns; for longer while a device's end would not wake it. Here for ever. */
Test(worker, spins_for_spin_ns_before_it_parks)
{
    for (uint32_t deaf = 0; deaf < 2; deaf++) {
        struct bench bench;

        bench_open(&bench, 1 + deaf, &device_ops);
        bench.worker.spin_ns = deaf ? 1000 : UINT32_MAX;
        bench.worker.spin_most_ns = deaf ? UINT32_MAX : 0;
        atomic_store(&bench.fakes[0].wait, STAGE_WAIT_DEVICE);
        cr_assert_eq(worker_launch(&bench.worker), 0);
        await(&bench.fakes[0].turns, 1000);
        pause_for(30 * MS_NS);
        cr_assert_eq(STAT_GET(bench.fakes[0].stats.counters.parks), 0, "told never to park");
        atomic_store(&bench.fakes[0].wait, STAGE_IDLE);
        if (deaf)
            await_sleep(&bench); /* nothing to look for any more */
        worker_stop(&bench.worker);
        worker_fini(&bench.worker);
    }
}

static uint64_t accounted_ns(const struct fake *fake)
{
    const struct ds_stage_counters *c = &fake->stats.counters;

    return STAT_GET(c->busy_ns) + STAT_GET(c->idle_ns) + STAT_GET(c->wait_credit_ns) +
           STAT_GET(c->wait_device_ns);
}

/* Until two more turns have begun, whether the worker sleeps or not. */
static void await_turns(struct bench *bench)
{
    uint32_t turns = atomic_load(&bench->fakes[0].turns);
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;

    while (atomic_load(&bench->fakes[0].turns) - turns < 2) {
        cr_assert_lt(clock_now_ns(), end_ns, "it takes no turns");
        event_signal(&bench->worker.event);
        sched_yield();
    }
}

/* Runs a worker of one stage for 60 ms. Its accounts cover the time from its first turn to its last
 * at least, and no more than there was from the launch to the end, whatever else the machine does.
 */
static void check_accounts(uint32_t spin_ns, enum stage_wait wait, uint32_t input, uint64_t work_ns)
{
    struct bench bench;
    const struct ds_stage_counters *c = &bench.fakes[0].stats.counters;
    uint64_t begin_ns, end_ns, sum_ns, turns_ns;

    bench_open(&bench, 1, &plain_ops);
    bench.worker.spin_ns = spin_ns;
    bench.fakes[0].work_ns = work_ns;
    atomic_store(&bench.fakes[0].wait, wait);
    atomic_store(&bench.fakes[0].input, input);
    begin_ns = clock_now_ns();
    cr_assert_eq(worker_launch(&bench.worker), 0);
    await(&bench.fakes[0].turns, input + 1);
    pause_for(60 * MS_NS);
    await_turns(&bench);
    worker_stop(&bench.worker);
    end_ns = clock_now_ns();
    sum_ns = accounted_ns(&bench.fakes[0]);
    worker_fini(&bench.worker);
    cr_assert_leq(sum_ns, end_ns - begin_ns, "more than there was");
    turns_ns = bench.fakes[0].last_now_ns - bench.fakes[0].first_now_ns;
    cr_assert_geq(turns_ns, 59 * MS_NS);
    cr_assert_geq(sum_ns, turns_ns, "some of it is missing");
    cr_assert_geq(c->busy_ns, input * work_ns);
    cr_assert_eq(c->idle_ns > 0, wait == STAGE_IDLE);
    cr_assert_eq(c->wait_credit_ns > 0, wait == STAGE_WAIT_CREDIT);
    cr_assert_eq(c->wait_device_ns > 0, wait == STAGE_WAIT_DEVICE);
}

Test(worker, busy_idle_and_waits_add_up_to_the_time_that_passed)
{
    check_accounts(1000, STAGE_IDLE, 0, 0);
    check_accounts(UINT32_MAX, STAGE_IDLE, 0, 0);
    check_accounts(UINT32_MAX, STAGE_WAIT_CREDIT, 10, MS_NS);
    check_accounts(1000, STAGE_WAIT_DEVICE, 10, MS_NS);
}

/* MANUAL: time that the caller spends between the turns is not the engine's. */
Test(worker, a_turn_by_hand_accounts_for_itself_only)
{
    struct bench bench;
    uint64_t begin_ns, turns_ns;

    bench_open(&bench, 2, &plain_ops);
    cr_assert_eq(worker_start_stages(&bench.worker), 0);
    atomic_store(&bench.fakes[0].input, 1);
    bench.fakes[0].work_ns = 2 * MS_NS;
    begin_ns = clock_now_ns();
    cr_assert_eq(worker_turn(&bench.worker), 1);
    turns_ns = clock_now_ns() - begin_ns;
    pause_for(30 * MS_NS);
    begin_ns = clock_now_ns();
    cr_assert_eq(worker_turn(&bench.worker), 0);
    turns_ns += clock_now_ns() - begin_ns;
    cr_assert_geq(accounted_ns(&bench.fakes[0]), 2 * MS_NS);
    cr_assert_leq(accounted_ns(&bench.fakes[0]), turns_ns);
    cr_assert_leq(accounted_ns(&bench.fakes[1]), turns_ns);
    worker_stop_stages(&bench.worker);
    worker_fini(&bench.worker);
}


/* The host's signal handlers must not run on our threads. */
struct mask_probe {
    struct fake fake;
    sigset_t mask;
};

static int probe_start(void *self)
{
    struct mask_probe *probe = self;

    pthread_sigmask(SIG_BLOCK, NULL, &probe->mask);
    return fake_start(&probe->fake);
}

Test(worker, its_thread_takes_no_signals_and_has_its_name)
{
    static const struct stage_ops probe_ops = {
        .name = "probe",
        .start = probe_start,
        .work = fake_work,
        .waiting = fake_waiting,
        .ready = fake_ready,
    };
    struct mask_probe probe = {.fake = {.start_rc = 0}};
    struct worker worker;
    uint32_t order = 0;
    char name[16];
    sigset_t before, after;

    probe.fake.order = &order;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    worker_init(&worker, &host, "test-worker");
    worker_add(&worker, (struct stage){&probe_ops, &probe, &probe.fake.stats, false});
    cr_assert_eq(worker_launch(&worker), 0);
    cr_assert_eq(pthread_getname_np(worker.thread, name, sizeof(name)), 0);
    worker_stop(&worker);
    cr_assert_str_eq(name, "test-worker");
    cr_assert(sigismember(&probe.mask, SIGUSR1) && sigismember(&probe.mask, SIGTERM));
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    for (int i = 1; i < SIGRTMIN; i++)
        cr_assert_eq(sigismember(&before, i), sigismember(&after, i));
    worker_fini(&worker);
}

/* A CPU that does not exist: a warning that names the knob, and the worker runs all the same. */
static void keep_warning(void *ctx, enum ds_log_level level, const char *message)
{
    if (level == DS_LOG_WARNING)
        snprintf(ctx, 256, "%s", message);
}

Test(worker, runs_unpinned_where_it_cannot_be_pinned)
{
    struct bench bench;
    char warning[256] = "";

    host_init(&host, NULL, keep_warning, warning, DS_LOG_WARNING);
    bench_open(&bench, 1, &plain_ops);
    bench.worker.cpu = 1023;
    cr_assert_eq(worker_launch(&bench.worker), 0);
    give_input(&bench, 0, 1);
    await(&bench.fakes[0].moved, 1);
    worker_stop(&bench.worker);
    cr_assert_not_null(strstr(warning, "CPU 1023"), "%s", warning);
    cr_assert_not_null(strstr(warning, "stage_cpus"), "%s", warning);
    worker_fini(&bench.worker);
}
