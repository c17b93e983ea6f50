/* gdeflate_gpu - GDeflate decoding on the GPU: our shaders beside VK_NV_memory_decompression.
 *
 * usage: gdeflate_gpu [--tiles N] [--rounds N] [--code FORM:FILE.spv]... STREAM RAW [STREAM RAW]...
 *
 * Every STREAM is a GDeflate tile stream with the content RAW. Its tiles are repeated until there
 * are N (default 8192), lie in the GPU's memory, and are decoded there by each contestant in turn,
 * in each round; the best round counts. Then the same with 16 tiles, for the latency. The output
 * is compared with RAW. --code adds a variant of the shader (FORM portable, subgroup or group). One
 * JSON line per contestant; times are from vkQueueSubmit until the fence is signalled. */
#include "engine/vulkan/backend.h"
#include "engine/vulkan/buffer.h"
#include "engine/vulkan/gdeflate_nv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTESTANTS_MAX = 24, FEW_TILES = 16, TILES_MAX = 65535 };

enum way { WAY_SHADER, WAY_NV_INDIRECT, WAY_NV_DIRECT };

struct contestant {
    char name[64];
    enum way way;
    struct gdeflate_gpu gpu;
    double best_s[2]; /* many tiles, few tiles */
    bool wrong;
};

struct bench {
    struct ds_vulkan_backend *backend;
    const struct vulkan_device *device;
    const struct vulkan_dispatch *vk;
    struct host host;
    VkQueue queue;
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkFence fence;
    PFN_vkCreateFence CreateFence;
    PFN_vkResetFences ResetFences;
    PFN_vkWaitForFences WaitForFences;
    PFN_vkCmdFillBuffer CmdFillBuffer;
    PFN_vkCmdDecompressMemoryNV CmdDecompressMemoryNV;
    struct gdeflate_nv nv;
    struct contestant contestants[CONTESTANTS_MAX];
    uint32_t contestants_n;
    uint32_t tiles_n, rounds;

    struct vulkan_buffer staging, source, output, table, nv_table, statuses, readback;
    uint32_t stream_tiles_n;
    uint64_t stream_bytes, content_bytes;
};

static void must(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "gdeflate_gpu: %s failed\n", what);
    exit(1);
}

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint8_t *file_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;

    must(file != NULL && fseek(file, 0, SEEK_END) == 0, path);
    *bytes = (size_t)ftell(file);
    rewind(file);
    data = aligned_alloc(64, align_up_u64(*bytes + 1, 64));
    must(data != NULL && fread(data, 1, *bytes, file) == *bytes, path);
    fclose(file);
    return data;
}

static void device_open(struct bench *bench)
{
    PFN_vkGetDeviceProcAddr get;
    VkDevice device;

    host_init(&bench->host, NULL, NULL, NULL, DS_LOG_DEBUG);
    must(ds_vulkan_backend_create(NULL, &bench->backend) == 0, "ds_vulkan_backend_create");
    bench->device = &bench->backend->device;
    bench->vk = &bench->device->vk;
    bench->queue = bench->device->app_queue;
    get = bench->vk->GetDeviceProcAddr;
    device = bench->device->device;
    bench->CreateFence = (PFN_vkCreateFence)get(device, "vkCreateFence");
    bench->ResetFences = (PFN_vkResetFences)get(device, "vkResetFences");
    bench->WaitForFences = (PFN_vkWaitForFences)get(device, "vkWaitForFences");
    bench->CmdFillBuffer = (PFN_vkCmdFillBuffer)get(device, "vkCmdFillBuffer");
    bench->CmdDecompressMemoryNV =
        (PFN_vkCmdDecompressMemoryNV)get(device, "vkCmdDecompressMemoryNV");
}

static void commands_open(struct bench *bench)
{
    VkDevice device = bench->device->device;
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
        .queueFamilyIndex = bench->device->app_queue_family,
    };
    VkCommandBufferAllocateInfo commands = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandBufferCount = 1,
    };
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};

    must(bench->vk->CreateCommandPool(device, &pool, NULL, &bench->pool) == 0, "command pool");
    commands.commandPool = bench->pool;
    must(bench->vk->AllocateCommandBuffers(device, &commands, &bench->commands) == 0, "commands");
    must(bench->CreateFence(device, &fence, NULL, &bench->fence) == 0, "vkCreateFence");
}

static void commands_begin(struct bench *bench)
{
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};

    must(bench->vk->BeginCommandBuffer(bench->commands, &begin) == 0, "vkBeginCommandBuffer");
}

/* How long it took, in seconds. */
static double commands_run(struct bench *bench)
{
    VkDevice device = bench->device->device;
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .commandBufferCount = 1,
        .pCommandBuffers = &bench->commands,
    };
    double begin;

    must(bench->vk->EndCommandBuffer(bench->commands) == 0, "vkEndCommandBuffer");
    begin = now_seconds();
    must(bench->vk->QueueSubmit(bench->queue, 1, &submit, bench->fence) == 0, "vkQueueSubmit");
    must(bench->WaitForFences(device, 1, &bench->fence, VK_TRUE, 20000000000u) == 0,
         "vkWaitForFences");
    begin = now_seconds() - begin;
    bench->ResetFences(device, 1, &bench->fence);
    return begin;
}

static void buffer_make(struct bench *bench, struct vulkan_buffer *buffer,
                        enum vulkan_buffer_kind kind, uint64_t bytes)
{
    vulkan_buffer_close(buffer, bench->device);
    must(vulkan_buffer_open(buffer, bench->device, &bench->host, kind, align_up_u64(bytes, 256)) ==
             0, "a buffer");
}

/* Copies of the stream in the GPU's memory, and the tables of all their tiles. */
static void stream_upload(struct bench *bench, const uint8_t *packed,
                          const struct gdeflate_stream *stream)
{
    uint32_t copies = (bench->tiles_n + stream->tile_count - 1) / stream->tile_count;
    uint64_t stride = align_up_u64(stream->stream_bytes, 256);
    struct gdeflate_gpu_tile *tiles;
    uint32_t made = 0;

    bench->stream_tiles_n = copies * stream->tile_count;
    bench->content_bytes = stream->content_bytes;
    bench->stream_bytes = stream->stream_bytes;
    tiles = calloc(bench->stream_tiles_n, sizeof(*tiles));
    buffer_make(bench, &bench->staging, VULKAN_BUFFER_UPLOAD, stride);
    buffer_make(bench, &bench->source, VULKAN_BUFFER_LOCAL, stride * copies);
    buffer_make(bench, &bench->output, VULKAN_BUFFER_LOCAL, stream->content_bytes * copies);
    buffer_make(bench, &bench->readback, VULKAN_BUFFER_UPLOAD, stream->content_bytes);
    buffer_make(bench, &bench->table, VULKAN_BUFFER_UPLOAD,
                bench->stream_tiles_n * sizeof(struct gdeflate_gpu_tile));
    buffer_make(bench, &bench->nv_table, VULKAN_BUFFER_UPLOAD,
                GDEFLATE_NV_TABLE_BYTES(bench->stream_tiles_n));
    buffer_make(bench, &bench->statuses, VULKAN_BUFFER_UPLOAD, bench->stream_tiles_n * 4);
    memcpy(bench->staging.mapped, packed, stream->stream_bytes);
    commands_begin(bench);
    for (uint32_t i = 0; i < copies; i++) {
        VkBufferCopy region = {0, stride * i, stream->stream_bytes};

        bench->vk->CmdCopyBuffer(bench->commands, bench->staging.buffer, bench->source.buffer, 1,
                                 &region);
        gdeflate_gpu_tiles(tiles + made, stream, bench->source.address + stride * i,
                           bench->output.address + stream->content_bytes * i, made);
        made += stream->tile_count;
    }
    commands_run(bench);
    memcpy(bench->table.mapped, tiles, made * sizeof(*tiles));
    must(gdeflate_nv_table(bench->nv_table.mapped, tiles, made), "gdeflate_nv_table");
    free(tiles);
}

static void decode_record(struct bench *bench, const struct contestant *contestant,
                          uint32_t tiles_n)
{
    switch (contestant->way) {
    case WAY_SHADER:
        gdeflate_gpu_record(&contestant->gpu, bench->commands, bench->table.address,
                            bench->statuses.address, tiles_n);
        break;
    case WAY_NV_INDIRECT:
        memcpy(bench->nv_table.mapped, &tiles_n, sizeof(tiles_n));
        gdeflate_nv_record(&bench->nv, bench->commands, bench->nv_table.address);
        break;
    case WAY_NV_DIRECT:
        bench->CmdDecompressMemoryNV(
            bench->commands, tiles_n,
            (VkDecompressMemoryRegionNV *)((uint8_t *)bench->nv_table.mapped +
                                           GDEFLATE_NV_REGIONS_AT));
        break;
    }
}

static void contestant_run(struct bench *bench, struct contestant *contestant, uint32_t what)
{
    uint32_t tiles_n = what == 0 ? bench->stream_tiles_n : FEW_TILES;
    double took;

    commands_begin(bench);
    decode_record(bench, contestant, min_u32(tiles_n, bench->stream_tiles_n));
    took = commands_run(bench);
    if (contestant->best_s[what] == 0 || took < contestant->best_s[what])
        contestant->best_s[what] = took;
}

/* The last copy of the content, which was overwritten before. */
static void contestant_check(struct bench *bench, struct contestant *contestant,
                             const uint8_t *raw)
{
    VkBufferCopy region = {.size = bench->content_bytes};
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
    };
    uint64_t copies = bench->stream_tiles_n / ((bench->content_bytes + 65535) / 65536);
    uint8_t *copy = malloc(bench->content_bytes);

    region.srcOffset = bench->content_bytes * (copies - 1);
    memset(bench->statuses.mapped, 0xff, bench->statuses.bytes);
    commands_begin(bench);
    bench->CmdFillBuffer(bench->commands, bench->output.buffer, 0, VK_WHOLE_SIZE, 0x5a5a5a5a);
    bench->vk->CmdPipelineBarrier(bench->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                                  VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1, &barrier, 0, NULL, 0,
                                  NULL);
    decode_record(bench, contestant, bench->stream_tiles_n);
    bench->vk->CmdPipelineBarrier(bench->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                                  VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1, &barrier, 0, NULL, 0,
                                  NULL);
    bench->vk->CmdCopyBuffer(bench->commands, bench->output.buffer, bench->readback.buffer, 1,
                             &region);
    commands_run(bench);
    memcpy(copy, bench->readback.mapped, bench->content_bytes);
    contestant->wrong = memcmp(copy, raw, bench->content_bytes) != 0;
    if (contestant->way == WAY_SHADER &&
        gdeflate_gpu_verdict(bench->statuses.mapped, bench->stream_tiles_n, NULL) !=
            DS_CODEC_ERROR_NONE)
        contestant->wrong = true;
    free(copy);
}

static void stream_bench(struct bench *bench, const char *stream_path, const char *raw_path)
{
    size_t packed_bytes, raw_bytes;
    uint8_t *packed = file_read(stream_path, &packed_bytes);
    uint8_t *raw = file_read(raw_path, &raw_bytes);
    struct gdeflate_stream stream;

    must(gdeflate_stream_parse(&stream, packed, packed_bytes) == DS_CODEC_ERROR_NONE &&
             stream.content_bytes == raw_bytes, stream_path);
    stream_upload(bench, packed, &stream);
    for (uint32_t i = 0; i < bench->contestants_n; i++) {
        bench->contestants[i].best_s[0] = bench->contestants[i].best_s[1] = 0;
        contestant_check(bench, &bench->contestants[i], raw);
    }
    for (uint32_t round = 0; round < bench->rounds; round++) {
        for (uint32_t i = 0; i < bench->contestants_n; i++) {
            contestant_run(bench, &bench->contestants[i], 0);
            contestant_run(bench, &bench->contestants[i], 1);
        }
    }
    for (uint32_t i = 0; i < bench->contestants_n; i++) {
        const struct contestant *contestant = &bench->contestants[i];
        double tile_bytes = (double)raw_bytes / stream.tile_count;

        printf("{\"bench\":\"gdeflate_gpu\",\"data\":\"%s\",\"ratio\":%.3f,\"way\":\"%s\","
               "\"tiles\":%u,\"ms\":%.3f,\"gb_per_s\":%.2f,\"few_tiles\":%u,\"few_ms\":%.3f,"
               "\"right\":%s}\n",
               strrchr(stream_path, '/') != NULL ? strrchr(stream_path, '/') + 1 : stream_path,
               (double)packed_bytes / (double)raw_bytes, contestant->name, bench->stream_tiles_n,
               contestant->best_s[0] * 1e3,
               tile_bytes * bench->stream_tiles_n / contestant->best_s[0] * 1e-9, FEW_TILES,
               contestant->best_s[1] * 1e3, contestant->wrong ? "false" : "true");
        fflush(stdout);
    }
    free(packed);
    free(raw);
}

static struct contestant *contestant_add(struct bench *bench, const char *name, enum way way)
{
    struct contestant *contestant = &bench->contestants[bench->contestants_n++];

    must(bench->contestants_n <= CONTESTANTS_MAX, "room for contestants");
    snprintf(contestant->name, sizeof(contestant->name), "%s", name);
    contestant->way = way;
    return contestant;
}

static void code_add(struct bench *bench, const char *text)
{
    const char *path = strchr(text, ':');
    enum gdeflate_gpu_form form = strncmp(text, "sub", 3) == 0   ? GDEFLATE_GPU_SUBGROUP
                                  : strncmp(text, "group", 5) == 0 ? GDEFLATE_GPU_GROUP
                                                                   : GDEFLATE_GPU_PORTABLE;
    double begin = now_seconds();
    uint8_t *code;
    size_t bytes;

    must(path != NULL, text);
    code = file_read(path + 1, &bytes);
    if (gdeflate_gpu_open_code(&contestant_add(bench, text, WAY_SHADER)->gpu, bench->device,
                               &bench->host, form, (const uint32_t *)code, bytes) != 0)
        bench->contestants_n--;
    fprintf(stderr, "%s: pipeline in %.0f ms\n", text, (now_seconds() - begin) * 1e3);
    free(code);
}

static void contestants_open(struct bench *bench)
{
    static const char *const names[] = {"auto", "portable", "subgroup", "group"};

    for (int form = GDEFLATE_GPU_AUTO; form < GDEFLATE_GPU_FORMS; form++) {
        struct contestant *contestant = contestant_add(bench, names[form], WAY_SHADER);

        if (gdeflate_gpu_open(&contestant->gpu, bench->device, &bench->host,
                              (enum gdeflate_gpu_form)form) != 0)
            bench->contestants_n--;
    }
    if (gdeflate_nv_open(&bench->nv, bench->device, &bench->host) == 0) {
        contestant_add(bench, "nv indirect", WAY_NV_INDIRECT);
        contestant_add(bench, "nv direct", WAY_NV_DIRECT);
    }
}

static void bench_close(struct bench *bench)
{
    struct vulkan_buffer *buffers[] = {&bench->staging, &bench->source,   &bench->output,
                                       &bench->table,   &bench->nv_table, &bench->statuses,
                                       &bench->readback};
    PFN_vkDestroyFence destroy_fence = (PFN_vkDestroyFence)bench->vk->GetDeviceProcAddr(
        bench->device->device, "vkDestroyFence");

    for (uint32_t i = 0; i < ARRAY_LENGTH(buffers); i++)
        vulkan_buffer_close(buffers[i], bench->device);
    for (uint32_t i = 0; i < bench->contestants_n; i++) {
        if (bench->contestants[i].way == WAY_SHADER)
            gdeflate_gpu_close(&bench->contestants[i].gpu);
    }
    destroy_fence(bench->device->device, bench->fence, NULL);
    bench->vk->DestroyCommandPool(bench->device->device, bench->pool, NULL);
    ds_vulkan_backend_destroy(&bench->backend);
}

int main(int argc, char **argv)
{
    static struct bench bench = {.tiles_n = 8192, .rounds = 5};
    int i;

    device_open(&bench);
    commands_open(&bench);
    contestants_open(&bench);
    for (i = 1; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--tiles") == 0)
            bench.tiles_n = (uint32_t)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--rounds") == 0)
            bench.rounds = (uint32_t)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--code") == 0)
            code_add(&bench, argv[i + 1]);
        else
            must(false, argv[i]);
    }
    must(bench.tiles_n >= 1 && bench.tiles_n <= TILES_MAX - 4096, "--tiles");
    for (; i + 1 < argc; i += 2)
        stream_bench(&bench, argv[i], argv[i + 1]);
    bench_close(&bench);
    return 0;
}
