/* GDeflate streams in host memory, decoded by the GPU in pieces: while one piece is under way, the
 * next one is filled in and the one before is taken out. */
#include "engine/vulkan/backend.h"
#include "engine/vulkan/gdeflate_slot.h"
#include "engine/vulkan/timeline.h"

#include "engine/codec/tile_pool.h"

#include <ds/vulkan_codec.h>

#include <errno.h>

enum { SLOTS = 2 };

#define SCRATCH_DEFAULT ((uint64_t)256 << 20)
#define SCRATCH_MIN     ((uint64_t)1 << 20)
#define SCRATCH_MAX     ((uint64_t)16 << 30)
#define WAIT_NS         2000000000u

struct ds_vulkan_codec {
    struct host host;
    struct ds_vulkan_backend *backend;
    bool own_backend;
    bool acquired; /* the back end, from engines and other codecs */
    enum ds_vulkan_codec_path path;
    enum ds_vulkan_codec_check check;
    VkQueue queue;
    struct gdeflate_way way;
    struct gdeflate_slot slots[SLOTS];
    struct vulkan_timeline timeline;
    uint64_t tickets;
    struct tile_pool *pool;
    rounds_fn rounds;
    uint64_t tiles, cpu_tiles, gpu_ns;
};

/* One call of decompress. */
struct job {
    struct ds_vulkan_codec *codec;
    const struct gdeflate_stream *stream;
    uint8_t *dst;
    struct gdeflate_slot *slot; /* that the pool works on */
    /* tile << 8 | error of the first damaged tile so far */
    _Atomic uint32_t damage;
    _Atomic uint32_t cpu_tiles;
};

/* Opening --------------------------------------------------------------------------------------*/

static int refuse(const struct host *host, const char *what, uint64_t value, const char *range)
{
    host_log(host, DS_LOG_ERROR, "ds_vulkan_codec_config.%s is %llu: %s", what,
             (unsigned long long)value, range);
    return -EINVAL;
}

static int config_read(struct ds_vulkan_codec_config *config,
                       const struct ds_vulkan_codec_config *caller, struct host *host)
{
    *config = (struct ds_vulkan_codec_config){0};
    if (caller != NULL && copy_struct_in(config, sizeof(*config), caller) != 0)
        return -EINVAL;
    host_init(host, config->allocator, config->log, config->log_ctx, DS_LOG_INFO);
    if (config->path > DS_VULKAN_CODEC_PATH_NV)
        return refuse(host, "path", config->path, "0..3");
    if (config->check > DS_VULKAN_CODEC_CHECK_CPU)
        return refuse(host, "check", config->check, "0..2");
    if (config->threads > DS_CODEC_THREADS_MAX)
        return refuse(host, "threads", config->threads, "1..64, 0 = 1");
    if (config->scratch_bytes == 0)
        config->scratch_bytes = SCRATCH_DEFAULT;
    if (config->scratch_bytes < SCRATCH_MIN || config->scratch_bytes > SCRATCH_MAX)
        return refuse(host, "scratch_bytes", config->scratch_bytes, "1 MiB..16 GiB, 0 = 256 MiB");
    if (config->backend != NULL && config->device_name != NULL) {
        host_log(host, DS_LOG_ERROR,
                 "ds_vulkan_codec_config.device_name is for a device of the "
                 "codec's own, and backend is set");
        return -EINVAL;
    }
    if (config->threads == 0)
        config->threads = 1;
    return 0;
}

/* A queue that nobody locks is for one user. */
static int backend_open(struct ds_vulkan_codec *codec, const struct ds_vulkan_codec_config *config)
{
    int error;

    codec->backend = config->backend;
    if (codec->backend == NULL) {
        codec->own_backend = true;
        return ds_vulkan_backend_create(
            &(struct ds_vulkan_backend_config){
                .struct_size = sizeof(struct ds_vulkan_backend_config),
                .device_name = config->device_name,
                .allocator = config->allocator,
                .log = config->log,
                .log_ctx = config->log_ctx,
            },
            &codec->backend);
    }
    if (codec->backend->queue_mode == DS_VULKAN_QUEUE_MANUAL) {
        host_log(&codec->host, DS_LOG_ERROR,
                 "ds_vulkan_codec: the back end is in "
                 "DS_VULKAN_QUEUE_MANUAL, and a codec submits by itself");
        return -EINVAL;
    }
    if (codec->backend->device.own || codec->backend->lock_queue != NULL)
        return 0;
    error = vulkan_backend_acquire(codec->backend);
    codec->acquired = error == 0;
    if (error != 0)
        host_log(&codec->host, DS_LOG_ERROR,
                 "ds_vulkan_codec: the back end's queue is "
                 "DS_VULKAN_QUEUE_EXCLUSIVE and in use");
    return error;
}

static const char *queue_choose(struct ds_vulkan_codec *codec)
{
    const struct vulkan_device *device = &codec->backend->device;

    if ((device->queue_flags & VK_QUEUE_COMPUTE_BIT) != 0) {
        codec->queue = device->queue;
        codec->way.queue_family = device->queue_family;
        return NULL;
    }
    codec->queue = device->app_queue; /* of an own device: has COMPUTE where any family has */
    codec->way.queue_family = device->app_queue_family;
    return device->own ? NULL : "queue_family has no COMPUTE";
}

static int way_open(struct ds_vulkan_codec *codec)
{
    static const enum gdeflate_gpu_form forms[] = {
        [DS_VULKAN_CODEC_PATH_AUTO] = GDEFLATE_GPU_AUTO,
        [DS_VULKAN_CODEC_PATH_PORTABLE] = GDEFLATE_GPU_PORTABLE,
        [DS_VULKAN_CODEC_PATH_SUBGROUP] = GDEFLATE_GPU_SUBGROUP,
    };
    const struct vulkan_device *device = &codec->backend->device;
    bool nv = codec->path == DS_VULKAN_CODEC_PATH_NV;
    const char *lacks = queue_choose(codec);

    codec->way.device = device;
    if (lacks == NULL)
        lacks = nv ? gdeflate_nv_lacks(device) : gdeflate_gpu_lacks(device, forms[codec->path]);
    if (lacks != NULL) {
        host_log(&codec->host, DS_LOG_ERROR, "ds_vulkan_codec_config.path %u on %s: %s",
                 codec->path, device->properties.deviceName, lacks);
        return -ENOTSUP;
    }
    if (nv)
        return gdeflate_nv_open(&codec->way.nv, device, &codec->host);
    return gdeflate_gpu_open(&codec->way.shader, device, &codec->host,
                             codec->path == DS_VULKAN_CODEC_PATH_PORTABLE ? GDEFLATE_GPU_PORTABLE
                                                                          : GDEFLATE_GPU_AUTO);
}

static int slots_open(struct ds_vulkan_codec *codec, uint64_t scratch_bytes)
{
    const struct vulkan_device *device = &codec->backend->device;
    uint32_t tiles = 1, step = 1u << 16;
    int error = 0;

    DS_ASSERT(SLOTS * gdeflate_slot_bytes(device, tiles) <= SCRATCH_MIN);
    /* the most tiles that fit: sizes grow with their number */
    for (; step != 0; step >>= 1) {
        if (tiles + step <= GDEFLATE_TILES_MAX &&
            SLOTS * gdeflate_slot_bytes(device, tiles + step) <= scratch_bytes)
            tiles += step;
    }
    for (uint32_t i = 0; i < SLOTS && error == 0; i++)
        error = gdeflate_slot_open(&codec->slots[i], &codec->way, &codec->host, tiles);
    if (error == -ENOMEM)
        host_log(&codec->host, DS_LOG_ERROR,
                 "ds_vulkan_codec_config.scratch_bytes is %llu: there "
                 "is not so much",
                 (unsigned long long)scratch_bytes);
    return error;
}

static int codec_open(struct ds_vulkan_codec *codec, const struct ds_vulkan_codec_config *config)
{
    int error = backend_open(codec, config);

    if (error == 0)
        error = way_open(codec);
    if (error == 0 && codec->path == DS_VULKAN_CODEC_PATH_AUTO)
        codec->path = codec->way.shader.form == GDEFLATE_GPU_SUBGROUP
                          ? DS_VULKAN_CODEC_PATH_SUBGROUP
                          : DS_VULKAN_CODEC_PATH_PORTABLE;
    if (error == 0)
        error = vulkan_timeline_open(&codec->timeline, &codec->backend->device, &codec->host);
    if (error == 0)
        error = slots_open(codec, config->scratch_bytes);
    if (error == 0)
        error = tile_pool_create(&codec->host, config->threads, &codec->pool);
    return error;
}

int ds_vulkan_codec_create(const struct ds_vulkan_codec_config *caller,
                           struct ds_vulkan_codec **out)
{
    struct ds_vulkan_codec_config config;
    struct ds_vulkan_codec *codec;
    struct host host;
    int error = config_read(&config, caller, &host);

    if (error != 0 || out == NULL)
        return -EINVAL;
    codec = host_alloc(&host, sizeof(*codec), CACHE_LINE);
    if (codec == NULL)
        return -ENOMEM;
    *codec = (struct ds_vulkan_codec){
        .host = host,
        .path = (enum ds_vulkan_codec_path)config.path,
        .check = (enum ds_vulkan_codec_check)config.check,
        .rounds = gdeflate_rounds_for(DS_CODEC_PATH_AUTO, NULL),
    };
    if (codec->check == DS_VULKAN_CODEC_CHECK_AUTO)
        codec->check = codec->path == DS_VULKAN_CODEC_PATH_NV ? DS_VULKAN_CODEC_CHECK_CPU
                                                              : DS_VULKAN_CODEC_CHECK_NONE;
    error = codec_open(codec, &config);
    if (error != 0) {
        ds_vulkan_codec_destroy(&codec);
        return error;
    }
    *out = codec;
    return 0;
}

void ds_vulkan_codec_destroy(struct ds_vulkan_codec **codec_at)
{
    struct ds_vulkan_codec *codec = *codec_at;
    struct host host;

    if (codec == NULL)
        return;
    *codec_at = NULL;
    host = codec->host;
    tile_pool_destroy(&host, &codec->pool);
    if (codec->timeline.vk != NULL)
        vulkan_timeline_drain(&codec->timeline);
    for (uint32_t i = 0; i < SLOTS; i++)
        gdeflate_slot_close(&codec->slots[i], &host);
    if (codec->timeline.vk != NULL)
        vulkan_timeline_close(&codec->timeline);
    gdeflate_gpu_close(&codec->way.shader);
    if (codec->acquired)
        vulkan_backend_release(codec->backend);
    if (codec->own_backend)
        ds_vulkan_backend_destroy(&codec->backend);
    host_free(&host, codec, sizeof(*codec));
}

/* Pieces ---------------------------------------------------------------------------------------*/

/* Keeps the lowest tile, so that the report does not depend on timing. Relaxed: the pool's lock
 * orders it before the caller's read. */
static void damage_note(struct job *job, uint32_t tile, enum ds_codec_error error)
{
    uint32_t damage = atomic_load_explicit(&job->damage, memory_order_relaxed);
    uint32_t found = tile << 8 | (uint32_t)error;

    while (error != DS_CODEC_ERROR_NONE && found < damage &&
           !atomic_compare_exchange_weak_explicit(&job->damage, &damage, found,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static bool is_damaged(struct job *job)
{
    return atomic_load_explicit(&job->damage, memory_order_relaxed) != UINT32_MAX;
}

static uint8_t *tile_dst(const struct job *job, uint32_t tile)
{
    return job->dst + (size_t)tile * GDEFLATE_TILE_BYTES;
}

static enum ds_codec_error cpu_decode(struct job *job, uint32_t tile)
{
    struct gdeflate_tile it = gdeflate_stream_tile(job->stream, tile);

    return gdeflate_tile_decode(job->codec->rounds, it.packed, it.packed_bytes, tile_dst(job, tile),
                                it.bytes);
}

static void tile_put(void *ctx, uint32_t worker, uint32_t i)
{
    struct job *job = ctx;
    uint32_t tile = job->slot->first + i;
    struct gdeflate_tile it = gdeflate_stream_tile(job->stream, tile);
    uint8_t *source = gdeflate_slot_source(job->slot, i);

    (void)worker;
    if (job->codec->check == DS_VULKAN_CODEC_CHECK_CPU)
        damage_note(job, tile, cpu_decode(job, tile));
    if (source != NULL)
        memcpy(source, it.packed, it.packed_bytes);
}

/* What the GPU left: unless the check has seen to it already. */
static enum ds_codec_error tile_leftover(struct job *job, uint32_t tile)
{
    atomic_fetch_add_explicit(&job->cpu_tiles, 1, memory_order_relaxed);
    return job->codec->check == DS_VULKAN_CODEC_CHECK_CPU ? DS_CODEC_ERROR_NONE
                                                          : cpu_decode(job, tile);
}

static void tile_take(void *ctx, uint32_t worker, uint32_t i)
{
    struct job *job = ctx;
    uint32_t tile = job->slot->first + i;
    uint32_t bytes = gdeflate_stream_tile(job->stream, tile).bytes;
    const uint8_t *content = gdeflate_slot_content(job->slot, i);
    enum ds_codec_error error = gdeflate_slot_status(job->slot, i);

    (void)worker;
    if (error == DS_CODEC_ERROR_DEVICE)
        error = tile_leftover(job, tile);
    else if (job->codec->check == DS_VULKAN_CODEC_CHECK_CPU)
        error = error == DS_CODEC_ERROR_NONE && memcmp(content, tile_dst(job, tile), bytes) == 0
                    ? DS_CODEC_ERROR_NONE
                    : DS_CODEC_ERROR_MISMATCH;
    else if (error == DS_CODEC_ERROR_NONE)
        memcpy(tile_dst(job, tile), content, bytes);
    damage_note(job, tile, error);
}

static int slot_submit(struct ds_vulkan_codec *codec, struct gdeflate_slot *slot)
{
    uint64_t ticket = codec->tickets + 1;
    VkResult result = gdeflate_slot_record(slot);

    if (result != VK_SUCCESS)
        return vulkan_fail(&codec->host, "recording commands", result);
    result = vulkan_commands_submit(&slot->commands, codec->backend, codec->queue, &codec->timeline,
                                    ticket);
    if (result != VK_SUCCESS)
        return -EIO;
    codec->tickets = ticket;
    slot->ticket = ticket;
    return 0;
}

/* Puts the piece that begins with tile *next on its way, unless it is found to be damaged. */
static int piece_put(struct job *job, struct gdeflate_slot *slot, uint32_t *next)
{
    gdeflate_slot_fill(slot, job->stream, *next);
    *next += slot->tiles_n;
    job->slot = slot;
    tile_pool_run(job->codec->pool, tile_put, job, slot->tiles_n);
    if (!is_damaged(job) && slot->table_n > 0)
        return slot_submit(job->codec, slot);
    return 0;
}

/* Waits for a piece and takes it out. A piece that did not run because of damage has nothing to
 * tell. */
static int piece_take(struct job *job, struct gdeflate_slot *slot)
{
    struct ds_vulkan_codec *codec = job->codec;
    bool ran = slot->ticket != 0 || slot->table_n == 0;
    VkResult result = VK_TIMEOUT;

    if (slot->tiles_n == 0)
        return 0;
    while (slot->ticket != 0 && result == VK_TIMEOUT)
        result = vulkan_timeline_wait(&codec->timeline, slot->ticket, WAIT_NS);
    if (slot->ticket != 0 && result != VK_SUCCESS)
        return -EIO;
    if (slot->ticket != 0)
        codec->gpu_ns += gpu_clock_read(&slot->clock);
    job->slot = slot;
    if (ran)
        tile_pool_run(codec->pool, tile_take, job, slot->tiles_n);
    slot->tiles_n = 0;
    return 0;
}

/* The slots take turns, so pieces are taken out in the order of the stream. */
static int pieces_run(struct job *job)
{
    struct ds_vulkan_codec *codec = job->codec;
    uint32_t next = 0, turn = 0;
    int error = 0;

    while (error == 0 && next < job->stream->tile_count && !is_damaged(job)) {
        struct gdeflate_slot *slot = &codec->slots[turn++ % SLOTS];

        error = piece_take(job, slot);
        if (error == 0)
            error = piece_put(job, slot, &next);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct gdeflate_slot *slot = &codec->slots[turn++ % SLOTS];

        if (error == 0)
            error = piece_take(job, slot);
        slot->tiles_n = 0;
    }
    if (error != 0) /* the memory must not be in use when the next call fills it */
        vulkan_timeline_drain(&codec->timeline);
    return error;
}

static void codec_count(struct ds_vulkan_codec *codec, struct job *job)
{
    uint32_t cpu_tiles = atomic_load_explicit(&job->cpu_tiles, memory_order_relaxed);

    codec->tiles += job->stream->tile_count - cpu_tiles;
    codec->cpu_tiles += cpu_tiles;
}

int ds_vulkan_codec_decompress(struct ds_vulkan_codec *codec, const void *source,
                               size_t source_bytes, void *dst, size_t dst_bytes,
                               struct ds_codec_report *report)
{
    struct gdeflate_stream stream;
    struct job job = {.codec = codec, .stream = &stream, .dst = dst};
    enum ds_codec_error error = DS_CODEC_ERROR_HEADER_SHORT;
    uint32_t damage;
    int failed = 0;

    if ((source == NULL && source_bytes != 0) || (dst == NULL && dst_bytes != 0))
        return -EINVAL;
    if (vulkan_timeline_lost(&codec->timeline) != VK_SUCCESS)
        return -EIO;
    atomic_init(&job.damage, UINT32_MAX);
    atomic_init(&job.cpu_tiles, 0);
    if (source != NULL)
        error = gdeflate_stream_parse(&stream, source, source_bytes);
    if (error == DS_CODEC_ERROR_NONE && stream.content_bytes != dst_bytes)
        error = DS_CODEC_ERROR_OUTPUT_SIZE;
    if (error != DS_CODEC_ERROR_NONE)
        damage_note(&job, 0, error);
    else
        failed = pieces_run(&job);
    if (failed != 0)
        return failed;
    damage = atomic_load_explicit(&job.damage, memory_order_relaxed);
    if (damage == UINT32_MAX)
        codec_count(codec, &job);
    if (report != NULL)
        *report = damage == UINT32_MAX
                      ? (struct ds_codec_report){.error = DS_CODEC_ERROR_NONE}
                      : (struct ds_codec_report){.error = damage & 0xff, .tile = damage >> 8};
    return damage == UINT32_MAX ? 0 : -EBADMSG;
}

int ds_vulkan_codec_get_info(const struct ds_vulkan_codec *codec, struct ds_vulkan_codec_info *info)
{
    const struct vulkan_device *device = &codec->backend->device;
    struct ds_vulkan_codec_info ours = {
        .struct_size = sizeof(ours),
        .path = codec->path,
        .check = codec->check,
        .piece_tiles = codec->slots[0].tiles_max,
        .device_name = device->properties.deviceName,
        .tiles = codec->tiles,
        .cpu_tiles = codec->cpu_tiles,
        .gpu_ns = codec->gpu_ns,
    };

    for (uint32_t i = 0; i < SLOTS; i++)
        ours.scratch_bytes += gdeflate_slot_bytes_held(&codec->slots[i]);
    return copy_struct_out(info, &ours, sizeof(ours));
}
