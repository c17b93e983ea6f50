/* Which chunks go on in a file where the chunk before them ends. These go to the same read lane,
 * and into staging right behind each other where it is free, so that one disk transfer can fill
 * them all (stages/read_group.h). */
#ifndef STAGES_JOIN_H
#define STAGES_JOIN_H

#include "engine/arena.h"
#include "engine/chunk.h"
#include "engine/request.h"

/* The last chunk that was sent, as far as a successor must know it. */
struct join {
    uint64_t file_end;         /* where it ends in the file; JOIN_NOWHERE = nothing can join it */
    const struct ds_file *file;
    int32_t fd;                /* file NULL */
    uint32_t bytes;            /* of it and of those before it that it joined */
    uint32_t arena_unit;       /* its staging, or CHUNK_NO_ARENA if it has none any more */
    bool direct;
};

#define JOIN_NOWHERE UINT64_MAX

static inline void join_init(struct join *join)
{
    *join = (struct join){.file_end = JOIN_NOWHERE, .arena_unit = CHUNK_NO_ARENA};
}

/* Does the chunk touch the last one in its file? `r` is its request. */
static inline bool join_touches(const struct join *join, const struct chunk *chunk,
                                const struct request *r)
{
    return chunk->file_offset == join->file_end && chunk->kind == CHUNK_READ &&
           r->file == join->file && (r->file != NULL || r->fd == join->fd) &&
           (chunk->direct != 0) == join->direct;
}

/* join_check sets chunk->joins. */
static inline void join_check(const struct join *join, struct chunk *chunk, const struct request *r)
{
    if (join_touches(join, chunk, r) && join->bytes + chunk->io_bytes <= CHUNK_GROUP_BYTES)
        chunk->joins = 1;
}

/* join_place_near takes staging for a chunk that joins, or that is the first of a new group in a
 * row: what joins it shall find room. */
uint32_t join_place_near(const struct join *join, struct arena *arena, const struct chunk *chunk,
                         uint32_t units, uint32_t unit_shift);

/* join_place takes `units` of staging for a chunk that was checked, or returns ARENA_NONE. */
static inline uint32_t join_place(const struct join *join, struct arena *arena,
                                  const struct chunk *chunk, uint32_t units, uint32_t unit_shift)
{
    return chunk->joins || chunk->file_offset == join->file_end
               ? join_place_near(join, arena, chunk, units, unit_shift)
               : arena_take(arena, units);
}

/* join_sent: the chunk is the last one now. */
static inline void join_sent(struct join *join, const struct chunk *chunk)
{
    const struct request *r = chunk->request;

    if (chunk->kind != CHUNK_READ || chunk->status != DS_STATUS_OK) {
        join->file_end = JOIN_NOWHERE;
        return;
    }
    join->bytes = chunk->io_bytes + (chunk->joins ? join->bytes : 0);
    join->file_end = chunk->file_offset + chunk->io_bytes;
    join->file = r->file;
    join->fd = r->fd;
    join->direct = chunk->direct;
    join->arena_unit = chunk->arena_unit;
}

/* join_returned: this chunk's staging is about to be given back. */
static inline void join_returned(struct join *join, const struct chunk *chunk)
{
    if (chunk->arena_unit == join->arena_unit)
        join->arena_unit = CHUNK_NO_ARENA;
}

#endif
