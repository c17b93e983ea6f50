/* io_uring: one ring for each lane, entered by the lane's thread only.
 *
 *   open    makes the ring, disabled, so that a refusal shows before any thread runs
 *   start   enables it on the lane's thread, and registers the arena and a table for files
 *   stop    takes back the poll on the event and leaves the ring with nothing in flight
 *
 * Where IOPOLL is asked for there is a second ring, for direct transfers (read_uring_polled.c).
 *
 * io_uring_queue_exit does not wait for what is in the kernel: whoever closes has reaped all. */
#include "stages/read_uring.h"
#include "stages/read_uring_setup.h"

#include "engine/request.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* user_data: one of these, or a chunk's address with the number of its tries in the low bits. */
#define TAG_EVENT  1
#define TAG_CANCEL 2
#define TRIES_MAX  7

_Static_assert(_Alignof(struct chunk) > TRIES_MAX, "the low bits of a chunk's address are free");

static void uring_free(struct uring *u)
{
    host_free(u->host, u->plain.vectors, uring_vectors_max(u->depth) * sizeof(struct iovec));
    host_free(u->host, u, sizeof(*u));
}

static void plain_close(struct uring *u)
{
    io_uring_queue_exit(&u->plain.ring);
    /* another back end may take over, and sleeps on the event in the ordinary way */
    if (u->made_eventfd && u->event->fd >= 0) {
        close(u->event->fd);
        u->event->fd = -1;
    }
}

static int uring_open(const struct read_backend_config *config, struct read_backend_info *info,
                      void **self)
{
    struct uring *u = host_calloc(config->host, 1, sizeof(*u));
    int rc;

    DS_ASSERT(config->event != NULL);
    *info = (struct read_backend_info){0};
    if (u == NULL)
        return -ENOMEM;
    u->host = config->host;
    u->staging = config->staging;
    u->event = config->event;
    u->avoid = config->avoid;
    u->manual = config->manual;
    u->depth = config->depth;
    u->made_eventfd = config->event->fd < 0;
    u->info = info;
    u->plain.vectors = host_calloc(config->host, uring_vectors_max(u->depth),
                                   sizeof(struct iovec));
    rc = u->plain.vectors != NULL ? uring_setup(&u->plain.ring, config, info) : -ENOMEM;
    if (rc != 0) {
        uring_free(u);
        return rc;
    }
    rc = config->uring_poll == DS_URING_POLL_IOPOLL ? polled_open(u, config) : 0;
    if (rc != 0) {
        plain_close(u);
        uring_free(u);
        return rc;
    }
    info->defer_taskrun = (u->plain.ring.flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    info->sqpoll = (u->plain.ring.flags & IORING_SETUP_SQPOLL) != 0;
    atomic_init(&info->iopoll, u->polled != NULL);
    snprintf(info->reason, sizeof(info->reason), "io_uring works");
    *self = u;
    return 0;
}

static int uring_start(void *self, struct read_backend_info *info)
{
    struct uring *u = self;
    int rc;

    if ((u->plain.ring.flags & IORING_SETUP_R_DISABLED) != 0) {
        /* by hand: liburing 2.3 forgot to export io_uring_enable_rings from its shared library */
        rc = (int)syscall(SYS_io_uring_register, u->plain.ring.ring_fd,
                          IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        if (rc != 0)
            return uring_refused(u->host, info, "IORING_REGISTER_ENABLE_RINGS", -errno);
    }
    tables_start(u, info);
    return 0;
}

/* expect_transient: the kernel may refuse for now. Anything else means a broken ring, with memory
 * of ours in the kernel's hands, and there is no safe way on. */
static void expect_transient(const struct uring *u, int rc)
{
    if (rc >= 0 || rc == -EAGAIN || rc == -EBUSY || rc == -EINTR || rc == -ETIME || rc == -ENOMEM)
        return;
    host_log(u->host, DS_LOG_ERROR, "io_uring_enter: errno %d on a ring in use", -rc);
    DS_ASSERT(!"io_uring_enter failed on a ring in use");
}

/* With SQPOLL the kernel's thread takes the entries by itself; a call is made only if it sleeps. */
static uint32_t sqpoll_flush(struct uring *u, struct channel *channel)
{
    const struct io_uring_sq *sq = &channel->ring.sq;
    uint32_t fresh = sq->sqe_tail - sq->sqe_head;

    if (io_uring_sq_ready(&channel->ring) > 0)
        expect_transient(u, io_uring_submit(&channel->ring));
    return fresh;
}

typedef int (*enter_fn)(struct io_uring *ring);

static uint32_t channel_flush(struct uring *u, struct channel *channel, enter_fn enter)
{
    uint32_t handed = 0;

    if ((channel->ring.flags & IORING_SETUP_SQPOLL) != 0)
        return sqpoll_flush(u, channel);
    while (io_uring_sq_ready(&channel->ring) > 0) {
        int rc = enter(&channel->ring);

        if (rc == -EINTR)
            continue;
        expect_transient(u, rc);
        if (rc <= 0)
            break; /* the entries stay in the queue for the next flush */
        handed += (uint32_t)rc;
    }
    return handed;
}

static uint32_t channels_flush(struct uring *u, enter_fn enter)
{
    uint32_t handed = channel_flush(u, &u->plain, enter);

    return u->polled != NULL ? handed + channel_flush(u, u->polled, enter) : handed;
}

static uint32_t uring_push(void *self)
{
    return channels_flush(self, io_uring_submit);
}

/* GETEVENTS too: one call submits and fetches what has ended meanwhile. */
static uint32_t uring_flush(void *self)
{
    return channels_flush(self, io_uring_submit_and_get_events);
}

/* take_sqe returns an empty entry, flushing if the queue is full; NULL if the kernel takes none. */
static struct io_uring_sqe *take_sqe(struct uring *u, struct channel *channel)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&channel->ring);

    if (sqe != NULL)
        return sqe;
    channel_flush(u, channel, io_uring_submit_and_get_events);
    return io_uring_get_sqe(&channel->ring);
}

/* issue_try: as uring_issue, for the n-th time. */
static bool issue_try(struct uring *u, struct channel *channel, struct chunk *chunk,
                      unsigned tries)
{
    struct io_uring_sqe *sqe;
    struct pieces pieces;

    if (!prepare_pieces(u, channel, chunk, &pieces))
        return false;
    sqe = take_sqe(u, channel);
    if (sqe == NULL)
        return false;
    prepare_chunk(u, channel, sqe, chunk, &pieces);
    io_uring_sqe_set_data64(sqe, (uintptr_t)chunk | tries);
    return true;
}

static bool uring_issue(void *self, struct chunk *chunk)
{
    struct uring *u = self;
    struct channel *channel = polled_takes(u, chunk) ? u->polled : &u->plain;

    if (!issue_try(u, channel, chunk, 0))
        return false;
    channel->in_flight++;
    return true;
}

/* event_fired empties the eventfd; the next park arms the poll anew. */
static void event_fired(struct uring *u)
{
    uint64_t count;
    ssize_t n;

    u->poll_armed = false;
    do
        n = read(u->event->fd, &count, sizeof(count));
    while (n < 0 && errno == EINTR); /* EAGAIN: another ring on this event was first */
}

/* The kernel also answers EFAULT for a buffered read whose issuing thread has ended (MANUAL): it
 * has no memory map left to copy by. On a thread that lives, only a real one comes back. True: it
 * is under way again; false: *result says what to report. */
static bool doubt_fault(struct uring *u, struct channel *channel, uint64_t tag, int64_t *result)
{
    unsigned tries = (unsigned)(tag & TRIES_MAX);

    if (!u->manual || *result != -EFAULT || tries == TRIES_MAX)
        return false;
    if (io_uring_sq_space_left(&channel->ring) > 0 &&
        issue_try(u, channel, (struct chunk *)(uintptr_t)(tag - tries), tries + 1))
        return true;
    *result = -EAGAIN;
    return false;
}

/* A transfer that the device does not poll for goes by the plain channel. As doubt_fault. */
static bool doubt_poll(struct uring *u, struct channel *channel, uint64_t tag, int64_t *result)
{
    struct chunk *chunk = (struct chunk *)(uintptr_t)(tag & ~(uint64_t)TRIES_MAX);

    if (channel != u->polled || *result != -EOPNOTSUPP)
        return false;
    polled_refused(u, chunk);
    if (io_uring_sq_space_left(&u->plain.ring) > 0 && issue_try(u, &u->plain, chunk, 0)) {
        channel->in_flight--;
        u->plain.in_flight++;
        return true;
    }
    *result = -EAGAIN;
    return false;
}

static uint32_t drain(struct uring *u, struct channel *channel, struct read_completion *done,
                      uint32_t max)
{
    struct io_uring_cqe *cqe;
    uint32_t head, seen = 0, n = 0;
    int64_t result;

    io_uring_for_each_cqe(&channel->ring, head, cqe)
    {
        uint64_t tag = io_uring_cqe_get_data64(cqe);

        if (tag == TAG_EVENT) {
            event_fired(u);
        } else if (tag == TAG_CANCEL) {
            u->cancel_pending = false;
        } else if (n == max) {
            break;
        } else {
            done[n].chunk = (struct chunk *)(uintptr_t)(tag & ~(uint64_t)TRIES_MAX);
            kernel_gives(done[n].chunk);
            result = cqe->res;
            if (!doubt_poll(u, channel, tag, &result) && !doubt_fault(u, channel, tag, &result))
                done[n++].result = result;
        }
        seen++;
    }
    io_uring_cq_advance(&channel->ring, seen);
    DS_ASSERT(n <= channel->in_flight);
    channel->in_flight -= n;
    return n;
}

/* Completions wait in the kernel for us to fetch them. */
static bool needs_enter(const struct uring *u, const struct channel *channel)
{
    unsigned flags = IO_URING_READ_ONCE(*channel->ring.sq.kflags);

    if (channel == u->polled && channel->in_flight > 0)
        return true; /* no interrupt tells of them: asking the device is what completes them */

    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static uint32_t channel_reap(struct uring *u, struct channel *channel,
                             struct read_completion *done, uint32_t max)
{
    uint32_t n = drain(u, channel, done, max);

    if (n == 0 && needs_enter(u, channel)) {
        expect_transient(u, io_uring_get_events(&channel->ring));
        n = drain(u, channel, done, max);
    }
    return n;
}

static uint32_t uring_reap(void *self, struct read_completion *done, uint32_t max)
{
    struct uring *u = self;
    uint32_t n = channel_reap(u, &u->plain, done, max);

    return u->polled != NULL ? n + channel_reap(u, u->polled, done + n, max - n) : n;
}

/* arm_event polls the eventfd, once. False: no room in the queue. */
static bool arm_event(struct uring *u)
{
    struct io_uring_sqe *sqe;

    if (u->poll_armed)
        return true;
    sqe = take_sqe(u, &u->plain);
    if (sqe == NULL)
        return false;
    io_uring_prep_poll_add(sqe, u->event->fd, POLLIN);
    io_uring_sqe_set_data64(sqe, TAG_EVENT);
    u->poll_armed = true;
    return true;
}

static void wait_cqe(struct uring *u, uint64_t timeout_ns)
{
    struct __kernel_timespec timeout = {
        .tv_sec = (int64_t)(timeout_ns / 1000000000u),
        .tv_nsec = (long long)(timeout_ns % 1000000000u),
    };
    struct io_uring_cqe *cqe;

    expect_transient(u, io_uring_submit_and_wait_timeout(
                            &u->plain.ring, &cqe, 1, timeout_ns == EVENT_FOREVER ? NULL : &timeout,
                            NULL));
}

static bool uring_park(void *self, uint64_t timeout_ns)
{
    struct uring *u = self;
    struct read_completion none;

    if (u->polled != NULL && u->polled->in_flight > 0)
        return true; /* no sleep: the next turn asks the device again */
    if (!arm_event(u))
        timeout_ns = min_u64(timeout_ns, 1000000); /* deaf to the event: look again soon */
    wait_cqe(u, timeout_ns);
    drain(u, &u->plain, &none, 0); /* the event's entry: with nothing in flight nobody reaps */
    return true;
}

static void uring_forget(void *self, const struct ds_file *file)
{
    struct uring *u = self;

    tables_forget(&u->plain, file);
    if (u->polled != NULL)
        tables_forget(u->polled, file);
}

static int uring_pin(void *self, const struct ds_memory *memory)
{
    struct uring *u = self;
    int rc = tables_pin(&u->plain, memory);

    if (rc == 0 && u->polled != NULL)
        rc = tables_pin(u->polled, memory);
    if (rc != 0)
        tables_unpin(&u->plain, memory);
    return rc;
}

/* An entry that the kernel has not taken yet names its buffer by its place in the table. */
static bool uring_unpin(void *self, const struct ds_memory *memory)
{
    struct uring *u = self;

    uring_flush(u);
    if (io_uring_sq_ready(&u->plain.ring) > 0 ||
        (u->polled != NULL && io_uring_sq_ready(&u->polled->ring) > 0))
        return false;
    tables_unpin(&u->plain, memory);
    if (u->polled != NULL)
        tables_unpin(u->polled, memory);
    return true;
}

static void cancel_poll(struct uring *u)
{
    struct io_uring_sqe *sqe = take_sqe(u, &u->plain);

    if (sqe == NULL)
        return; /* the kernel takes nothing now; tried again by the loop in stop */
    io_uring_prep_poll_remove(sqe, TAG_EVENT);
    io_uring_sqe_set_data64(sqe, TAG_CANCEL);
    u->cancel_pending = true;
}

static void uring_stop(void *self)
{
    struct uring *u = self;
    struct read_completion none;

    DS_ASSERT(u->plain.in_flight == 0 && (u->polled == NULL || u->polled->in_flight == 0));
    while (u->poll_armed || u->cancel_pending) {
        if (u->poll_armed && !u->cancel_pending)
            cancel_poll(u);
        wait_cqe(u, 10000000);
        drain(u, &u->plain, &none, 0);
    }
    /* the kernel's thread posts results before it lets go of the entries */
    while ((u->plain.ring.flags & IORING_SETUP_SQPOLL) != 0 && io_uring_sq_ready(&u->plain.ring))
        sched_yield();
    DS_ASSERT(io_uring_sq_ready(&u->plain.ring) == 0 && io_uring_cq_ready(&u->plain.ring) == 0);
}

static void uring_close(void *self)
{
    struct uring *u = self;

    DS_ASSERT(u->plain.in_flight == 0);
    polled_close(u);
    plain_close(u);
    uring_free(u);
}

const struct read_backend_ops read_uring_ops = {
    .name = "uring",
    .open = uring_open,
    .start = uring_start,
    .issue = uring_issue,
    .flush = uring_flush,
    .push = uring_push,
    .reap = uring_reap,
    .park = uring_park,
    .forget = uring_forget,
    .pin = uring_pin,
    .unpin = uring_unpin,
    .stop = uring_stop,
    .close = uring_close,
    .park_wakes_on_event = true,
    .gathers = true,
};
