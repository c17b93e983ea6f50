/* engine/worker.h: the run loop starts and stops its stages, sleeps when nothing moves and is
 * woken, and knows where its time went. */
#include "engine/worker.h"

#include "engine/clock.h"
#include "unit/support.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

static struct host host;

static void open_host(void)
{
    support_host(&host);
}

TestSuite(worker, .init = open_host);

/* A stage that does what the test says. */
struct fake {
    struct stage_stats stats;
    int start_rc;
    uint32_t starts, stops;
    uint32_t *order;          /* counts starts up and stops down, over all stages */
    uint32_t started_at, stopped_at;
    pid_t thread;
    _Atomic uint32_t input;   /* to be moved, one a turn */
    _Atomic uint32_t moved;
    _Atomic uint32_t turns;
    _Atomic uint32_t parks;
    _Atomic int wait;         /* enum stage_wait */
    bool ages;                /* every second answer is STAGE_WAIT_POLL instead */
    uint32_t answers;
    uint64_t work_ns;         /* how long a turn that moves takes */
    uint64_t parked_ns;       /* last timeout */
    uint64_t park_takes_ns;   /* how long park sleeps; 0: it refuses */
    uint64_t first_now_ns, last_now_ns;
};

static void spin_for(uint64_t ns)
{
    uint64_t end_ns = clock_now_ns() + ns;

    while (clock_now_ns() < end_ns)
        cpu_relax();
}

static void pause_for(uint64_t ns)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(ns / SECOND_NS),
                                 .tv_nsec = (long)(ns % SECOND_NS)},
              NULL);
}

static int fake_start(void *self)
{
    struct fake *fake = self;

    fake->starts++;
    fake->started_at = ++*fake->order;
    fake->thread = gettid();
    return fake->start_rc;
}

static uint32_t fake_work(void *self, uint64_t now_ns)
{
    struct fake *fake = self;

    DS_ASSERT(now_ns >= fake->last_now_ns && now_ns <= clock_now_ns());
    if (fake->first_now_ns == 0)
        fake->first_now_ns = now_ns;
    fake->last_now_ns = now_ns;
    atomic_fetch_add(&fake->turns, 1);
    if (atomic_load(&fake->input) == 0)
        return 0;
    atomic_fetch_sub(&fake->input, 1);
    if (fake->work_ns > 0)
        spin_for(fake->work_ns);
    atomic_fetch_add(&fake->moved, 1);
    return 1;
}

static enum stage_wait fake_waiting(void *self)
{
    struct fake *fake = self;

    if (fake->ages && fake->answers++ % 2 == 0)
        return STAGE_WAIT_POLL;
    return (enum stage_wait)atomic_load(&fake->wait);
}

static bool fake_ready(void *self)
{
    return atomic_load(&((struct fake *)self)->input) > 0;
}

static bool fake_park(void *self, uint64_t timeout_ns)
{
    struct fake *fake = self;

    atomic_fetch_add(&fake->parks, 1);
    fake->parked_ns = timeout_ns;
    if (fake->park_takes_ns == 0)
        return false;
    pause_for(min_u64(timeout_ns, fake->park_takes_ns));
    return true;
}

static void fake_stop(void *self)
{
    struct fake *fake = self;

    fake->stops++;
    fake->stopped_at = (*fake->order)--;
    DS_ASSERT(fake->thread == gettid());
}

static const struct stage_ops plain_ops = {
    .name = "fake",
    .start = fake_start,
    .work = fake_work,
    .waiting = fake_waiting,
    .ready = fake_ready,
    .stop = fake_stop,
};

static const struct stage_ops device_ops = {
    .name = "device",
    .start = fake_start,
    .work = fake_work,
    .waiting = fake_waiting,
    .ready = fake_ready,
    .park = fake_park,
    .stop = fake_stop,
};

struct bench {
    struct worker worker;
    struct fake fakes[3];
    uint32_t order;
};

static void bench_open(struct bench *bench, uint32_t stages, const struct stage_ops *ops)
{
    memset(bench, 0, sizeof(*bench));
    worker_init(&bench->worker, &host, "test-worker");
    for (uint32_t i = 0; i < stages; i++) {
        bench->fakes[i].order = &bench->order;
        worker_add(&bench->worker, (struct stage){ops, &bench->fakes[i], &bench->fakes[i].stats,
                                                  false});
    }
}

static void give_input(struct bench *bench, uint32_t stage, uint32_t n)
{
    atomic_fetch_add(&bench->fakes[stage].input, n);
    event_signal(&bench->worker.event);
}

static void await(_Atomic uint32_t *counter, uint32_t at_least)
{
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;

    while (atomic_load(counter) < at_least) {
        cr_assert_lt(clock_now_ns(), end_ns, "stuck at %u of %u", atomic_load(counter), at_least);
        sched_yield();
    }
}

/* Until the thread has announced its sleep; nothing has signalled it, so it sleeps now. */
static void await_sleep(struct bench *bench)
{
    await(&bench->worker.event.waiters, 1);
}

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

/* What a stage waits for may change between two questions: polled for at one moment, told of by a
 * device at the next. Nobody signals here, so that a sleep on neither would be for ever. */
Test(worker, a_wait_that_changes_is_not_slept_through)
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

Test(worker, a_park_by_hand_ends_in_time_or_at_once_when_there_is_input)
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
Test(worker, sleeps_short_while_another_device_may_end_first)
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
Test(worker, sleeps_short_on_a_device_that_is_deaf_to_the_event)
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
Test(worker, sleeps_where_its_event_can_wake_it_when_the_chosen_device_refuses)
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
