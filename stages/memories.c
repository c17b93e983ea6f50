/* ds_memory_*: the application's memory that is registered with every lane. */
#include "stages/read_order.h"
#include "stages/runtime.h"

#include <errno.h>
#include <string.h>

_Static_assert(DS_MEMORY_PIECES_MAX == 64, "a bit of one word for each");

static uint64_t pieces_mask(const struct ds_memory *memory)
{
    uint64_t n = memory->pieces_n;

    return (n == 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1) << memory->first_piece;
}

/* Finds a place for its pieces, side by side. The caller holds `control`. */
static int pieces_place(const struct ds_engine *engine, struct ds_memory *memory)
{
    uint64_t used = 0;

    if (memory->pieces_n > DS_MEMORY_PIECES_MAX)
        return -ENOSPC;
    for (const struct ds_memory *other = engine->memories; other != NULL; other = other->next)
        used |= pieces_mask(other);
    for (memory->first_piece = 0; memory->first_piece + memory->pieces_n <= DS_MEMORY_PIECES_MAX;
         memory->first_piece++) {
        if ((used & pieces_mask(memory)) == 0)
            return 0;
    }
    return -ENOSPC;
}

/* Enters it into the engine's list, for engines that are made anew. */
static int memory_enlist(struct ds_engine *engine, struct ds_memory *memory)
{
    int rc;

    pthread_mutex_lock(&engine->control);
    rc = engine->broken ? -ENOMEM : pieces_place(engine, memory);
    if (rc == 0) {
        memory->next = engine->memories;
        engine->memories = memory;
    }
    pthread_mutex_unlock(&engine->control);
    if (rc == -ENOSPC)
        host_log(&engine->host, DS_LOG_WARNING,
                 "an engine registers at most %d pieces of %d GiB; unregister some, or make "
                 "another engine", DS_MEMORY_PIECES_MAX, (int)(MEMORY_PIECE_BYTES >> 30));
    return rc;
}

static void memory_strike(struct ds_engine *engine, const struct ds_memory *memory)
{
    struct ds_memory **at = &engine->memories;

    pthread_mutex_lock(&engine->control);
    while (*at != memory)
        at = &(*at)->next;
    *at = memory->next;
    pthread_mutex_unlock(&engine->control);
}

static void memory_unpin(struct ds_engine *engine, const struct ds_memory *memory)
{
    for (uint32_t i = 0; i < engine->lanes_n; i++) {
        if (engine->lanes[i].backend != NULL)
            read_unpin(&engine->lanes[i], memory, &engine->lane_workers[i]->event);
    }
}

static const char *refusal_cause(int error)
{
    switch (error) {
    case -ENOTSUP: /* EOPNOTSUPP is the same number */
        return "reads do not go by io_uring, Linux before 5.19, or a file's or a device's memory";
    case -EFAULT:
        return "not all of it is mapped and writable, or it is a file's or a device's";
    case -ENOMEM:
        return "RLIMIT_MEMLOCK (ulimit -l), for each read lane, or memory is short";
    default:
        return "no known cause";
    }
}

/* 0, or -errno with none of the lanes changed, and logged. */
static int memory_pin(struct ds_engine *engine, const struct ds_memory *memory)
{
    int rc = 0;

    for (uint32_t i = 0; i < engine->lanes_n && rc == 0; i++)
        rc = read_pin(&engine->lanes[i], memory, &engine->lane_workers[i]->event);
    if (rc == 0)
        return 0;
    memory_unpin(engine, memory);
    host_log(&engine->host, DS_LOG_WARNING, "%llu bytes at %p are not registered: %s; %s",
             (unsigned long long)memory->bytes, (void *)memory->begin, strerror(-rc),
             refusal_cause(rc));
    return rc;
}

void memories_pin_again(struct ds_engine *engine)
{
    for (struct ds_memory *memory = engine->memories; memory != NULL; memory = memory->next)
        memory_pin(engine, memory); /* refused: its transfers go the longer way */
}

int ds_memory_register(struct ds_engine *engine, void *memory, uint64_t bytes,
                       struct ds_memory **out)
{
    struct ds_memory *m;
    int rc;

    if (memory == NULL || bytes == 0 || bytes > UINTPTR_MAX - (uintptr_t)memory)
        return -EINVAL;
    m = host_calloc(&engine->host, 1, sizeof(*m));
    if (m == NULL)
        return -ENOMEM;
    m->engine = engine;
    m->begin = memory;
    m->bytes = bytes;
    m->pieces_n = (uint32_t)min_u64((bytes - 1) / MEMORY_PIECE_BYTES + 1, UINT32_MAX);
    rc = memory_enlist(engine, m);
    if (rc == 0) {
        rc = memory_pin(engine, m);
        if (rc != 0)
            memory_strike(engine, m);
    }
    if (rc != 0)
        host_free(&engine->host, m, sizeof(*m));
    else
        *out = m;
    return rc;
}

void ds_memory_unregister(struct ds_memory **handle)
{
    struct ds_memory *memory = *handle;
    struct ds_engine *engine;

    if (memory == NULL)
        return;
    *handle = NULL;
    engine = memory->engine;
    memory_unpin(engine, memory);
    memory_strike(engine, memory);
    host_free(&engine->host, memory, sizeof(*memory));
}
