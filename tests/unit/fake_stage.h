/* A worker of stages that do what a test says. */
#ifndef UNIT_FAKE_STAGE_H
#define UNIT_FAKE_STAGE_H

#include "engine/worker.h"

#include "engine/clock.h"
#include "unit/support.h"

#include <sched.h>
#include <unistd.h>

static struct host host; /* each test runs in its own process */

static inline void open_host(void)
{
    support_host(&host);
}

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

static inline void spin_for(uint64_t ns)
{
    uint64_t end_ns = clock_now_ns() + ns;

    while (clock_now_ns() < end_ns)
        cpu_relax();
}

static inline void pause_for(uint64_t ns)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(ns / SECOND_NS),
                                 .tv_nsec = (long)(ns % SECOND_NS)},
              NULL);
}

static inline int fake_start(void *self)
{
    struct fake *fake = self;

    fake->starts++;
    fake->started_at = ++*fake->order;
    fake->thread = gettid();
    return fake->start_rc;
}

static inline uint32_t fake_work(void *self, uint64_t now_ns)
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

static inline enum stage_wait fake_waiting(void *self)
{
    struct fake *fake = self;

    if (fake->ages && fake->answers++ % 2 == 0)
        return STAGE_WAIT_POLL;
    return (enum stage_wait)atomic_load(&fake->wait);
}

static inline bool fake_ready(void *self)
{
    return atomic_load(&((struct fake *)self)->input) > 0;
}

static inline bool fake_park(void *self, uint64_t timeout_ns)
{
    struct fake *fake = self;

    atomic_fetch_add(&fake->parks, 1);
    fake->parked_ns = timeout_ns;
    if (fake->park_takes_ns == 0)
        return false;
    pause_for(min_u64(timeout_ns, fake->park_takes_ns));
    return true;
}

static inline void fake_stop(void *self)
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

static inline void bench_open(struct bench *bench, uint32_t stages, const struct stage_ops *ops)
{
    memset(bench, 0, sizeof(*bench));
    worker_init(&bench->worker, &host, "test-worker");
    for (uint32_t i = 0; i < stages; i++) {
        bench->fakes[i].order = &bench->order;
        worker_add(&bench->worker, (struct stage){ops, &bench->fakes[i], &bench->fakes[i].stats,
                                                  false});
    }
}

static inline void give_input(struct bench *bench, uint32_t stage, uint32_t n)
{
    atomic_fetch_add(&bench->fakes[stage].input, n);
    event_signal(&bench->worker.event);
}

static inline void await(_Atomic uint32_t *counter, uint32_t at_least)
{
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;

    while (atomic_load(counter) < at_least) {
        cr_assert_lt(clock_now_ns(), end_ns, "stuck at %u of %u", atomic_load(counter), at_least);
        sched_yield();
    }
}

/* Until the thread has announced its sleep; nothing has signalled it, so it sleeps now. */
static inline void await_sleep(struct bench *bench)
{
    await(&bench->worker.event.waiters, 1);
}

#endif
