/* ds_archive_request: which requests bring a range of a packed file. */
#include "engine/base.h"

#include <ds/archive.h>
#include <errno.h>

/* A range on its way to becoming requests. */
struct plan {
    const struct ds_request *base;
    struct ds_request *requests;
    uint32_t max;
    uint32_t n;             /* needed so far */
    uint64_t file_end;      /* in the archive, of the last request, when it can grow; else 0 */
    uint64_t content_begin; /* of the range */
    const char *name;
};

static int base_check(const struct ds_request *base)
{
    if (base == NULL || base->struct_size != sizeof(*base) || base->op != DS_OP_READ ||
        base->codec != 0 || base->transform != 0 || base->uncompressed_size != 0 ||
        base->destination_bytes != 0)
        return -EINVAL;
    return 0;
}

/* The next request: `size` bytes at `offset` in the archive, for content from content_at on. */
static void request_add(struct plan *plan, uint64_t offset, uint64_t size, uint64_t content_at,
                        const struct ds_archive_chunk *chunk)
{
    uint64_t ahead = content_at - plan->content_begin;
    struct ds_request *request;

    if (plan->n++ >= plan->max)
        return;
    request = &plan->requests[plan->n - 1];
    *request = *plan->base;
    request->offset = plan->base->source != NULL ? 0 : offset;
    request->size = size;
    if (plan->base->source != NULL)
        request->source = (const uint8_t *)plan->base->source + offset;
    if (plan->base->host != NULL)
        request->host = (uint8_t *)plan->base->host + ahead;
    else
        request->gpu_offset = plan->base->gpu_offset + ahead;
    if (request->name == NULL)
        request->name = plan->name;
    if (chunk->codec != DS_ARCHIVE_STORED) {
        request->codec = chunk->codec;
        request->transform = chunk->transform;
        request->uncompressed_size = chunk->content_bytes;
    }
}

/* Stored chunks that follow each other in the archive are one request. */
static void stored_add(struct plan *plan, const struct ds_archive_chunk *chunk,
                       uint64_t chunk_begin, uint64_t from, uint64_t to)
{
    uint64_t offset = chunk->offset + (from - chunk_begin);

    if (plan->file_end == offset && plan->n != 0) {
        if (plan->n <= plan->max)
            plan->requests[plan->n - 1].size += to - from;
    } else {
        request_add(plan, offset, to - from, from, chunk);
    }
    plan->file_end = offset + (to - from);
}

static int chunk_add(struct plan *plan, const struct ds_archive_chunk *chunk,
                     uint64_t chunk_begin, uint64_t begin, uint64_t end)
{
    uint64_t chunk_end = chunk_begin + chunk->content_bytes;
    uint64_t from = max_u64(begin, chunk_begin), to = min_u64(end, chunk_end);

    if (chunk->codec == DS_ARCHIVE_STORED) {
        stored_add(plan, chunk, chunk_begin, from, to);
        return 0;
    }
    if (from != chunk_begin || to != chunk_end)
        return -EINVAL;
    request_add(plan, chunk->offset, chunk->stored_bytes, from, chunk);
    plan->file_end = 0;
    return 0;
}

int ds_archive_request(const struct ds_archive *archive, uint32_t index, uint64_t offset,
                       uint64_t bytes, const struct ds_request *base, struct ds_request *requests,
                       uint32_t max)
{
    struct ds_archive_entry entry = {.struct_size = sizeof(entry)};
    struct ds_archive_chunk chunk = {.struct_size = sizeof(chunk)};
    struct plan plan = {.base = base, .requests = requests, .max = max, .content_begin = offset};
    int rc = base_check(base);

    if (rc != 0 || (requests == NULL && max != 0))
        return -EINVAL;
    if (ds_archive_get_entry(archive, index, &entry) != 0 || offset > entry.content_bytes)
        return -ERANGE;
    if (bytes == DS_ARCHIVE_WHOLE)
        bytes = entry.content_bytes - offset;
    if (bytes > entry.content_bytes - offset)
        return -ERANGE;
    if (bytes == 0)
        return 0;
    plan.name = entry.name;
    for (uint64_t at = offset / entry.chunk_bytes; at * entry.chunk_bytes < offset + bytes; at++) {
        ds_archive_get_chunk(archive, entry.chunk_first + (uint32_t)at, &chunk);
        rc = chunk_add(&plan, &chunk, at * entry.chunk_bytes, offset, offset + bytes);
        if (rc != 0)
            return rc;
    }
    return base->image_target != NULL && plan.n > 1 ? -E2BIG : (int)plan.n;
}
