/* The decode stage's part in the balance between CPU and GPU (engine/balance.h): what is queued for
 * the CPU's threads, which way a request goes, and how fast the threads and the GPU really are. One
 * thread: the stage's. */
#ifndef STAGES_DECODE_BALANCE_H
#define STAGES_DECODE_BALANCE_H

#include "engine/balance.h"
#include "engine/chunk.h"
#include "stages/decode_job.h"

#include <stdatomic.h>

struct decode_balance {
    struct balance figures;
    uint64_t told_rate, told_batch_ns, told_limit_bytes; /* of these, for the counters */
    const _Atomic uint64_t *batch_ns;      /* of the last batch that has decoded; or NULL */
    uint64_t told_ns;                      /* what it was when last looked at */
    uint64_t busy_bytes;                   /* queued so much, no thread is idle */
    uint64_t queued_bytes[DECODE_CLASSES]; /* content that the CPU has to decode */
    uint64_t begun_bytes;                  /* of these, in jobs */
    uint64_t cpu_tiles;                    /* of GDeflate that the CPU has decoded, of good ones */
};

/* decode_balance_open: `threads` is how many decode. Figures of zeros: nothing goes either way. */
void decode_balance_open(struct decode_balance *balance, const struct balance *figures,
                         const _Atomic uint64_t *batch_ns, uint32_t threads);

/* decode_balance_to_gpu: shall the GPU decode this chunk, which may go either way? */
bool decode_balance_to_gpu(struct decode_balance *balance, const struct chunk *chunk,
                           enum decode_class class);

/* decode_balance_queue: the CPU has it from now on, until decode_balance_end. */
void decode_balance_queue(struct decode_balance *balance, const struct chunk *chunk,
                          enum decode_class class);
void decode_balance_end(struct decode_balance *balance, const struct chunk *chunk,
                        enum decode_class class);

/* decode_balance_job_begin: the chunk of a job that has begun is among those of the threads;
 * decode_balance_job_end: it has been decoded, or failed. */
void decode_balance_job_begin(struct decode_balance *balance, struct decode_job *job,
                              uint64_t now_ns);
void decode_balance_job_end(struct decode_balance *balance, const struct decode_job *job,
                            const struct chunk *chunk, uint64_t now_ns);

#endif
