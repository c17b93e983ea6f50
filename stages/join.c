/* Where chunks lie that go on in a file where the chunk before them ends. */
#include "stages/join.h"

uint32_t join_place_near(const struct join *join, struct arena *arena, const struct chunk *chunk,
                         uint32_t units, uint32_t unit_shift)
{
    uint32_t unit = ARENA_NONE;

    if (chunk->joins && join->arena_unit != CHUNK_NO_ARENA)
        unit = arena_take_after(arena, join->arena_unit, units);
    if (unit != ARENA_NONE)
        return unit;
    if (chunk->joins || chunk->io_bytes <= CHUNK_GROUP_BYTES / 2)
        return arena_take_roomy(arena, units, CHUNK_GROUP_BYTES >> unit_shift);
    return arena_take(arena, units);
}
