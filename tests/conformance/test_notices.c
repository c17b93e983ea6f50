/* Event entries, the order of notifications, and notifications that outlive what they name. */
#include "conformance/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int eventfd_new(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    cr_assert_geq(fd, 0);
    return fd;
}

static uint32_t open_fds(void)
{
    uint32_t n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return n;
}

static void await_event(struct rig *rig, int fd)
{
    rig_until(rig, rig_eventfd_read(fd) != 0);
}

RIG_TEST(notices, an_event_fires_after_all_before_it)
{
    struct ds_result results[100];
    static uint8_t memory[100][3000];
    int fd = eventfd_new();
    struct rig rig;

    rig_open(&rig, topology, NULL);
    for (uint32_t i = 0; i < 100; i++) {
        struct ds_request request = rig_read(&rig, i * 777, sizeof(memory[i]), memory[i], i);

        rig_enqueue(rig.queue, &request);
    }
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, fd), 0);
    rig_pause(&rig);
    cr_assert_eq(rig_eventfd_read(fd), 0, "not before the submit");
    ds_queue_submit(rig.queue);
    await_event(&rig, fd);
    /* first: ThreadSanitizer knows nothing of the kernel's order through a duplicated eventfd */
    cr_assert_eq(ds_queue_poll(rig.queue, results, 100), 100, "all results are out before");
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_arr_eq(memory[i], rig.content + i * 777, sizeof(memory[i]), "%u", i);
    close(fd);
    rig_close(&rig);
}

Test(notices, an_event_refuses_what_is_no_descriptor)
{
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, -1), -EBADF);
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, 9999), -EBADF);
    cr_assert_eq(rig_info(rig.queue).free_slots, 1024);
    rig_close(&rig);
}

/* A write to a pipe that nobody reads would block the complete stage. */
Test(notices, an_event_refuses_what_is_no_eventfd)
{
    struct rig rig;
    int fds[2], null, event = eventfd(0, EFD_CLOEXEC);

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, fds[1]), -EINVAL);
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, null), -EINVAL);
    cr_assert_eq(rig_info(rig.queue).free_slots, 1024);
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, event), 0);
    ds_queue_submit(rig.queue);
    rig_pause(&rig);
    cr_assert_eq(rig_info(rig.queue).free_slots, 1024);
    close(event);
    close(null);
    close(fds[0]);
    close(fds[1]);
    rig_close(&rig);
}

/* In the callback of an event programs read the status enqueued before it. */
RIG_TEST(notices, a_status_is_seen_before_the_event_behind_it)
{
    struct ds_status_array *array;
    struct ds_result result;
    uint8_t memory[4096];
    int fd = eventfd_new();
    struct rig rig;

    rig_open(&rig, topology, NULL);
    cr_assert_eq(ds_status_array_create(rig.engine, 1, &array), 0);
    for (uint32_t round = 0; round < 500 / SLOWNESS; round++) {
        struct ds_request request =
            rig_read(&rig, round % 3 == 0 ? RIG_FILE_BYTES : round, sizeof(memory), memory, round);
        int32_t want = round % 3 == 0 ? DS_STATUS_END_OF_FILE : DS_STATUS_OK;

        rig_enqueue(rig.queue, &request);
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
        cr_assert_eq(ds_queue_enqueue_event(rig.queue, fd), 0);
        ds_queue_submit(rig.queue); /* one is enough for all */
        await_event(&rig, fd);
        cr_assert_eq(ds_status_array_get(array, 0, NULL), want, "round %u", round);
        rig_results(rig.queue, &result, 1);
    }
    ds_status_array_destroy(&array);
    close(fd);
    rig_close(&rig);
}

/* A status of a later place is never seen before one of an earlier place. */
RIG_TEST(notices, statuses_of_a_queue_are_seen_in_order)
{
    enum { N = 200 };
    struct ds_status_array *array;
    struct ds_result results[N];
    static uint8_t memory[N][512];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    cr_assert_eq(ds_status_array_create(rig.engine, N, &array), 0);
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = rig_read(&rig, (N - i) * 4000, sizeof(memory[i]), memory[i], i);

        rig_enqueue(rig.queue, &request);
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, i), 0);
    }
    ds_queue_submit(rig.queue);
    for (uint32_t last = 0; last < N;) {
        /* from the back, so that what comes later is looked at first */
        bool fired = false;

        for (uint32_t i = N; i-- > last;) {
            bool now = ds_status_array_get(array, i, NULL) != DS_STATUS_PENDING;

            cr_assert(!fired || now, "entry %u is pending, one behind it is not", i);
            fired = fired || now;
        }
        while (last < N && ds_status_array_get(array, last, NULL) != DS_STATUS_PENDING) {
            cr_assert_arr_eq(memory[last], rig.content + (N - last) * 4000, sizeof(memory[0]));
            last++;
        }
        rig_pause(&rig);
    }
    rig_results(rig.queue, results, N);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

/* Notifications hold back nothing behind them. */
Test(notices, requests_behind_a_notification_do_not_wait_for_it)
{
    struct ds_status_array *array;
    struct ds_result result;
    static uint8_t memory[2][RIG_FILE_BYTES];
    struct rig rig;
    struct ds_request big, small;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, ds_engine_config(.arena_bytes = 2 << 20,
                                                        .chunk_bytes = 4096));
    cr_assert_eq(ds_status_array_create(rig.engine, 1, &array), 0);
    big = rig_read(&rig, 0, RIG_FILE_BYTES, memory[0], 1);
    small = rig_read(&rig, RIG_FILE_BYTES, 1, memory[1], 2); /* fails quickly */
    rig_enqueue(rig.queue, &big);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
    rig_enqueue(rig.queue, &small);
    ds_queue_submit(rig.queue);
    cr_assert_eq(ds_queue_wait(rig.queue, &result, 1, RIG_WAIT_NS), 1);
    cr_assert_eq(ds_queue_wait(rig.queue, &result, 1, RIG_WAIT_NS), 1);
    rig_until(&rig, ds_status_array_get(array, 0, NULL) != DS_STATUS_PENDING);
    cr_assert_eq(ds_status_array_get(array, 0, NULL), DS_STATUS_OK,
                 "what is behind the entry is not in it");
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

RIG_TEST(notices, array_and_eventfd_may_go_while_entries_are_queued)
{
    struct ds_status_array *array;
    struct ds_result results[20];
    uint8_t memory[100];
    int fd = eventfd_new(), mine = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    uint32_t before;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    before = open_fds();
    cr_assert_eq(ds_status_array_create(rig.engine, 20, &array), 0);
    for (uint32_t i = 0; i < 20; i++) {
        struct ds_request request = rig_read(&rig, i, sizeof(memory), memory, i);

        request.cancel_tag = 7;
        rig_enqueue(rig.queue, &request);
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, i), 0);
        cr_assert_eq(ds_queue_enqueue_event(rig.queue, fd), 0);
    }
    ds_queue_submit(rig.queue);
    ds_queue_cancel(rig.queue, UINT64_MAX, 7);
    ds_status_array_destroy(&array);
    close(fd);
    rig_results(rig.queue, results, 20);
    rig_until(&rig, rig_info(rig.queue).in_flight == 0);
    cr_assert_eq(rig_eventfd_read(mine), 20);
    cr_assert_eq(open_fds(), before - 1, "the duplicates are closed");
    cr_assert_eq(rig_info(rig.queue).free_slots, 1024);
    close(mine);
    rig_close(&rig);
}

/* Submitted or not: nothing leaks, and no array is pending for ever. */
RIG_TEST(notices, a_queue_may_be_destroyed_with_notifications_in_it)
{
    struct ds_status_array *array;
    uint8_t memory[100];
    int fd = eventfd_new();
    uint32_t before;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    before = open_fds();
    cr_assert_eq(ds_status_array_create(rig.engine, 40, &array), 0);
    for (uint32_t round = 0; round < 20; round++) {
        struct ds_queue *queue = rig_queue(&rig, ds_queue_config(.capacity = 256));

        for (uint32_t i = 0; i < 40; i++) {
            struct ds_request request = rig_read(&rig, i, sizeof(memory), memory, i);

            rig_enqueue(queue, &request);
            cr_assert_eq(ds_queue_enqueue_status(queue, array, i), 0);
            cr_assert_eq(ds_queue_enqueue_event(queue, fd), 0);
            if (i == 19)
                ds_queue_submit(queue);
        }
        ds_queue_destroy(&queue);
        for (uint32_t i = 0; i < 40; i++)
            cr_assert_eq(ds_status_array_get(array, i, NULL),
                         i < 20 ? DS_STATUS_OK : DS_STATUS_CANCELLED);
        cr_assert_eq(rig_eventfd_read(fd), 20, "what was submitted has fired");
    }
    cr_assert_eq(open_fds(), before);
    ds_status_array_destroy(&array);
    close(fd);
    rig_close(&rig);
}

RIG_TEST(notices, failing_requests_hold_no_notification_back)
{
    struct ds_status_array *array;
    struct ds_result results[30];
    uint8_t memory[100];
    int fd = eventfd_new();
    struct rig rig;

    rig_open(&rig, topology, NULL);
    cr_assert_eq(ds_status_array_create(rig.engine, 30, &array), 0);
    for (uint32_t i = 0; i < 30; i++) {
        struct ds_request request = rig_read(&rig, RIG_FILE_BYTES + i, sizeof(memory), memory, i);

        rig_enqueue(rig.queue, &request);
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, i), 0);
        cr_assert_eq(ds_queue_enqueue_event(rig.queue, fd), 0);
    }
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, results, 30);
    rig_until(&rig, rig_info(rig.queue).in_flight == 0);
    for (uint32_t i = 0; i < 30; i++)
        cr_assert_eq(ds_status_array_get(array, i, NULL), DS_STATUS_END_OF_FILE);
    cr_assert_eq(rig_eventfd_read(fd), 30);
    ds_status_array_destroy(&array);
    close(fd);
    rig_close(&rig);
}

/* Notifications on a queue whose results go to a callback; the callback enqueues more. */
struct chain {
    struct rig *rig;
    struct ds_status_array *array;
    uint8_t memory[100];
    _Atomic uint32_t seen;
    uint32_t wrong;
};

static void chain_next(void *ctx, const struct ds_result *results, uint32_t n)
{
    struct chain *chain = ctx;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = results[i].user_data;
        struct ds_request request = rig_read(chain->rig, at, 100, chain->memory, at + 1);

        if (atomic_fetch_add(&chain->seen, 1) >= 99)
            continue;
        chain->wrong += ds_queue_enqueue(chain->rig->queue, &request) != 0;
        chain->wrong += ds_queue_enqueue_status(chain->rig->queue, chain->array,
                                                (uint32_t)at + 1) != 0;
        ds_queue_submit(chain->rig->queue);
    }
}

RIG_TEST(notices, a_callback_may_enqueue_more)
{
    struct chain chain = {.wrong = 0};
    struct ds_request first;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    ds_queue_destroy(&rig.queue);
    rig.queue = rig_queue(&rig, ds_queue_config(.on_complete = chain_next,
                                                .on_complete_ctx = &chain));
    chain.rig = &rig;
    cr_assert_eq(ds_status_array_create(rig.engine, 101, &chain.array), 0);
    first = rig_read(&rig, 0, 100, chain.memory, 0);
    rig_enqueue(rig.queue, &first);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, chain.array, 0), 0);
    ds_queue_submit(rig.queue);
    rig_until(&rig, atomic_load(&chain.seen) == 100);
    rig_until(&rig, rig_info(rig.queue).in_flight == 0);
    cr_assert_eq(chain.wrong, 0);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(ds_status_array_get(chain.array, i, NULL), DS_STATUS_OK, "%u", i);
    ds_status_array_destroy(&chain.array);
    rig_close(&rig);
}

/* On an engine that moves no data signals need no GPU: the same order, and their own results. */
Test(notices, signals_and_notifications_mix_on_an_engine_without_data)
{
    struct ds_status_array *array;
    struct ds_result results[64];
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, ds_engine_config(.read_backend = DS_READ_NIL,
                                                        .copy_backend = DS_COPY_NIL));
    cr_assert_eq(ds_status_array_create(rig.engine, 1, &array), 0);
    for (uint32_t round = 0; round < 20; round++) {
        struct ds_request request = rig_read(&rig, 0, 10, NULL, 1);

        rig_enqueue(rig.queue, &request);
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
        if (round % 2 == 0)
            ds_queue_submit(rig.queue);
        cr_assert_eq(ds_queue_enqueue_signal(rig.queue, 1, round + 1, 2), 0);
        ds_queue_submit(rig.queue);
        rig_results(rig.queue, results, 2);
        rig_until(&rig, ds_status_array_get(array, 0, NULL) == DS_STATUS_OK);
    }
    ds_status_array_destroy(&array);
    rig_close(&rig);
}
