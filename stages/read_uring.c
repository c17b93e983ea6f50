/* io_uring: one ring for each lane, entered by the lane's thread only.
 *
 *   open    makes the ring, disabled, so that a refusal shows before any thread runs
 *   start   enables it on the lane's thread, and registers the arena and a table for files
 *   stop    takes back the poll on the event and leaves the ring with nothing in flight
 *
 * io_uring_queue_exit does not wait for what is in the kernel: whoever closes has reaped all. */
#include "stages/read_uring_setup.h"

#include "engine/request.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if DS_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#endif

/* One registered buffer holds at most 1 GiB; nor does one operation move more (u32, and the kernel
 * stops at 2 GiB - 4 KiB). */
#define SLICE_BYTES ((uint64_t)1 << 30)

/* user_data: one of these, or a chunk's address with the number of its tries in the low bits. */
#define TAG_EVENT  1
#define TAG_CANCEL 2
#define TRIES_MAX  7

_Static_assert(_Alignof(struct chunk) > TRIES_MAX, "the low bits of a chunk's address are free");

enum registration { ENTRY_EMPTY, ENTRY_REGISTERED, ENTRY_REFUSED };

/* An entry of the kernel's file table: one for each descriptor of a file slot. */
struct file_entry {
    uint32_t generation; /* of the slot, when it was registered or refused */
    enum registration state;
};

struct uring {
    struct io_uring ring;
    const struct host *host;
    const struct staging *staging;
    struct event *event;
    uint32_t in_flight;   /* chunks; neither the poll nor its cancellation */
    uint32_t files_n;     /* entries of the file table; 0 = none */
    uint32_t avoid;
    bool manual;
    bool fixed_buffers;
    bool poll_armed;      /* a poll on the event is in the ring or in the kernel */
    bool cancel_pending;
    bool made_eventfd;    /* the event had none before */
    struct file_entry files[2 * FILES_MAX];
};

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
    u->made_eventfd = config->event->fd < 0;
    rc = uring_setup(&u->ring, config, info);
    if (rc != 0) {
        host_free(config->host, u, sizeof(*u));
        return rc;
    }
    info->defer_taskrun = (u->ring.flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    snprintf(info->reason, sizeof(info->reason), "io_uring works");
    *self = u;
    return 0;
}

/* register_arena: 0, or why the kernel pins the arena's pages for each transfer instead. */
static int register_arena(struct uring *u)
{
    struct iovec slices[64];
    uint32_t n = 0;

    if ((u->avoid & READ_AVOID_FIXED_BUFFERS) != 0 || u->staging == NULL)
        return -ECANCELED;
    for (uint64_t at = 0; at < u->staging->bytes; at += SLICE_BYTES) {
        if (n == ARRAY_LENGTH(slices))
            return -E2BIG;
        slices[n].iov_base = u->staging->memory + at;
        slices[n].iov_len = min_u64(SLICE_BYTES, u->staging->bytes - at);
        n++;
    }
    return n == 0 ? -ECANCELED : io_uring_register_buffers(&u->ring, slices, n);
}

/* register_table makes an empty table, within RLIMIT_NOFILE: beyond it liburing would raise the
 * limit of the whole process. Files that find no place in it go by their descriptor. */
static int register_table(struct uring *u)
{
    struct rlimit limit;
    uint32_t n = 2 * FILES_MAX;
    int rc;

    if ((u->avoid & READ_AVOID_FIXED_FILES) != 0)
        return -ECANCELED;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n)
        n = (uint32_t)limit.rlim_cur;
    if (n == 0)
        return -EMFILE;
    rc = io_uring_register_files_sparse(&u->ring, n);
    if (rc == 0)
        u->files_n = n;
    return rc;
}

static int uring_start(void *self, struct read_backend_info *info)
{
    struct uring *u = self;
    const char *mode = "plain";
    int buffers_rc, files_rc, rc;

    if ((u->ring.flags & IORING_SETUP_R_DISABLED) != 0) {
        /* by hand: liburing 2.3 forgot to export io_uring_enable_rings from its shared library */
        rc = (int)syscall(SYS_io_uring_register, u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
                          NULL, 0);
        if (rc != 0)
            return uring_refused(u->host, info, "IORING_REGISTER_ENABLE_RINGS", -errno);
    }
    buffers_rc = register_arena(u);
    files_rc = register_table(u);
    if (buffers_rc != 0 && buffers_rc != -ECANCELED)
        host_log(u->host, DS_LOG_INFO,
                 "io_uring: the arena is not registered: %s; RLIMIT_MEMLOCK (ulimit -l) or memory "
                 "of the driver's; its pages are pinned for each transfer",
                 uring_error_name(-buffers_rc));
    if (files_rc != 0 && files_rc != -ECANCELED)
        host_log(u->host, DS_LOG_INFO, "io_uring: no file table: %s; Linux before 5.19?",
                 uring_error_name(-files_rc));
    u->fixed_buffers = info->fixed_buffers = buffers_rc == 0;
    info->fixed_files = files_rc == 0;
    if ((u->ring.flags & IORING_SETUP_DEFER_TASKRUN) != 0)
        mode = "deferred";
    else if ((u->ring.flags & IORING_SETUP_COOP_TASKRUN) != 0)
        mode = "cooperative";
    snprintf(info->reason, sizeof(info->reason), "io_uring, %s; buffers %s; files %s", mode,
             uring_register_note(buffers_rc), uring_register_note(files_rc));
    return 0;
}

/* register_file puts a descriptor into its entry of the table, in place of whatever an earlier
 * file of the same slot has left there. */
static bool register_file(struct uring *u, const struct ds_file *file, uint32_t index, int fd)
{
    struct file_entry *entry = &u->files[index];
    int rc = io_uring_register_files_update(&u->ring, index, &fd, 1);

    entry->generation = file->generation;
    entry->state = rc == 1 ? ENTRY_REGISTERED : ENTRY_REFUSED;
    if (rc != 1)
        host_log(u->host, DS_LOG_DEBUG, "io_uring: file %u not registered: errno %d", file->slot,
                 -rc);
    return rc == 1;
}

/* fixed_file returns the file's place in the table, or -1: by descriptor. */
static int fixed_file(struct uring *u, const struct chunk *chunk)
{
    const struct ds_file *file = chunk->request->file;
    const struct file_entry *entry;
    uint32_t index;

    if (file == NULL)
        return -1;
    DS_ASSERT(file->slot < FILES_MAX);
    index = 2 * file->slot + (chunk->direct != 0);
    if (index >= u->files_n)
        return -1;
    entry = &u->files[index];
    if (entry->state == ENTRY_EMPTY || entry->generation != file->generation)
        return register_file(u, file, index, chunk_fd(chunk)) ? (int)index : -1;
    return entry->state == ENTRY_REGISTERED ? (int)index : -1;
}

/* fixed_slice returns the registered buffer that holds all of the range, or -1. */
static int fixed_slice(const struct uring *u, const uint8_t *memory, uint32_t bytes)
{
    uint64_t at = (uintptr_t)memory - (uintptr_t)u->staging->memory;

    if (at >= u->staging->bytes || bytes > u->staging->bytes - at)
        return -1;
    if (at / SLICE_BYTES != (at + bytes - 1) / SLICE_BYTES)
        return -1;
    return (int)(at / SLICE_BYTES);
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

static uint32_t uring_flush(void *self)
{
    struct uring *u = self;
    uint32_t handed = 0;

    while (io_uring_sq_ready(&u->ring) > 0) {
        /* GETEVENTS too: one call submits and fetches what has ended meanwhile */
        int rc = io_uring_submit_and_get_events(&u->ring);

        if (rc == -EINTR)
            continue;
        expect_transient(u, rc);
        if (rc <= 0)
            break; /* the entries stay in the queue for the next flush */
        handed += (uint32_t)rc;
    }
    return handed;
}

/* take_sqe returns an empty entry, flushing if the queue is full; NULL if the kernel takes none. */
static struct io_uring_sqe *take_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

    if (sqe != NULL)
        return sqe;
    uring_flush(u);
    return io_uring_get_sqe(&u->ring);
}

/* The kernel carries a chunk from its submission to its completion, perhaps by way of another
 * thread (MANUAL): an order that ThreadSanitizer cannot see. */
static void kernel_takes(struct chunk *chunk)
{
#if DS_TSAN
    __tsan_release(chunk);
#else
    (void)chunk;
#endif
}

static void kernel_gives(struct chunk *chunk)
{
#if DS_TSAN
    __tsan_acquire(chunk);
#else
    (void)chunk;
#endif
}

static void prepare_transfer(struct uring *u, struct io_uring_sqe *sqe, struct chunk *chunk)
{
    uint8_t *memory = chunk->memory + chunk->io_done;
    uint64_t offset = chunk->file_offset + chunk->io_done;
    uint32_t bytes = (uint32_t)min_u64(chunk->io_bytes - chunk->io_done, SLICE_BYTES);
    bool is_write = chunk->kind == CHUNK_WRITE;
    int slice = u->fixed_buffers ? fixed_slice(u, memory, bytes) : -1;
    int file = fixed_file(u, chunk);
    int op = is_write ? IORING_OP_WRITE : IORING_OP_READ;

    if (slice >= 0)
        op = is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
    io_uring_prep_rw(op, sqe, file >= 0 ? file : chunk_fd(chunk), memory, bytes, offset);
    if (slice >= 0)
        sqe->buf_index = (uint16_t)slice;
    if (file >= 0)
        sqe->flags |= IOSQE_FIXED_FILE;
}

static void prepare(struct uring *u, struct io_uring_sqe *sqe, struct chunk *chunk, unsigned tries)
{
    if (chunk->kind == CHUNK_FLUSH) /* it has no memory */
        io_uring_prep_fsync(sqe, chunk_fd(chunk), IORING_FSYNC_DATASYNC);
    else
        prepare_transfer(u, sqe, chunk);
    kernel_takes(chunk);
    io_uring_sqe_set_data64(sqe, (uintptr_t)chunk | tries);
}

static bool uring_issue(void *self, struct chunk *chunk)
{
    struct uring *u = self;
    struct io_uring_sqe *sqe = take_sqe(u);

    if (sqe == NULL)
        return false;
    prepare(u, sqe, chunk, 0);
    u->in_flight++;
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
static bool doubt_fault(struct uring *u, uint64_t tag, int64_t *result)
{
    unsigned tries = (unsigned)(tag & TRIES_MAX);
    struct io_uring_sqe *sqe;

    if (!u->manual || *result != -EFAULT || tries == TRIES_MAX)
        return false;
    sqe = io_uring_get_sqe(&u->ring);
    if (sqe == NULL) {
        *result = -EAGAIN;
        return false;
    }
    prepare(u, sqe, (struct chunk *)(uintptr_t)(tag - tries), tries + 1);
    return true;
}

static uint32_t drain(struct uring *u, struct read_completion *done, uint32_t max)
{
    struct io_uring_cqe *cqe;
    uint32_t head, seen = 0, n = 0;
    int64_t result;

    io_uring_for_each_cqe(&u->ring, head, cqe)
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
            if (!doubt_fault(u, tag, &result))
                done[n++].result = result;
        }
        seen++;
    }
    io_uring_cq_advance(&u->ring, seen);
    DS_ASSERT(n <= u->in_flight);
    u->in_flight -= n;
    return n;
}

/* Completions wait in the kernel for us to fetch them. */
static bool needs_enter(const struct uring *u)
{
    unsigned flags = IO_URING_READ_ONCE(*u->ring.sq.kflags);

    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static uint32_t uring_reap(void *self, struct read_completion *done, uint32_t max)
{
    struct uring *u = self;
    uint32_t n = drain(u, done, max);

    if (n == 0 && needs_enter(u)) {
        expect_transient(u, io_uring_get_events(&u->ring));
        n = drain(u, done, max);
    }
    return n;
}

/* arm_event polls the eventfd, once. False: no room in the queue. */
static bool arm_event(struct uring *u)
{
    struct io_uring_sqe *sqe;

    if (u->poll_armed)
        return true;
    sqe = take_sqe(u);
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
                            &u->ring, &cqe, 1, timeout_ns == EVENT_FOREVER ? NULL : &timeout,
                            NULL));
}

static bool uring_park(void *self, uint64_t timeout_ns)
{
    struct uring *u = self;
    struct read_completion none;

    if (!arm_event(u))
        timeout_ns = min_u64(timeout_ns, 1000000); /* deaf to the event: look again soon */
    wait_cqe(u, timeout_ns);
    drain(u, &none, 0); /* with nothing in flight nobody else takes the event's entry away */
    return true;
}

/* uring_forget must not leave a descriptor in the table: it would keep the file open. */
static void uring_forget(void *self, const struct ds_file *file)
{
    struct uring *u = self;

    DS_ASSERT(file->slot < FILES_MAX);
    for (uint32_t index = 2 * file->slot; index < 2 * file->slot + 2; index++) {
        struct file_entry *entry = &u->files[index];
        int none = -1, rc;

        if (index >= u->files_n || entry->generation != file->generation)
            continue;
        if (entry->state == ENTRY_REGISTERED) {
            rc = io_uring_register_files_update(&u->ring, index, &none, 1);
            DS_ASSERT(rc == 1);
        }
        entry->state = ENTRY_EMPTY;
    }
}

static void cancel_poll(struct uring *u)
{
    struct io_uring_sqe *sqe = take_sqe(u);

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

    DS_ASSERT(u->in_flight == 0);
    while (u->poll_armed || u->cancel_pending) {
        if (u->poll_armed && !u->cancel_pending)
            cancel_poll(u);
        wait_cqe(u, 10000000);
        drain(u, &none, 0);
    }
    DS_ASSERT(io_uring_sq_ready(&u->ring) == 0 && io_uring_cq_ready(&u->ring) == 0);
}

static void uring_close(void *self)
{
    struct uring *u = self;

    DS_ASSERT(u->in_flight == 0);
    io_uring_queue_exit(&u->ring);
    /* another back end may take over, and sleeps on the event in the ordinary way */
    if (u->made_eventfd && u->event->fd >= 0) {
        close(u->event->fd);
        u->event->fd = -1;
    }
    host_free(u->host, u, sizeof(*u));
}

const struct read_backend_ops read_uring_ops = {
    .name = "uring",
    .open = uring_open,
    .start = uring_start,
    .issue = uring_issue,
    .flush = uring_flush,
    .reap = uring_reap,
    .park = uring_park,
    .forget = uring_forget,
    .stop = uring_stop,
    .close = uring_close,
    .park_wakes_on_event = true,
};
