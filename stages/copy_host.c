/* memcpy, in its place. */
#include "stages/copy_host.h"

#include "engine/request.h"
#include "engine/write_combined.h"

#include <string.h>

void copy_host_payload(const struct chunk *chunk)
{
    const struct request *r = chunk->request;
    uint64_t payload_offset = r->offset + chunk->request_offset - chunk->file_offset;

    memcpy(r->host + chunk->request_offset, chunk->memory + payload_offset, chunk->payload_bytes);
}

void copy_host_source(struct chunk *chunk)
{
    const struct request *r = chunk->request;

    memcpy(chunk->memory, r->source + chunk->request_offset, chunk->payload_bytes);
    if (chunk->mapped)
        write_combined_flush();
    chunk->kind = CHUNK_READ;
}
