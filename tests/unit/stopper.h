/* A thread that is stopped by a signal at a random instruction, again and again, while what the
 * others are promised is tried. */
#ifndef UNIT_STOPPER_H
#define UNIT_STOPPER_H

#include "engine/clock.h"
#include "unit/support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

static _Atomic uint32_t stopper_stopped, stopper_released; /* how often */

static void stopper_here(int signal_number)
{
    uint32_t mine = atomic_fetch_add(&stopper_stopped, 1) + 1;

    (void)signal_number;
    while (atomic_load(&stopper_released) < mine)
        sched_yield();
}

/* stopper_open comes before the victim starts. */
static inline void stopper_open(void)
{
    struct sigaction action = {.sa_handler = stopper_here, .sa_flags = SA_RESTART};

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

/* stopper_run stops the victim as often as fits into a second, but stops_min times at least and
 * stops_max at most, and calls go_on while it stands still. */
static inline void stopper_run(pthread_t victim, uint32_t stops_min, uint32_t stops_max,
                               void (*go_on)(void *ctx), void *ctx)
{
    uint64_t end_ns = clock_now_ns() + SECOND_NS;
    uint32_t stops = 0;

    while (stops < stops_min || (stops < stops_max && clock_now_ns() < end_ns)) {
        pthread_kill(victim, SIGUSR1);
        stops++;
        while (atomic_load(&stopper_stopped) < stops)
            sched_yield();
        go_on(ctx);
        atomic_store(&stopper_released, stops);
    }
    fprintf(stderr, "stopped %u times\n", stops);
}

#endif
