/* Batches: tables and failures. */
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
