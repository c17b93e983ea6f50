/* The ring for direct transfers whose completion is asked for at the device (IOPOLL).
 *
 * Such a ring takes nothing but reads and writes of files with O_DIRECT, and whether a device polls
 * shows at the first transfer only: the kernel makes the ring in any case, and then answers
 * EOPNOTSUPP. So files go by this ring until one of their transfers is refused. */
#include "stages/read_uring.h"
#include "stages/read_uring_setup.h"

#include "engine/request.h"

#include <errno.h>

static void polled_free(struct uring *u)
{
    if (u->polled != NULL)
        host_free(u->host, u->polled->vectors, uring_vectors_max(u->depth) * sizeof(struct iovec));
    host_free(u->host, u->polled, sizeof(*u->polled));
    u->polled = NULL;
}

int polled_open(struct uring *u, const struct read_backend_config *config)
{
    int rc;

    u->polled = host_calloc(u->host, 1, sizeof(*u->polled));
    if (u->polled == NULL)
        return -ENOMEM;
    u->polled->vectors = host_calloc(u->host, uring_vectors_max(u->depth), sizeof(struct iovec));
    if (u->polled->vectors == NULL) {
        polled_free(u);
        return -ENOMEM;
    }
    rc = uring_setup_polled(&u->polled->ring, config);
    if (rc == 0)
        return 0;
    host_log(u->host, DS_LOG_WARNING,
             "io_uring: no ring with IOPOLL: %s; uring_poll has no effect",
             uring_error_name(-rc));
    polled_free(u);
    return 0;
}

void polled_close(struct uring *u)
{
    if (u->polled == NULL)
        return;
    DS_ASSERT(u->polled->in_flight == 0);
    io_uring_queue_exit(&u->polled->ring);
    polled_free(u);
}

bool polled_takes(const struct uring *u, const struct chunk *chunk)
{
    const struct ds_file *file = chunk->request->file;

    return u->polled != NULL && chunk->direct != 0 && chunk->kind != CHUNK_FLUSH && file != NULL &&
           u->unpolled[file->slot] != file->generation;
}

void polled_refused(struct uring *u, const struct chunk *chunk)
{
    const struct ds_file *file = chunk->request->file;

    u->unpolled[file->slot] = file->generation;
    /* relaxed: a flag for whoever asks, which orders nothing */
    if (!atomic_exchange_explicit(&u->info->iopoll, false, memory_order_relaxed))
        return;
    host_log(u->host, DS_LOG_WARNING,
             "io_uring: IOPOLL: EOPNOTSUPP for the first file; its device has no queues to poll "
             "(nvme.poll_queues, /sys/block/*/queue/io_poll), and is waited for by interrupt");
}
