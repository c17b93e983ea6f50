/* Makes a ring with the best flags that this kernel offers, or names the cause of its refusal. */
#include "stages/read_uring_setup.h"

#include "stages/read_group.h"

#include <stdio.h>

/* Setup flags, best first. */
#define SETUP_DEFER                                                                                \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |         \
     IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED)
#define SETUP_COOP                                                                                 \
    (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL)

#define SETUP_SQPOLL (IORING_SETUP_SQPOLL | IORING_SETUP_SUBMIT_ALL)
#define SETUP_IOPOLL (IORING_SETUP_IOPOLL | IORING_SETUP_SUBMIT_ALL)

/* How long the kernel's thread of SQPOLL looks for entries before it sleeps. */
#define SQ_IDLE_MS 2

/* Without EXT_ARG (Linux 5.11) a timed wait needs an operation of its own, without NODROP a full
 * completion queue loses results. */
#define FEATURES_NEEDED (IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP)

const char *uring_error_name(int error)
{
    switch (error) {
#define NAME(e)                                                                                    \
    case e:                                                                                        \
        return #e;
        NAME(EPERM)
        NAME(ENOSYS)
        NAME(ENOMEM)
        NAME(EINVAL)
        NAME(EMFILE)
        NAME(ENFILE)
        NAME(EACCES)
        NAME(EFAULT)
        NAME(EOPNOTSUPP)
        NAME(EBUSY)
        NAME(EAGAIN)
#undef NAME
    default:
        return "an unexpected error";
    }
}

/* What the user can turn when the ring is refused. */
static const char *refusal_knob(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return "kernel.io_uring_disabled is set, or a seccomp filter";
    case ENOSYS:
        return "Linux before 5.11 or without io_uring, or a seccomp filter";
    case ENOMEM:
        return "RLIMIT_MEMLOCK (ulimit -l), or memory is short";
    case EMFILE:
    case ENFILE:
        return "RLIMIT_NOFILE (ulimit -n) or fs.file-max";
    default:
        return "no known cause";
    }
}

int uring_refused(const struct host *host, struct read_backend_info *info, const char *call,
                  int error)
{
    info->refused = true;
    snprintf(info->reason, sizeof(info->reason), "%s: %s; %s", call, uring_error_name(-error),
             refusal_knob(-error));
    host_log(host, DS_LOG_WARNING, "%s (errno %d); no io_uring", info->reason, -error);
    return error;
}

static int ring_init(struct io_uring *ring, uint32_t depth, uint32_t flags)
{
    struct io_uring_params params = {
        .flags = flags | IORING_SETUP_CQSIZE,
        /* all transfers, the poll and its cancellation: no completion can overflow */
        .cq_entries = depth < 8 ? 16 : 2 * depth,
        .sq_thread_idle = (flags & IORING_SETUP_SQPOLL) != 0 ? SQ_IDLE_MS : 0,
    };

    return io_uring_queue_init_params(depth < 8 ? 8 : depth, ring, &params);
}

size_t uring_vectors_max(uint32_t depth)
{
    return (size_t)depth + CHUNK_GROUP_MAX;
}

int uring_setup_polled(struct io_uring *ring, const struct read_backend_config *config)
{
    uint32_t flags = SETUP_IOPOLL;
    int rc;

    if ((config->avoid & READ_AVOID_IOPOLL) != 0)
        flags &= ~(uint32_t)IORING_SETUP_IOPOLL;
    rc = ring_init(ring, config->depth, flags);
    if (rc == -EINVAL)
        rc = ring_init(ring, config->depth, flags & ~(uint32_t)IORING_SETUP_SUBMIT_ALL);
    if (rc != 0)
        return rc;
    rc = io_uring_ring_dontfork(ring);
    if (rc != 0)
        io_uring_queue_exit(ring);
    return rc;
}

/* 0, or why the lane submits by system call. */
static int setup_sqpoll(struct io_uring *ring, const struct read_backend_config *config)
{
    int rc = ring_init(ring, config->depth, SETUP_SQPOLL);

    if (rc == -EINVAL)
        rc = ring_init(ring, config->depth, IORING_SETUP_SQPOLL);
    if (rc != 0)
        host_log(config->host, DS_LOG_WARNING,
                 "io_uring: no SQPOLL: %s; RLIMIT_NPROC, pids.max or Linux before 5.11; uring_poll "
                 "has no effect", uring_error_name(-rc));
    return rc;
}

/* setup_ladder takes the best flags that the kernel knows; other errors than "unknown flag" would
 * be the same on every step. A manual ring is entered by several threads, so that nothing of it may
 * wait for a certain one to enter the kernel. */
static int setup_ladder(struct io_uring *ring, const struct read_backend_config *config)
{
    int rc = -EINVAL;

    if (config->uring_poll == DS_URING_POLL_SQPOLL && setup_sqpoll(ring, config) == 0)
        return 0;
    if (!config->manual && (config->avoid & READ_AVOID_DEFER_TASKRUN) == 0)
        rc = ring_init(ring, config->depth, SETUP_DEFER);
    if (rc == -EINVAL && !config->manual && (config->avoid & READ_AVOID_COOP_TASKRUN) == 0)
        rc = ring_init(ring, config->depth, SETUP_COOP);
    if (rc == -EINVAL)
        rc = ring_init(ring, config->depth, 0);
    return rc;
}

/* A seccomp filter may let io_uring_setup through and refuse the two other calls. */
static int check_calls(struct io_uring *ring, const char **call)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool supported;
    int rc;

    *call = "io_uring_register";
    if (probe == NULL)
        return -EPERM;
    supported = io_uring_opcode_supported(probe, IORING_OP_READ) &&
                io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
                io_uring_opcode_supported(probe, IORING_OP_POLL_ADD);
    io_uring_free_probe(probe);
    if (!supported || (ring->features & FEATURES_NEEDED) != FEATURES_NEEDED)
        return -ENOSYS;
    *call = "io_uring_enter";
    rc = io_uring_enter((unsigned)ring->ring_fd, 0, 0, 0, NULL);
    return rc == -EBADFD ? 0 : rc; /* EBADFD: not enabled yet */
}

int uring_setup(struct io_uring *ring, const struct read_backend_config *config,
                struct read_backend_info *info)
{
    const char *call = "io_uring_setup";
    int rc = setup_ladder(ring, config);

    if (rc != 0)
        return uring_refused(config->host, info, call, rc);
    rc = check_calls(ring, &call);
    if (rc == 0) {
        call = "madvise(MADV_DONTFORK)"; /* or a child would post into our queues */
        rc = io_uring_ring_dontfork(ring);
    }
    if (rc == 0 && config->event->fd < 0) {
        call = "eventfd"; /* the last to fail: an event that has one is slept on by park alone */
        rc = event_enable_fd(config->event);
    }
    if (rc == 0)
        return 0;
    io_uring_queue_exit(ring);
    return uring_refused(config->host, info, call, rc);
}

const char *uring_register_note(int rc)
{
    if (rc == 0)
        return "fixed";
    if (rc == -ECANCELED)
        return "plain";
    return rc == -ENOMEM ? "plain (RLIMIT_MEMLOCK)" : "plain (refused)";
}
