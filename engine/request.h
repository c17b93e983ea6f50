/* A slot of a queue: the request that was enqueued into it, and its progress. */
#ifndef ENGINE_REQUEST_H
#define ENGINE_REQUEST_H

#include "engine/base.h"

#include <stddef.h>

struct ds_file;
struct ds_queue;
struct image_target;

enum request_kind {
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_FLUSH,
    REQUEST_SIGNAL,      /* by the GPU */
    REQUEST_SIGNAL_HOST, /* a SIGNAL behind a notification of the host's, to keep their order */
    REQUEST_STATUS,
    REQUEST_EVENT,
};

struct request {
    /* Written by the producer, constant from the publication on. */
    uint64_t offset;     /* in the file */
    uint64_t size;
    uint8_t *host;       /* destination or source in host memory, or NULL; see SPECIAL_MAPPED */
    uint64_t gpu_buffer; /* VkBuffer; SIGNAL: VkSemaphore */
    uint64_t gpu_offset; /* SIGNAL: value */
    uint64_t user_data;
    struct ds_file *file;
    struct ds_queue *queue;

    /* The second line: progress. */
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
    union {
        uint32_t chunks_copied; /* copy stage; unused when there is one chunk */
        uint32_t kept_bytes;    /* with a codec, hence one chunk: see request_kept_bytes; 0 = all.
                                   The producer's */
    };
    uint32_t sequence;     /* in its queue, in the order of the enqueues; submit stage */
    uint32_t notice_epoch; /* as epoch, for the notifications by the complete stage */
    uint32_t life;         /* see request_life_begin */
    uint8_t align_shift;   /* log2 of the alignment of its disk transfers; submit stage */
    uint8_t direct : 1;    /* its transfers use O_DIRECT; submit stage */
    uint8_t in_place : 1;  /* straight from or to `host`; submit stage. A chunk of a mapped request
                              may go another way: see struct chunk */
    uint8_t small : 1;     /* in chunks of SMALL_BYTES; submit stage */
    uint8_t transform : 4; /* enum ds_codec_transform; the producer's, as codec */
    uint8_t codec;         /* enum ds_codec_format */
    uint8_t special;       /* a source, an address, an image, a codec, a mapping, a semaphore to
                              wait for: look below; the SPECIAL_ bits */

    /* The rarely needed: a plain request's stages do not touch this line, only its producer. */
    union {
        const uint8_t *source;         /* READ: memory instead of a file, or NULL */
        struct ds_status_array *array; /* STATUS; its index is `offset` */
    };
    uint64_t cancel_tag;   /* read by ds_queue_cancel at any time: atomic */
    const char *name;      /* the caller's */
    union {
        uint64_t gpu_address; /* of gpu_buffer's first byte, or what gpu_offset counts from; or 0 */
        uint32_t room_bytes;  /* with image, decoded: to move rows into; see image_whole_room */
    };
    struct image_target *image; /* READ into an image: the slot's record of it; else NULL */
    uint64_t wait_semaphore; /* VkSemaphore that must reach wait_value before it begins; or 0 */
    uint64_t wait_value;
    uint64_t unpacked_bytes; /* what the source decodes to; == size without a codec */
} CACHE_ALIGNED;

#define REQUEST_NONE UINT32_MAX

/* What an O_DIRECT descriptor that is no ds_file is taken to demand. */
#define REQUEST_FD_DIRECT_ALIGN 4096u

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

_Static_assert(sizeof(struct request) == 3 * CACHE_LINE, "a slot is three cache lines");
_Static_assert(offsetof(struct request, enqueued_ns) == CACHE_LINE &&
                   offsetof(struct request, source) == 2 * CACHE_LINE,
               "what a plain request needs fills two lines");

/* What the stages need of a plain request: the first line to read, the second to write too. */
static inline void request_prefetch(const struct request *request)
{
    prefetch_read(request);
    prefetch_write(&request->enqueued_ns);
}

static inline uint32_t request_align(const struct request *request)
{
    return 1u << request->align_shift;
}

/* A slot's life: generation << 2 | flags. The generation rises with every use of the slot, so that
 * a cancel that comes too late fails its compare-and-swap and cannot hit the next user (but for the
 * 2^30th after it). */
#define LIFE_BITS 2
#define LIFE_LIVE 1u
#define LIFE_CANCELLED 2u

/* request_life_begin: the slot is filled and about to be pushed. Release: pairs with the acquire in
 * ds_queue_cancel, which reads the tag. */
static inline void request_life_begin(struct request *request)
{
    uint32_t generation = (__atomic_load_n(&request->life, __ATOMIC_RELAXED) >> LIFE_BITS) + 1;

    __atomic_store_n(&request->life, generation << LIFE_BITS | LIFE_LIVE, __ATOMIC_RELEASE);
}

/* request_life_end: no cancel hits it from now on. One that comes between the load and the store is
 * overwritten: it was too late. */
static inline void request_life_end(struct request *request)
{
    uint32_t life = __atomic_load_n(&request->life, __ATOMIC_RELAXED);

    __atomic_store_n(&request->life, life & ~(LIFE_LIVE | LIFE_CANCELLED), __ATOMIC_RELAXED);
}

static inline bool request_is_cancelled(const struct request *request)
{
    return (__atomic_load_n(&request->life, __ATOMIC_RELAXED) & LIFE_CANCELLED) != 0;
}

/* `host` is where the destination in gpu_buffer is mapped. The producer's; the submit stage takes
 * it back, and `host` with it, when the request must go by way of staging. */
#define SPECIAL_MAPPED 2u

static inline bool request_is_mapped(const struct request *request)
{
    return (request->special & SPECIAL_MAPPED) != 0;
}

/* It has a codec: one chunk, decoded on its way. */
static inline bool request_is_packed(const struct request *request)
{
    return request->special && request->codec != 0;
}

/* With a codec: how many of the decoded bytes the destination receives, from the first on. */
static inline uint64_t request_kept_bytes(const struct request *request)
{
    return request->kept_bytes != 0 ? request->kept_bytes : request->unpacked_bytes;
}

/* With a codec: the destination has no room for the rest, so nothing may be decoded in it. */
static inline bool request_is_cut(const struct request *request)
{
    return request_kept_bytes(request) < request->unpacked_bytes;
}

/* The GPU decodes it, once its compressed bytes are staged. The producer's; where it may go either
 * way the decode stage's. */
#define SPECIAL_ON_GPU 4u

/* The decode stage decides whether the GPU decodes it or the CPU: staging has room for both. The
 * producer's. */
#define SPECIAL_EITHER 8u

static inline bool request_on_gpu(const struct request *request)
{
    return (request->special & SPECIAL_ON_GPU) != 0;
}

static inline bool request_goes_either_way(const struct request *request)
{
    return (request->special & SPECIAL_EITHER) != 0;
}

/* Fires in its place in the order, by the complete stage, and is no request of its epoch. */
static inline bool request_is_notice(const struct request *request)
{
    return request->kind == REQUEST_STATUS || request->kind == REQUEST_EVENT ||
           request->kind == REQUEST_SIGNAL_HOST;
}

#endif
