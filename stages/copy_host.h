/* The host half of the copy stage: what the CPU copies. */
#ifndef STAGES_COPY_HOST_H
#define STAGES_COPY_HOST_H

#include "engine/chunk.h"

/* copy_host_payload moves a chunk's payload from staging to its request's host memory. */
void copy_host_payload(const struct chunk *chunk);

/* copy_host_source moves the payload of a CHUNK_MEMORY from its request's source to the chunk's
 * memory: the destination itself, or staging, from where it goes on like any other read. */
void copy_host_source(struct chunk *chunk);

#endif
