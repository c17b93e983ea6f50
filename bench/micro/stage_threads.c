/* stage_threads - what each stage takes for a request, with the stages on threads of your choice
 * and nothing but the pipeline itself to do.
 *
 * usage: stage_threads [THREADS [DEPTH [SECONDS [CPUS]]]]
 *
 * THREADS: the roles of each thread, as in "client|submit|read|copy|complete" (the default): `|`
 * between threads, `,` between the roles of one. Thread i is pinned to the i-th of CPUS, as in
 * "0,2,4,6,8"; without them to CPU i. `client` enqueues and polls; several clients have a queue of
 * their own each, and share DEPTH. `callback` is no thread and takes the place of the clients: the
 * completion callback enqueues what follows, as dsbench does.
 *
 * One JSON line for each role: nanoseconds a request in the median turn (so that a turn in which
 * the machine did something else does not count), requests in a mean turn, and how much of its
 * thread's time the role was busy. Then one for the whole: requests/s in all, and in the median and
 * the best tenth of windows of 4096 requests. The thread with the most nanoseconds is the limit. */
#include "engine/clock.h"
#include "engine/hist.h"
#include "stages/runtime.h"

#include <ds/ds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES        4096u
#define BURST        64u
#define CLIENTS_MAX  8u
#define ROLES_MAX    16u
#define DEPTH_MAX    16384u
#define WINDOW       4096u
#define WINDOWS_MAX  65536u

/* A stage of the engine, or a client, as a stage of one of our workers. */
struct role {
    const char *name;
    uint32_t thread;
    const struct stage_ops *ops; /* the real ones */
    void *self;
    struct stage_stats stats;    /* busy and idle time, by the worker */
    struct ds_histogram turn_ps; /* picoseconds an item, weighted by items */
    uint64_t moved, turns;
};

struct client {
    struct bench *bench;
    struct ds_queue *queue;
    uint32_t depth;
    uint32_t in_flight;
    uint64_t done, next;
    uint64_t window_ns;          /* when the present window began */
    uint32_t windows_n;
    uint32_t windows[WINDOWS_MAX]; /* picoseconds a request */
    struct ds_request requests[DEPTH_MAX];
};

struct bench {
    struct ds_engine *engine;
    struct ds_file *file;
    struct worker workers[ROLES_MAX];
    uint32_t threads;
    struct role roles[ROLES_MAX];
    uint32_t roles_n;
    struct client *clients[CLIENTS_MAX];
    uint32_t clients_n;
    bool callback;
    _Atomic bool stop;
    uint8_t memory[BYTES];
};

_Noreturn static void fail(const char *what, const char *which)
{
    fprintf(stderr, "stage_threads: %s%s\n", what, which);
    exit(1);
}

static void pause_s(double seconds)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds,
                                 .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)},
              NULL);
}

static void window_count(struct client *client, uint32_t n)
{
    uint64_t before = client->done / WINDOW;
    uint64_t now_ns;

    client->done += n;
    if (client->done / WINDOW == before)
        return;
    now_ns = clock_now_ns();
    if (client->window_ns != 0 && client->windows_n < WINDOWS_MAX)
        client->windows[client->windows_n++] =
            (uint32_t)min_u64((now_ns - client->window_ns) * 1000 / WINDOW, UINT32_MAX);
    client->window_ns = now_ns;
}

/* Enqueues up to `n` requests and submits them. */
static void client_send(struct client *client, uint32_t n)
{
    int sent;

    for (uint32_t i = 0; i < n; i++) {
        client->requests[i].offset = (client->next * 7919 % 131072) * BYTES; /* no neighbours */
        client->requests[i].user_data = client->next++;
    }
    sent = ds_queue_enqueue_batch(client->queue, client->requests, n);
    if (sent != (int)n)
        fail("a request was refused", "");
    ds_queue_submit(client->queue);
    client->in_flight += n;
}

static uint32_t client_work(void *self, uint64_t now_ns)
{
    struct client *client = self;
    struct ds_result results[BURST];
    uint32_t n = ds_queue_poll(client->queue, results, BURST), room;

    (void)now_ns;
    for (uint32_t i = 0; i < n; i++)
        DS_ASSERT(results[i].status == DS_STATUS_OK);
    client->in_flight -= n;
    window_count(client, n);
    room = min_u32(client->depth - client->in_flight, BURST);
    if (room == 0 || atomic_load_explicit(&client->bench->stop, memory_order_relaxed))
        return n;
    client_send(client, room);
    return room;
}

/* As dsbench: on the complete stage's thread. */
static void client_complete(void *ctx, const struct ds_result *results, uint32_t n)
{
    struct client *client = ctx;

    for (uint32_t i = 0; i < n; i++)
        DS_ASSERT(results[i].status == DS_STATUS_OK);
    client->in_flight -= n;
    window_count(client, n);
    if (!atomic_load_explicit(&client->bench->stop, memory_order_relaxed))
        client_send(client, n);
}

static enum stage_wait client_waiting(void *self)
{
    (void)self;
    return STAGE_IDLE;
}

static bool client_ready(void *self)
{
    (void)self;
    return true;
}

static const struct stage_ops client_ops = {
    .name = "client",
    .work = client_work,
    .waiting = client_waiting,
    .ready = client_ready,
};

/* A role's turn: the real one, timed. */
static uint32_t role_work(void *self, uint64_t now_ns)
{
    struct role *role = self;
    uint64_t begin_ns = clock_now_ns(), end_ns;
    uint32_t n = role->ops->work(role->self, now_ns);

    if (n == 0)
        return 0;
    end_ns = clock_now_ns();
    hist_record_n(&role->turn_ps, (end_ns - begin_ns) * 1000 / n, n);
    role->moved += n;
    role->turns++;
    return n;
}

static enum stage_wait role_waiting(void *self)
{
    struct role *role = self;

    return role->ops->waiting(role->self);
}

static bool role_ready(void *self)
{
    struct role *role = self;

    return role->ops->ready(role->self);
}

static const struct stage_ops role_ops = {
    .name = "role",
    .work = role_work,
    .waiting = role_waiting,
    .ready = role_ready,
};

static void client_open(struct bench *bench, struct role *role)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client == NULL || bench->clients_n == CLIENTS_MAX)
        fail("too many clients", "");
    client->bench = bench;
    bench->clients[bench->clients_n++] = client;
    role->self = client;
}

static void role_add(struct bench *bench, const char *name, uint32_t thread)
{
    struct ds_engine *engine = bench->engine;
    const struct role stages[] = {
        {"submit", thread, &submit_stage_ops, &engine->submit, .moved = 0},
        {"read", thread, &read_stage_ops, &engine->lanes[0], .moved = 0},
        {"copy", thread, &copy_stage_ops, &engine->copy, .moved = 0},
        {"complete", thread, &complete_stage_ops, &engine->complete, .moved = 0},
        {"client", thread, &client_ops, NULL, .moved = 0},
    };
    uint32_t i = 0;

    while (i < ARRAY_LENGTH(stages) && strcmp(stages[i].name, name) != 0)
        i++;
    if (i == ARRAY_LENGTH(stages) || bench->roles_n == ROLES_MAX)
        fail("no such role, or too many: ", name);
    bench->roles[bench->roles_n] = stages[i];
    if (stages[i].self == NULL)
        client_open(bench, &bench->roles[bench->roles_n]);
    bench->roles_n++;
}

static void roles_parse(struct bench *bench, char *threads)
{
    char *outer, *inner;

    for (char *t = strtok_r(threads, "|", &outer); t != NULL; t = strtok_r(NULL, "|", &outer)) {
        if (strcmp(t, "callback") == 0) {
            bench->callback = true;
            continue;
        }
        for (char *r = strtok_r(t, ",", &inner); r != NULL; r = strtok_r(NULL, ",", &inner))
            role_add(bench, r, bench->threads);
        bench->threads++;
    }
    if (bench->callback) {
        struct role none = {.name = "callback"};

        client_open(bench, &none);
    }
}

static void clients_start(struct bench *bench, uint32_t depth)
{
    for (uint32_t i = 0; i < bench->clients_n; i++) {
        struct client *client = bench->clients[i];

        client->depth = depth / bench->clients_n;
        for (uint32_t k = 0; k < client->depth; k++)
            client->requests[k] =
                *ds_request(.file = bench->file, .size = BYTES, .host = bench->memory);
        if (ds_queue_create(bench->engine,
                            ds_queue_config(.capacity = client->depth * 2,
                                            .flags = DS_QUEUE_SINGLE_PRODUCER |
                                                     DS_QUEUE_SINGLE_CONSUMER,
                                            .on_complete = bench->callback ? client_complete : NULL,
                                            .on_complete_ctx = client),
                            &client->queue) != 0)
            fail("no queue", "");
        if (bench->callback)
            client_send(client, client->depth);
    }
}

/* Who hands over to another thread also asks whether that one sleeps, as between the engine's. */
static struct event *event_of(struct bench *bench, const char *from, const char *to)
{
    uint32_t a = 0, b = 0;

    for (uint32_t i = 0; i < bench->roles_n; i++) {
        a = strcmp(bench->roles[i].name, from) == 0 ? bench->roles[i].thread : a;
        b = strcmp(bench->roles[i].name, to) == 0 ? bench->roles[i].thread : b;
    }
    return a == b ? NULL : &bench->workers[b].event;
}

/* `cpus`: a list of numbers, or NULL. */
static void workers_pin(struct bench *bench, const char *cpus)
{
    for (uint32_t i = 0; i < bench->threads; i++) {
        char *end;

        bench->workers[i].cpu = (int32_t)i;
        if (cpus == NULL)
            continue;
        bench->workers[i].cpu = (int32_t)strtol(cpus, &end, 10);
        if (end == cpus)
            fail("CPUS are fewer than the threads", "");
        cpus = *end == ',' ? end + 1 : end;
    }
}

static void workers_start(struct bench *bench, const char *cpus)
{
    struct ds_engine *engine = bench->engine;

    for (uint32_t i = 0; i < bench->threads; i++) {
        worker_init(&bench->workers[i], &engine->host, "bench");
        bench->workers[i].spin_ns = UINT32_MAX;
    }
    workers_pin(bench, cpus);
    for (uint32_t i = 0; i < bench->roles_n; i++)
        worker_add(&bench->workers[bench->roles[i].thread],
                   (struct stage){&role_ops, &bench->roles[i], &bench->roles[i].stats, false});
    engine->submit.lanes[0].event = event_of(bench, "submit", "read");
    engine->lanes[0].copy_event = event_of(bench, "read", "copy");
    engine->copy.config.complete_event = event_of(bench, "copy", "complete");
    engine->complete.config.submit_event = event_of(bench, "complete", "submit");
    for (uint32_t i = 0; i < bench->threads; i++) {
        if (worker_launch(&bench->workers[i]) != 0)
            fail("no thread", "");
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double hist_median(const struct ds_histogram *hist)
{
    uint64_t seen = 0;

    for (uint32_t i = 0; i < DS_HISTOGRAM_BUCKETS; i++) {
        seen += hist->buckets[i];
        if (seen * 2 >= hist->count)
            return (double)hist_bucket_end(i);
    }
    return 0;
}

/* A stage moves each request more than once in its turns (submit: its chunk comes back too). */
static void roles_print(const struct bench *bench, uint64_t done, uint64_t wall_ns)
{
    for (uint32_t i = 0; i < bench->roles_n; i++) {
        const struct role *r = &bench->roles[i];
        double moves = r->ops == &client_ops ? 1 : (double)r->moved / (double)max_u64(done, 1);

        printf("{\"bench\":\"stage_threads\",\"role\":\"%s\",\"thread\":%u,\"ns_median\":%.1f,"
               "\"ns_mean\":%.1f,\"requests_a_turn\":%.1f,\"busy\":%.2f}\n",
               r->name, r->thread, hist_median(&r->turn_ps) / 1000 * moves,
               (double)r->turn_ps.sum / 1000 / (double)max_u64(r->moved, 1) * moves,
               (double)r->moved / moves / (double)max_u64(r->turns, 1),
               (double)r->stats.counters.busy_ns / (double)wall_ns);
    }
}

static void rate_print(struct bench *bench, const char *threads, uint32_t depth, uint64_t done,
                       uint64_t wall_ns)
{
    double median = 0, best = 0;

    for (uint32_t i = 0; i < bench->clients_n; i++) {
        struct client *c = bench->clients[i];

        if (c->windows_n == 0)
            continue;
        qsort(c->windows, c->windows_n, sizeof(c->windows[0]), by_value);
        median += 1e12 / c->windows[c->windows_n / 2];
        best += 1e12 / c->windows[c->windows_n / 10];
    }
    printf("{\"bench\":\"stage_threads\",\"threads\":\"%s\",\"depth\":%u,\"requests_s\":%.0f,"
           "\"requests_s_median\":%.0f,\"requests_s_best_tenth\":%.0f}\n",
           threads, depth, (double)done * 1e9 / (double)wall_ns, median, best);
}

static void engine_start(struct bench *bench, const char *file)
{
    if (ds_engine_create(ds_engine_config(.topology = DS_TOPOLOGY_MANUAL, .chunks_max = DEPTH_MAX,
                                          .read_backend = DS_READ_NIL, .arena_bytes = 128 << 20,
                                          .copy_backend = DS_COPY_NIL),
                         &bench->engine) != 0 ||
        ds_file_open(bench->engine, file, ds_file_config(.direct = DS_DIRECT_OFF),
                     &bench->file) != 0)
        fail("no engine, or cannot open ", file);
}

/* Waits until all requests have come back. Returns how many there were. */
static uint64_t clients_drain(struct bench *bench)
{
    uint64_t done = 0;

    atomic_store(&bench->stop, true);
    for (uint32_t i = 0; i < bench->clients_n; i++) {
        struct ds_queue_info info = {.struct_size = sizeof(info), .in_flight = 1};

        while (info.in_flight > 0 && ds_queue_get_info(bench->clients[i]->queue, &info) == 0)
            pause_s(0.001);
    }
    for (uint32_t i = 0; i < bench->threads; i++)
        worker_stop(&bench->workers[i]);
    for (uint32_t i = 0; i < bench->clients_n; i++)
        done += bench->clients[i]->done;
    return done;
}

static void bench_close(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->clients_n; i++) {
        ds_queue_destroy(&bench->clients[i]->queue);
        free(bench->clients[i]);
    }
    ds_file_close(&bench->file);
    ds_engine_destroy(&bench->engine);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const char *threads = argc > 1 ? argv[1] : "client|submit|read|copy|complete";
    uint32_t depth = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1024;
    char *parsed = strdup(threads);
    uint64_t begin_ns, wall_ns, done;

    if (depth < 1 || depth > DEPTH_MAX || parsed == NULL)
        fail("DEPTH is 1..16384", "");
    engine_start(&bench, argv[0]);
    roles_parse(&bench, parsed);
    clients_start(&bench, depth);
    begin_ns = clock_now_ns();
    workers_start(&bench, argc > 4 ? argv[4] : NULL);
    pause_s(argc > 3 ? strtod(argv[3], NULL) : 1);
    wall_ns = clock_now_ns() - begin_ns;
    done = clients_drain(&bench);
    roles_print(&bench, done, wall_ns);
    rate_print(&bench, threads, depth, done, wall_ns);
    bench_close(&bench);
    free(parsed);
    return 0;
}
