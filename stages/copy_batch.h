/* Batches: their memory, when there is room in one, their beginning and their end, and what their
 * failure means for their chunks. */
#ifndef STAGES_COPY_BATCH_H
#define STAGES_COPY_BATCH_H

#include "stages/copy.h"

/* copy_batch_open makes the tables of a batch of at most regions_max chunks. 0 or -ENOMEM, after
 * which copy_batch_close is still to be called; it takes a batch of zeros too. */
int copy_batch_open(struct copy_batch *batch, const struct host *host, uint32_t regions_max);
void copy_batch_close(struct copy_batch *batch, const struct host *host, uint32_t regions_max);

/* copy_packed_n: chunks that wait to be decoded. */
static inline uint32_t copy_packed_n(const struct copy_stage *stage)
{
    return copy_fifo_n(&stage->packed[COPY_REALTIME]) + copy_fifo_n(&stage->packed[COPY_ORDINARY]);
}

/* copy_decodes_due: a batch that decodes should go as soon as there is a place for it. */
static inline bool copy_decodes_due(const struct copy_stage *stage)
{
    return !stage->decoding && copy_packed_n(stage) > 0;
}

/* copy_batch_slots: batches that are free. */
static inline uint32_t copy_batch_slots(const struct copy_stage *stage)
{
    return stage->batches_n - (uint32_t)(stage->opened_n - stage->freed_n);
}

/* copy_batch_limit sets how many bytes the next batch may take. */
void copy_batch_limit(struct copy_stage *stage);

/* copy_batch_may_begin: is there a free batch that copies may have? */
bool copy_batch_may_begin(const struct copy_stage *stage);

/* copy_batch_has_room: for one more copy, in the open batch or in a new one. */
bool copy_batch_has_room(const struct copy_stage *stage);
bool copy_batch_is_full(const struct copy_stage *stage);

/* copy_batch_begin returns the open batch, opened if need be. */
struct copy_batch *copy_batch_begin(struct copy_stage *stage, uint64_t now_ns);

/* copy_batch_chunk adds a chunk to the open batch, in which there is room. */
void copy_batch_chunk(struct copy_stage *stage, struct chunk *chunk);

/* copy_batch_signal adds a signal entry. One submission must not signal a semaphore twice. */
void copy_batch_signal(struct copy_batch *batch, struct chunk *chunk);

/* copy_batch_end records the open batch and makes it READY. */
void copy_batch_end(struct copy_stage *stage);

/* copy_batch_free: the oldest batch has ended. */
void copy_batch_free(struct copy_stage *stage, uint64_t now_ns);

/* copy_chunk_fail fails a chunk with the status that a VkResult stands for. */
void copy_chunk_fail(struct chunk *chunk, int vk_result);

#endif
