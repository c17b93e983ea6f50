/* Sorts the chunks of a batch by how they go, and records them. */
#include "stages/copy_record.h"

#include "engine/request.h"

#include <errno.h>

int copy_recorder_open(struct copy_recorder *recorder, const struct host *host,
                       uint32_t regions_max)
{
    recorder->regions_max = regions_max;
    recorder->regions = host_calloc(host, regions_max, sizeof(*recorder->regions));
    recorder->scratch = host_calloc(host, regions_max, sizeof(*recorder->scratch));
    recorder->copies = host_calloc(host, regions_max, sizeof(*recorder->copies));
    return recorder->regions != NULL && recorder->scratch != NULL && recorder->copies != NULL
               ? 0
               : -ENOMEM;
}

void copy_recorder_close(struct copy_recorder *recorder, const struct host *host)
{
    size_t n = recorder->regions_max;

    host_free(host, recorder->regions, n * sizeof(*recorder->regions));
    host_free(host, recorder->scratch, n * sizeof(*recorder->scratch));
    host_free(host, recorder->copies, n * sizeof(*recorder->copies));
}

/* Collecting ---------------------------------------------------------------------------------- */

static struct copy_region chunk_region(const struct copy_recorder *recorder,
                                       const struct chunk *chunk)
{
    const struct request *request = chunk->request;
    bool download = chunk->kind == CHUNK_DOWNLOAD;
    uint64_t payload_offset =
        download ? 0 : request->offset + chunk->request_offset - chunk->file_offset;

    DS_ASSERT(chunk->kind == CHUNK_READ || download);
    DS_ASSERT(request->gpu_buffer != 0 || request->special);
    return (struct copy_region){
        .gpu_buffer = request->gpu_buffer,
        .gpu_address = request->special ? request->gpu_address : 0,
        .gpu_offset = request->gpu_offset + chunk->request_offset,
        .staging_offset = vulkan_staging_offset(recorder->staging, chunk->memory + payload_offset,
                                                chunk->payload_bytes),
        .bytes = chunk->payload_bytes,
        .download = download,
    };
}

/* Downloads from a buffer stay with the copy engines: a shader's writes across the bus are slow. */
static bool region_scatters(const struct copy_recorder *recorder, const struct copy_region *region)
{
    if (region->gpu_buffer == 0)
        return true;
    return recorder->scatter.device != NULL && region->gpu_address != 0 && !region->download &&
           region->bytes <= recorder->scatter_max_bytes;
}

static void scatter_region(struct copy_recorder *recorder, const struct copy_region *region)
{
    uint64_t gpu = region->gpu_address + region->gpu_offset;
    uint64_t staging = recorder->staging->address + region->staging_offset;

    DS_ASSERT(recorder->scatter.device != NULL);
    vulkan_scatter_add(&recorder->scatter, region->download ? gpu : staging,
                       region->download ? staging : gpu, region->bytes);
}

static void region_end(struct copy_recorder *recorder, const struct copy_region *region)
{
    struct copy_region *next = &recorder->regions[recorder->regions_n];

    if (region->bytes == 0)
        return;
    recorder->downloads |= region->download;
    if (region_scatters(recorder, region)) {
        scatter_region(recorder, region);
        return;
    }
    if (recorder->regions_n > 0 && copy_regions_before(region, next - 1))
        recorder->sorted = false;
    *next = *region;
    recorder->regions_n++;
}

/* What staging has to be copied for a chunk. False: nothing, or it is an image's. */
static bool chunk_to_region(const struct copy_recorder *recorder, const struct chunk *chunk,
                            struct copy_region *region)
{
    if (chunk->kind == CHUNK_SIGNAL || chunk->status != DS_STATUS_OK || chunk->payload_bytes == 0)
        return false;
    if (chunk->packed)
        return copy_decoder_gather(recorder->decoder, copy_decoder_next(recorder->decoder, chunk),
                                   region);
    if (chunk->request->special && chunk->request->image != NULL)
        return false;
    *region = chunk_region(recorder, chunk);
    return true;
}

bool copy_recorder_collect(struct copy_recorder *recorder, uint32_t index,
                           struct chunk *const *chunks, uint32_t n, uint32_t scatter_max_bytes)
{
    struct copy_region region = {.bytes = 0};

    DS_ASSERT(n <= recorder->regions_max);
    recorder->scatter_max_bytes = scatter_max_bytes;
    recorder->regions_n = 0;
    recorder->sorted = true;
    recorder->downloads = false;
    copy_decoder_rewind(recorder->decoder);
    if (recorder->scatter.device != NULL)
        vulkan_scatter_begin(&recorder->scatter, index);
    for (uint32_t i = 0; i < n; i++) {
        struct copy_region next;

        if (!chunk_to_region(recorder, chunks[i], &next) || copy_region_join(&region, &next))
            continue;
        region_end(recorder, &region);
        region = next;
    }
    region_end(recorder, &region);
    return recorder->regions_n > 0 || recorder->scatter.pieces_n > 0 ||
           recorder->decoder->items_n > 0;
}

/* Recording ----------------------------------------------------------------------------------- */

static void record_copies(const struct copy_recorder *recorder, VkCommandBuffer commands,
                          const struct copy_region *regions, uint32_t n)
{
    VkBuffer staging = recorder->staging->buffer;

    for (uint32_t first = 0, end; first < n; first = end) {
        VkBuffer buffer = (VkBuffer)regions[first].gpu_buffer;
        bool download = regions[first].download;

        end = copy_regions_group(regions, first, n);
        for (uint32_t i = first; i < end; i++) {
            recorder->copies[i] = (VkBufferCopy){
                .srcOffset = download ? regions[i].gpu_offset : regions[i].staging_offset,
                .dstOffset = download ? regions[i].staging_offset : regions[i].gpu_offset,
                .size = regions[i].bytes,
            };
        }
        recorder->vk->CmdCopyBuffer(commands, download ? buffer : staging,
                                    download ? staging : buffer, end - first,
                                    &recorder->copies[first]);
    }
}

static bool shaders_run(const struct copy_recorder *recorder)
{
    return recorder->scatter.pieces_n > 0 || recorder->decoder->items_n > 0;
}

/* The stages that work in this batch, so that a queue without COMPUTE is never told of it. */
static VkPipelineStageFlags our_stages(const struct copy_recorder *recorder)
{
    return VK_PIPELINE_STAGE_TRANSFER_BIT |
           (shaders_run(recorder) ? VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT : 0);
}

/* What others wrote to the source of a download, at any stage, before this submission. */
static void record_barrier_before(const struct copy_recorder *recorder, VkCommandBuffer commands)
{
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT |
                         (recorder->scatter.pieces_n > 0 ? VK_ACCESS_SHADER_READ_BIT : 0),
    };

    recorder->vk->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                                     our_stages(recorder), 0, 1, &barrier, 0, NULL, 0, NULL);
}

/* Our writes, for whatever follows on the queue and for the host. Our reads need no access mask:
 * the execution dependency keeps later writes behind them. */
static void record_barrier_after(const struct copy_recorder *recorder, VkCommandBuffer commands)
{
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT |
                         (shaders_run(recorder) ? VK_ACCESS_SHADER_WRITE_BIT : 0),
        .dstAccessMask =
            VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT | VK_ACCESS_HOST_READ_BIT,
    };

    recorder->vk->CmdPipelineBarrier(
        commands, our_stages(recorder),
        VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL,
        0, NULL);
}

void copy_recorder_record(struct copy_recorder *recorder, VkCommandBuffer commands,
                          const struct copy_images *images)
{
    struct copy_region *regions = recorder->regions;
    uint32_t n = recorder->regions_n;

    if (!recorder->sorted)
        regions = copy_regions_sort(regions, recorder->scratch, n);
    n = copy_regions_merge(regions, n);
    if (recorder->downloads)
        record_barrier_before(recorder, commands);
    record_copies(recorder, commands, regions, n);
    if (recorder->scatter.pieces_n > 0)
        vulkan_scatter_record(&recorder->scatter, commands);
    if (recorder->decoder->items_n > 0)
        copy_decoder_record(recorder->decoder, commands);
    copy_images_record(images, commands);
    record_barrier_after(recorder, commands);
}
