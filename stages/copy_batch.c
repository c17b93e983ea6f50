/* Batches: tables, room, beginning and end, failures. */
#include "stages/copy_batch.h"

#include "engine/request.h"

#include <errno.h>

int copy_batch_open(struct copy_batch *batch, const struct host *host, uint32_t regions_max)
{
    batch->chunks = host_calloc(host, regions_max, sizeof(struct chunk *));
    batch->signal_chunks = host_calloc(host, regions_max, sizeof(struct chunk *));
    batch->signals = host_calloc(host, regions_max, sizeof(struct copy_signal));
    return batch->chunks != NULL && batch->signal_chunks != NULL && batch->signals != NULL
               ? 0
               : -ENOMEM;
}

void copy_batch_close(struct copy_batch *batch, const struct host *host, uint32_t regions_max)
{
    host_free(host, batch->chunks, regions_max * sizeof(struct chunk *));
    host_free(host, batch->signal_chunks, regions_max * sizeof(struct chunk *));
    host_free(host, batch->signals, regions_max * sizeof(struct copy_signal));
}

/* While a batch that decodes is due the last free one is kept for it, unless the latest was of that
 * kind too: so neither kind keeps the other from its turn, even where there is only one batch. */
bool copy_batch_may_begin(const struct copy_stage *stage)
{
    uint32_t kept = copy_decodes_due(stage) && !stage->decoded_last ? 1 : 0;

    return copy_batch_slots(stage) > kept;
}

bool copy_batch_has_room(const struct copy_stage *stage)
{
    return stage->open != NULL ? stage->open->chunks_n < stage->regions_max &&
                                     stage->open->bytes < stage->bytes_limit
                               : copy_batch_may_begin(stage);
}

bool copy_batch_is_full(const struct copy_stage *stage)
{
    const struct copy_batch *batch = stage->open;

    return batch != NULL &&
           (batch->chunks_n == stage->regions_max || batch->bytes >= stage->bytes_limit ||
            batch->signal_chunks_n == stage->regions_max);
}

struct copy_batch *copy_batch_begin(struct copy_stage *stage, uint64_t now_ns)
{
    struct copy_batch *batch = stage->open;

    if (batch != NULL)
        return batch;
    DS_ASSERT(copy_batch_slots(stage) > 0);
    batch = &stage->batches[stage->opened_n % stage->batches_n];
    DS_ASSERT(atomic_load_explicit(&batch->state, memory_order_relaxed) == COPY_BATCH_FREE);
    atomic_store_explicit(&batch->state, COPY_BATCH_OPEN, memory_order_relaxed);
    batch->chunks_n = 0;
    batch->bytes = 0;
    batch->decodes = false;
    batch->signals_n = 0;
    batch->signal_chunks_n = 0;
    batch->vk_result = 0;
    batch->opened_ns = now_ns;
    batch->ticket = ++stage->opened_n;
    stage->decoded_last = false;
    stage->open = batch;
    return batch;
}

/* Bytes are counted of copies alone: what decodes is bounded by the memory that it needs. */
void copy_batch_chunk(struct copy_stage *stage, struct chunk *chunk)
{
    struct copy_batch *batch = stage->open;

    DS_ASSERT(batch->chunks_n < stage->regions_max);
    batch->chunks[batch->chunks_n++] = chunk;
    if (batch->decodes)
        return;
    batch->bytes += chunk->payload_bytes;
    stage->unfinished_bytes += chunk->payload_bytes;
}

/* A later value covers an earlier one. */
void copy_batch_signal(struct copy_batch *batch, struct chunk *chunk)
{
    struct copy_signal signal = {chunk->request->gpu_buffer, chunk->request->gpu_offset};
    uint32_t i = 0;

    while (i < batch->signals_n && batch->signals[i].semaphore != signal.semaphore)
        i++;
    if (i == batch->signals_n)
        batch->signals[batch->signals_n++] = signal;
    else
        batch->signals[i].value = max_u64(batch->signals[i].value, signal.value);
    batch->signal_chunks[batch->signal_chunks_n++] = chunk;
}

/* A submission costs a GPU some time whatever its size, in which it moves nothing, so that batches
 * shall be large; but with all that is under way in one of them the GPU has nothing to do until new
 * requests come. So a batch takes half. */
void copy_batch_limit(struct copy_stage *stage)
{
    uint64_t least = stage->config.gpu->bytes_least(stage->config.gpu_self);

    stage->peak_bytes -= stage->peak_bytes / 16;
    stage->peak_bytes = max_u64(stage->peak_bytes, stage->unfinished_bytes);
    stage->bytes_limit = min_u64(max_u64(stage->peak_bytes / 2, least), stage->bytes_max);
}

void copy_batch_end(struct copy_stage *stage)
{
    struct copy_batch *batch = stage->open;
    uint32_t index = (uint32_t)(batch - stage->batches);

    batch->vk_result = stage->config.gpu->record(stage->config.gpu_self, index, batch->chunks,
                                                 batch->chunks_n);
    atomic_store_explicit(&batch->state, COPY_BATCH_READY, memory_order_relaxed);
    stage->open = NULL;
    stage->held = false;
    stage->flush_wanted = false;
    if (!batch->decodes)
        copy_batch_limit(stage);
    /* release: the batch, before it is announced; pairs with the acquire in copy_submit */
    atomic_fetch_add_explicit(&stage->ready_n, 1, memory_order_release);
}

void copy_batch_free(struct copy_stage *stage, uint64_t now_ns)
{
    uint32_t index = (uint32_t)(stage->freed_n % stage->batches_n);
    struct copy_batch *batch = &stage->batches[index];

    atomic_store_explicit(&batch->state, COPY_BATCH_FREE, memory_order_relaxed);
    if (batch->decodes) {
        stage->config.gpu->release(stage->config.gpu_self, index);
        stage->decoding = false;
        stage->decoded_n = batch->chunks_n;
        stage->decoded_ns = now_ns;
    }
    stage->unfinished_bytes -= batch->bytes;
    stage->freed_n++;
}

static enum ds_status vk_status(int vk_result)
{
    return vk_result == -4 /* VK_ERROR_DEVICE_LOST */           ? DS_STATUS_DEVICE_LOST
           : vk_result == -1 || vk_result == -2 /* OUT_OF_.. */ ? DS_STATUS_NO_MEMORY
                                                                : DS_STATUS_VULKAN_ERROR;
}

/* The VkResult where the status says so, else an errno. */
void copy_chunk_fail(struct chunk *chunk, int vk_result)
{
    enum ds_status status = vk_status(vk_result);

    chunk_fail(chunk, status, status == DS_STATUS_NO_MEMORY ? -ENOMEM : vk_result);
}
