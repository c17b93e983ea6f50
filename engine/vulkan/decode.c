#include "engine/vulkan/decode.h"

#include <errno.h>

#define TILES_BYTES (GDEFLATE_TILES_MAX * sizeof(struct gdeflate_gpu_tile))

/* Of a batch, for nv: two tables, together of all tiles at most. */
#define NV_BATCH_BYTES                                                                             \
    (2 * (uint64_t)GDEFLATE_NV_REGIONS_AT + GDEFLATE_NV_TABLE_BYTES(GDEFLATE_TILES_MAX))

static int open_shader(struct vulkan_decode *decode, uint64_t statuses)
{
    int error = gdeflate_gpu_open(&decode->gpu, decode->device, decode->host, GDEFLATE_GPU_AUTO);

    decode->statuses = statuses;
    if (error == 0)
        error = vulkan_buffer_open(&decode->table, decode->device, decode->host,
                                   VULKAN_BUFFER_UPLOAD, TILES_BYTES);
    decode->tiles = (struct gdeflate_gpu_tile *)decode->table.mapped;
    return error;
}

static int open_nv(struct vulkan_decode *decode)
{
    int error = gdeflate_nv_open(&decode->nv, decode->device, decode->host);

    if (error == 0)
        error = vulkan_buffer_open(&decode->table, decode->device, decode->host,
                                   VULKAN_BUFFER_UPLOAD, decode->batches_n * NV_BATCH_BYTES);
    if (error != 0)
        return error;
    decode->tiles = host_alloc(decode->host, TILES_BYTES, CACHE_LINE);
    return decode->tiles != NULL ? 0 : -ENOMEM;
}

int vulkan_decode_open(struct vulkan_decode *decode, const struct vulkan_device *device,
                       const struct host *host, bool nv, uint64_t scratch_bytes,
                       uint32_t batches_n, uint64_t statuses)
{
    int error;

    DS_ASSERT(batches_n >= 1 && batches_n <= VULKAN_DECODE_BATCHES_MAX && scratch_bytes > 0);
    *decode = (struct vulkan_decode){
        .device = device,
        .host = host,
        .batches_n = batches_n,
        .scratch_ring = {.size = scratch_bytes},
        .tiles_ring = {.size = GDEFLATE_TILES_MAX},
    };
    error = nv ? open_nv(decode) : open_shader(decode, statuses);
    if (error == 0)
        error = vulkan_buffer_open(&decode->scratch, device, host, VULKAN_BUFFER_LOCAL,
                                   scratch_bytes);
    if (error != 0)
        vulkan_decode_close(decode);
    return error;
}

void vulkan_decode_close(struct vulkan_decode *decode)
{
    if (decode->device == NULL)
        return;
    if (decode->nv.device != NULL)
        host_free(decode->host, decode->tiles, TILES_BYTES);
    gdeflate_gpu_close(&decode->gpu);
    vulkan_buffer_close(&decode->table, decode->device);
    vulkan_buffer_close(&decode->scratch, decode->device);
    *decode = (struct vulkan_decode){.device = NULL};
}

/* The next entries of a batch: in the run that there is, or in a new one. */
static void runs_add(struct vulkan_decode_batch *batch, uint32_t first, uint32_t n)
{
    uint32_t last = batch->runs_n - 1;

    if (batch->runs_n > 0 && batch->runs[last].first + batch->runs[last].n == first) {
        batch->runs[last].n += n;
        return;
    }
    DS_ASSERT(batch->runs_n < 2);
    batch->runs[batch->runs_n].first = first;
    batch->runs[batch->runs_n].n = n;
    batch->runs_n++;
}

bool vulkan_decode_take(struct vulkan_decode *decode, uint32_t batch, uint64_t scratch_bytes,
                        uint32_t tiles_n, uint64_t *at, struct gdeflate_gpu_tile **tiles)
{
    struct vulkan_decode_batch *b = &decode->batches[batch];
    struct span_ring before = decode->scratch_ring;
    uint64_t scratch_taken = 0, tiles_taken, first = 0;

    *at = 0;
    if (scratch_bytes > 0) {
        scratch_taken = span_ring_take(&decode->scratch_ring, scratch_bytes, at);
        if (scratch_taken == 0)
            return false;
    }
    tiles_taken = span_ring_take(&decode->tiles_ring, tiles_n, &first);
    if (tiles_taken == 0) {
        decode->scratch_ring = before;
        return false;
    }
    b->scratch_taken += scratch_taken;
    b->tiles_taken += tiles_taken;
    runs_add(b, (uint32_t)first, tiles_n);
    *tiles = &decode->tiles[first];
    return true;
}

void vulkan_decode_release(struct vulkan_decode *decode, uint32_t batch)
{
    struct vulkan_decode_batch *b = &decode->batches[batch];

    span_ring_give(&decode->scratch_ring, b->scratch_taken);
    span_ring_give(&decode->tiles_ring, b->tiles_taken);
    *b = (struct vulkan_decode_batch){.runs_n = 0};
}

static void record_nv(struct vulkan_decode *decode, uint32_t batch, VkCommandBuffer commands)
{
    const struct vulkan_decode_batch *b = &decode->batches[batch];
    uint64_t at = batch * NV_BATCH_BYTES;

    for (uint32_t i = 0; i < b->runs_n; i++) {
        bool fits = gdeflate_nv_table((uint8_t *)decode->table.mapped + at,
                                      &decode->tiles[b->runs[i].first], b->runs[i].n);

        DS_ASSERT(fits); /* gpu_decode.align */
        gdeflate_nv_record(&decode->nv, commands, decode->table.address + at);
        at = align_up_u64(at + GDEFLATE_NV_TABLE_BYTES(b->runs[i].n), GDEFLATE_NV_REGIONS_AT);
    }
}

void vulkan_decode_record(struct vulkan_decode *decode, uint32_t batch, VkCommandBuffer commands)
{
    const struct vulkan_decode_batch *b = &decode->batches[batch];

    DS_ASSERT(b->runs_n > 0);
    if (decode->gpu.device == NULL) {
        record_nv(decode, batch, commands);
        return;
    }
    for (uint32_t i = 0; i < b->runs_n; i++)
        gdeflate_gpu_record(&decode->gpu, commands,
                            decode->table.address +
                                b->runs[i].first * sizeof(struct gdeflate_gpu_tile),
                            decode->statuses, b->runs[i].n);
}
