#include "timeline.h"

#include "base.h"

#include <ds/counters.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the counters say at a moment. */
struct sample {
    uint64_t at_ns;
    uint64_t requests;
    uint64_t bytes;
    uint64_t in_flight;
    uint64_t arena_used_bytes;
    uint64_t busy_ns[DS_STAGE_COUNT];
    uint64_t waiting_ns[DS_STAGE_COUNT];
};

struct timeline {
    struct session *session;
    uint32_t interval_ms;
    struct ds_counters counters; /* 50 KiB, filled anew for each sample */
    struct sample *samples;
    uint64_t samples_n;
    uint64_t room;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop; /* under lock */
};

int timeline_open(struct session *session, uint32_t interval_ms, struct timeline **timeline)
{
    struct timeline *t = calloc(1, sizeof(*t));
    pthread_condattr_t clock;

    if (t == NULL) {
        complain("no memory for a timeline");
        return -ENOMEM;
    }
    t->session = session;
    t->interval_ms = interval_ms;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &clock);
    pthread_condattr_destroy(&clock);
    *timeline = t;
    return 0;
}

void timeline_close(struct timeline **timeline)
{
    struct timeline *t = *timeline;

    if (t == NULL)
        return;
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t->samples);
    free(t);
    *timeline = NULL;
}

/* False when there is no memory for more: the timeline ends early then, and the run goes on. */
static bool sample_take(struct timeline *t)
{
    struct ds_counters *c = &t->counters;
    struct sample *s;

    if (t->samples_n == t->room) {
        uint64_t room = t->room == 0 ? 1024 : t->room * 2;
        struct sample *larger = realloc(t->samples, room * sizeof(*larger));

        if (larger == NULL)
            return false;
        t->samples = larger;
        t->room = room;
    }
    c->struct_size = sizeof(*c);
    ds_engine_get_counters(t->session->engine, c);
    s = &t->samples[t->samples_n++];
    *s = (struct sample){.at_ns = now_ns(),
                         .requests = c->requests_completed,
                         .bytes = c->bytes_completed,
                         .in_flight = c->chunks_in_flight,
                         .arena_used_bytes = c->arena_used_bytes};
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++) {
        s->busy_ns[i] = c->stages[i].busy_ns;
        s->waiting_ns[i] = c->stages[i].wait_credit_ns + c->stages[i].wait_device_ns;
    }
    return true;
}

static void *timeline_main(void *argument)
{
    struct timeline *t = argument;
    struct timespec until;
    bool goes_on = true;

    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&t->lock);
    while (goes_on && !t->stop) {
        int error = 0;

        goes_on = sample_take(t);
        until.tv_nsec += (long)t->interval_ms * 1000000;
        until.tv_sec += until.tv_nsec / (long)NS_PER_S;
        until.tv_nsec %= (long)NS_PER_S;
        while (!t->stop && error == 0)
            error = pthread_cond_timedwait(&t->wake, &t->lock, &until);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

int timeline_start(struct timeline *timeline)
{
    int error;

    timeline->samples_n = 0;
    timeline->stop = false;
    error = -pthread_create(&timeline->thread, NULL, timeline_main, timeline);
    if (error != 0)
        complain("no thread for the timeline: %s", strerror(-error));
    return error;
}

void timeline_stop(struct timeline *timeline)
{
    pthread_mutex_lock(&timeline->lock);
    timeline->stop = true;
    pthread_cond_signal(&timeline->wake);
    pthread_mutex_unlock(&timeline->lock);
    pthread_join(timeline->thread, NULL);
    sample_take(timeline);
}

/* A thread that sleeps counts its waiting when it wakes, so an interval may be told more than it
 * lasted. */
static double share(uint64_t before, uint64_t after, double whole_ns)
{
    double part = after > before ? (double)(after - before) / whole_ns : 0;

    return part > 1 ? 1 : part;
}

static void shares_write(struct json *json, const char *key, const uint64_t *before,
                         const uint64_t *after, double interval_ns, uint32_t lanes)
{
    json_array(json, key);
    for (uint32_t i = 0; i < DS_STAGE_COUNT; i++)
        json_number(json, NULL,
                    share(before[i], after[i],
                          interval_ns * (i == DS_STAGE_READ && lanes > 0 ? lanes : 1)));
    json_array_end(json);
}

static void interval_write(struct json *json, const struct timeline *t, uint64_t index)
{
    const struct sample *a = &t->samples[index - 1];
    const struct sample *b = &t->samples[index];
    double ns = b->at_ns > a->at_ns ? (double)(b->at_ns - a->at_ns) : 1;
    uint32_t lanes = t->session->info.read_lanes;

    json_object(json, NULL);
    json_number(json, "t", (double)(b->at_ns - t->samples[0].at_ns) / NS_PER_S);
    json_number(json, "bytes_per_s", (double)(b->bytes - a->bytes) * NS_PER_S / ns);
    json_number(json, "requests_per_s", (double)(b->requests - a->requests) * NS_PER_S / ns);
    json_integer(json, "in_flight", b->in_flight);
    json_integer(json, "arena_used_bytes", b->arena_used_bytes);
    shares_write(json, "busy", a->busy_ns, b->busy_ns, ns, lanes);
    shares_write(json, "waiting", a->waiting_ns, b->waiting_ns, ns, lanes);
    json_object_end(json);
}

void timeline_write(struct json *json, const struct timeline *timeline)
{
    json_object(json, "timeline");
    json_integer(json, "interval_ms", timeline->interval_ms);
    json_array(json, "samples");
    for (uint64_t i = 1; i < timeline->samples_n; i++)
        interval_write(json, timeline, i);
    json_array_end(json);
    json_object_end(json);
}
