/* Memory of the application's that the lanes have registered (ds/memory.h). */
#ifndef ENGINE_MEMORY_H
#define ENGINE_MEMORY_H

#include "engine/base.h"

#include <ds/memory.h>

/* What one entry of the kernel's table of buffers holds at most. */
#define MEMORY_PIECE_BYTES ((uint64_t)1 << 30)

struct ds_memory {
    struct ds_engine *engine;
    uint8_t *begin;
    uint64_t bytes;
    uint32_t pieces_n;
    uint32_t first_piece; /* 0..DS_MEMORY_PIECES_MAX-1, the same in every lane */
    struct ds_memory *next; /* of the engine's */
};

#endif
