/* Which chunks go on in a file where the chunk before them ends. These go to the same read lane,
 * and into staging right behind each other where it is free, so that one disk transfer can fill
 * them all (stages/read_group.h). */
#ifndef STAGES_JOIN_H
#define STAGES_JOIN_H

#include "engine/arena.h"
#include "engine/chunk.h"

struct ds_file;

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

/* join_check sets chunk->joins. */
void join_check(const struct join *join, struct chunk *chunk);

/* join_place takes `units` of staging for a chunk that was checked, or returns ARENA_NONE. */
uint32_t join_place(const struct join *join, struct arena *arena, const struct chunk *chunk,
                    uint32_t units, uint32_t unit_shift);

/* join_sent: the chunk is the last one now. */
void join_sent(struct join *join, const struct chunk *chunk);

/* join_returned: this chunk's staging is about to be given back. */
static inline void join_returned(struct join *join, const struct chunk *chunk)
{
    if (chunk->arena_unit == join->arena_unit)
        join->arena_unit = CHUNK_NO_ARENA;
}

#endif
