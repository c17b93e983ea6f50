/* Event count: how a thread sleeps until another has published something, without a lock and
 * without a syscall on the side that publishes while nobody sleeps.
 *
 *   waiter:     key = event_prepare(e);            publisher:  publish (ring push)
 *               if (anything published)                        event_signal(e);
 *                   event_cancel(e);
 *               else
 *                   event_wait(e, key, timeout);
 *
 * The two full fences (in prepare and in signal) make sure that either the waiter sees what was
 * published, or the publisher sees the waiter. */
#ifndef ENGINE_EVENT_H
#define ENGINE_EVENT_H

#include "engine/base.h"

#include <stdatomic.h>

#define EVENT_FOREVER UINT64_MAX

struct event {
    _Atomic uint32_t sequence; /* the futex word; rises with each signal that found a waiter */
    _Atomic uint32_t waiters;
    /* An eventfd that a single waiter sleeps on instead of the futex (inside io_uring_enter), or
     * -1. Set once, before any other thread knows the event. */
    int fd;
};

/* eventfd_get returns the eventfd in *fd, made at the first call, or -errno; eventfd_add adds 1 to
 * one that exists. */
int eventfd_get(_Atomic int *fd);
void eventfd_add(int fd);

void event_init(struct event *event);
void event_fini(struct event *event);

/* event_enable_fd makes the eventfd: from now on event_signal writes to it when a waiter is
 * announced, and the waiter sleeps by other means than event_wait. 0 or -errno. */
int event_enable_fd(struct event *event);

uint32_t event_prepare(struct event *event);
void event_cancel(struct event *event);

/* event_wait sleeps until a signal after `key` was taken, or timeout_ns. True: signalled (or a
 * spurious wake-up), false: time is up. Also ends what event_prepare began. */
bool event_wait(struct event *event, uint32_t key, uint64_t timeout_ns);

void event_wake(struct event *event); /* the slow half of event_signal */

static inline void event_signal(struct event *event)
{
    /* pairs with the fence in event_prepare */
    atomic_thread_fence(memory_order_seq_cst);
    if (UNLIKELY(atomic_load_explicit(&event->waiters, memory_order_relaxed) != 0))
        event_wake(event);
}

#endif
