/* Making an engine out of its parts, and taking it apart. */
#include "stages/runtime.h"

#include "engine/numa.h"
#include "stages/copy_vulkan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int choose_copy(struct ds_engine *engine)
{
    enum ds_copy_backend kind = engine->config.copy_backend;

    if (kind == DS_COPY_AUTO)
        kind = engine->config.vulkan != NULL ? DS_COPY_VULKAN : DS_COPY_HOST;
    engine->copy_kind = kind;
    return kind == DS_COPY_VULKAN && engine->config.vulkan == NULL ? -ENODEV : 0;
}

/* The GPU first: it may have a say in where threads run and where staging memory comes from. */
static int open_gpu(struct ds_engine *engine)
{
    int rc;

    if (engine->copy_kind != DS_COPY_VULKAN)
        return 0;
    rc = copy_vulkan_open(engine->config.vulkan, &engine->host, &engine->gpu_self);
    if (rc == 0)
        engine->copy_is_manual = copy_vulkan_ops.manual(engine->gpu_self);
    return rc;
}

static int map_staging(struct ds_engine *engine)
{
    int rc;

    if (engine->copy_kind != DS_COPY_VULKAN) {
        rc = staging_map(&engine->staging, engine->config.arena_bytes);
        if (rc != 0)
            host_log(&engine->host, DS_LOG_ERROR,
                     "arena_bytes: no %llu MiB of memory; lower it, or raise RLIMIT_AS or the "
                     "cgroup's limit",
                     (unsigned long long)(engine->config.arena_bytes >> 20));
        return rc;
    }
    return copy_vulkan_ops.staging_open(engine->gpu_self, engine->config.arena_bytes,
                                        &engine->staging);
}

/* On the node of the threads that fill and empty it. */
static int open_staging(struct ds_engine *engine)
{
    struct numa_policy before;
    int refused, rc;

    if (engine->arena_node < 0)
        return map_staging(engine);
    refused = numa_prefer(engine->arena_node, &before);
    if (refused != 0)
        host_log(&engine->host, DS_LOG_INFO,
                 "arena: not placed on node %d: errno %d (set_mempolicy; a seccomp filter?)",
                 engine->arena_node, -refused);
    rc = map_staging(engine);
    if (refused == 0)
        numa_restore(&before);
    return rc;
}

static void close_staging(struct ds_engine *engine)
{
    if (engine->gpu_self == NULL) {
        if (engine->staging.memory != NULL)
            staging_unmap(&engine->staging);
        engine->staging = (struct staging){.memory = NULL};
        return;
    }
    if (engine->staging.memory != NULL)
        copy_vulkan_ops.staging_close(engine->gpu_self, &engine->staging);
    copy_vulkan_close(engine->gpu_self);
    engine->gpu_self = NULL;
    engine->staging = (struct staging){.memory = NULL};
}

static int open_lane(struct ds_engine *engine, const struct read_backend_ops *ops, uint32_t lane)
{
    struct read_backend_config config = {
        .host = &engine->host,
        .staging = &engine->staging,
        .event = &engine->lane_workers[lane]->event,
        .depth = engine->config.io_depth_max,
        .threads = engine->config.pread_threads,
        .lane = lane,
        .manual = engine->topology == DS_TOPOLOGY_MANUAL,
        .uring_poll = engine->config.uring_poll,
    };
    int rc;

    rc = read_open(&engine->lanes[lane], ops, &config, engine->config.chunks_max,
                   &engine->copy.in[lane]);
    engine->lanes[lane].out_packed = &engine->decode.in[lane];
    if (rc != 0)
        engine->lanes[lane].backend = NULL; /* not open: see close_lanes */
    engine->lanes[lane].cancels = &engine->cancels;
    return rc;
}

static void close_lanes(struct ds_engine *engine)
{
    for (uint32_t i = 0; i < DS_READ_LANES_MAX; i++) {
        if (engine->lanes[i].backend == NULL)
            continue;
        read_close(&engine->lanes[i], &engine->host);
        engine->lanes[i].backend = NULL;
    }
}

static int open_lanes_with(struct ds_engine *engine, const struct read_backend_ops *ops)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < engine->lanes_n; i++)
        rc = open_lane(engine, ops, i);
    if (rc != 0)
        close_lanes(engine);
    return rc;
}

/* Why the kernel does not grant the back end that was tried last, or NULL. */
static const char *lanes_refusal(const struct ds_engine *engine)
{
    for (uint32_t i = 0; i < engine->lanes_n; i++) {
        if (engine->lanes[i].info.refused)
            return engine->lanes[i].info.reason;
    }
    return NULL;
}

/* io_uring where the kernel grants it, and pread where not: refusal is an answer, not an error. */
static int open_lanes(struct ds_engine *engine)
{
    enum ds_read_backend kind = engine->config.read_backend;
    int rc;

    if (kind == DS_READ_NIL || kind == DS_READ_PREAD) {
        engine->read_kind = kind;
        return open_lanes_with(engine, kind == DS_READ_NIL ? &read_nil_ops : &read_pread_ops);
    }
    engine->read_kind = DS_READ_URING;
    rc = open_lanes_with(engine, &read_uring_ops);
    if (rc == 0 || kind == DS_READ_URING || lanes_refusal(engine) == NULL)
        return rc;
    snprintf(engine->read_reason, sizeof(engine->read_reason), "%s; using pread",
             lanes_refusal(engine));
    host_log(&engine->host, DS_LOG_WARNING, "%s", engine->read_reason);
    engine->read_kind = DS_READ_PREAD;
    return open_lanes_with(engine, &read_pread_ops);
}

/* What the application decodes: enum ds_custom_select. */
static uint32_t custom_select(const struct ds_engine_config *c)
{
    return (c->custom_codecs != 0 ? DS_CUSTOM_SELECT_CUSTOM : 0u) |
           (c->decode_threads == DS_DECODE_APPLICATION ? DS_CUSTOM_SELECT_BUILTIN : 0u);
}

/* Its way to copy is that stage's last input, behind the lanes'. */
static int open_decode(struct ds_engine *engine)
{
    struct custom_config custom = {
        .host = &engine->host,
        .door = &engine->custom_door,
        .sweep = &engine->sweep,
        .items_max = engine->config.chunks_max,
        .select = custom_select(&engine->config),
        .write_combined = engine->staging.write_combined,
    };
    struct balance balance = {.limit_bytes = 0};

    if (engine->gpu_self != NULL && copy_vulkan_ops.decode(engine->gpu_self).balanced)
        balance = copy_vulkan_ops.decode(engine->gpu_self).balance;
    engine->sweep.event = &engine->decode_worker->event;
    return decode_open(&engine->decode, &(struct decode_config){
                                            .host = &engine->host,
                                            .chunks_max = engine->config.chunks_max,
                                            .lanes = engine->lanes_n,
                                            .threads = engine->decode_threads,
                                            .helps = engine->topology == DS_TOPOLOGY_DEDICATED,
                                            .event = &engine->decode_worker->event,
                                            .out = &engine->copy.in[engine->lanes_n],
                                            .custom = custom,
                                            .balance = balance,
                                            .gpu_batch_ns = &engine->complete.gpu_batch_ns,
                                        });
}

static int open_stages(struct ds_engine *engine)
{
    const struct ds_engine_config *c = &engine->config;
    const struct copy_gpu_ops *gpu = engine->gpu_self != NULL ? &copy_vulkan_ops : NULL;
    struct ds_vulkan_info vulkan = engine_vulkan_info(engine);
    bool leaves_young = gpu != NULL && gpu->decode(engine->gpu_self).leaves_young;
    int rc;

    rc = submit_open(&engine->submit, &(struct submit_config){
                                          .host = &engine->host,
                                          .staging = &engine->staging,
                                          .granularity_bytes = c->arena_granularity_bytes,
                                          .chunk_bytes = c->chunk_bytes,
                                          .chunks_max = c->chunks_max,
                                          .copies_data = engine->copy_kind != DS_COPY_NIL,
                                          .mapped_direct = vulkan.mapped_direct,
                                          .mapped_max_bytes = vulkan.mapped_max_bytes,
                                          .gpu = gpu,
                                          .gpu_self = engine->gpu_self,
                                      });
    if (rc != 0)
        return rc;
    rc = complete_open(&engine->complete, &(struct complete_config){
                                              .host = &engine->host,
                                              .gpu = gpu,
                                              .gpu_self = engine->gpu_self,
                                              .chunks_max = c->chunks_max,
                                              .returned = &engine->submit.returned,
                                              .leaves_young = leaves_young,
                                          });
    if (rc != 0)
        return rc;
    rc = copy_open(&engine->copy, &(struct copy_config){
                                      .host = &engine->host,
                                      .kind = gpu != NULL                       ? COPY_KIND_GPU
                                              : engine->copy_kind == DS_COPY_NIL ? COPY_KIND_NIL
                                                                                 : COPY_KIND_HOST,
                                      .gpu = gpu,
                                      .gpu_self = engine->gpu_self,
                                      .flush_ns = c->flush_ns,
                                      .chunks_max = c->chunks_max,
                                      .done = &engine->complete.done,
                                      .submitted = &engine->complete.submitted,
                                      .gpu_batch_ns = leaves_young
                                                          ? &engine->complete.gpu_batch_ns
                                                          : NULL,
                                  },
                   engine->lanes_n + 1);
    if (rc == 0)
        rc = open_decode(engine);
    return rc != 0 ? rc : open_lanes(engine);
}

/* Takes apart what engine_open has made, or as much of it as there is. */
static void engine_close(struct ds_engine *engine)
{
    decode_close(&engine->decode); /* its threads signal the lanes' workers until they end */
    close_lanes(engine);
    copy_close(&engine->copy);
    complete_close(&engine->complete);
    submit_close(&engine->submit);
    close_staging(engine);
    for (uint32_t i = 0; i < engine->workers_n; i++)
        worker_fini(&engine->workers[i]);
    engine->workers_n = 0;
    engine->read_reason[0] = '\0';
}

static void engine_free(struct ds_engine *engine)
{
    struct host host = engine->host;
    int fd = atomic_load(&engine->custom_door.fd);

    engine_close(engine);
    if (fd >= 0)
        close(fd);
    pthread_mutex_destroy(&engine->control);
    host_free(&host, engine, sizeof(*engine));
}

static int engine_open(struct ds_engine *engine)
{
    int rc = choose_copy(engine);

    engine->lanes_n = engine->config.read_lanes;
    if (rc == 0)
        rc = open_gpu(engine);
    if (rc != 0)
        return rc;
    pipeline_plan(engine);
    if (engine->gpu_self != NULL)
        copy_vulkan_decoders(engine->gpu_self, engine->decode_threads);
    rc = open_staging(engine);
    if (rc == 0)
        rc = open_stages(engine);
    if (rc != 0)
        return rc;
    pipeline_connect(engine);
    return pipeline_start(engine);
}

int ds_engine_create(const struct ds_engine_config *caller, struct ds_engine **out)
{
    struct ds_engine_config config;
    struct ds_engine *engine;
    struct host host;
    int rc = config_resolve(caller, &config);

    if (rc != 0)
        return rc;
    host_init(&host, config.allocator, config.log, config.log_ctx, config.log_level);
    engine = host_alloc(&host, sizeof(*engine), CACHE_LINE);
    if (engine == NULL)
        return -ENOMEM;
    engine->host = host;
    engine->config = config;
    engine->config.allocator = NULL; /* the host has its copy; the caller's may be gone */
    atomic_init(&engine->custom_door.fd, -1);
    pthread_mutex_init(&engine->control, NULL);
    rc = engine_open(engine);
    if (rc != 0) {
        engine_free(engine);
        return rc;
    }
    host_log(&engine->host, DS_LOG_INFO, "engine: %u threads, read %s, arena %s %llu MiB",
             engine->workers_n, engine->lanes[0].backend->name, engine->staging.kind,
             (unsigned long long)(engine->staging.bytes >> 20));
    *out = engine;
    return 0;
}

void ds_engine_destroy(struct ds_engine **handle)
{
    struct ds_engine *engine = *handle;

    if (engine == NULL)
        return;
    *handle = NULL;
    DS_ASSERT(engine->queues_used == 0); /* ds_queue_destroy before ds_engine_destroy */
    DS_ASSERT(engine->memories == NULL); /* and ds_memory_unregister */
    files_close_all(engine);
    images_close_all(engine);
    pipeline_stop(engine);
    engine_free(engine);
}

/* With no queue there is no request, so the engine can be taken apart and made anew. Files stay
 * open: the lanes register them again when they are used. */
static int engine_reopen(struct ds_engine *engine, uint64_t arena_bytes)
{
    struct ds_engine_config wanted = engine->config, before = engine->config;
    int rc;

    wanted.arena_bytes = arena_bytes;
    rc = config_resolve(&wanted, &engine->config);
    if (rc != 0) {
        engine->config = before;
        return rc;
    }
    pipeline_stop(engine);
    engine_close(engine);
    rc = engine_open(engine);
    if (rc == 0) {
        memories_pin_again(engine);
        return 0;
    }
    host_log(&engine->host, DS_LOG_ERROR, "no arena of %llu MiB; keeping %llu MiB",
             (unsigned long long)(arena_bytes >> 20),
             (unsigned long long)(before.arena_bytes >> 20));
    engine_close(engine);
    engine->config = before;
    engine->broken = engine_open(engine) != 0;
    if (engine->broken)
        engine_close(engine);
    else
        memories_pin_again(engine);
    return rc;
}

int ds_engine_set_arena_bytes(struct ds_engine *engine, uint64_t arena_bytes)
{
    int rc;

    pthread_mutex_lock(&engine->control);
    rc = engine->queues_used != 0 || engine->broken ? -EBUSY : engine_reopen(engine, arena_bytes);
    pthread_mutex_unlock(&engine->control);
    return rc;
}
