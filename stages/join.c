/* Which chunks go on in a file where the chunk before them ends. */
#include "stages/join.h"

#include "engine/request.h"

void join_check(const struct join *join, struct chunk *chunk)
{
    const struct request *r = chunk->request;

    chunk->joins = chunk->file_offset == join->file_end && chunk->kind == CHUNK_READ &&
                   r->file == join->file && (r->file != NULL || r->fd == join->fd) &&
                   (chunk->direct != 0) == join->direct &&
                   join->bytes + chunk->io_bytes <= CHUNK_GROUP_BYTES;
}

/* The first of a new group in a row: what joins it shall find room. */
static bool begins_group(const struct join *join, const struct chunk *chunk)
{
    return chunk->file_offset == join->file_end && chunk->io_bytes <= CHUNK_GROUP_BYTES / 2;
}

uint32_t join_place(const struct join *join, struct arena *arena, const struct chunk *chunk,
                    uint32_t units, uint32_t unit_shift)
{
    uint32_t unit = ARENA_NONE;

    if (chunk->joins && join->arena_unit != CHUNK_NO_ARENA)
        unit = arena_take_after(arena, join->arena_unit, units);
    if (unit != ARENA_NONE)
        return unit;
    if (chunk->joins || begins_group(join, chunk))
        return arena_take_roomy(arena, units, CHUNK_GROUP_BYTES >> unit_shift);
    return arena_take(arena, units);
}

void join_sent(struct join *join, const struct chunk *chunk)
{
    if (chunk->kind != CHUNK_READ || chunk->status != 0) {
        join->file_end = JOIN_NOWHERE;
        return;
    }
    join->bytes = chunk->io_bytes + (chunk->joins ? join->bytes : 0);
    join->file_end = chunk->file_offset + chunk->io_bytes;
    join->file = chunk->request->file;
    join->fd = chunk->request->fd;
    join->direct = chunk->direct;
    join->arena_unit = chunk->arena_unit;
}
