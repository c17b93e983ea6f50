/* A chunk that is being decoded: its items, which any threads decode in any order.
 *
 *   begin -> tickets -> end
 *
 * The items of GDeflate are its tiles of 64 KiB; for the other codecs there is one. Of a memory
 * source that the GPU decodes they are pieces of 64 KiB, to be copied into staging. A ticket is one
 * thread's leave to work on the job: it takes items until none is left, and gives the ticket back.
 * With the last ticket the job is over. */
#ifndef STAGES_DECODE_JOB_H
#define STAGES_DECODE_JOB_H

#include "engine/codec/gdeflate.h"
#include "engine/host.h"
#include "engine/packed.h"

#include <stdatomic.h>

/* Items of REALTIME requests are taken first. */
enum decode_class { DECODE_REALTIME, DECODE_ORDINARY, DECODE_CLASSES };

/* One thread that decodes, and what it decodes with. */
struct decode_hand {
    rounds_fn rounds;
    struct ds_codec *zstd, *lz4; /* NULL where the build lacks them */
    struct decode_job *tickets[DECODE_CLASSES]; /* that it holds, or NULL */
};

struct decode_job {
    struct chunk *chunk;
    const uint8_t *source;   /* chunk's payload */
    uint8_t *work;           /* what the codec writes to */
    uint8_t *decoded;        /* where it shall be in the end; == work without a transform */
    struct gdeflate_stream stream;
    uint64_t begun_ns;       /* and what the threads had then, with it: see decode_balance.h */
    uint64_t drains_bytes;
    uint32_t index;          /* in the stage's table */
    uint32_t items;

    _Atomic uint32_t next CACHE_ALIGNED; /* item that is taken next; beyond `items`: none is left */
    _Atomic uint32_t tickets; /* not given back */
    _Atomic uint64_t failure; /* 0, or item << 32 | enum ds_codec_error, of the first one found */
} CACHE_ALIGNED;

/* decode_hand_open makes contexts, so that nothing allocates later. 0 or -ENOMEM. */
int decode_hand_open(struct decode_hand *hand, const struct host *host);
void decode_hand_close(struct decode_hand *hand);

/* decode_job_begin readies job for a chunk that was read, with at most tickets_max tickets; there
 * are job->tickets then. What is wrong with the container, if anything: then it has not begun. */
enum ds_codec_error decode_job_begin(struct decode_job *job, struct chunk *chunk,
                                     uint32_t tickets_max);

enum decode_progress {
    DECODE_TOOK,    /* decoded an item */
    DECODE_GAVE,    /* no item was left: the ticket was given back */
    DECODE_IS_OVER, /* likewise, and it was the last */
};

/* decode_job_step uses a ticket for one item. Items of a request that was cancelled, or has failed
 * already, are skipped. Any thread; what the others wrote is visible to the last. */
enum decode_progress decode_job_step(struct decode_job *job, const struct decode_hand *hand);

/* decode_job_end makes the chunk a decoded one, or a failed one, whose cause it logs. After
 * DECODE_IS_OVER. */
void decode_job_end(struct decode_job *job, const struct host *host);

#endif
