/* engine/order.h: a signal fires once, in its turn, and only after all that came before it. */
#include "engine/order.h"

#include "unit/support.h"

#include <errno.h>

#define SIGNALS 64
#define REQUESTS 400
#define ROUNDS (300 / SLOWNESS)

static struct host host;

static void open_host(void)
{
    support_host(&host);
}

TestSuite(order, .init = open_host);

static void *tag(uintptr_t value)
{
    return (void *)value;
}

static struct order_error unused;

Test(order, an_empty_epoch_fires_at_once)
{
    struct order order;

    cr_assert_eq(order_open(&order, &host, 4), 0);
    cr_assert_null(order_fire(&order, &unused));
    cr_assert_not(order_waits(&order));
    order_signal(&order, 0, 0, tag(1));
    cr_assert(order_waits(&order));
    cr_assert_eq(order_fire(&order, &unused), tag(1));
    cr_assert_null(order_fire(&order, &unused), "only once");
    order_close(&order, &host);
}

Test(order, later_epochs_wait_for_the_front)
{
    struct order order;

    cr_assert_eq(order_open(&order, &host, 4), 0);
    order_signal(&order, 0, 2, tag(1));
    order_signal(&order, 1, 0, tag(2));
    order_done(&order, 2);
    order_signal(&order, 2, 1, tag(3));
    cr_assert_null(order_fire(&order, &unused));
    order_done(&order, 0);
    cr_assert_null(order_fire(&order, &unused));
    order_done(&order, 0);
    for (uintptr_t i = 1; i <= 3; i++)
        cr_assert_eq(order_fire(&order, &unused), tag(i));
    cr_assert_null(order_fire(&order, &unused));
    order_close(&order, &host);
}

/* The signal may arrive after its requests are done: it is a chunk like others. */
Test(order, requests_may_be_done_before_their_signal_arrives)
{
    struct order order;

    cr_assert_eq(order_open(&order, &host, 1), 0);
    for (uint32_t epoch = 0; epoch < 1000; epoch++) {
        order_done(&order, epoch);
        order_done(&order, epoch);
        cr_assert_null(order_fire(&order, &unused));
        order_signal(&order, epoch, 2, tag(epoch + 1));
        cr_assert_eq(order_fire(&order, &unused), tag(epoch + 1));
    }
    order_close(&order, &host);
}

/* A queue without signals counts on and on in one epoch, past 2^32. */
Test(order, an_epoch_may_have_more_requests_than_its_counter_holds)
{
    struct order order;

    cr_assert_eq(order_open(&order, &host, 4), 0);
    order.epochs[0].done = UINT32_MAX - 1; /* as after so many requests */
    order_signal(&order, 0, 2, tag(1));    /* 2^32 + 2 in all */
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_null(order_fire(&order, &unused), "%u requests are still out", 4 - i);
        order_done(&order, 0);
    }
    cr_assert_eq(order_fire(&order, &unused), tag(1));
    order_close(&order, &host);
}

/* As many signals open as promised, near the wrap of the epoch's number too. */
Test(order, signals_max_signals_can_be_open)
{
    struct order order;

    cr_assert_eq(order_open(&order, &host, SIGNALS), 0);
    order.front = UINT32_MAX - SIGNALS / 2;
    for (uint32_t i = 0; i < SIGNALS; i++)
        order_signal(&order, order.front + i, i == 0 ? 1 : 0, tag(i + 1));
    order_done(&order, order.front + SIGNALS); /* of the epoch that is not closed yet */
    cr_assert_null(order_fire(&order, &unused));
    order_done(&order, order.front);
    for (uintptr_t i = 1; i <= SIGNALS; i++)
        cr_assert_eq(order_fire(&order, &unused), tag(i));
    order_close(&order, &host);
}

/* Random programs: entries are enqueued in order, arrive in any order, and are compared with the
 * plain rule. */
struct entry {
    bool is_signal;
    bool arrived;
    uint32_t epoch, total;
};

static bool all_before_arrived(const struct entry *entries, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!entries[i].arrived)
            return false;
    }
    return true;
}

static uint32_t fill(struct entry *entries, uint64_t *seed)
{
    uint32_t epoch = 0, in_epoch = 0;

    for (uint32_t i = 0; i < REQUESTS; i++) {
        bool is_signal = epoch < SIGNALS && support_below(seed, 8) == 0;

        entries[i] = (struct entry){is_signal, false, epoch, in_epoch};
        in_epoch = is_signal ? 0 : in_epoch + 1;
        epoch += is_signal;
    }
    return epoch;
}

Test(order, fires_like_the_plain_rule)
{
    uint64_t seed = support_seed("order");

    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct entry entries[REQUESTS];
        uint32_t left[REQUESTS], left_n = REQUESTS, fired = 0, signals = fill(entries, &seed);
        struct order order;
        struct entry *e;

        cr_assert_eq(order_open(&order, &host, SIGNALS), 0);
        for (uint32_t i = 0; i < REQUESTS; i++)
            left[i] = i;
        while (left_n > 0) {
            uint32_t at = (uint32_t)support_below(&seed, min_u32(left_n, 50));

            e = &entries[left[at]];
            left[at] = left[--left_n];
            e->arrived = true;
            if (e->is_signal)
                order_signal(&order, e->epoch, e->total, e);
            else
                order_done(&order, e->epoch);
            while ((e = order_fire(&order, &unused)) != NULL) {
                cr_assert_eq(e->epoch, fired++, "out of turn");
                cr_assert(all_before_arrived(entries, (uint32_t)(e - entries)), "too early");
            }
        }
        cr_assert_eq(fired, signals, "never fired");
        order_close(&order, &host);
    }
}

Test(order, open_without_memory)
{
    struct counting counting = {.fail_at = 1};
    struct ds_allocator table = counting_table(&counting);
    struct order order;

    host_init(&host, &table, NULL, NULL, DS_LOG_ERROR);
    cr_assert_eq(order_open(&order, &host, 100), -ENOMEM);
}
