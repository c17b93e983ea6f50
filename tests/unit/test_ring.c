/* engine/ring.h: capacity, order, batches, and what the operations promise between threads. */
#include "engine/ring.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#define ITEMS 80000
#define SMALL 3000

static struct host host;

static void open_host(void)
{
    host_init(&host, NULL, NULL, NULL, DS_LOG_ERROR);
}

TestSuite(ring, .init = open_host);

static void *tag(uintptr_t value)
{
    return (void *)value;
}

Test(ring, holds_at_least_what_was_asked_for)
{
    const uint32_t sizes[] = {1, 2, 3, 4, 7, 8, 100, 1023, 1024, 4096};

    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct ring ring;
        void *out;

        cr_assert_eq(ring_open(&ring, &host, sizes[i]), 0);
        for (uintptr_t n = 1; n <= sizes[i]; n++)
            cr_assert(ring_push_sp(&ring, tag(n)), "entry %zu of %u", (size_t)n, sizes[i]);
        cr_assert_eq(ring_count(&ring), sizes[i]);
        for (uintptr_t n = 1; n <= sizes[i]; n++) {
            cr_assert(ring_pop_mc(&ring, &out));
            cr_assert_eq(out, tag(n));
        }
        cr_assert_not(ring_pop_mc(&ring, &out));
        ring_close(&ring, &host);
    }
}

Test(ring, is_full_in_the_end_and_takes_again_after_a_pop)
{
    struct ring ring;
    void *out;
    uintptr_t pushed = 0;

    cr_assert_eq(ring_open(&ring, &host, 6), 0);
    while (ring_push_sp(&ring, tag(pushed + 1)))
        cr_assert_lt(++pushed, 64);
    cr_assert_geq(pushed, 6);
    cr_assert_eq(ring_pop_n_sc(&ring, &out, 1), 1);
    cr_assert(ring_push_sp(&ring, tag(99)));
    cr_assert_not(ring_push_sp(&ring, tag(100)));
    ring_close(&ring, &host);
}

/* The batch calls wrap around the end of the slots many times, at every phase. */
Test(ring, batches_keep_the_order_round_the_end)
{
    struct ring ring;
    void *in[5], *out[8];
    uintptr_t pushed = 0, popped = 0;

    cr_assert_eq(ring_open(&ring, &host, 7), 0);
    for (int round = 0; round < 1000; round++) {
        uint32_t n = (uint32_t)round % 5 + 1;

        for (uint32_t i = 0; i < n; i++)
            in[i] = tag(++pushed);
        ring_push_n_sp(&ring, in, n);
        cr_assert_eq(ring_tail(&ring), (uint32_t)pushed);
        uint32_t got = ring_pop_n_sc(&ring, out, 3);
        got += ring_pop_n_sc(&ring, out + got, 5);
        cr_assert_eq(got, n);
        for (uint32_t i = 0; i < got; i++)
            cr_assert_eq(out[i], tag(++popped));
        cr_assert_eq(ring_head(&ring), (uint32_t)popped);
    }
    cr_assert_eq(ring_count(&ring), 0);
    ring_close(&ring, &host);
}

/* Who knows from elsewhere how many there are does not look at the tail. */
Test(ring, takes_what_is_known_to_be_there)
{
    struct ring ring;
    void *out[7];
    uintptr_t pushed = 0, popped = 0;

    cr_assert_eq(ring_open(&ring, &host, 7), 0);
    for (uint32_t round = 0; round < 100; round++) {
        uint32_t n = round % 7 + 1;

        for (uint32_t i = 0; i < n; i++)
            cr_assert(ring_push_sp(&ring, tag(++pushed)));
        ring_take_n_sc(&ring, out, n - n / 2);
        ring_take_n_sc(&ring, out + n - n / 2, n / 2);
        for (uint32_t i = 0; i < n; i++)
            cr_assert_eq(out[i], tag(++popped));
    }
    cr_assert_eq(ring_count(&ring), 0);
    ring_close(&ring, &host);
}

/* The producer looks at the consumer's line only when the room that it knows of is used up. */
Test(ring, looks_for_room_once_a_round)
{
    struct ring ring;
    void *out;

    cr_assert_eq(ring_open(&ring, &host, 7), 0);
    for (uintptr_t n = 1; n <= 100; n++) {
        cr_assert(ring_push_sp(&ring, tag(n)));
        cr_assert_eq(ring.room_until, (n - 1) / 7 * 7 + 7, "entry %zu", (size_t)n);
        cr_assert(ring_pop_mc(&ring, &out));
    }
    ring_close(&ring, &host);
}

/* Positions count modulo 2^32: a ring does not notice when they wrap. */
static void set_position(struct ring *ring, uint32_t position)
{
    ring->ck.p_head = position;
    ring->ck.p_tail = position;
    ring->ck.c_head = position;
    ring->room_until = position + ring->ck.mask;
}

Test(ring, positions_wrap_at_2_to_the_32)
{
    struct ring ring;
    void *in[3], *out[7];
    uintptr_t pushed = 0, popped = 0;

    cr_assert_eq(ring_open(&ring, &host, 7), 0);
    set_position(&ring, UINT32_MAX - 20);
    for (uint32_t round = 0; round < 30; round++) {
        for (uint32_t i = 0; i < 3; i++)
            in[i] = tag(++pushed);
        ring_push_n_sp(&ring, in, 3);
        cr_assert(ring_push_sp(&ring, tag(++pushed)));
        cr_assert_eq(ring_count(&ring), 4);
        cr_assert(ring_pop_mc(&ring, &out[0]));
        cr_assert_eq(out[0], tag(++popped));
        cr_assert_eq(ring_pop_n_sc(&ring, out, 7), 3);
        for (uint32_t i = 0; i < 3; i++)
            cr_assert_eq(out[i], tag(++popped));
    }
    set_position(&ring, UINT32_MAX - 3); /* full across the wrap */
    for (uintptr_t n = 1; n <= 7; n++)
        cr_assert(ring_push_sp(&ring, tag(n)));
    cr_assert_not(ring_push_sp(&ring, tag(8)));
    cr_assert_eq(ring_count(&ring), 7);
    cr_assert_eq(ring_pop_n_sc(&ring, out, 7), 7);
    cr_assert_eq(out[6], tag(7));
    ring_close(&ring, &host);
}

Test(ring, a_batch_that_does_not_fit_is_a_bug, .signal = SIGABRT)
{
    struct ring ring;
    void *in[9] = {0};

    cr_assert_eq(ring_open(&ring, &host, 7), 0);
    ring_push_n_sp(&ring, in, 9);
}

static void *fail_alloc(void *ctx, size_t bytes, size_t align)
{
    (void)ctx;
    (void)bytes;
    (void)align;
    return NULL;
}

static void fail_free(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    cr_assert_fail("free of %p, which was never allocated", memory);
}

Test(ring, open_without_memory)
{
    const struct ds_allocator none = {NULL, fail_alloc, fail_free};
    struct ring ring;

    host_init(&host, &none, NULL, NULL, DS_LOG_ERROR);
    cr_assert_eq(ring_open(&ring, &host, 16), -ENOMEM);
    ring_close(&(struct ring){.slots = NULL}, &host);
}

/* The payload is written before the push and read after the pop, without any order of its own:
 * ThreadSanitizer proves that the ring orders it. */
struct item {
    uint32_t number;
};

struct producer {
    struct ring *ring;
    struct item *items;
    uint32_t n;
    pthread_t thread;
};

static void *produce(void *argument)
{
    struct producer *producer = argument;

    for (uint32_t i = 0; i < producer->n; i++) {
        struct item *item = &producer->items[i];

        item->number = i + 1;
        while (!ring_push_sp(producer->ring, item))
            sched_yield();
    }
    return NULL;
}

static void consume_all(struct ring *ring, uint32_t total)
{
    uint32_t last = 0, seen = 0;

    while (seen < total) {
        void *batch[7];
        uint32_t n = ring_pop_n_sc(ring, batch, ARRAY_LENGTH(batch));

        for (uint32_t i = 0; i < n; i++) {
            const struct item *item = batch[i];

            cr_assert_eq(item->number, last + 1);
            last = item->number;
        }
        seen += n;
        if (n == 0)
            sched_yield();
    }
    cr_assert_eq(ring_count(ring), 0);
}

Test(ring, one_producer_one_consumer)
{
    struct producer producer = {.n = ITEMS};
    struct ring ring;

    cr_assert_eq(ring_open(&ring, &host, 30), 0);
    producer.ring = &ring;
    producer.items = host_calloc(&host, ITEMS, sizeof(struct item));
    cr_assert_not_null(producer.items);
    pthread_create(&producer.thread, NULL, produce, &producer);
    consume_all(&ring, ITEMS);
    pthread_join(producer.thread, NULL);
    host_free(&host, producer.items, ITEMS * sizeof(struct item));
    ring_close(&ring, &host);
}

/* Each entry is popped by exactly one consumer. */
struct consumer {
    struct ring *ring;
    _Atomic uint32_t *left;
    uint8_t *seen;
    pthread_t thread;
};

static void *consume(void *argument)
{
    struct consumer *consumer = argument;
    void *out;

    while (atomic_load(consumer->left) != 0) {
        if (!ring_pop_mc(consumer->ring, &out)) {
            sched_yield();
            continue;
        }
        __atomic_fetch_add(&consumer->seen[(uintptr_t)out], 1, __ATOMIC_RELAXED);
        atomic_fetch_sub(consumer->left, 1);
    }
    return NULL;
}

Test(ring, many_consumers_share_the_entries_out)
{
    struct consumer consumers[3];
    _Atomic uint32_t left = SMALL;
    uint8_t seen[SMALL] = {0};
    struct ring ring;

    cr_assert_eq(ring_open(&ring, &host, 15), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(consumers); i++) {
        consumers[i] = (struct consumer){.ring = &ring, .left = &left, .seen = seen};
        pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]);
    }
    for (uintptr_t i = 0; i < SMALL; i++) {
        while (!ring_push_sp(&ring, tag(i)))
            sched_yield();
    }
    for (size_t i = 0; i < ARRAY_LENGTH(consumers); i++)
        pthread_join(consumers[i].thread, NULL);
    for (size_t i = 0; i < SMALL; i++)
        cr_assert_eq(seen[i], 1, "entry %zu came %u times", i, seen[i]);
    ring_close(&ring, &host);
}
