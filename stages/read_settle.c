/* Judging the results of transfers: short ones, retries, the end of a file, errno to status. */
#include "stages/read_settle.h"

#include "engine/request.h"
#include "engine/write_combined.h"

#include <ds/queue.h>

/* What a raw O_DIRECT descriptor is taken to demand: nobody asked statx about it. */
#define RAW_DIRECT_ALIGN 4096

static uint32_t chunk_align(const struct chunk *chunk)
{
    const struct ds_file *file = chunk->request->file;

    if (!chunk->direct)
        return 1;
    return file != NULL ? file->offset_align : RAW_DIRECT_ALIGN;
}

/* Where in [0, io_bytes) the payload begins: after the bytes read for alignment only. */
static uint64_t payload_start(const struct chunk *chunk)
{
    return chunk->request->offset + chunk->request_offset - chunk->file_offset;
}

static bool is_covered(const struct chunk *chunk)
{
    /* all of a write; of a read, the alignment's tail may lie beyond the end of the file */
    return chunk->io_done >= payload_start(chunk) + chunk->payload_bytes;
}

static enum ds_status status_from_errno(int error, bool is_write)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return DS_STATUS_NO_SPACE;
    case EROFS:
    case EBADF:
    case EPERM: /* an immutable file, a sealed memfd */
        return is_write ? DS_STATUS_READ_ONLY : DS_STATUS_IO_ERROR;
    case EFAULT:
        return DS_STATUS_ACCESS_VIOLATION;
    case ENOMEM:
        return DS_STATUS_NO_MEMORY;
    default:
        return DS_STATUS_IO_ERROR;
    }
}

static void fail(struct read_stage *stage, struct chunk *chunk, enum ds_status status, int error)
{
    chunk_fail(chunk, status, error);
    STAT_ADD(stage->stats.counters.errors, 1);
}

/* The settle_ functions answer as read_settle does. */

static bool settle_end_of_file(struct read_stage *stage, struct chunk *chunk)
{
    uint64_t start = payload_start(chunk);

    if (chunk->kind == CHUNK_WRITE) {
        fail(stage, chunk, DS_STATUS_IO_ERROR, -EIO); /* a write that moves nothing */
    } else if ((chunk->request->flags & DS_REQUEST_ALLOW_SHORT) == 0) {
        fail(stage, chunk, DS_STATUS_END_OF_FILE, 0);
    } else {
        uint64_t came = chunk->io_done > start ? chunk->io_done - start : 0;

        chunk->payload_bytes = (uint32_t)min_u64(came, chunk->payload_bytes);
    }
    return true;
}

static bool settle_bytes(struct read_stage *stage, struct chunk *chunk, uint32_t bytes)
{
    uint32_t begin = chunk->io_done;
    uint32_t align = chunk_align(chunk);

    DS_ASSERT(bytes <= chunk->io_bytes - begin);
    chunk->io_done = begin + bytes;
    if (chunk->io_done == chunk->io_bytes && bytes > 0)
        return true; /* all of it, without a look at the request */
    if (is_covered(chunk))
        return true;
    if (bytes == 0)
        return settle_end_of_file(stage, chunk);
    if (chunk->io_done % align == 0)
        return false;
    /* A direct transfer that ended within a block: the end of the file, most likely. The page cache
     * knows, without going to the disk, and takes the rest if it is not. */
    if (chunk->request->file != NULL) {
        chunk->direct = 0;
        return false;
    }
    /* a raw descriptor has no such twin: read the block again, unless there is nothing new in it */
    chunk->io_done = (uint32_t)align_down_u64(chunk->io_done, align);
    if (chunk->io_done != begin)
        return false;
    chunk->io_done += bytes;
    return settle_end_of_file(stage, chunk);
}

static bool settle_refused_direct(struct read_stage *stage, struct chunk *chunk)
{
    struct ds_file *file = chunk->request->file;

    if (!atomic_exchange_explicit(&file->direct_refused, true, memory_order_relaxed))
        host_log(stage->host, DS_LOG_WARNING,
                 "%s: EINVAL on an aligned O_DIRECT transfer (memory %u, offset %u); "
                 "the file is buffered from now on",
                 stage->backend->name, file->memory_align, file->offset_align);
    chunk->direct = 0;
    return false;
}

/* The memory may be such as the kernel cannot write to, and there is another way. */
static bool is_mapped_destination(const struct chunk *chunk)
{
    return chunk->mapped && !chunk->packed && chunk->kind == CHUNK_READ;
}

static bool settle_error(struct read_stage *stage, struct chunk *chunk, int error)
{
    switch (error) {
    case EINTR:
    case EAGAIN:
    case ECANCELED: /* the thread that issued it ended (MANUAL), and its kernel worker with it */
        return false;
    case EINVAL:
        if (chunk->direct && chunk->request->file != NULL)
            return settle_refused_direct(stage, chunk);
        break;
    case EFAULT:
        if (is_mapped_destination(chunk)) {
            chunk->kind = CHUNK_AGAIN;
            return true;
        }
        break;
    }
    fail(stage, chunk, status_from_errno(error, chunk->kind != CHUNK_READ), -error);
    return true;
}

bool read_settle(struct read_stage *stage, struct chunk *chunk, int64_t result)
{
    bool finished;

    DS_ASSERT(chunk->state == CHUNK_IN_READ);
    finished = result >= 0 ? settle_bytes(stage, chunk, (uint32_t)result)
                           : settle_error(stage, chunk, (int)-result);
    if (!finished)
        STAT_ADD(stage->stats.counters.retries, 1);
    else if (UNLIKELY(chunk->mapped)) /* written by this thread; others flush for themselves */
        write_combined_flush();
    return finished;
}
