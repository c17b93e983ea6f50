/* Eventfds, and an event count on a futex or one of them. */
#include "engine/event.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int eventfd_get(_Atomic int *fd)
{
    int made = atomic_load_explicit(fd, memory_order_acquire);
    int none = -1;

    if (made >= 0)
        return made;
    made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made < 0)
        return -errno;
    if (atomic_compare_exchange_strong(fd, &none, made))
        return made;
    close(made);
    return none;
}

void eventfd_add(int fd)
{
    uint64_t one = 1;

    /* EAGAIN: it is at its maximum, and readable */
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

void event_init(struct event *event)
{
    atomic_init(&event->sequence, 0);
    atomic_init(&event->waiters, 0);
    event->fd = -1;
}

void event_fini(struct event *event)
{
    DS_ASSERT(atomic_load(&event->waiters) == 0);
    if (event->fd >= 0)
        close(event->fd);
    event->fd = -1;
}

int event_enable_fd(struct event *event)
{
    DS_ASSERT(event->fd < 0);
    event->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return event->fd >= 0 ? 0 : -errno;
}

uint32_t event_prepare(struct event *event)
{
    uint32_t key = atomic_load_explicit(&event->sequence, memory_order_acquire);

    atomic_fetch_add_explicit(&event->waiters, 1, memory_order_relaxed);
    /* pairs with the fence in event_signal */
    atomic_thread_fence(memory_order_seq_cst);
    return key;
}

void event_cancel(struct event *event)
{
    atomic_fetch_sub_explicit(&event->waiters, 1, memory_order_relaxed);
}

bool event_wait(struct event *event, uint32_t key, uint64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / 1000000000u),
        .tv_nsec = (long)(timeout_ns % 1000000000u),
    };
    struct timespec *limit = timeout_ns == EVENT_FOREVER ? NULL : &timeout;
    long rc = 0;

    if (atomic_load_explicit(&event->sequence, memory_order_acquire) == key) {
        rc = syscall(SYS_futex, (uint32_t *)&event->sequence, FUTEX_WAIT_PRIVATE, key, limit, NULL,
                     0);
        if (rc != 0)
            rc = -errno;
    }
    event_cancel(event);
    return rc != -ETIMEDOUT;
}

void event_wake(struct event *event)
{
    atomic_fetch_add_explicit(&event->sequence, 1, memory_order_release);
    if (event->fd >= 0) {
        eventfd_add(event->fd);
        return;
    }
    syscall(SYS_futex, (uint32_t *)&event->sequence, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
