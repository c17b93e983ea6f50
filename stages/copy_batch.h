/* The memory of a batch, and what its failure means for its chunks. */
#ifndef STAGES_COPY_BATCH_H
#define STAGES_COPY_BATCH_H

#include "stages/copy.h"

/* copy_batch_open makes the tables of a batch of at most regions_max chunks. 0 or -ENOMEM, after
 * which copy_batch_close is still to be called; it takes a batch of zeros too. */
int copy_batch_open(struct copy_batch *batch, const struct host *host, uint32_t regions_max);
void copy_batch_close(struct copy_batch *batch, const struct host *host, uint32_t regions_max);

/* copy_batch_signal adds a signal entry. One submission must not signal a semaphore twice. */
void copy_batch_signal(struct copy_batch *batch, struct chunk *chunk);

/* copy_chunk_fail fails a chunk with the status that a VkResult stands for. */
void copy_chunk_fail(struct chunk *chunk, int vk_result);

#endif
