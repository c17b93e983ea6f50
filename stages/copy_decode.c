#include "stages/copy_decode.h"

#include "stages/copy_decode_choose.h"

#include <errno.h>
#include <string.h>

_Static_assert(PACKED_NOT_RUN == GDEFLATE_GPU_NOT_RUN, "statuses are written by both");
_Static_assert(GPU_DECODE_ALIGN >= IMAGE_WHOLE_ALIGN, "images are copied from scratch memory");

/* Opening ------------------------------------------------------------------------------------- */

/* A shader reads a tile's words one after the other, each a round trip over the bus: hence from
 * memory of the GPU's, into which they are copied in large pieces. The NVIDIA extension wants its
 * input at multiples of 4. */
static bool must_gather(const struct ds_vulkan_backend *backend, bool nv)
{
    return !backend->device.unified_memory || nv;
}

static int open_decode(struct copy_decoder *decoder, struct ds_vulkan_backend *backend,
                       const struct host *host, bool nv)
{
    decoder->items_max = backend->batch_regions_max;
    decoder->items = host_calloc(host, decoder->items_max, sizeof(*decoder->items));
    if (decoder->items == NULL)
        return -ENOMEM;
    decoder->rule.gathers = must_gather(backend, nv);
    decoder->rule.verdicts = !nv;
    /* software sleeps in its waits, and needs the processor for the work itself */
    decoder->rule.leaves_young = !vulkan_device_is_software(&backend->device);
    decoder->rule.align = nv ? 4 : 1;
    decoder->rule.scratch_bytes = backend->decode_scratch_bytes;
    return vulkan_decode_open(&decoder->decode, &backend->device, host, nv,
                              backend->decode_scratch_bytes, backend->batches_max,
                              decoder->staging->address);
}

static int open_refused(struct copy_decoder *decoder, struct ds_vulkan_backend *backend,
                        const struct host *host, const char *why, int error)
{
    copy_decoder_close(decoder, host);
    decoder->rule = (struct gpu_decode){.kind = "cpu", .reason = why};
    if (backend->decode_forced) {
        host_log(host, DS_LOG_ERROR, "decode_path: the GPU cannot decode: %s", why);
        return error;
    }
    host_log(host, DS_LOG_WARNING, "decode: by the CPU: %s", why);
    return 0;
}

static int open_chosen(struct copy_decoder *decoder, struct ds_vulkan_backend *backend,
                       const struct host *host, bool nv)
{
    int error;

    if (decoder->staging->bytes > GPU_DECODE_ARENA_MAX)
        return open_refused(decoder, backend, host, "arena_bytes is above 4 GiB", -EINVAL);
    error = open_decode(decoder, backend, host, nv);
    if (error != 0)
        return open_refused(decoder, backend, host,
                            error == -ENOMEM ? "no memory for it; lower decode_scratch_bytes"
                                             : "its pipeline could not be made",
                            error);
    decoder->rule.on = true;
    host_log(host, DS_LOG_INFO, "decode: GDeflate by %s, %llu MiB of scratch memory (%s)",
             decoder->rule.kind, (unsigned long long)(decoder->rule.scratch_bytes >> 20),
             decoder->rule.reason);
    return 0;
}

int copy_decoder_open(struct copy_decoder *decoder, struct ds_vulkan_backend *backend,
                      const struct host *host, const struct vulkan_staging *staging,
                      uint32_t threads_n)
{
    static const char *const kinds[] = {
        [DS_VULKAN_DECODE_CPU] = "cpu",
        [DS_VULKAN_DECODE_GPU] = "gpu",
        [DS_VULKAN_DECODE_NV] = "nv",
        [DS_VULKAN_DECODE_BALANCED] = "balanced",
    };
    struct decode_choice choice =
        copy_decode_choose(backend, host, threads_n, staging->bytes <= GPU_DECODE_ARENA_MAX);
    int error = 0;

    *decoder = (struct copy_decoder){
        .staging = staging,
        .rule = {.kind = kinds[choice.path],
                 .reason = choice.reason,
                 .balanced = choice.path == DS_VULKAN_DECODE_BALANCED,
                 .balance = choice.balance},
    };
    if (choice.path != DS_VULKAN_DECODE_CPU)
        error = open_chosen(decoder, backend, host,
                            choice.nv || choice.path == DS_VULKAN_DECODE_NV);
    if (error == 0)
        vulkan_backend_decode_tell(backend, decoder->rule.on ? choice.path : DS_VULKAN_DECODE_CPU,
                                   decoder->rule.reason);
    return error;
}

void copy_decoder_close(struct copy_decoder *decoder, const struct host *host)
{
    vulkan_decode_close(&decoder->decode);
    host_free(host, decoder->items, decoder->items_max * sizeof(*decoder->items));
    decoder->items = NULL;
    decoder->items_n = 0;
    decoder->rule.on = false;
}

/* Filling ------------------------------------------------------------------------------------- */

static void item_tiles(struct copy_decoder *decoder, const struct copy_decode_item *item,
                       struct gdeflate_gpu_tile *tiles)
{
    const struct chunk *chunk = item->chunk;
    const struct request *r = chunk->request;
    uint8_t *packed = packed_staged(chunk);
    uint32_t *statuses = packed_statuses(chunk);
    uint64_t scratch = decoder->decode.scratch.address;
    uint64_t source = decoder->rule.gathers
                          ? scratch + item->packed_at
                          : decoder->staging->address +
                                vulkan_staging_offset(decoder->staging, packed, r->size);
    uint64_t destination = item->direct ? r->gpu_address + r->gpu_offset
                                        : scratch + item->unpacked_at;
    uint32_t tiles_n = packed_tiles(r->unpacked_bytes);
    uint64_t status = vulkan_staging_offset(decoder->staging, (uint8_t *)statuses,
                                            tiles_n * sizeof(uint32_t));
    struct gdeflate_stream stream;
    enum ds_codec_error error = packed_parse(r, packed, &stream);

    DS_ASSERT(error == DS_CODEC_ERROR_NONE); /* as in packed_hand_to_gpu */
    gdeflate_gpu_tiles(tiles, &stream, source, destination, (uint32_t)(status / 4));
    if (!decoder->rule.verdicts)
        memset(statuses, DS_CODEC_ERROR_NONE, tiles_n * sizeof(uint32_t));
}

bool copy_decoder_take(struct copy_decoder *decoder, uint32_t batch, const struct chunk *chunk)
{
    const struct request *r = chunk->request;
    struct copy_decode_item *item = &decoder->items[decoder->items_n];
    struct gdeflate_gpu_tile *tiles;
    uint64_t at;

    DS_ASSERT(decoder->rule.on && decoder->items_n < decoder->items_max);
    DS_ASSERT(decoder->items_n == 0 || decoder->batch == batch);
    if (!vulkan_decode_take(&decoder->decode, batch, gpu_decode_scratch(&decoder->rule, r),
                            packed_tiles(r->unpacked_bytes), &at, &tiles))
        return false;
    *item = (struct copy_decode_item){
        .chunk = chunk,
        .packed_at = at,
        .unpacked_at = at + gpu_decode_packed_bytes(&decoder->rule, r),
        .direct = gpu_decode_direct(&decoder->rule, r),
    };
    decoder->batch = batch;
    decoder->items_n++;
    item_tiles(decoder, item, tiles);
    return true;
}

/* Recording ----------------------------------------------------------------------------------- */

const struct copy_decode_item *copy_decoder_next(struct copy_decoder *decoder,
                                                 const struct chunk *chunk)
{
    while (decoder->items_at < decoder->items_n &&
           decoder->items[decoder->items_at].chunk != chunk)
        decoder->items_at++;
    DS_ASSERT(decoder->items_at < decoder->items_n);
    return &decoder->items[decoder->items_at++];
}

bool copy_decoder_gather(const struct copy_decoder *decoder, const struct copy_decode_item *item,
                         struct copy_region *region)
{
    const struct request *r = item->chunk->request;

    if (!decoder->rule.gathers)
        return false;
    *region = (struct copy_region){
        .gpu_buffer = (uint64_t)decoder->decode.scratch.buffer,
        .gpu_address = decoder->decode.scratch.address,
        .gpu_offset = item->packed_at,
        .staging_offset = vulkan_staging_offset(decoder->staging, packed_staged(item->chunk),
                                                r->size),
        .bytes = r->size,
    };
    return true;
}

static void record_barrier(const struct copy_decoder *decoder, VkCommandBuffer commands,
                           VkPipelineStageFlags from, VkAccessFlags from_access,
                           VkPipelineStageFlags to, VkAccessFlags to_access)
{
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = from_access,
        .dstAccessMask = to_access,
    };

    decoder->decode.device->vk.CmdPipelineBarrier(commands, from, to, 0, 1, &barrier, 0, NULL, 0,
                                                  NULL);
}

/* From scratch memory to buffers; copies to images are copy_image.c's. */
static void record_copies(const struct copy_decoder *decoder, VkCommandBuffer commands)
{
    for (uint32_t i = 0; i < decoder->items_n; i++) {
        const struct copy_decode_item *item = &decoder->items[i];
        const struct request *r = item->chunk->request;
        VkBufferCopy copy = {item->unpacked_at, r->gpu_offset, r->unpacked_bytes};

        if (!item->direct && r->image == NULL)
            decoder->decode.device->vk.CmdCopyBuffer(commands, decoder->decode.scratch.buffer,
                                                     (VkBuffer)r->gpu_buffer, 1, &copy);
    }
}

static bool all_direct(const struct copy_decoder *decoder)
{
    bool direct = true;

    for (uint32_t i = 0; i < decoder->items_n; i++)
        direct = direct && decoder->items[i].direct;
    return direct;
}

void copy_decoder_record(struct copy_decoder *decoder, VkCommandBuffer commands)
{
    const VkPipelineStageFlags compute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    const VkPipelineStageFlags transfer = VK_PIPELINE_STAGE_TRANSFER_BIT;

    if (decoder->rule.gathers)
        record_barrier(decoder, commands, transfer | compute,
                       VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_SHADER_WRITE_BIT, compute,
                       VK_ACCESS_SHADER_READ_BIT);
    vulkan_decode_record(&decoder->decode, decoder->batch, commands);
    if (all_direct(decoder))
        return;
    record_barrier(decoder, commands, compute, VK_ACCESS_SHADER_WRITE_BIT, transfer,
                   VK_ACCESS_TRANSFER_READ_BIT);
    record_copies(decoder, commands);
}
