/* The run loop. */
#include "engine/worker.h"

#include "engine/clock.h"
#include "engine/spin.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long a thread sleeps on one device while another device of its stages may end first, or
 * while input for another stage would not wake it. */
#define PARK_SHARED_NS 50000u
/* How long it sleeps while a stage must poll. */
#define PARK_POLL_NS 200000u

enum { WORKER_STARTING = 0, WORKER_RUNNING = 1, WORKER_FAILED = 2 };

void worker_init(struct worker *worker, const struct host *host, const char *name)
{
    memset(worker, 0, sizeof(*worker));
    worker->host = host;
    worker->cpu = DS_CPU_ANY;
    snprintf(worker->name, sizeof(worker->name), "%s", name);
    event_init(&worker->event);
}

void worker_fini(struct worker *worker)
{
    DS_ASSERT(!worker->started);
    event_fini(&worker->event);
}

void worker_add(struct worker *worker, struct stage stage)
{
    DS_ASSERT(worker->stages_n < WORKER_STAGES_MAX && !worker->started);
    worker->stages[worker->stages_n++] = stage;
}

/* What each stage waits for, asked once for the plan of a sleep. An answer changes as time passes
 * (what must be asked again soon becomes what a device tells), and a sleep planned by two different
 * ones may be on neither. */
struct waits {
    enum stage_wait of[WORKER_STAGES_MAX];
};

static void waits_ask(const struct worker *worker, struct waits *waits)
{
    for (uint32_t i = 0; i < worker->stages_n; i++)
        waits->of[i] = worker->stages[i].ops->waiting(worker->stages[i].self);
}

static void wait_account(struct stage *stage, enum stage_wait wait, uint64_t elapsed_ns)
{
    struct ds_stage_counters *c = &stage->stats->counters;

    switch (wait) {
    case STAGE_IDLE:
        STAT_ADD(c->idle_ns, elapsed_ns);
        break;
    case STAGE_WAIT_CREDIT:
        STAT_ADD(c->wait_credit_ns, elapsed_ns);
        break;
    case STAGE_WAIT_DEVICE:
    case STAGE_WAIT_POLL:
        STAT_ADD(c->wait_device_ns, elapsed_ns);
        break;
    }
}

/* Time in which nothing moved belongs to every stage of the thread, under its own reason. */
static void quiet_account(struct worker *worker, const struct waits *waits, uint64_t elapsed_ns)
{
    for (uint32_t i = 0; i < worker->stages_n; i++)
        wait_account(&worker->stages[i], waits->of[i], elapsed_ns);
}

/* One turn. *now_ns is where the last account ended, and where this one ends on return. */
static uint32_t stages_turn(struct worker *worker, uint64_t *now_ns)
{
    uint64_t start_ns = *now_ns;
    uint32_t total = 0;

    for (uint32_t i = 0; i < worker->stages_n; i++) {
        struct stage *stage = &worker->stages[i];
        uint32_t moved = stage->ops->work(stage->self, *now_ns);
        uint64_t end_ns;

        if (moved == 0)
            continue;
        end_ns = clock_now_ns();
        STAT_ADD(stage->stats->counters.busy_ns, end_ns - *now_ns);
        total += moved;
        *now_ns = end_ns;
    }
    if (total == 0) {
        struct waits waits;

        waits_ask(worker, &waits);
        *now_ns = clock_now_ns();
        quiet_account(worker, &waits, *now_ns - start_ns);
    }
    return total;
}

uint32_t worker_turn(struct worker *worker)
{
    uint64_t now_ns = clock_now_ns();

    return stages_turn(worker, &now_ns);
}

static bool stages_ready(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->stages_n; i++) {
        if (worker->stages[i].ops->ready(worker->stages[i].self))
            return true;
    }
    return atomic_load_explicit(&worker->stopping, memory_order_acquire);
}

/* Which stage's device to sleep on: one that also wakes on the event, else one with work in flight.
 * *others tells whether a further device is in flight, which nobody would wait for. */
static struct stage *park_choose(struct worker *worker, const struct waits *waits, bool *others)
{
    struct stage *chosen = NULL;
    uint32_t pending = 0;

    for (uint32_t i = 0; i < worker->stages_n; i++) {
        struct stage *stage = &worker->stages[i];

        if (stage->ops->park == NULL || waits->of[i] != STAGE_WAIT_DEVICE)
            continue;
        pending++;
        if (chosen == NULL || !chosen->park_wakes_on_event)
            chosen = stage;
    }
    for (uint32_t i = 0; chosen == NULL && i < worker->stages_n; i++) {
        if (worker->stages[i].ops->park != NULL && worker->stages[i].park_wakes_on_event)
            chosen = &worker->stages[i];
    }
    *others = pending > 1;
    return chosen;
}

/* Would a sleep on this device miss what the thread also waits for? */
static bool park_is_deaf(const struct worker *worker, const struct stage *chosen, bool others)
{
    return others || (!chosen->park_wakes_on_event && worker->stages_n > 1);
}

static bool waits_deaf(struct worker *worker)
{
    struct waits waits;
    struct stage *chosen;
    bool others;

    waits_ask(worker, &waits);
    chosen = park_choose(worker, &waits, &others);
    return chosen != NULL && park_is_deaf(worker, chosen, others);
}

/* Sleeps on a device. False: none of the stages can, so the event's futex must do. */
static bool devices_park(struct worker *worker, const struct waits *waits, uint64_t timeout_ns)
{
    bool others;
    struct stage *chosen = park_choose(worker, waits, &others);

    if (chosen == NULL)
        return false;
    if (park_is_deaf(worker, chosen, others))
        timeout_ns = min_u64(timeout_ns, PARK_SHARED_NS);
    if (chosen->ops->park(chosen->self, timeout_ns))
        return true;
    /* The event may be a descriptor by now, which does not wake the futex. */
    for (uint32_t i = 0; i < worker->stages_n; i++) {
        struct stage *stage = &worker->stages[i];

        if (stage != chosen && stage->park_wakes_on_event && stage->ops->park != NULL)
            return stage->ops->park(stage->self, timeout_ns);
    }
    return false;
}

/* How long the thread may sleep: not long while a stage waits for something that wakes nobody. */
static uint64_t poll_limit(const struct worker *worker, const struct waits *waits,
                           uint64_t timeout_ns)
{
    for (uint32_t i = 0; i < worker->stages_n; i++) {
        if (waits->of[i] == STAGE_WAIT_POLL)
            return min_u64(timeout_ns, PARK_POLL_NS);
    }
    return timeout_ns;
}

/* *now_ns as in stages_turn. True: there was something to do, or a signal. */
static bool stages_park(struct worker *worker, uint64_t timeout_ns, uint64_t *now_ns)
{
    uint32_t key = event_prepare(&worker->event);
    uint64_t start_ns = *now_ns, limit_ns;
    struct waits waits;

    if (stages_ready(worker)) {
        event_cancel(&worker->event);
        return true;
    }
    waits_ask(worker, &waits);
    limit_ns = poll_limit(worker, &waits, timeout_ns);
    if (devices_park(worker, &waits, limit_ns))
        event_cancel(&worker->event);
    else
        event_wait(&worker->event, key, limit_ns);
    *now_ns = clock_now_ns();
    quiet_account(worker, &waits, *now_ns - start_ns);
    for (uint32_t i = 0; i < worker->stages_n; i++)
        STAT_ADD(worker->stages[i].stats->counters.parks, 1);
    return *now_ns - start_ns < timeout_ns;
}

bool worker_park(struct worker *worker, uint64_t timeout_ns)
{
    uint64_t now_ns = clock_now_ns();

    return stages_park(worker, timeout_ns, &now_ns);
}

int worker_start_stages(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->stages_n; i++) {
        struct stage *stage = &worker->stages[i];
        int rc = stage->ops->start != NULL ? stage->ops->start(stage->self) : 0;

        if (rc != 0) {
            while (i-- > 0) {
                if (worker->stages[i].ops->stop != NULL)
                    worker->stages[i].ops->stop(worker->stages[i].self);
            }
            return rc;
        }
    }
    return 0;
}

void worker_stop_stages(struct worker *worker)
{
    for (uint32_t i = worker->stages_n; i-- > 0;) {
        if (worker->stages[i].ops->stop != NULL)
            worker->stages[i].ops->stop(worker->stages[i].self);
    }
}

static void worker_pin(struct worker *worker)
{
    cpu_set_t mask;
    int rc;

    pthread_setname_np(pthread_self(), worker->name);
    if (worker->cpu == DS_CPU_ANY)
        return;
    CPU_ZERO(&mask);
    CPU_SET(worker->cpu, &mask);
    rc = pthread_setaffinity_np(pthread_self(), sizeof(mask), &mask);
    if (rc != 0)
        host_log(worker->host, DS_LOG_WARNING,
                 "%s: cannot pin to CPU %d: %s; stage_cpus or taskset", worker->name, worker->cpu,
                 strerror(rc));
}

static void start_announce(struct worker *worker, uint32_t state)
{
    atomic_store_explicit(&worker->start_state, state, memory_order_release);
    syscall(SYS_futex, (uint32_t *)&worker->start_state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* A look for input, since something has moved or the thread has slept. */
struct look {
    uint64_t since_ns;
    bool longer;      /* goes on beyond spin_ns */
    struct spin spin; /* how long such ones */
};

/* False: it is time to sleep. */
static bool look_on(struct worker *worker, struct look *look, uint64_t now_ns)
{
    uint64_t quiet_ns = now_ns - look->since_ns;

    if (worker->spin_ns == UINT32_MAX || quiet_ns < worker->spin_ns)
        return true;
    look->longer = waits_deaf(worker);
    return look->longer &&
           (look->spin.limit_ns == UINT32_MAX || quiet_ns < look->spin.limit_ns);
}

/* The accounts of one turn or sleep begin where those of the last one ended, so that together they
 * cover all of the thread's time. */
static void worker_loop(struct worker *worker)
{
    uint64_t now_ns = clock_now_ns();
    struct look look = {.since_ns = now_ns};

    spin_init(&look.spin, worker->spin_ns, worker->spin_most_ns);
    while (!atomic_load_explicit(&worker->stopping, memory_order_acquire)) {
        uint64_t quiet_ns = now_ns - look.since_ns;

        if (stages_turn(worker, &now_ns) > 0) {
            if (look.longer)
                spin_found(&look.spin, quiet_ns);
        } else if (look_on(worker, &look, now_ns)) {
            cpu_relax();
            continue;
        } else {
            if (look.longer)
                spin_slept(&look.spin);
            stages_park(worker, EVENT_FOREVER, &now_ns);
        }
        look.longer = false;
        look.since_ns = now_ns;
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;

    worker_pin(worker);
    worker->start_error = worker_start_stages(worker);
    if (worker->start_error != 0) {
        start_announce(worker, WORKER_FAILED);
        return NULL;
    }
    start_announce(worker, WORKER_RUNNING);
    worker_loop(worker);
    worker_stop_stages(worker);
    return NULL;
}

int worker_launch(struct worker *worker)
{
    sigset_t all, before;
    uint32_t state;
    int rc;

    /* The host's signals are not for our threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        host_log(worker->host, DS_LOG_ERROR,
                 "%s: cannot start a thread: %s; RLIMIT_NPROC or pids.max", worker->name,
                 strerror(rc));
        return -rc;
    }
    while ((state = atomic_load_explicit(&worker->start_state, memory_order_acquire)) ==
           WORKER_STARTING)
        syscall(SYS_futex, (uint32_t *)&worker->start_state, FUTEX_WAIT_PRIVATE, WORKER_STARTING,
                NULL, NULL, 0);
    if (state == WORKER_FAILED) {
        pthread_join(worker->thread, NULL);
        return worker->start_error;
    }
    worker->started = true;
    return 0;
}

void worker_stop(struct worker *worker)
{
    if (!worker->started)
        return;
    atomic_store_explicit(&worker->stopping, true, memory_order_release);
    event_signal(&worker->event);
    pthread_join(worker->thread, NULL);
    worker->started = false;
}
