/* Codecs of the application's: ends of all kinds, applications that do nothing, many threads. */
#include "conformance/custom_app.h"
#include "conformance/rig.h"

#include <errno.h>

#define BYTES CUSTOM_APP_BYTES

/* What the log has said. */
static _Atomic uint32_t closing_warnings;

static void log_line(void *ctx, enum ds_log_level level, const char *message)
{
    (void)ctx;
    if (level == DS_LOG_WARNING && strstr(message, "ds_custom_take") != NULL)
        atomic_fetch_add(&closing_warnings, 1);
}

static void open_rig(struct rig *rig, enum ds_topology topology)
{
    atomic_store(&closing_warnings, 0);
    rig_open(rig, topology, ds_engine_config(.arena_bytes = 4 << 20, .custom_codecs = 1,
                                             .log = log_line, .log_level = DS_LOG_WARNING));
}

struct destroyer {
    struct ds_queue *queue;
    bool close_first;
    _Atomic bool done;
};

static void *destroyer_main(void *argument)
{
    struct destroyer *d = argument;

    if (d->close_first)
        ds_queue_close(d->queue);
    else
        ds_queue_destroy(&d->queue);
    atomic_store(&d->done, true);
    return NULL;
}

/* A game that leaves in the middle of it all: nobody has ever asked for a request. */
RIG_TEST(custom_ends, a_queue_is_destroyed_with_requests_that_nobody_took)
{
    enum { N = 200 };
    static uint8_t to[N][BYTES];
    struct ds_status_array *array;
    struct ds_custom_request item;
    struct rig rig;

    open_rig(&rig, topology);
    cr_assert_eq(ds_status_array_create(rig.engine, 1, &array), 0);
    for (uint32_t round = 0; round < 3; round++) {
        struct ds_queue *queue = rig_queue(&rig, NULL);

        custom_app_enqueue(&rig, queue, to, N);
        cr_assert_eq(ds_queue_enqueue_status(queue, array, 0), 0);
        ds_queue_submit(queue);
        for (uint32_t i = 0; i < round * 20; i++)
            rig_pause(&rig);
        ds_queue_destroy(&queue);
        cr_assert_eq(ds_status_array_get(array, 0, NULL), DS_STATUS_OK, "cancelled is no failure");
        cr_assert_eq(ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, &item, 1), 0);
    }
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

static void count_statuses(void *ctx, const struct ds_result *results, uint32_t n)
{
    uint32_t *counts = ctx;

    for (uint32_t i = 0; i < n; i++)
        counts[results[i].status == DS_STATUS_CANCELLED]++;
}

/* A callback sees them end: cancelled, for nobody has decoded them. */
RIG_TEST(custom_ends, a_destroyed_queue_tells_its_callback)
{
    enum { N = 100 };
    static uint8_t to[N][BYTES];
    struct ds_custom_request items[3];
    uint32_t counts[2] = {0};
    struct ds_queue *queue;
    struct rig rig;

    open_rig(&rig, topology);
    queue = rig_queue(&rig, ds_queue_config(.on_complete = count_statuses,
                                            .on_complete_ctx = counts));
    custom_app_enqueue(&rig, queue, to, N);
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, 3);
    custom_app_finish(&rig, items, 3);
    ds_queue_destroy(&queue);
    cr_assert_eq(counts[0], 3);
    cr_assert_eq(counts[1], N - 3);
    rig_close(&rig);
}

/* Destroyed, a queue hands out no more and waits for the three that were taken. Closed, it lets the
 * application do all of its work. */
static void ends_with_some_taken(enum ds_topology topology, bool closes)
{
    enum { N = 20 };
    static uint8_t to[N][BYTES];
    struct destroyer d = {.close_first = closes};
    struct ds_custom_request items[N];
    struct ds_result results[N];
    uint32_t handed_out = closes ? N : 3;
    pthread_t thread;
    struct rig rig;

    open_rig(&rig, topology);
    d.queue = rig_queue(&rig, NULL);
    custom_app_enqueue(&rig, d.queue, to, N);
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, 3);
    if (closes)
        rig_until(&rig, custom_app_out_n(&rig) == N);
    cr_assert_eq(pthread_create(&thread, NULL, destroyer_main, &d), 0);
    rig_until(&rig, atomic_load(&closing_warnings) > 0);
    cr_assert(!atomic_load(&d.done));
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items + 3, handed_out - 3);
    cr_assert_eq(ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, items, 1), 0,
                 "nothing is handed out any more");
    custom_app_finish(&rig, items, handed_out);
    pthread_join(thread, NULL);
    for (uint32_t i = 0; i < handed_out; i++) {
        uint64_t at = items[i].user_data;

        for (uint32_t k = 0; k < BYTES; k++)
            cr_assert_eq(to[at][k], rig.content[999 * at + k] ^ 0x5a);
    }
    if (closes) {
        cr_assert_eq(ds_queue_poll(d.queue, results, N), N);
        custom_app_demand(results, N, DS_STATUS_OK);
        ds_queue_destroy(&d.queue);
    }
    rig_close(&rig);
}

RIG_TEST(custom_ends, a_queue_that_ends_waits_for_what_was_taken)
{
    ends_with_some_taken(topology, false);
    ends_with_some_taken(topology, true);
}

/* Plain reads come to their end, n at a time. */
static void others_go_on(struct rig *rig, struct ds_queue *queue, uint32_t n, uint32_t rounds)
{
    enum { OTHERS_MAX = 300 };
    static uint8_t others[OTHERS_MAX][BYTES];
    static struct ds_result results[OTHERS_MAX];

    cr_assert_leq(n, OTHERS_MAX);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < n; i++) {
            struct ds_request request = rig_read(rig, 1001 * i, BYTES, others[i], i);

            rig_enqueue(queue, &request);
        }
        ds_queue_submit(queue);
        rig_results(queue, results, n);
        custom_app_demand(results, n, DS_STATUS_OK);
    }
}

/* The application sleeps: all others go on with the staging that it leaves. */
RIG_TEST(custom_ends, others_go_on_beside_those_that_nobody_takes)
{
    enum { N = 400 };
    static uint8_t to[N][BYTES];
    static struct ds_result results[N];
    static struct ds_custom_request items[N];
    struct ds_queue *queue;
    struct rig rig;

    open_rig(&rig, topology);
    queue = rig_queue(&rig, NULL);
    custom_app_enqueue(&rig, rig.queue, to, N); /* 4 MiB hold some 500 */
    others_go_on(&rig, queue, 300, 3);
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, N);
    custom_app_finish(&rig, items, N);
    rig_results(rig.queue, results, N);
    custom_app_demand(results, N, DS_STATUS_OK);
    ds_queue_destroy(&queue);
    rig_close(&rig);
}

/* Beside a REALTIME queue those that nobody takes keep their share of its window, which is smaller
 * than this arena: realtime requests find room, however many the others are. */
RIG_TEST(custom_ends, realtime_goes_on_beside_those_that_nobody_takes)
{
    enum { N = 1500 };
    static uint8_t to[N][BYTES];
    static struct ds_result results[N];
    struct custom_app app = {.fail_every = 0};
    struct ds_queue *realtime, *queue;
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 8 << 20, .custom_codecs = 1));
    realtime = rig_queue(&rig, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    queue = rig_queue(&rig, ds_queue_config(.capacity = N));
    custom_app_enqueue(&rig, queue, to, N); /* two pages of staging each: more than there is */
    others_go_on(&rig, realtime, 100, 20);
    custom_app_start(&app, rig.engine, DS_CUSTOM_SELECT_ALL, 1);
    rig_results(queue, results, N);
    custom_app_demand(results, N, DS_STATUS_OK);
    custom_app_stop(&app);
    ds_queue_destroy(&queue);
    ds_queue_destroy(&realtime);
    rig_close(&rig);
}

/* Eight chunks: the ninth request waits for its turn, at the application's pace. */
RIG_TEST(custom_ends, credit_comes_back_with_the_answers)
{
    enum { N = 60 };
    static uint8_t to[N][BYTES];
    struct ds_custom_request items[N];
    struct ds_result results[N];
    uint64_t rng = support_seed("credit");
    struct rig rig;
    uint32_t n = 0, held = 0;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 2 << 20, .custom_codecs = 1,
                                              .chunks_max = 8));
    custom_app_enqueue(&rig, rig.queue, to, N);
    while (n < N) {
        uint32_t rest = N - n - held;

        if (held < 8 && rest > 0) {
            custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items + held, 1);
            held++;
            if (support_below(&rng, 3) != 0 && held < 8)
                continue;
        }
        cr_assert_leq(held, 8);
        while (held > support_below(&rng, 3)) {
            custom_app_finish(&rig, &items[--held], 1);
            n++;
        }
    }
    rig_results(rig.queue, results, N);
    custom_app_demand(results, N, DS_STATUS_OK);
    rig_close(&rig);
}

static void poll_in_callback(void *ctx, const struct ds_result *results, uint32_t n)
{
    struct rig *rig = ctx;
    struct ds_custom_request item;

    (void)results;
    (void)n;
    if (ds_custom_take(rig->engine, DS_CUSTOM_SELECT_ALL, &item, 1) == 1) {
        struct ds_custom_result result = custom_app_one(&item);

        ds_custom_finish(rig->engine, &result, 1);
    }
}

/* A completion callback decodes the next one. */
RIG_TEST(custom_ends, callbacks_take_and_finish)
{
    enum { N = 50 };
    static uint8_t to[N][BYTES];
    struct ds_custom_request item;
    struct ds_queue *queue;
    struct rig rig;

    open_rig(&rig, topology);
    queue = rig_queue(&rig, ds_queue_config(.on_complete = poll_in_callback,
                                            .on_complete_ctx = &rig));
    custom_app_enqueue(&rig, queue, to, N);
    rig_until(&rig, custom_app_out_n(&rig) == N);
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, &item, 1);
    custom_app_finish(&rig, &item, 1);
    /* Results that come together share a call, and so leave requests: begin anew. */
    while (rig_info(queue).in_flight > 0) {
        if (ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, &item, 1) == 1)
            custom_app_finish(&rig, &item, 1);
        rig_pause(&rig);
    }
    for (uint32_t i = 0; i < N; i++)
        cr_assert_eq(to[i][77], rig.content[999 * i + 77] ^ 0x5a);
    ds_queue_destroy(&queue);
    rig_close(&rig);
}

/* ds_engine_set_arena_bytes makes the stages anew; what the application holds goes on working. */
RIG_TEST(custom_ends, a_new_arena_keeps_the_eventfd)
{
    static uint8_t to[2][BYTES];
    struct ds_custom_request item;
    struct ds_custom_result old = {.error = 0};
    struct ds_result result;
    struct rig rig;
    int fd;

    open_rig(&rig, topology);
    fd = ds_custom_eventfd(rig.engine);
    custom_app_enqueue(&rig, rig.queue, to, 1);
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, &item, 1);
    custom_app_finish(&rig, &item, 1);
    old.id = item.id;
    rig_results(rig.queue, &result, 1);
    ds_queue_destroy(&rig.queue);
    cr_assert_eq(ds_engine_set_arena_bytes(rig.engine, 2 << 20), 0);
    rig.queue = rig_queue(&rig, NULL);
    cr_assert_eq(ds_custom_eventfd(rig.engine), fd);
    custom_app_enqueue(&rig, rig.queue, to, 1);
    rig_until(&rig, custom_app_readable(fd));
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, &item, 1);
    cr_assert_eq(ds_custom_finish(rig.engine, &old, 1), -ENOENT, "an id of the past");
    custom_app_finish(&rig, &item, 1);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    rig_close(&rig);
}

/* Threads that finish in any order, some of it with errors, while tags are cancelled. */
RIG_TEST(custom_ends, many_threads_finish_in_any_order)
{
    enum { N = 2000 / SLOWNESS, ROUND = 100 };
    static uint8_t to[ROUND][BYTES];
    struct ds_result results[ROUND];
    struct custom_app app = {.fail_every = 7};
    uint64_t rng = support_seed("many_threads"), counts[2] = {0};
    struct rig rig;

    open_rig(&rig, topology);
    custom_app_start(&app, rig.engine, DS_CUSTOM_SELECT_ALL, 3);
    for (uint32_t done = 0; done < N; done += ROUND) {
        bool cancels = support_below(&rng, 2) == 0;
        bool seen[ROUND] = {false};

        custom_app_enqueue(&rig, rig.queue, to, ROUND);
        for (uint32_t i = 0; cancels && i < 10; i++) {
            ds_queue_cancel(rig.queue, 15, support_below(&rng, 16));
            rig_pause(&rig);
        }
        rig_results(rig.queue, results, ROUND);
        for (uint32_t i = 0; i < ROUND; i++) {
            uint64_t at = results[i].user_data;

            cr_assert(at < ROUND && !seen[at], "%u completed twice", (unsigned)at);
            seen[at] = true;
            counts[results[i].status == DS_STATUS_CANCELLED]++;
            if (results[i].status == DS_STATUS_CANCELLED)
                cr_assert(cancels);
            else if (at % 7 == 0)
                cr_assert(results[i].status == DS_STATUS_DECOMPRESSION &&
                          results[i].error == custom_app_error(at));
            else
                cr_assert(results[i].status == DS_STATUS_OK &&
                          to[at][at] == (rig.content[999 * at + at] ^ 0x5a));
        }
    }
    custom_app_stop(&app);
    cr_assert_eq(counts[0] + counts[1], N);
    cr_assert_eq(rig_info(rig.queue).free_slots, rig_info(rig.queue).capacity);
    rig_close(&rig);
}

/* After the start nothing allocates. */
RIG_TEST(custom_ends, nothing_is_allocated_on_the_way)
{
    enum { N = 500 };
    static uint8_t to[N][BYTES];
    static struct ds_result results[N];
    static struct ds_custom_request items[N];
    struct counting counting = {.calls = 0};
    struct ds_allocator table = counting_table(&counting);
    struct ds_queue *queue;
    uint64_t before;
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 8 << 20, .custom_codecs = 1,
                                              .allocator = &table));
    queue = rig_queue(&rig, NULL);
    before = atomic_load(&counting.calls);
    custom_app_enqueue(&rig, queue, to, N);
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, N / 2);
    ds_queue_cancel(queue, 3, 1);
    custom_app_finish(&rig, items, N / 2);
    while (rig_info(queue).in_flight > 0) {
        int n = ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, items, N);

        custom_app_finish(&rig, items, (uint32_t)n);
        rig_pause(&rig);
    }
    rig_results(queue, results, N);
    cr_assert_eq(atomic_load(&counting.calls), before);
    ds_queue_destroy(&queue);
    rig_close(&rig);
    cr_assert_eq(atomic_load(&counting.live_n), 0);
}
