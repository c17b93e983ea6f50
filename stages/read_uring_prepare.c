/* Entries for the kernel: which operation, with which file and memory. */
#include "stages/read_group.h"
#include "stages/read_uring.h"

#include "engine/request.h"

bool prepare_pieces(const struct uring *u, struct channel *channel, const struct chunk *first,
                    struct pieces *pieces)
{
    *pieces = (struct pieces){0};
    if (first->group_next == 0)
        return true;
    if (io_uring_sq_ready(&channel->ring) == 0)
        channel->vectors_n = 0;
    if (channel->vectors_n > u->depth)
        return false;
    pieces->vectors = &channel->vectors[channel->vectors_n];
    pieces->n = group_vectors(first, pieces->vectors);
    if (pieces->n > 1)
        channel->vectors_n += pieces->n;
    return true;
}

static void prepare_one(const struct uring *u, const struct channel *channel,
                        struct io_uring_sqe *sqe, struct chunk *chunk, uint8_t *memory,
                        uint64_t bytes)
{
    uint64_t offset = chunk->file_offset + chunk->io_done;
    bool is_write = chunk->kind == CHUNK_WRITE;
    int op = is_write ? IORING_OP_WRITE : IORING_OP_READ;
    int slice;

    bytes = min_u64(bytes, SLICE_BYTES);
    slice = tables_buffer(u, channel, memory, bytes);
    if (slice >= 0)
        op = is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
    io_uring_prep_rw(op, sqe, chunk_fd(chunk), memory, (unsigned)bytes, offset);
    if (slice >= 0)
        sqe->buf_index = (uint16_t)slice;
}

/* A group goes by READV only where its memory is in pieces: the kernel pins the pages of these for
 * each transfer. */
static void prepare_transfer(struct uring *u, struct channel *channel, struct io_uring_sqe *sqe,
                             struct chunk *chunk, const struct pieces *pieces)
{
    int file = tables_file(u, channel, chunk);

    if (pieces->n > 1)
        io_uring_prep_readv(sqe, chunk_fd(chunk), pieces->vectors, pieces->n, chunk->file_offset);
    else if (pieces->n == 1)
        prepare_one(u, channel, sqe, chunk, pieces->vectors->iov_base, pieces->vectors->iov_len);
    else
        prepare_one(u, channel, sqe, chunk, chunk->memory + chunk->io_done,
                    chunk->io_bytes - chunk->io_done);
    if (file >= 0) {
        sqe->fd = file;
        sqe->flags |= IOSQE_FIXED_FILE;
    }
}

void prepare_chunk(struct uring *u, struct channel *channel, struct io_uring_sqe *sqe,
                   struct chunk *chunk, const struct pieces *pieces)
{
    if (chunk->kind == CHUNK_FLUSH) /* it has no memory */
        io_uring_prep_fsync(sqe, chunk_fd(chunk), IORING_FSYNC_DATASYNC);
    else
        prepare_transfer(u, channel, sqe, chunk, pieces);
    kernel_takes(chunk);
}
