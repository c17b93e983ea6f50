/* Chunks that touch in the file and share one disk transfer.
 *
 * The stage links them, in file order, for as long as the transfer is in flight; its back end moves
 * the bytes of all of them and knows the transfer by the first chunk. A chunk alone is a group of
 * one. Only whole chunks are grouped: none whose transfer has begun. */
#ifndef STAGES_READ_GROUP_H
#define STAGES_READ_GROUP_H

#include "engine/chunk.h"

#include <sys/uio.h>

/* group_continues: may `next` share a transfer whose last chunk is `last`? Both are whole. */
bool group_continues(const struct chunk *last, const struct chunk *next);

/* May this chunk share a transfer at all? */
static inline bool group_allows(const struct chunk *chunk)
{
    return chunk->kind == CHUNK_READ && chunk->io_done == 0 && !chunk->alone;
}

/* Bytes that the transfer is to move. */
uint32_t group_bytes(const struct chunk *first);

/* group_vectors describes the memory of the transfer in as few pieces as there are, at most
 * CHUNK_GROUP_MAX, and returns how many. */
uint32_t group_vectors(const struct chunk *first, struct iovec *vectors);

#endif
