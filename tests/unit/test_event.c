/* engine/event.h: nothing published is slept through, and a sleep without news ends in time. */
#include "engine/event.h"

#include "engine/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* As many as fit into GAME_NS, between these: on a busy machine a hand-over is a time slice. */
#define HANDOVERS_MIN 2000
#define HANDOVERS_MAX 100000
#define GAME_NS 1500000000u
#define MS 1000000u

Test(event, a_wait_ends_when_time_is_up)
{
    struct event event;
    uint64_t begin_ns;

    event_init(&event);
    begin_ns = clock_now_ns();
    cr_assert_not(event_wait(&event, event_prepare(&event), 20 * MS));
    cr_assert_geq(clock_now_ns() - begin_ns, 19 * MS);
    event_fini(&event); /* asserts that no waiter is left announced */
}

Test(event, a_signal_after_prepare_is_not_slept_through)
{
    struct event event;
    uint32_t key;

    event_init(&event);
    key = event_prepare(&event);
    event_signal(&event);
    cr_assert(event_wait(&event, key, EVENT_FOREVER));
    event_fini(&event);
}

Test(event, a_signal_without_a_waiter_is_not_kept)
{
    struct event event;

    event_init(&event);
    event_signal(&event);
    cr_assert_not(event_wait(&event, event_prepare(&event), 5 * MS));
    event_fini(&event);
}

Test(event, fini_with_a_waiter_is_a_bug, .signal = SIGABRT)
{
    struct event event;

    event_init(&event);
    event_prepare(&event);
    event_fini(&event);
}

Test(event, with_a_descriptor_it_becomes_readable)
{
    struct event event;
    struct pollfd pollfd = {.events = POLLIN};
    uint64_t count;

    event_init(&event);
    cr_assert_eq(event_enable_fd(&event), 0);
    pollfd.fd = event.fd;
    event_signal(&event); /* nobody waits: no system call, no news */
    cr_assert_eq(poll(&pollfd, 1, 0), 0);
    event_prepare(&event);
    event_signal(&event);
    cr_assert_eq(poll(&pollfd, 1, 1000), 1);
    cr_assert_eq(read(event.fd, &count, sizeof(count)), (ssize_t)sizeof(count));
    event_cancel(&event);
    event_fini(&event);
    cr_assert_eq(event.fd, -1);
}

/* Two threads hand a turn to and fro. One wake-up lost and the test hangs. */
struct game {
    struct event events[2];
    _Atomic uint32_t turn;
    _Atomic uint32_t rounds; /* the first player sets it, before it hands over its last turn */
};

static void play(struct game *game, uint32_t me)
{
    uint64_t end_ns = clock_now_ns() + GAME_NS;

    for (uint32_t i = 0; i < atomic_load(&game->rounds); i++) {
        while (atomic_load_explicit(&game->turn, memory_order_acquire) != 2 * i + me) {
            uint32_t key = event_prepare(&game->events[me]);

            if (atomic_load_explicit(&game->turn, memory_order_acquire) == 2 * i + me)
                event_cancel(&game->events[me]);
            else
                event_wait(&game->events[me], key, EVENT_FOREVER);
        }
        if (me == 0 && i + 1 >= HANDOVERS_MIN && clock_now_ns() > end_ns)
            atomic_store(&game->rounds, i + 1);
        atomic_store_explicit(&game->turn, 2 * i + me + 1, memory_order_release);
        event_signal(&game->events[!me]);
    }
}

static void *play_second(void *game)
{
    play(game, 1);
    return NULL;
}

Test(event, no_wake_up_is_lost)
{
    struct game game = {.rounds = HANDOVERS_MAX};
    pthread_t second;

    event_init(&game.events[0]);
    event_init(&game.events[1]);
    pthread_create(&second, NULL, play_second, &game);
    play(&game, 0);
    pthread_join(second, NULL);
    cr_assert_eq(atomic_load(&game.turn), 2 * atomic_load(&game.rounds));
    event_fini(&game.events[0]);
    event_fini(&game.events[1]);
}

/* Several waiters on one word: a signal wakes all of them. */
struct crowd {
    struct event event;
    _Atomic bool open;
};

static void *wait_for_open(void *argument)
{
    struct crowd *crowd = argument;

    while (!atomic_load_explicit(&crowd->open, memory_order_acquire)) {
        uint32_t key = event_prepare(&crowd->event);

        if (atomic_load_explicit(&crowd->open, memory_order_acquire))
            event_cancel(&crowd->event);
        else
            event_wait(&crowd->event, key, EVENT_FOREVER);
    }
    return NULL;
}

Test(event, a_signal_wakes_all_waiters)
{
    struct crowd crowd = {.open = false};
    pthread_t threads[4];

    event_init(&crowd.event);
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_create(&threads[i], NULL, wait_for_open, &crowd);
    while (atomic_load(&crowd.event.waiters) < ARRAY_LENGTH(threads))
        sched_yield();
    atomic_store_explicit(&crowd.open, true, memory_order_release);
    event_signal(&crowd.event);
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
    event_fini(&crowd.event);
}
