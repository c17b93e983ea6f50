/* A slot of a queue: the request that was enqueued into it, and its progress. */
#ifndef ENGINE_REQUEST_H
#define ENGINE_REQUEST_H

#include "engine/base.h"

struct ds_file;
struct ds_queue;

enum request_kind { REQUEST_READ, REQUEST_WRITE, REQUEST_SIGNAL };

struct request {
    /* Written by the producer, constant from the publication on. */
    uint64_t offset;     /* in the file */
    uint64_t size;
    uint8_t *host;       /* destination or source in host memory, or NULL */
    uint64_t gpu_buffer; /* VkBuffer; SIGNAL: VkSemaphore */
    uint64_t gpu_offset; /* SIGNAL: value */
    uint64_t user_data;
    struct ds_file *file;
    struct ds_queue *queue;

    uint64_t enqueued_ns;
    uint32_t next;       /* index of a slot, in the list of free ones or of pushed ones */
    int32_t fd;          /* used when file is NULL */
    uint8_t kind;        /* enum request_kind */
    uint8_t flags;       /* enum ds_request_flags */
    uint8_t fd_direct;   /* fd was opened with O_DIRECT */
    uint8_t status;      /* enum ds_status, of the first failed chunk; complete stage */
    int32_t error;       /* as in struct chunk; complete stage */

    uint32_t chunks_total; /* submit stage, before the first chunk is pushed */
    uint32_t chunks_done;  /* complete stage */
    union {
        struct request *newer; /* in the intake; submit stage */
        uint64_t bytes_done;   /* complete stage */
    };
    uint32_t epoch;        /* signals enqueued before it; submit stage */
    uint32_t align;        /* of its disk transfers; submit stage */
    uint8_t direct;        /* its transfers use O_DIRECT; submit stage */
    uint8_t in_place;      /* straight from or to `host`; submit stage */
    uint32_t chunks_copied; /* copy stage */
} CACHE_ALIGNED;

#define REQUEST_NONE UINT32_MAX

/* 8 TiB: its chunks can be counted in 32 bits, however small they are (4 KiB). */
#define REQUEST_BYTES_MAX ((uint64_t)1 << 43)

/* Links are read by threads that may lose the race for the slot: hence atomic. */
static inline uint32_t request_next_slot(const struct request *request)
{
    return __atomic_load_n(&request->next, __ATOMIC_RELAXED);
}

static inline void request_set_next(struct request *request, uint32_t next)
{
    __atomic_store_n(&request->next, next, __ATOMIC_RELAXED);
}

_Static_assert(sizeof(struct request) == 2 * CACHE_LINE, "a slot is two cache lines");

#endif
