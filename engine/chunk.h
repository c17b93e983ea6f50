/* The message that flows through the stages: one piece of a request.
 *
 *   FREE -> READY -> IN_READ -> READ -> IN_COPY -> COPIED -> FREE      (read)
 *   a packed one goes READ -> IN_DECODE -> READ before it is copied
 *   a write from a GPU buffer goes round twice: first down to staging, then to the disk;
 *   so does a read into a mapping that the kernel cannot write to: the second time by staging
 *
 * Whoever popped a chunk from a ring owns it until the push into the next. Errors travel forward in
 * it; only the complete stage ends anything. */
#ifndef ENGINE_CHUNK_H
#define ENGINE_CHUNK_H

#include "engine/base.h"

struct request;

enum chunk_kind {
    CHUNK_READ,         /* disk -> memory (-> destination) */
    CHUNK_DOWNLOAD,     /* first lap of a write from a GPU buffer: buffer -> staging */
    CHUNK_WRITE,        /* memory -> disk */
    CHUNK_MEMORY,       /* caller's memory -> destination; becomes READ once it is in staging */
    CHUNK_FLUSH,        /* fdatasync */
    CHUNK_SIGNAL,       /* no data: a semaphore signal in its place in the order */
    CHUNK_NOTICE,       /* no data: a notification of the host's, likewise */
    CHUNK_AGAIN,        /* a READ that cannot go into its mapping, on its way back to submit */
};

enum chunk_state {
    CHUNK_FREE = 0,
    CHUNK_READY,   /* submit -> read */
    CHUNK_IN_READ, /* read owns it, the kernel may own its memory */
    CHUNK_DONE_READ,
    CHUNK_IN_DECODE,
    CHUNK_IN_COPY,
    CHUNK_DONE_COPY,
};

#define CHUNK_NO_ARENA UINT32_MAX

/* The largest disk transfer that is made of several chunks, bytes and chunks: beyond it the disk
 * gains nothing by a larger one, and has fewer to work on at once. The submit stage places chunks
 * that may share one side by side. */
#define CHUNK_GROUP_BYTES (64u << 10)
#define CHUNK_GROUP_MAX   64u

struct chunk {
    struct request *request;
    uint8_t *memory;          /* what the disk reads into or writes from */
    union {
        uint64_t file_offset; /* of memory[0]; until the copy is submitted */
        uint64_t ticket;      /* of the GPU submission; after that */
    };
    uint64_t request_offset;  /* of the first payload byte, in the request */
    uint32_t io_bytes;        /* bytes from file_offset on to transfer, alignment included */
    uint32_t io_done;         /* of these, how many are done */
    uint32_t payload_bytes;   /* after the read stage: bytes that came (short only if allowed) */
    uint32_t arena_unit;      /* first unit of the staging run, or CHUNK_NO_ARENA */
    uint8_t state;            /* enum chunk_state */
    uint8_t kind;             /* enum chunk_kind */
    uint8_t status;           /* enum ds_status; != DS_STATUS_OK: later stages skip their work */
    uint8_t direct : 1;       /* the disk transfer uses the file's O_DIRECT descriptor */
    uint8_t ordinary : 1;     /* counts towards the window of requests that are not REALTIME */
    uint8_t packed : 1;       /* a whole request with a codec, not decoded yet */
    uint8_t timed : 1;        /* a realtime transfer whose time is taken */
    uint8_t joins : 1;        /* goes on in the file where the one before it ends */
    uint8_t alone : 1;        /* shares no transfer: one that it shared has failed */
    uint8_t staged : 1;       /* of a mapped request, but goes by way of staging */
    uint8_t mapped : 1;       /* its bytes, or what they decode to, go straight into a mapping */
    union {
        int32_t error;        /* -errno, or the VkResult for DEVICE_LOST and VULKAN_ERROR */
        int32_t group_next;   /* in flight: chunks from this one to the next of its transfer in the
                                 chunks' table; 0 = it is the last. Read stage; AGAIN: submit */
    };
    uint64_t entered_ns;      /* when it entered the stage it is in */
};

_Static_assert(sizeof(struct chunk) == CACHE_LINE, "a chunk is one cache line");

static inline void chunk_advance(struct chunk *chunk, enum chunk_state from, enum chunk_state to)
{
    DS_ASSERT(chunk->state == from);
    chunk->state = (uint8_t)to;
}

/* The chunk behind this one in their shared transfer, or NULL. Distances are counted in bytes: the
 * compiler must not assume that the chunks of a test are in one array. */
static inline struct chunk *chunk_group_next(const struct chunk *chunk)
{
    intptr_t bytes = (intptr_t)chunk->group_next * (intptr_t)sizeof(*chunk);

    return bytes != 0 ? (struct chunk *)((uintptr_t)chunk + (uintptr_t)bytes) : NULL;
}

static inline void chunk_group_link(struct chunk *chunk, const struct chunk *next)
{
    intptr_t bytes = (intptr_t)((uintptr_t)next - (uintptr_t)chunk);

    DS_ASSERT(bytes % (intptr_t)sizeof(*chunk) == 0);
    chunk->group_next = (int32_t)(bytes / (intptr_t)sizeof(*chunk));
}

/* chunk_fail keeps the first error. */
static inline void chunk_fail(struct chunk *chunk, enum ds_status status, int32_t error)
{
    if (chunk->status == DS_STATUS_OK) {
        chunk->status = (uint8_t)status;
        chunk->error = error;
    }
}

#endif
