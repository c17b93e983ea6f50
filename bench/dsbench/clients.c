#include "clients.h"

#include "base.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BURST       64
#define LOOKS       2000             /* at an empty queue, before the thread sleeps */
#define SLEEP_NS    (NS_PER_S / 10)  /* at most: a signal is seen then */
#define RANDOM_STEP 0x9e3779b97f4a7c15u

struct client {
    struct drive drive;
    struct sequence sequence;      /* its own place in the common order */
    struct ds_histogram latency_ns;
    pthread_t thread;
    struct clients *all;
    uint64_t cpu_ns;
};

struct clients {
    struct client *list;
    uint32_t n;
    pthread_mutex_t gate; /* held until all threads are there */
    bool called_off;      /* they are not */
};

static int client_open(struct client *client, const struct drive *like, uint32_t index, uint32_t n)
{
    uint32_t share = like->depth / n, rest = like->depth % n;

    client->sequence = *like->sequence;
    client->sequence.random += index * RANDOM_STEP;
    client->sequence.next = like->sequence->blocks_n / n * index;
    client->drive = *like;
    client->drive.sequence = &client->sequence;
    client->drive.latency_ns = &client->latency_ns;
    client->drive.polled = true;
    client->drive.depth = share + (index < rest);
    client->drive.slots_before = (uint64_t)share * index + (index < rest ? index : rest);
    return drive_open(&client->drive);
}

int clients_open(const struct drive *drive, uint32_t n, struct clients **clients)
{
    struct clients *c = calloc(1, sizeof(*c));
    int error = 0;

    if (c == NULL)
        return -ENOMEM;
    if (n > drive->depth)
        n = drive->depth; /* each has a request to send */
    c->list = calloc(n, sizeof(*c->list));
    if (c->list == NULL)
        error = -ENOMEM;
    pthread_mutex_init(&c->gate, NULL);
    while (error == 0 && c->n < n) {
        error = client_open(&c->list[c->n], drive, c->n, n);
        c->n++;
    }
    if (error != 0)
        clients_close(&c);
    else
        *clients = c;
    return error;
}

void clients_close(struct clients **clients)
{
    struct clients *c = *clients;

    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->n; i++)
        drive_close(&c->list[i].drive);
    pthread_mutex_destroy(&c->gate);
    free(c->list);
    free(c);
    *clients = NULL;
}

static inline void look_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* The next results: by looking, and by sleeping once that was in vain for long. */
static uint32_t results_next(struct drive *d, struct ds_result *results)
{
    for (uint32_t look = 0; look < LOOKS; look++) {
        uint32_t n = ds_queue_poll(d->queue, results, BURST);

        if (n > 0)
            return n;
        look_pause();
    }
    return ds_queue_wait(d->queue, results, BURST, SLEEP_NS);
}

static void requests_send(struct drive *d, const struct ds_result *ended, uint32_t n)
{
    n = (uint32_t)min_u64(n, d->issue_max - d->issued);
    for (uint32_t i = 0; i < n; i++)
        drive_request_fill(d, &d->batch[i], ended != NULL ? ended[i].user_data : i);
    d->issued += n;
    if (n > 0)
        drive_send(d, n);
}

static void *client_main(void *argument)
{
    struct client *client = argument;
    struct drive *d = &client->drive;
    struct ds_result results[BURST];
    uint64_t start_cpu_ns;
    bool called_off;

    pthread_mutex_lock(&client->all->gate);
    called_off = client->all->called_off;
    pthread_mutex_unlock(&client->all->gate);
    if (called_off)
        return NULL;
    start_cpu_ns = thread_cpu_now_ns();
    requests_send(d, NULL, d->depth);
    while (d->in_flight > 0) {
        uint32_t n = results_next(d, results);

        drive_take(d, results, n);
        if (n > 0 && drive_goes_on(d, now_ns()))
            requests_send(d, results, n);
    }
    d->end_ns = now_ns();
    client->cpu_ns = thread_cpu_now_ns() - start_cpu_ns;
    return NULL;
}

static void client_prepare(struct client *client, struct clients *all, const struct drive *like,
                           uint32_t index)
{
    struct drive *d = &client->drive;

    d->issue_max = like->issue_max;
    if (like->issue_max != UINT64_MAX)
        d->issue_max = like->issue_max / all->n + (index < like->issue_max % all->n);
    d->deadline_ns = like->deadline_ns;
    d->issued = d->completed = d->errors = d->in_flight = 0;
    d->end_ns = 0;
    atomic_store_explicit(&d->bytes, 0, memory_order_relaxed);
    memset(&client->latency_ns, 0, sizeof(client->latency_ns));
    client->all = all;
    client->cpu_ns = 0;
}

static void histogram_add(struct ds_histogram *sum, const struct ds_histogram *more)
{
    for (uint32_t i = 0; i < DS_HISTOGRAM_BUCKETS; i++)
        sum->buckets[i] += more->buckets[i];
    sum->count += more->count;
    sum->sum += more->sum;
    if (sum->max < more->max)
        sum->max = more->max;
}

static void client_report(const struct client *client, const struct drive *like,
                          struct measure *measure)
{
    const struct drive *d = &client->drive;

    histogram_add(like->latency_ns, &client->latency_ns);
    measure->requests += d->completed;
    measure->bytes += atomic_load_explicit(&d->bytes, memory_order_relaxed);
    measure->errors += d->errors;
    measure->client_cpu_ns += client->cpu_ns;
}

/* Starts the threads, which wait at the gate. Returns how many there are. */
static uint32_t threads_start(struct clients *clients, int *error)
{
    uint32_t n = 0;

    *error = 0;
    while (*error == 0 && n < clients->n) {
        *error = -pthread_create(&clients->list[n].thread, NULL, client_main, &clients->list[n]);
        n += *error == 0;
    }
    if (*error != 0)
        complain("no thread for client %u: %s; fewer --clients", n + 1, strerror(-*error));
    return n;
}

int clients_pass(struct clients *clients, const struct drive *drive, struct measure *measure)
{
    uint64_t start_ns, start_cpu_ns, end_ns;
    uint32_t n;
    int error;

    for (uint32_t i = 0; i < clients->n; i++)
        client_prepare(&clients->list[i], clients, drive, i);
    pthread_mutex_lock(&clients->gate);
    n = threads_start(clients, &error);
    clients->called_off = error != 0;
    start_cpu_ns = cpu_now_ns();
    start_ns = end_ns = now_ns();
    pthread_mutex_unlock(&clients->gate);
    for (uint32_t i = 0; i < n; i++) {
        const struct client *client = &clients->list[i];

        pthread_join(client->thread, NULL);
        if (end_ns < client->drive.end_ns)
            end_ns = client->drive.end_ns;
        client_report(client, drive, measure);
    }
    measure->wall_ns += end_ns - start_ns;
    measure->cpu_ns += cpu_now_ns() - start_cpu_ns;
    return error;
}
