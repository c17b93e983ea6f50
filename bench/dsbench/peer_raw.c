/* io_uring alone: the disk's own limit on one thread. Nothing is copied on. */
#include "peer.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel registers at most 1 GiB as one buffer. */
#define REGISTER_BYTES ((uint64_t)1 << 30)

struct raw {
    struct peer_files files;
    struct sequence sequence;
    struct io_uring ring;
    bool has_ring;
    bool fixed_buffers;
    bool fixed_files;
    uint32_t depth;
    uint32_t slots_per_buffer;
    uint64_t memory_bytes;
    uint8_t *memory; /* depth slots of the request size */
    uint32_t *bytes; /* of the request in each slot */
};

static void raw_close(void *self)
{
    struct raw *r = self;

    if (r->has_ring)
        io_uring_queue_exit(&r->ring);
    memory_unmap(r->memory, r->memory_bytes);
    free(r->bytes);
    sequence_close(&r->sequence);
    peer_files_close(&r->files);
    free(r);
}

static int ring_open(struct raw *r)
{
    int error = -EINVAL;

#if defined(IORING_SETUP_SINGLE_ISSUER) && defined(IORING_SETUP_DEFER_TASKRUN)
    error = io_uring_queue_init(r->depth, &r->ring,
                                IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
#endif
    if (error == -EINVAL) /* before Linux 6.1 */
        error = io_uring_queue_init(r->depth, &r->ring, 0);
    r->has_ring = error == 0;
    return error;
}

/* Registration fails where memory may not be locked; then plain reads have to do. */
static void memory_register(struct raw *r)
{
    uint64_t buffer_bytes = r->slots_per_buffer * r->sequence.size;
    uint32_t n = (uint32_t)((r->memory_bytes + buffer_bytes - 1) / buffer_bytes);
    struct iovec *vectors = calloc(n, sizeof(*vectors));

    if (vectors == NULL)
        return;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = i * buffer_bytes;

        vectors[i].iov_base = r->memory + at;
        vectors[i].iov_len = min_u64(buffer_bytes, r->memory_bytes - at);
    }
    r->fixed_buffers = io_uring_register_buffers(&r->ring, vectors, n) == 0;
    free(vectors);
}

static int memory_open(struct peer_env *env, struct raw *r)
{
    uint64_t physical_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    r->memory_bytes = r->sequence.size * r->depth;
    r->slots_per_buffer = (uint32_t)min_u64(REGISTER_BYTES / r->sequence.size, r->depth);
    r->bytes = calloc(r->depth, sizeof(*r->bytes));
    if (r->memory_bytes <= physical_bytes / 2)
        r->memory = memory_map(r->memory_bytes, true);
    if (r->bytes == NULL || r->memory == NULL)
        return peer_skip(env, -ENOMEM, "too little memory for --depth times --size");
    memset(r->memory, 0, r->memory_bytes);
    return 0;
}

static int raw_open(struct peer_env *env, void **self)
{
    struct raw *r = calloc(1, sizeof(*r));
    int error;

    if (r == NULL)
        return peer_skip(env, -ENOMEM, "%s", strerror(ENOMEM));
    r->depth = env->workload->depth;
    error = peer_files_open(env, &r->files);
    if (error != 0)
        goto fail;
    error = sequence_open(&r->sequence, &env->session->inputs, env->workload, false);
    if (error != 0) {
        peer_skip(env, error, "a file is smaller than one request");
        goto fail;
    }
    error = memory_open(env, r);
    if (error != 0)
        goto fail;
    error = ring_open(r);
    if (error != 0) {
        peer_skip(env, error, "io_uring_queue_init: %s", strerror(-error));
        goto fail;
    }
    memory_register(r);
    r->fixed_files = io_uring_register_files(&r->ring, r->files.fds, r->files.n) == 0;
    *self = r;
    return 0;
fail:
    raw_close(r);
    return error;
}

static void slot_issue(struct raw *r, uint32_t slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring); /* the queue has `depth` entries */
    struct block block = sequence_next(&r->sequence);
    uint8_t *memory = r->memory + slot * r->sequence.size;
    int fd = r->fixed_files ? (int)block.file : r->files.fds[block.file];

    r->bytes[slot] = (uint32_t)block.bytes;
    if (r->fixed_buffers)
        io_uring_prep_read_fixed(sqe, fd, memory, (unsigned)block.bytes, block.offset,
                                 (int)(slot / r->slots_per_buffer));
    else
        io_uring_prep_read(sqe, fd, memory, (unsigned)block.bytes, block.offset);
    if (r->fixed_files)
        sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = slot;
}

static int raw_run(struct peer_env *env, void *self, struct measure *measure)
{
    struct raw *r = self;
    uint64_t start_cpu_ns = cpu_now_ns();
    uint64_t start_ns = now_ns();
    struct peer_limit limit = peer_limit_start(env->workload, start_ns);
    uint64_t issued = min_u64(r->depth, limit.requests_max);
    uint64_t in_flight = issued;
    int error = 0;

    *measure = (struct measure){0};
    for (uint32_t slot = 0; slot < issued; slot++)
        slot_issue(r, slot);
    while (in_flight > 0) {
        int submitted = io_uring_submit_and_wait(&r->ring, 1);
        bool goes_on = error == 0 && peer_goes_on(&limit, issued);
        struct io_uring_cqe *cqe;
        unsigned head, n = 0;

        if (submitted < 0 && submitted != -EINTR)
            return peer_skip(env, submitted, "io_uring_enter: %s", strerror(-submitted));
        io_uring_for_each_cqe(&r->ring, head, cqe)
        {
            uint32_t slot = (uint32_t)cqe->user_data;

            n++;
            in_flight--;
            if (cqe->res != (int)r->bytes[slot]) {
                error = cqe->res < 0 ? cqe->res : -ENODATA;
                goes_on = false;
                continue;
            }
            measure->requests++;
            measure->bytes += r->bytes[slot];
            if (!goes_on || issued == limit.requests_max)
                continue;
            slot_issue(r, slot);
            issued++;
            in_flight++;
        }
        io_uring_cq_advance(&r->ring, n);
    }
    measure->wall_ns = now_ns() - start_ns;
    measure->cpu_ns = cpu_now_ns() - start_cpu_ns;
    return error == 0 ? 0 : peer_skip(env, error, "a read failed: %s", strerror(-error));
}

const struct peer_ops peer_raw_ops = {
    .name = "raw",
    .only_reads = true,
    .open = raw_open,
    .run = raw_run,
    .close = raw_close,
};
