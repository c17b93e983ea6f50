/* Chunks that touch in the file and share one disk transfer. */
#include "stages/read_group.h"

#include "engine/request.h"

static bool same_descriptor(const struct chunk *a, const struct chunk *b)
{
    const struct request *ra = a->request, *rb = b->request;

    if (a->direct != b->direct || ra->file != rb->file)
        return false;
    return ra->file != NULL || ra->fd == rb->fd;
}

bool group_continues(const struct chunk *last, const struct chunk *next)
{
    return next->file_offset == last->file_offset + last->io_bytes && group_allows(next) &&
           same_descriptor(last, next);
}

uint32_t group_bytes(const struct chunk *first)
{
    uint32_t bytes = first->io_bytes - first->io_done;
    const struct chunk *chunk = first;

    while ((chunk = chunk_group_next(chunk)) != NULL)
        bytes += chunk->io_bytes;
    return bytes;
}

uint32_t group_vectors(const struct chunk *first, struct iovec *vectors)
{
    const struct chunk *chunk = first;
    uint32_t n = 0;

    vectors[0].iov_base = first->memory + first->io_done;
    vectors[0].iov_len = first->io_bytes - first->io_done;
    while ((chunk = chunk_group_next(chunk)) != NULL) {
        if ((uint8_t *)vectors[n].iov_base + vectors[n].iov_len == chunk->memory) {
            vectors[n].iov_len += chunk->io_bytes;
            continue;
        }
        n++;
        DS_ASSERT(n < CHUNK_GROUP_MAX);
        vectors[n].iov_base = chunk->memory;
        vectors[n].iov_len = chunk->io_bytes;
    }
    return n + 1;
}
