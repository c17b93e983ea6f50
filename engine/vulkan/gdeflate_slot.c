/* The memory and the commands of a piece. */
#include "engine/vulkan/gdeflate_slot.h"

#include <errno.h>

enum {
    ALIGN = 256,      /* of parts of a buffer: enough for every way */
    PLACE_ALIGN = 16, /* of a tile; NV wants 4 */
    PACKED_USUAL = GDEFLATE_TILE_BYTES + 512,
};

#define PLACE_NONE UINT64_MAX

/* Sizes of the parts. */
struct layout {
    uint64_t table;
    uint64_t source;
    uint64_t statuses;
    uint64_t content;
};

static struct layout layout_of(uint32_t tiles_max)
{
    return (struct layout){
        .table = align_up_u64(GDEFLATE_NV_TABLE_BYTES(tiles_max), ALIGN),
        /* the longest tile has its place, and usual ones beside it */
        .source = (uint64_t)(tiles_max - 1) * PACKED_USUAL + GDEFLATE_GPU_WORDS_BYTES_MAX,
        .statuses = align_up_u64((uint64_t)tiles_max * sizeof(uint32_t), ALIGN),
        .content = (uint64_t)tiles_max * GDEFLATE_TILE_BYTES,
    };
}

_Static_assert(sizeof(VkDecompressMemoryRegionNV) >= sizeof(struct gdeflate_gpu_tile),
               "a table for NV is as large as any");

uint64_t gdeflate_slot_bytes(const struct vulkan_device *device, uint32_t tiles_max)
{
    struct layout layout = layout_of(tiles_max);
    uint64_t there_and_back = layout.source + layout.content;

    return layout.table + layout.statuses + there_and_back +
           (device->unified_memory ? 0 : there_and_back);
}

uint64_t gdeflate_slot_bytes_held(const struct gdeflate_slot *slot)
{
    return slot->upload.bytes + slot->source.bytes + slot->output.bytes + slot->download.bytes;
}

static int buffers_open(struct gdeflate_slot *slot, const struct host *host)
{
    const struct vulkan_device *device = slot->way->device;
    struct layout layout = layout_of(slot->tiles_max);
    int error = vulkan_buffer_open(&slot->upload, device, host, VULKAN_BUFFER_UPLOAD,
                                   layout.table + layout.source);

    slot->source_bytes = layout.source;
    if (error == 0)
        error = vulkan_buffer_open(&slot->download, device, host, VULKAN_BUFFER_DOWNLOAD,
                                   layout.statuses + layout.content);
    if (error == 0 && !device->unified_memory)
        error = vulkan_buffer_open(&slot->source, device, host, VULKAN_BUFFER_LOCAL, layout.source);
    if (error == 0 && !device->unified_memory)
        error =
            vulkan_buffer_open(&slot->output, device, host, VULKAN_BUFFER_LOCAL, layout.content);
    return error;
}

int gdeflate_slot_open(struct gdeflate_slot *slot, const struct gdeflate_way *way,
                       const struct host *host, uint32_t tiles_max)
{
    int error;

    *slot = (struct gdeflate_slot){.way = way, .tiles_max = tiles_max};
    slot->table = host_calloc(host, tiles_max, sizeof(*slot->table));
    slot->placed = host_calloc(host, tiles_max, sizeof(*slot->placed));
    error = slot->table == NULL || slot->placed == NULL ? -ENOMEM : buffers_open(slot, host);
    if (error == 0)
        error = vulkan_commands_open(&slot->commands, way->device, host, way->queue_family);
    if (error == 0)
        gpu_clock_open(&slot->clock, way->device, way->queue_family);
    else
        gdeflate_slot_close(slot, host);
    return error;
}

void gdeflate_slot_close(struct gdeflate_slot *slot, const struct host *host)
{
    const struct vulkan_device *device;

    if (slot->way == NULL)
        return;
    device = slot->way->device;
    gpu_clock_close(&slot->clock);
    vulkan_commands_close(&slot->commands, device);
    vulkan_buffer_close(&slot->upload, device);
    vulkan_buffer_close(&slot->source, device);
    vulkan_buffer_close(&slot->output, device);
    vulkan_buffer_close(&slot->download, device);
    host_free(host, slot->table, slot->tiles_max * sizeof(*slot->table));
    host_free(host, slot->placed, slot->tiles_max * sizeof(*slot->placed));
    *slot = (struct gdeflate_slot){.way = NULL};
}

/* Tiles ----------------------------------------------------------------------------------------*/

static bool is_nv(const struct gdeflate_slot *slot)
{
    return slot->way->nv.device != NULL;
}

static VkDeviceAddress source_address(const struct gdeflate_slot *slot)
{
    return slot->source.buffer != VK_NULL_HANDLE
               ? slot->source.address
               : slot->upload.address + layout_of(slot->tiles_max).table;
}

static VkDeviceAddress output_address(const struct gdeflate_slot *slot)
{
    return slot->output.buffer != VK_NULL_HANDLE
               ? slot->output.address
               : slot->download.address + layout_of(slot->tiles_max).statuses;
}

static void tile_place(struct gdeflate_slot *slot, uint32_t i, const struct gdeflate_tile *tile)
{
    slot->placed[i] = slot->used;
    slot->used += align_up_u64(tile->packed_bytes, PLACE_ALIGN);
    slot->table[slot->table_n++] = (struct gdeflate_gpu_tile){
        .source = source_address(slot) + slot->placed[i],
        .destination = output_address(slot) + (uint64_t)i * GDEFLATE_TILE_BYTES,
        .source_bytes = tile->packed_bytes,
        .destination_bytes = tile->bytes,
        .status = i,
    };
}

void gdeflate_slot_fill(struct gdeflate_slot *slot, const struct gdeflate_stream *stream,
                        uint32_t first)
{
    uint32_t *statuses = slot->download.mapped;
    uint32_t n = min_u32(slot->tiles_max, stream->tile_count - first);

    slot->first = first;
    slot->table_n = 0;
    slot->used = 0;
    slot->ticket = 0;
    for (slot->tiles_n = 0; slot->tiles_n < n; slot->tiles_n++) {
        struct gdeflate_tile tile = gdeflate_stream_tile(stream, first + slot->tiles_n);
        uint32_t i = slot->tiles_n;

        if (tile.packed_bytes > GDEFLATE_GPU_WORDS_BYTES_MAX) {
            slot->placed[i] = PLACE_NONE;
            continue;
        }
        if (tile.packed_bytes > slot->source_bytes - slot->used)
            break;
        statuses[i] = GDEFLATE_GPU_NOT_RUN;
        tile_place(slot, i, &tile);
    }
    DS_ASSERT(slot->tiles_n > 0);
    if (slot->table_n == 0)
        return;
    if (!is_nv(slot))
        memcpy(slot->upload.mapped, slot->table, slot->table_n * sizeof(*slot->table));
    else if (!gdeflate_nv_table(slot->upload.mapped, slot->table, slot->table_n))
        DS_ASSERT(!"tiles are placed at multiples of 16");
}

uint8_t *gdeflate_slot_source(const struct gdeflate_slot *slot, uint32_t i)
{
    return slot->placed[i] != PLACE_NONE
               ? (uint8_t *)slot->upload.mapped + layout_of(slot->tiles_max).table + slot->placed[i]
               : NULL;
}

const uint8_t *gdeflate_slot_content(const struct gdeflate_slot *slot, uint32_t i)
{
    return (const uint8_t *)slot->download.mapped + layout_of(slot->tiles_max).statuses +
           (uint64_t)i * GDEFLATE_TILE_BYTES;
}

/* A shader of a broken driver may not have run, or leave nonsense. */
enum ds_codec_error gdeflate_slot_status(const struct gdeflate_slot *slot, uint32_t i)
{
    const uint32_t *statuses = slot->download.mapped;

    if (slot->placed[i] == PLACE_NONE)
        return DS_CODEC_ERROR_DEVICE;
    if (is_nv(slot))
        return DS_CODEC_ERROR_NONE;
    return statuses[i] < DS_CODEC_ERROR_DEVICE ? (enum ds_codec_error)statuses[i]
                                               : DS_CODEC_ERROR_DEVICE;
}

/* Commands -------------------------------------------------------------------------------------*/

struct access {
    VkPipelineStageFlags stage;
    VkAccessFlags access;
};

static void barrier(const struct gdeflate_slot *slot, struct access before, struct access after)
{
    VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = before.access,
        .dstAccessMask = after.access,
    };

    slot->way->device->vk.CmdPipelineBarrier(slot->commands.buffer, before.stage, after.stage, 0, 1,
                                             &memory, 0, NULL, 0, NULL);
}

static const struct access copied = {VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT};
static const struct access read_back = {VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT};
static const struct access decoded = {VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                      VK_ACCESS_SHADER_WRITE_BIT};

static void record_source(const struct gdeflate_slot *slot)
{
    VkBufferCopy region = {.srcOffset = layout_of(slot->tiles_max).table, .size = slot->used};

    if (slot->source.buffer == VK_NULL_HANDLE)
        return;
    slot->way->device->vk.CmdCopyBuffer(slot->commands.buffer, slot->upload.buffer,
                                        slot->source.buffer, 1, &region);
    barrier(slot, copied,
            (struct access){VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT});
}

static void record_output(const struct gdeflate_slot *slot)
{
    VkBufferCopy region = {
        .dstOffset = layout_of(slot->tiles_max).statuses,
        .size = (uint64_t)slot->tiles_n * GDEFLATE_TILE_BYTES,
    };

    barrier(slot, decoded, read_back); /* the statuses; without an output buffer all */
    if (slot->output.buffer == VK_NULL_HANDLE)
        return;
    barrier(slot, decoded,
            (struct access){VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT});
    slot->way->device->vk.CmdCopyBuffer(slot->commands.buffer, slot->output.buffer,
                                        slot->download.buffer, 1, &region);
    barrier(slot, copied, read_back);
}

/* The host has waited for the commands that used the slot before, so nothing is left to order. But
 * the layers forget that a timeline was waited for, and between commands that wait for each other
 * anyway a barrier more costs nothing. */
static void record_begin(const struct gdeflate_slot *slot)
{
    struct access all = {
        VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
        VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_SHADER_WRITE_BIT,
    };

    barrier(slot, all, all);
}

/* What the host wrote before vkQueueSubmit the commands see without a barrier. */
VkResult gdeflate_slot_record(struct gdeflate_slot *slot)
{
    const struct vulkan_device *device = slot->way->device;
    VkResult result = vulkan_commands_begin(&slot->commands, device);

    if (result != VK_SUCCESS)
        return result;
    record_begin(slot);
    record_source(slot);
    gpu_clock_begin(&slot->clock, slot->commands.buffer);
    if (is_nv(slot))
        gdeflate_nv_record(&slot->way->nv, slot->commands.buffer, slot->upload.address);
    else
        gdeflate_gpu_record(&slot->way->shader, slot->commands.buffer, slot->upload.address,
                            slot->download.address, slot->table_n);
    gpu_clock_end(&slot->clock, slot->commands.buffer);
    record_output(slot);
    return device->vk.EndCommandBuffer(slot->commands.buffer);
}
