#include "open_loop.h"

#include "base.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define BATCH_MAX     64
#define SLOT_SLEEP_NS 20000 /* all slots are in flight */

struct open_loop {
    struct drive *drive;
    double interval_ns; /* the mean */
    bool poisson;
    uint64_t random;
    uint64_t *due_ns; /* of what is in flight, by slot */
    /* Free slots, a ring of `depth`: the completing thread puts, the sender takes. */
    uint32_t *free_slots;
    _Atomic uint64_t put;
    uint64_t taken;
    _Atomic uint64_t errors;
    _Atomic uint64_t end_ns;
};

static void slots_reset(struct open_loop *l)
{
    for (uint32_t i = 0; i < l->drive->depth; i++)
        l->free_slots[i] = i;
    l->taken = 0;
    atomic_store(&l->put, l->drive->depth);
}

static void open_loop_complete(void *ctx, const struct ds_result *results, uint32_t n)
{
    struct open_loop *l = ctx;
    struct drive *d = l->drive;
    uint64_t put = atomic_load_explicit(&l->put, memory_order_relaxed);
    uint64_t now = now_ns();

    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = (uint32_t)results[i].user_data;

        ds_histogram_record(d->latency_ns, now - l->due_ns[slot]);
        atomic_store_explicit(
            &d->bytes, atomic_load_explicit(&d->bytes, memory_order_relaxed) + results[i].bytes,
            memory_order_relaxed);
        if (results[i].status != DS_STATUS_OK && atomic_fetch_add(&l->errors, 1) == 0)
            drive_failure_tell(d, &results[i]);
        l->free_slots[put++ % d->depth] = slot;
    }
    atomic_store_explicit(&l->end_ns, now, memory_order_relaxed);
    /* release: pairs with the acquire of slots_free and of open_loop_pass */
    atomic_store_explicit(&l->put, put, memory_order_release);
}

int open_loop_open(struct drive *drive, double rate_per_s, bool poisson, uint64_t seed,
                   struct open_loop **loop)
{
    struct open_loop *l = calloc(1, sizeof(*l));
    int error = -ENOMEM;

    if (l != NULL) {
        *l = (struct open_loop){.drive = drive,
                                .interval_ns = NS_PER_S / rate_per_s,
                                .poisson = poisson,
                                .random = mix64(seed),
                                .due_ns = calloc(drive->depth, sizeof(*l->due_ns)),
                                .free_slots = calloc(drive->depth, sizeof(*l->free_slots))};
        *loop = l;
    }
    if (l != NULL && l->due_ns != NULL && l->free_slots != NULL) {
        drive->on_complete = open_loop_complete;
        drive->on_complete_ctx = l;
        error = drive_open(drive);
    }
    if (error != 0)
        open_loop_close(loop);
    return error;
}

/* Closes the drive too: its queue calls back into the loop. */
void open_loop_close(struct open_loop **loop)
{
    struct open_loop *l = *loop;

    if (l == NULL)
        return;
    drive_close(l->drive);
    free(l->due_ns);
    free(l->free_slots);
    free(l);
    *loop = NULL;
}

static double interval_next(struct open_loop *l)
{
    double uniform;

    if (!l->poisson)
        return l->interval_ns;
    uniform = ((double)(random_next(&l->random) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    return -log(uniform) * l->interval_ns;
}

static uint64_t slots_free(const struct open_loop *l)
{
    /* acquire: pairs with the release in open_loop_complete */
    return atomic_load_explicit(&l->put, memory_order_acquire) - l->taken;
}

/* Sends what is due at `now`, at most a batch. */
static uint32_t due_send(struct open_loop *l, double *due, uint64_t now, uint64_t most,
                         struct open_result *result)
{
    struct drive *d = l->drive;
    uint32_t n = 0;
    int accepted;

    most = min_u64(min_u64(most, BATCH_MAX), slots_free(l));
    while (n < most && n < d->depth && (uint64_t)*due <= now &&
           (d->deadline_ns == 0 || (uint64_t)*due < d->deadline_ns)) {
        uint32_t slot = l->free_slots[l->taken++ % d->depth];

        l->due_ns[slot] = (uint64_t)*due;
        ds_histogram_record(&result->late_ns, now - l->due_ns[slot]);
        drive_request_fill(d, &d->batch[n++], slot);
        *due += interval_next(l);
    }
    if (n == 0)
        return 0;
    accepted = ds_queue_enqueue_batch(d->queue, d->batch, n);
    if (accepted != (int)n) {
        complain("the engine refused a request: %s",
                 accepted < 0 ? strerror(-accepted) : "all slots are in use");
        atomic_fetch_add(&l->errors, 1);
        l->taken -= n - (accepted > 0 ? (uint32_t)accepted : 0);
    }
    ds_queue_submit(d->queue);
    return accepted > 0 ? (uint32_t)accepted : 0;
}

static bool sending_goes_on(struct open_loop *l, uint64_t issued, uint64_t now, double due)
{
    const struct drive *d = l->drive;

    return issued < d->issue_max && !interrupted && atomic_load(&l->errors) == 0 &&
           (d->deadline_ns == 0 || (now < d->deadline_ns && (uint64_t)due < d->deadline_ns));
}

/* What was due before the end and not sent waits for ever; this much is known of it. */
static void unsent_count(struct open_loop *l, double due, uint64_t issued, uint64_t end_ns,
                         struct open_result *result)
{
    const struct drive *d = l->drive;

    for (; d->deadline_ns != 0 && (uint64_t)due < d->deadline_ns &&
           issued + result->unsent < d->issue_max && !interrupted && atomic_load(&l->errors) == 0;
         due += interval_next(l)) {
        ds_histogram_record(d->latency_ns, end_ns > (uint64_t)due ? end_ns - (uint64_t)due : 0);
        result->unsent++;
    }
}

void open_loop_pass(struct open_loop *loop, struct measure *measure, struct open_result *result)
{
    const struct timespec nap = {.tv_nsec = SLOT_SLEEP_NS};
    struct drive *d = loop->drive;
    uint64_t start_cpu_ns = cpu_now_ns();
    uint64_t start_ns = d->begin_ns; /* not now: all of the time to the deadline counts */
    uint64_t now = start_ns;
    uint64_t issued = 0;
    double due = (double)start_ns;

    prctl(PR_SET_TIMERSLACK, 1000);
    *result = (struct open_result){.offered_per_s = NS_PER_S / loop->interval_ns};
    slots_reset(loop);
    atomic_store(&loop->errors, 0);
    atomic_store(&loop->end_ns, start_ns);
    atomic_store(&d->bytes, 0);
    while (sending_goes_on(loop, issued, now = now_ns(), due)) {
        if ((uint64_t)due > now)
            moment_approach((uint64_t)due, now);
        else if (slots_free(loop) == 0)
            nanosleep(&nap, NULL);
        else
            issued += due_send(loop, &due, now, d->issue_max - issued, result);
    }
    while (slots_free(loop) != d->depth)
        nanosleep(&nap, NULL);
    measure->cpu_ns += cpu_now_ns() - start_cpu_ns;
    measure->wall_ns += atomic_load(&loop->end_ns) - start_ns;
    measure->requests += issued;
    measure->bytes += atomic_load(&d->bytes);
    measure->errors += atomic_load(&loop->errors);
    unsent_count(loop, due, issued, atomic_load(&loop->end_ns), result);
}
