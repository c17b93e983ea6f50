/* Slots: automatic submission, waiting for a free one, and what the queue tells of them. */
#include "conformance/rig.h"

#include <errno.h>
#include <pthread.h>

static void enqueue_one(struct rig *rig, struct ds_queue *queue, uint64_t user_data)
{
    static uint8_t memory[64];
    struct ds_request request = rig_read(rig, user_data, sizeof(memory), memory, user_data);

    rig_enqueue(queue, &request);
}

RIG_TEST(capacity, half_of_it_submits_itself)
{
    struct ds_result results[64];
    struct ds_queue *queue;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    queue = rig_queue(&rig, ds_queue_config(.capacity = 128, .flags = DS_QUEUE_AUTO_SUBMIT));
    cr_assert_eq(rig_info(queue).until_auto_submit, 64);
    for (uint32_t i = 0; i < 63; i++) {
        enqueue_one(&rig, queue, i);
        cr_assert_eq(rig_info(queue).until_auto_submit, 63 - i);
        cr_assert_eq(rig_info(queue).unsubmitted, i + 1);
    }
    for (uint32_t i = 0; i < 20; i++)
        rig_pause(&rig);
    cr_assert_eq(ds_queue_poll(queue, results, 1), 0, "not yet the half");
    enqueue_one(&rig, queue, 63);
    cr_assert_eq(rig_info(queue).unsubmitted, 0);
    cr_assert_eq(rig_info(queue).until_auto_submit, 64);
    rig_results(queue, results, 64);
    ds_queue_destroy(&queue);
    rig_close(&rig);
}

/* Of every size and priority: a batch fills it, what is over is refused and counted, all ends. */
static void fill_and_drain(struct rig *rig, uint32_t capacity, uint32_t priority, uint32_t flags)
{
    static uint8_t memory[64];
    struct ds_request *requests = calloc(capacity + 10, sizeof(*requests));
    struct ds_result *results = calloc(capacity, sizeof(*results));
    struct ds_queue *queue = rig_queue(
        rig, ds_queue_config(.capacity = capacity, .priority = priority, .flags = flags));

    for (uint32_t i = 0; i < capacity + 10; i++)
        requests[i] = rig_read(rig, i, sizeof(memory), memory, i);
    cr_assert_eq(ds_queue_enqueue_batch(queue, requests, capacity + 10), (int)capacity);
    cr_assert_eq(ds_queue_enqueue_batch(queue, requests, 10), -EAGAIN);
    cr_assert_eq(ds_queue_enqueue(queue, requests), -EAGAIN);
    cr_assert_eq(rig_info(queue).free_slots, 0);
    cr_assert_eq(rig_info(queue).priority, priority);
    cr_assert_eq(rig_info(queue).unsubmitted,
                 (flags & DS_QUEUE_AUTO_SUBMIT) != 0 ? 0 : capacity, "two halves");
    ds_queue_submit(queue);
    rig_results(queue, results, capacity);
    cr_assert_eq(rig_info(queue).free_slots, capacity);
    for (uint32_t i = 0; i < capacity; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK);
    ds_queue_destroy(&queue);
    free(results);
    free(requests);
}

RIG_TEST(capacity, all_sizes_and_priorities_fill_and_drain)
{
    struct rig rig;

    rig_open(&rig, topology, NULL);
    for (uint32_t priority = DS_PRIORITY_NORMAL; priority <= DS_PRIORITY_REALTIME; priority++) {
        fill_and_drain(&rig, 128, priority, 0);
        fill_and_drain(&rig, 128, priority, DS_QUEUE_AUTO_SUBMIT);
        fill_and_drain(&rig, 1024, priority, DS_QUEUE_SINGLE_PRODUCER | DS_QUEUE_AUTO_SUBMIT);
    }
    fill_and_drain(&rig, 8192, DS_PRIORITY_NORMAL, DS_QUEUE_AUTO_SUBMIT);
    fill_and_drain(&rig, 8192, DS_PRIORITY_HIGH, DS_QUEUE_SINGLE_CONSUMER);
    rig_close(&rig);
}

/* Entries of every kind count. */
Test(capacity, notifications_count_for_automatic_submission)
{
    struct ds_status_array *array;
    struct ds_queue *queue;
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    queue = rig_queue(&rig, ds_queue_config(.capacity = 8, .flags = DS_QUEUE_AUTO_SUBMIT));
    cr_assert_eq(ds_status_array_create(rig.engine, 4, &array), 0);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(ds_queue_enqueue_status(queue, array, i), 0);
    cr_assert_eq(rig_info(queue).unsubmitted, 0);
    rig_until(&rig, ds_status_array_get(array, 3, NULL) == DS_STATUS_OK);
    ds_status_array_destroy(&array);
    ds_queue_destroy(&queue);
    rig_close(&rig);
}

Test(capacity, without_the_flag_nothing_submits_itself)
{
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_SHARED, NULL);
    for (uint32_t i = 0; i < 1024; i++)
        enqueue_one(&rig, rig.queue, i);
    cr_assert_eq(rig_info(rig.queue).until_auto_submit, 0);
    cr_assert_eq(rig_info(rig.queue).unsubmitted, 1024);
    cr_assert_eq(ds_queue_wait(rig.queue, &result, 1, 20 * MS_NS), 0);
    rig_close(&rig);
}

/* A full queue is never full of what nobody submitted: a loop of enqueues always goes on. */
struct sink {
    _Atomic uint32_t seen;
};

static void sink_take(void *ctx, const struct ds_result *results, uint32_t n)
{
    struct sink *sink = ctx;

    for (uint32_t i = 0; i < n; i++)
        cr_expect_eq(results[i].status, DS_STATUS_OK);
    atomic_fetch_add(&sink->seen, n);
}

static void enqueue_many(struct rig *rig, uint32_t flags, uint32_t capacity)
{
    struct sink sink = {.seen = 0};
    static uint8_t memory[64];
    struct ds_queue *queue =
        rig_queue(rig, ds_queue_config(.capacity = capacity, .flags = flags,
                                       .on_complete = sink_take, .on_complete_ctx = &sink));

    for (uint32_t i = 0; i < 2000 / SLOWNESS; i++) {
        struct ds_request request = rig_read(rig, i, sizeof(memory), memory, i);

        cr_assert_eq(ds_queue_enqueue_wait(queue, &request, RIG_WAIT_NS), 0);
    }
    ds_queue_submit(queue);
    rig_until(rig, atomic_load(&sink.seen) == 2000 / SLOWNESS);
    cr_assert_eq(rig_info(queue).free_slots, capacity);
    ds_queue_destroy(&queue);
}

RIG_TEST(capacity, enqueue_wait_goes_on_when_slots_are_freed)
{
    struct rig rig;

    rig_open(&rig, topology, NULL);
    enqueue_many(&rig, 0, 1);
    enqueue_many(&rig, 0, 8);
    enqueue_many(&rig, DS_QUEUE_AUTO_SUBMIT, 64);
    enqueue_many(&rig, DS_QUEUE_SINGLE_PRODUCER | DS_QUEUE_AUTO_SUBMIT, 16);
    rig_close(&rig);
}

RIG_TEST(capacity, enqueue_wait_gives_up_when_time_is_up)
{
    struct ds_queue *queue;
    struct ds_request request;
    uint8_t memory[64];
    struct rig rig;
    uint64_t begin_ns;
    struct ds_result results[4];

    rig_open(&rig, topology, NULL);
    queue = rig_queue(&rig, ds_queue_config(.capacity = 4));
    for (uint32_t i = 0; i < 4; i++)
        enqueue_one(&rig, queue, i);
    request = rig_read(&rig, 0, sizeof(memory), memory, 9);
    begin_ns = rig_now_ns();
    cr_assert_eq(ds_queue_enqueue_wait(queue, &request, 30 * MS_NS), -ETIMEDOUT);
    cr_assert_geq(rig_now_ns() - begin_ns, 29 * MS_NS);
    cr_assert_eq(ds_queue_enqueue_wait(queue, &request, 0), -ETIMEDOUT);
    request.size = 0;
    cr_assert_eq(ds_queue_enqueue_wait(queue, &request, RIG_WAIT_NS), -EINVAL);
    rig_results(queue, results, 4); /* it has submitted what was there */
    request.size = sizeof(memory);
    cr_assert_eq(ds_queue_enqueue_wait(queue, &request, 0), 0);
    ds_queue_destroy(&queue);
    rig_close(&rig);
}

/* A thread that waits for a slot, while another polls. */
struct poller {
    struct ds_queue *queue;
    uint32_t want;
    pthread_t thread;
};

static void *poller_main(void *argument)
{
    struct poller *poller = argument;

    while (poller->want > 0) {
        struct ds_result result;

        poller->want -= ds_queue_wait(poller->queue, &result, 1, 10 * MS_NS);
    }
    return NULL;
}

RIG_TEST(capacity, enqueue_wait_is_woken_by_a_poller)
{
    enum { N = 3000 / SLOWNESS };
    struct poller poller = {.want = N};
    uint8_t memory[64];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    poller.queue = rig_queue(&rig, ds_queue_config(.capacity = 2));
    pthread_create(&poller.thread, NULL, poller_main, &poller);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = rig_read(&rig, i, sizeof(memory), memory, i);
        uint64_t begin_ns = rig_now_ns();

        cr_assert_eq(ds_queue_enqueue_wait(poller.queue, &request, RIG_WAIT_NS), 0);
        cr_assert_lt(rig_now_ns() - begin_ns, RIG_WAIT_NS / 2, "slept through a free slot");
    }
    ds_queue_submit(poller.queue);
    pthread_join(poller.thread, NULL);
    ds_queue_destroy(&poller.queue);
    rig_close(&rig);
}

/* What is submitted is in flight until it is complete, wherever it is. */
Test(capacity, info_accounts_for_every_slot)
{
    struct ds_result results[128];
    struct ds_queue_info info;
    struct ds_queue *queue;
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, ds_engine_config(.chunks_max = 8, .arena_bytes = 2 << 20));
    queue = rig_queue(&rig, ds_queue_config(.capacity = 100, .priority = DS_PRIORITY_HIGH,
                                            .name = "a name that is longer than 31 bytes"));
    info = rig_info(queue);
    cr_assert_eq(info.capacity, 128);
    cr_assert_eq(info.priority, DS_PRIORITY_HIGH);
    cr_assert_str_eq(info.name, "a name that is longer than 31 b");
    for (uint32_t i = 0; i < 100; i++)
        enqueue_one(&rig, queue, i);
    ds_queue_submit(queue);
    for (uint32_t i = 0; i < 20; i++)
        enqueue_one(&rig, queue, i);
    for (uint32_t done = 0; done < 100;) {
        uint32_t polled;

        info = rig_info(queue);
        cr_assert_eq(info.unsubmitted, 20);
        polled = ds_queue_poll(queue, results, 128);
        cr_assert_eq(info.in_flight + done + polled, 100, "%u, %u and %u", info.in_flight, done,
                     polled);
        done += polled;
        cr_assert_eq(rig_info(queue).free_slots, 8 + done);
        rig_pause(&rig);
    }
    cr_assert_eq(rig_info(queue).in_flight, 0);
    ds_queue_destroy(&queue);
    rig_close(&rig);
}
