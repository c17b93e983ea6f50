#include "stages/copy_decode_measure.h"

#include "engine/vulkan/decode.h"
#include "engine/vulkan/gpu_clock.h"
#include "stages/copy_trial.h"

#include <string.h>

#define TILES_FIRST 16u /* a few: a slow GPU has an end with them, the others are warm */
#define TILES_GROW  4u

/* A contestant, and what it works with.
 *
 *   input (mapped) -> scratch [ packed tiles | content ... ] -> back (mapped): [ verdicts | tile ]
 */
struct measure {
    const struct vulkan_device *device;
    const struct host *host;
    const struct decode_sample *sample;
    struct copy_trial *trial;
    struct gpu_clock *clock;
    struct vulkan_buffer input, back;
    struct vulkan_decode decode;
    uint64_t content_at; /* in scratch */
    uint64_t tile_at;    /* in back */
    uint32_t tiles_max;
    uint32_t tiles_n; /* of the present batch */
    bool nv;
    uint64_t *spent_ns; /* by all batches so far */
};

/* Of a contestant. */
struct outcome {
    uint64_t rate;
    uint64_t batch_ns; /* of the batch with that rate */
    uint32_t tiles;    /* in it */
    uint64_t least_ns; /* that a batch took */
};

static int measure_open(struct measure *m, uint64_t scratch_bytes)
{
    uint32_t packed_bytes;
    const uint8_t *packed = decode_sample_packed(m->sample, &packed_bytes);
    int error;

    m->tiles_max = (uint32_t)min_u64(DECODE_MEASURE_TILES, scratch_bytes / 2 / GDEFLATE_TILE_BYTES);
    m->content_at = align_up_u64(packed_bytes, DECODE_SAMPLE_ALIGN);
    m->tile_at = align_up_u64(m->tiles_max * sizeof(uint32_t), DECODE_SAMPLE_ALIGN);
    error = vulkan_buffer_open(&m->input, m->device, m->host, VULKAN_BUFFER_UPLOAD, packed_bytes);
    if (error == 0)
        error = vulkan_buffer_open(&m->back, m->device, m->host, VULKAN_BUFFER_DOWNLOAD,
                                   m->tile_at + GDEFLATE_TILE_BYTES);
    if (error == 0)
        error = vulkan_decode_open(&m->decode, m->device, m->host, m->nv,
                                   m->content_at + (uint64_t)m->tiles_max * GDEFLATE_TILE_BYTES, 1,
                                   m->back.address);
    if (error == 0)
        memcpy(m->input.mapped, packed, packed_bytes);
    return error;
}

static void measure_close(struct measure *m)
{
    copy_trial_drain(m->trial);
    vulkan_decode_close(&m->decode);
    vulkan_buffer_close(&m->back, m->device);
    vulkan_buffer_close(&m->input, m->device);
}

/* A batch ------------------------------------------------------------------------------------- */

static void batch_fill(struct measure *m)
{
    uint64_t scratch = m->decode.scratch.address, none;
    struct gdeflate_gpu_tile *tiles;
    bool taken = vulkan_decode_take(&m->decode, 0, 0, m->tiles_n, &none, &tiles);

    DS_ASSERT(taken); /* one batch at a time */
    for (uint32_t i = 0; i < m->tiles_n; i++) {
        uint32_t at;
        struct gdeflate_tile tile = decode_sample_tile(m->sample, i, &at);

        tiles[i] = (struct gdeflate_gpu_tile){
            .source = scratch + at,
            .destination = scratch + m->content_at + (uint64_t)i * GDEFLATE_TILE_BYTES,
            .source_bytes = tile.packed_bytes,
            .destination_bytes = tile.bytes,
            .status = i,
        };
    }
    memset(m->back.mapped, 0xff, m->tile_at + GDEFLATE_TILE_BYTES);
}

static void barrier(const struct measure *m, VkCommandBuffer commands, VkPipelineStageFlags from,
                    VkAccessFlags from_access, VkPipelineStageFlags to, VkAccessFlags to_access)
{
    VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = from_access,
        .dstAccessMask = to_access,
    };

    m->device->vk.CmdPipelineBarrier(commands, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

/* Only the decoding is timed; the last tile shows that it was done. */
static void batch_record(void *ctx, VkCommandBuffer commands)
{
    const VkPipelineStageFlags compute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    const VkPipelineStageFlags transfer = VK_PIPELINE_STAGE_TRANSFER_BIT;
    struct measure *m = ctx;
    VkBufferCopy there = {0, 0, m->input.bytes};
    VkBufferCopy back = {
        m->content_at + (uint64_t)(m->tiles_n - 1) * GDEFLATE_TILE_BYTES,
        m->tile_at,
        GDEFLATE_TILE_BYTES,
    };

    m->device->vk.CmdCopyBuffer(commands, m->input.buffer, m->decode.scratch.buffer, 1, &there);
    barrier(m, commands, transfer, VK_ACCESS_TRANSFER_WRITE_BIT, compute,
            VK_ACCESS_SHADER_READ_BIT);
    gpu_clock_begin(m->clock, commands);
    vulkan_decode_record(&m->decode, 0, commands);
    gpu_clock_end(m->clock, commands);
    barrier(m, commands, compute, VK_ACCESS_SHADER_WRITE_BIT, transfer | VK_PIPELINE_STAGE_HOST_BIT,
            VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_HOST_READ_BIT);
    m->device->vk.CmdCopyBuffer(commands, m->decode.scratch.buffer, m->back.buffer, 1, &back);
    barrier(m, commands, transfer, VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT,
            VK_ACCESS_HOST_READ_BIT);
}

/* A decoder that is fast because it does not decode wins nothing. */
static bool batch_is_right(const struct measure *m)
{
    const uint32_t *statuses = m->back.mapped;
    bool right =
        decode_sample_is(m->sample, m->tiles_n - 1, (const uint8_t *)m->back.mapped + m->tile_at);

    for (uint32_t i = 0; i < m->tiles_n && !m->nv; i++)
        right = right && statuses[i] == DS_CODEC_ERROR_NONE;
    if (!right)
        host_log(m->host, DS_LOG_WARNING, "decode: a tile comes out wrong by %s on %s",
                 m->nv ? "VK_NV_memory_decompression" : "the shader",
                 m->device->properties.deviceName);
    return right;
}

/* Notes the rate, if it is the best one. Returns how long it took, as the GPU tells or, where it
 * does not, from submission to end; or 0: it failed. */
static uint64_t batch_run(struct measure *m, uint32_t tiles_n, struct outcome *best)
{
    uint64_t wall_ns, gpu_ns, ns, rate;

    m->tiles_n = tiles_n;
    batch_fill(m);
    wall_ns = copy_trial_run(m->trial, batch_record, m);
    vulkan_decode_release(&m->decode, 0);
    if (wall_ns == 0 || !batch_is_right(m))
        return 0;
    gpu_ns = gpu_clock_read(m->clock);
    ns = gpu_ns != 0 ? gpu_ns : wall_ns;
    rate = (uint64_t)((double)tiles_n * GDEFLATE_TILE_BYTES * 1e9 / (double)ns);
    if (rate > best->rate)
        *best = (struct outcome){rate, ns, tiles_n, best->least_ns};
    if (best->least_ns == 0 || ns < best->least_ns)
        best->least_ns = ns;
    *m->spent_ns += ns;
    return ns;
}

/* Contestants --------------------------------------------------------------------------------- */

static bool has_time(const struct measure *m, uint64_t ns)
{
    return *m->spent_ns + ns <= DECODE_MEASURE_NS;
}

/* Batches that grow, as long as there is time for the next one even if it takes as many times as
 * long as it has tiles. */
static bool run_growing(struct measure *m, struct outcome *best)
{
    uint32_t tiles_n = min_u32(TILES_FIRST, m->tiles_max);

    for (;;) {
        uint64_t ns = batch_run(m, tiles_n, best);
        uint32_t next = min_u32(tiles_n * TILES_GROW, m->tiles_max);

        if (ns == 0)
            return false;
        if (tiles_n == m->tiles_max || !has_time(m, ns * next / tiles_n))
            return true;
        tiles_n = next;
    }
}

/* A few to be warm, then the batch with which the other was at its best. What takes twice its time
 * has lost anyway. */
static bool run_against(struct measure *m, const struct outcome *other, struct outcome *best)
{
    if (batch_run(m, min_u32(TILES_FIRST, other->tiles), best) == 0)
        return false;
    return other->tiles <= TILES_FIRST || !has_time(m, 2 * other->batch_ns) ||
           batch_run(m, other->tiles, best) != 0;
}

static struct outcome contest(struct measure m, uint64_t scratch_bytes, const struct outcome *other)
{
    struct outcome best = {.rate = 0};
    bool done = measure_open(&m, scratch_bytes) == 0;

    if (done)
        done = other->rate != 0 ? run_against(&m, other, &best) : run_growing(&m, &best);
    measure_close(&m);
    if (done)
        return best;
    host_log(m.host, DS_LOG_WARNING, "decode: %s could not be measured on %s%s",
             m.nv ? "VK_NV_memory_decompression" : "the shader", m.device->properties.deviceName,
             m.trial->given_up ? ": it did not end in time" : "");
    return (struct outcome){.rate = 0};
}

struct decode_gpu_rates copy_decode_measure(struct ds_vulkan_backend *backend,
                                            const struct host *host,
                                            const struct decode_sample *sample, bool nv)
{
    struct outcome by_shader = {.rate = 0}, by_nv = {.rate = 0};
    uint64_t spent_ns = 0;
    struct copy_trial trial;
    struct gpu_clock clock;
    struct measure m = {
        .device = &backend->device,
        .host = host,
        .sample = sample,
        .trial = &trial,
        .clock = &clock,
        .spent_ns = &spent_ns,
    };

    gpu_clock_open(&clock, m.device, m.device->queue_family);
    if (copy_trial_open(&trial, backend, host) == 0) {
        by_shader = contest(m, backend->decode_scratch_bytes, &by_shader);
        m.nv = nv;
        if (nv)
            by_nv = contest(m, backend->decode_scratch_bytes, &by_shader);
    }
    copy_trial_close(&trial);
    gpu_clock_close(&clock);
    return (struct decode_gpu_rates){
        .gpu = by_shader.rate,
        .nv = by_nv.rate,
        .gpu_batch_ns = by_shader.least_ns,
        .nv_batch_ns = by_nv.least_ns,
    };
}
