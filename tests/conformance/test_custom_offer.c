/* Codecs of the application's: the eventfd, and cancellation. */
#include "conformance/custom_app.h"
#include "conformance/rig.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BYTES CUSTOM_APP_BYTES

static void open_rig(struct rig *rig, enum ds_topology topology)
{
    rig_open(rig, topology, ds_engine_config(.arena_bytes = 4 << 20, .custom_codecs = 1));
}

RIG_TEST(custom_offer, the_eventfd_is_readable_while_there_is_something)
{
    static uint8_t to[8][BYTES];
    struct ds_custom_request items[8];
    struct ds_result results[8];
    struct rig rig;
    int fd;

    open_rig(&rig, topology);
    fd = ds_custom_eventfd(rig.engine);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ds_custom_eventfd(rig.engine), fd, "there is one");
    cr_assert(!custom_app_readable(fd));
    custom_app_enqueue(&rig, rig.queue, to, 8);
    rig_until(&rig, custom_app_readable(fd));
    rig_until(&rig, custom_app_out_n(&rig) == 8);
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, 3);
    cr_assert(custom_app_readable(fd), "five are left");
    /* Who reads it must take afterwards, if only one. */
    cr_assert_gt(rig_eventfd_read(fd), 0);
    cr_assert(!custom_app_readable(fd));
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items + 3, 1);
    cr_assert(custom_app_readable(fd), "four are left");
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items + 4, 4);
    cr_assert(!custom_app_readable(fd), "none is left");
    cr_assert_eq(ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, items, 8), 0);
    custom_app_finish(&rig, items, 8);
    rig_results(rig.queue, results, 8);
    cr_assert(!custom_app_readable(fd));
    custom_app_enqueue(&rig, rig.queue, to, 1);
    rig_until(&rig, custom_app_readable(fd));
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, 1);
    custom_app_finish(&rig, items, 1);
    rig_results(rig.queue, results, 1);
    rig_close(&rig);
}

RIG_TEST(custom_offer, an_eventfd_made_late_tells_of_what_is_there)
{
    static uint8_t to[1][BYTES];
    struct ds_custom_request item;
    struct ds_result result;
    struct rig rig;

    open_rig(&rig, topology);
    custom_app_enqueue(&rig, rig.queue, to, 1);
    rig_until(&rig, custom_app_out_n(&rig) == 1);
    rig_until(&rig, custom_app_readable(ds_custom_eventfd(rig.engine)));
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, &item, 1);
    cr_assert(!custom_app_readable(ds_custom_eventfd(rig.engine)));
    custom_app_finish(&rig, &item, 1);
    rig_results(rig.queue, &result, 1);
    rig_close(&rig);
}

/* EPOLLET: an event for the first, and one more for what a take leaves. */
RIG_TEST(custom_offer, an_edge_is_told_once)
{
    static uint8_t to[4][BYTES];
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct ds_custom_request items[4];
    struct ds_result results[4];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct rig rig;

    open_rig(&rig, topology);
    cr_assert_geq(epoll, 0);
    cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, ds_custom_eventfd(rig.engine), &event), 0);
    for (uint32_t round = 0; round < 3; round++) {
        cr_assert_eq(epoll_wait(epoll, &event, 1, 0), 0);
        custom_app_enqueue(&rig, rig.queue, to, 4);
        rig_until(&rig, epoll_wait(epoll, &event, 1, 0) == 1);
        rig_until(&rig, custom_app_out_n(&rig) == 4);
        while (epoll_wait(epoll, &event, 1, 0) != 0) /* they may have come in two goes */
            continue;
        custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, 1);
        /* three are left, or still to come: in later rounds the high water mark tells nothing */
        rig_until(&rig, epoll_wait(epoll, &event, 1, 0) == 1);
        cr_assert_eq(epoll_wait(epoll, &event, 1, 0), 0, "told once");
        custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items + 1, 3);
        cr_assert_eq(ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, items, 1), 0);
        custom_app_finish(&rig, items, 4);
        rig_results(rig.queue, results, 4);
        custom_app_demand(results, 4, DS_STATUS_OK);
    }
    close(epoll);
    rig_close(&rig);
}

/* Nobody takes them: the cancellation alone must end them, and clear the eventfd. */
RIG_TEST(custom_offer, what_was_not_taken_ends_when_it_is_cancelled)
{
    enum { N = 300 };
    static uint8_t to[N][BYTES];
    static struct ds_result results[N];
    struct ds_custom_request items[N];
    struct rig rig;
    int fd;

    open_rig(&rig, topology);
    fd = ds_custom_eventfd(rig.engine);
    custom_app_enqueue(&rig, rig.queue, to, N);
    rig_until(&rig, custom_app_out_n(&rig) == N);
    cr_assert_eq(ds_queue_cancel(rig.queue, 1, 1), N / 2);
    rig_results(rig.queue, results, N / 2);
    custom_app_demand(results, N / 2, DS_STATUS_CANCELLED);
    for (uint32_t i = 0; i < N / 2; i++)
        cr_assert_eq(results[i].user_data % 2, 1);
    rig_until(&rig, custom_app_readable(fd));
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, N / 2);
    for (uint32_t i = 0; i < N / 2; i++)
        cr_assert_eq(items[i].user_data % 2, 0);
    rig_until(&rig, !custom_app_readable(fd));
    custom_app_finish(&rig, items, N / 2);
    rig_results(rig.queue, results, N / 2);
    custom_app_demand(results, N / 2, DS_STATUS_OK);

    custom_app_enqueue(&rig, rig.queue, to, N);
    rig_until(&rig, custom_app_readable(fd));
    cr_assert_eq(ds_queue_cancel(rig.queue, 0, 0), N);
    rig_results(rig.queue, results, N);
    custom_app_demand(results, N, DS_STATUS_CANCELLED);
    rig_until(&rig, !custom_app_readable(fd));
    cr_assert_eq(ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, items, N), 0);
    rig_close(&rig);
}

/* From the call on, even if the engine has not looked yet. */
RIG_TEST(custom_offer, what_is_cancelled_is_not_handed_out)
{
    enum { N = 64 };
    static uint8_t to[N][BYTES];
    struct ds_custom_request items[N];
    struct ds_result results[N];
    struct rig rig;

    open_rig(&rig, topology);
    for (uint32_t round = 0; round < 20; round++) {
        int n;

        custom_app_enqueue(&rig, rig.queue, to, N);
        rig_until(&rig, (n = ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, items, 1)) == 1);
        ds_queue_cancel(rig.queue, 0, 0);
        cr_assert_eq(ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, items + 1, N - 1), 0);
        custom_app_finish(&rig, items, 1);
        rig_results(rig.queue, results, N);
        custom_app_demand(results, N, DS_STATUS_CANCELLED);
    }
    rig_close(&rig);
}

/* A request that was taken stays the application's until it answers. */
RIG_TEST(custom_offer, what_was_taken_must_be_finished_though_cancelled)
{
    static uint8_t to[4][BYTES];
    struct ds_custom_request items[4];
    struct ds_custom_result failed = {.error = -5};
    struct ds_result results[4];
    struct ds_queue_info info;
    struct rig rig;

    open_rig(&rig, topology);
    custom_app_enqueue(&rig, rig.queue, to, 4);
    custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, items, 4);
    cr_assert_eq(ds_queue_cancel(rig.queue, 0, 0), 4);
    for (uint32_t i = 0; i < 50; i++)
        rig_pause(&rig);
    info = rig_info(rig.queue);
    cr_assert_eq(info.in_flight, 4, "it waits for the application");
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_arr_eq(items[i].source, rig.content + 999 * items[i].user_data, BYTES);
    failed.id = items[3].id;
    custom_app_finish(&rig, items, 3);
    cr_assert_eq(ds_custom_finish(rig.engine, &failed, 1), 0);
    rig_results(rig.queue, results, 4);
    custom_app_demand(results, 4, DS_STATUS_CANCELLED);
    rig_close(&rig);
}
