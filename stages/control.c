/* The rest of the engine's public calls: queues come and go, steps, snapshots. */
#include "stages/runtime.h"

#include "engine/clock.h"
#include "engine/codec/codec.h"
#include "engine/image/target.h"
#include "engine/notice.h"
#include "engine/numa.h"
#include "engine/stats.h"
#include "stages/copy_vulkan.h"

#include <ds/vulkan.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What the GPU decodes: nothing where there is none. */
static struct gpu_decode engine_gpu_decode(const struct ds_engine *engine)
{
    return engine->gpu_self != NULL ? copy_vulkan_ops.decode(engine->gpu_self)
                                    : (struct gpu_decode){.kind = "cpu", .reason = "no GPU"};
}

struct ds_vulkan_info engine_vulkan_info(const struct ds_engine *engine)
{
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};

    if (engine->gpu_self != NULL)
        ds_vulkan_backend_get_info(engine->config.vulkan, &info);
    return info;
}

int64_t ds_engine_step(struct ds_engine *engine)
{
    return engine->topology == DS_TOPOLOGY_MANUAL ? engine_step(engine) : -EINVAL;
}

/* A thread that waits while another runs the stages looks again after so long: that one may leave
 * with results of its own. */
#define MANUAL_LOOK_NS 50000u

static bool manual_enter(struct ds_engine *engine)
{
    return !atomic_exchange_explicit(&engine->stepping, true, memory_order_acquire);
}

static void manual_leave(struct ds_engine *engine)
{
    /* release: pairs with the acquire in manual_enter and engine_step */
    atomic_store_explicit(&engine->stepping, false, memory_order_release);
}

/* Parks the one worker of a MANUAL engine, unless another thread runs it. False: time is up. */
static bool manual_park(struct ds_engine *engine, uint64_t timeout_ns)
{
    bool woken;

    if (!manual_enter(engine))
        return true;
    woken = worker_park(&engine->workers[0], timeout_ns);
    manual_leave(engine);
    return woken;
}

int ds_engine_wait(struct ds_engine *engine, uint64_t timeout_ns)
{
    if (engine->topology != DS_TOPOLOGY_MANUAL)
        return -EINVAL;
    return manual_park(engine, timeout_ns) ? 0 : -ETIMEDOUT;
}

/* One round of ds_queue_wait on a MANUAL engine. Results come from whoever runs the stages, so it
 * takes that role before it looks: between the look and the sleep nobody else can finish one. */
static void manual_step(struct ds_queue *queue, uint64_t timeout_ns)
{
    struct ds_engine *engine = queue->port.engine;
    struct worker *worker = &engine->workers[0];

    if (!manual_enter(engine)) {
        queue_sleep(queue, min_u64(timeout_ns, MANUAL_LOOK_NS));
        return;
    }
    if (ring_count(&queue->results) == 0 && worker_turn(worker) == 0)
        worker_park(worker, timeout_ns);
    manual_leave(engine);
}

int ds_queue_create(struct ds_engine *engine, const struct ds_queue_config *caller,
                    struct ds_queue **out)
{
    struct ds_queue_config config = {.struct_size = sizeof(config)};
    struct ds_vulkan_info vulkan = engine_vulkan_info(engine);
    struct queue_port port = {
        .engine = engine,
        .host = &engine->host,
        .submit_event = &engine->submit_worker->event,
        .ready = &engine->submit.ready,
        .cancels = &engine->cancels,
        .gpu_allowed = engine->copy_kind != DS_COPY_HOST,
        .address_allowed =
            engine->gpu_self == NULL || copy_vulkan_ops.addresses(engine->gpu_self),
        .signals_by_host = engine->gpu_self != NULL,
        .memory_checked = engine->copy_kind != DS_COPY_NIL,
        .file_checked = engine->read_kind != DS_READ_NIL,
        .custom_codecs = engine->config.custom_codecs != 0,
        .sweep = engine->decode.custom.config.select != 0 ? &engine->sweep : NULL,
        .chunk_bytes = engine->config.chunk_bytes,
        .arena_bytes = engine->staging.bytes,
        .decode = engine_gpu_decode(engine),
        .step = engine->topology == DS_TOPOLOGY_MANUAL ? manual_step : NULL,
        .mapped_decodes = vulkan.mapped_decodes,
        /* the submit stage looks which of them are alone */
        .mapped_max_bytes = max_u64(vulkan.mapped_max_bytes, vulkan.mapped_alone_max_bytes),
    };
    struct ds_queue *queue;
    uint32_t index;
    int rc = caller != NULL ? copy_struct_in(&config, sizeof(config), caller) : 0;

    if (rc != 0)
        return rc;
    queue = host_alloc(&engine->host, sizeof(*queue), CACHE_LINE);
    if (queue == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&engine->control);
    rc = engine->broken ? -ENOMEM : 0;
    index = ~engine->queues_used != 0 ? (uint32_t)__builtin_ctzll(~engine->queues_used) : 64;
    if (rc == 0)
        rc = index < QUEUES_MAX ? queue_open(queue, &port, &config, index) : -ENOSPC;
    if (rc == -ENOSPC)
        host_log(&engine->host, DS_LOG_ERROR, "an engine has at most %u queues; destroy one, or "
                 "make another engine", QUEUES_MAX);
    if (rc == 0) {
        engine->queues_used |= (uint64_t)1 << index;
        submit_attach(&engine->submit, queue);
    }
    pthread_mutex_unlock(&engine->control);
    if (rc != 0) {
        host_free(&engine->host, queue, sizeof(*queue));
        return rc;
    }
    *out = queue;
    return 0;
}

/* Entries that were enqueued and never submitted yield nothing, but their files must not wait for
 * them. The queue is ours alone by now. */
static void queue_drop_unsubmitted(struct ds_queue *queue)
{
    static const struct order_error cancelled = {.status = DS_STATUS_CANCELLED};
    struct request *r;

    while ((r = intake_drain(&queue->intake)) != NULL) {
        if (r->file != NULL)
            atomic_fetch_add_explicit(&r->file->dropped, 1, memory_order_release);
        if (r->image != NULL)
            atomic_fetch_add_explicit(&r->image->image->dropped, 1, memory_order_release);
        if (r->kind == REQUEST_STATUS)
            status_array_set(r->array, (uint32_t)r->offset, &cancelled);
        if (r->kind == REQUEST_EVENT)
            close(r->fd);
    }
}

/* Waits until nothing that was submitted is left, and the submit stage has let go of the queue. */
static void queue_quiesce(struct ds_queue *queue)
{
    struct ds_engine *engine = queue->port.engine;
    struct event *event = &engine->submit.detached;

    atomic_store_explicit(&queue->closing, true, memory_order_release);
    atomic_fetch_or_explicit(&engine->submit.ready, (uint64_t)1 << queue->index,
                             memory_order_release);
    event_signal(&engine->submit_worker->event);
    sweep_ask(queue->port.sweep, SWEEP_CLOSING);
    for (;;) {
        uint32_t key = event_prepare(event);

        /* acquire: pairs with the release in submit_detach */
        if (atomic_load_explicit(&queue->detached, memory_order_acquire)) {
            event_cancel(event);
            return;
        }
        engine_pause(engine, event, key);
    }
}

void ds_queue_close(struct ds_queue *queue)
{
    atomic_store_explicit(&queue->closed, true, memory_order_release);
    queue_quiesce(queue);
}

void ds_queue_destroy(struct ds_queue **handle)
{
    struct ds_queue *queue = *handle;
    struct ds_engine *engine;

    if (queue == NULL)
        return;
    *handle = NULL;
    engine = queue->port.engine;
    /* release: pairs with the acquire in request_is_void */
    atomic_store_explicit(&queue->abandons, true, memory_order_release);
    queue_quiesce(queue);
    queue_drop_unsubmitted(queue);
    pthread_mutex_lock(&engine->control);
    engine->queues_used &= ~((uint64_t)1 << queue->index);
    pthread_mutex_unlock(&engine->control);
    queue_close(queue);
    host_free(&engine->host, queue, sizeof(*queue));
}

int ds_status_array_create(struct ds_engine *engine, uint32_t n, struct ds_status_array **array)
{
    return status_array_open(engine, &engine->host, n, array);
}

static uint32_t engine_threads(const struct ds_engine *engine)
{
    uint32_t threads = engine->topology == DS_TOPOLOGY_MANUAL ? 0 : engine->workers_n;

    if (threads > 0 && engine->copy_is_manual)
        threads--;
    for (uint32_t i = 0; i < engine->lanes_n; i++)
        threads += engine->lanes[i].info.threads;
    return threads + engine->decode_threads;
}

int ds_engine_get_info(const struct ds_engine *engine, struct ds_engine_info *info)
{
    const struct read_backend_info *read = &engine->lanes[0].info;
    struct gpu_decode decode = engine_gpu_decode(engine);
    struct ds_engine_info ours = {
        .topology = engine->topology,
        .read = engine->read_kind,
        .copy = engine->copy_kind,
        .read_lanes = engine->lanes_n,
        .threads = engine_threads(engine),
        .arena_bytes = engine->staging.bytes,
        .chunk_bytes = engine->config.chunk_bytes,
        .uring_fixed_buffers = read->fixed_buffers,
        .uring_fixed_files = read->fixed_files,
        .uring_defer_taskrun = read->defer_taskrun,
        .arena_huge_pages = engine->staging.huge_pages,
        .read_reason = engine->read_reason[0] != '\0' ? engine->read_reason : read->reason,
        .arena_kind = engine->staging.kind,
        .device_name = "",
        .decode_threads = engine->decode_threads,
        .uring_sqpoll = read->sqpoll,
        .uring_iopoll = atomic_load_explicit(&read->iopoll, memory_order_relaxed),
        .arena_node = numa_node_of(engine->staging.memory),
        .decode_kind = decode.kind,
        .decode_reason = decode.reason,
    };
    struct ds_vulkan_info vulkan = {.struct_size = sizeof(vulkan)};

    if (engine->copy_kind == DS_COPY_VULKAN &&
        ds_vulkan_backend_get_info(engine->config.vulkan, &vulkan) == 0)
        ours.device_name = vulkan.device_name;
    return copy_struct_out(info, &ours, sizeof(ours));
}

/* The queue that GPU work is submitted to. */
static int queue_support(const struct ds_engine *engine)
{
    struct ds_vulkan_info vulkan = {.struct_size = sizeof(vulkan)};

    if (engine->copy_kind != DS_COPY_VULKAN ||
        ds_vulkan_backend_get_info(engine->config.vulkan, &vulkan) != 0)
        return 0;
    return vulkan.transfer_queue ? DS_DECODE_USES_COPY_QUEUE : DS_DECODE_USES_COMPUTE_QUEUE;
}

int ds_engine_decode_support(const struct ds_engine *engine, uint32_t codec)
{
    struct gpu_decode decode = engine_gpu_decode(engine);
    int rc = codec != DS_CODEC_NONE ? codec_check(codec) : -EINVAL;

    if (rc != 0)
        return rc;
    if (codec != DS_CODEC_GDEFLATE || !decode.on)
        return DS_DECODE_CPU_FALLBACK | queue_support(engine);
    return (decode.verdicts ? DS_DECODE_GPU_FALLBACK : DS_DECODE_GPU_OPTIMIZED) |
           queue_support(engine);
}

static void measured_counters_read(const struct ds_engine *engine, struct ds_counters *c)
{
    struct ds_vulkan_info vulkan = engine_vulkan_info(engine);

    c->mapped_max_bytes = vulkan.mapped_max_bytes;
    c->mapped_alone_max_bytes = vulkan.mapped_alone_max_bytes;
    c->mapping_write_ns = vulkan.mapping_write_ns;
    c->staging_write_ns = vulkan.staging_write_ns;
    c->submit_ns = vulkan.submit_ns;
    c->decode_cpu_bytes_per_s = vulkan.decode_cpu_bytes_per_s;
    c->decode_gpu_bytes_per_s = vulkan.decode_gpu_bytes_per_s;
    c->decode_nv_bytes_per_s = vulkan.decode_nv_bytes_per_s;
    c->decode_measure_ns = vulkan.decode_measure_ns;
}

static void counters_read(const struct ds_engine *engine, struct ds_counters *c)
{
    c->requests_accepted = STAT_GET(engine->submit.stats.counters.items);
    c->requests_completed = STAT_GET(engine->complete.completed);
    c->requests_failed = STAT_GET(engine->complete.failed);
    c->bytes_completed = STAT_GET(engine->complete.bytes);
    c->arena_used_bytes = STAT_GET(engine->submit.arena_used_bytes);
    c->arena_high_water_bytes = STAT_GET(engine->submit.arena_high_water_bytes);
    c->chunks_in_flight = STAT_GET(engine->submit.chunks_in_flight);
    stage_stats_read(&engine->submit.stats, &c->stages[DS_STAGE_SUBMIT],
                     &c->stage_latency_ns[DS_STAGE_SUBMIT]);
    for (uint32_t i = 0; i < engine->lanes_n; i++)
        stage_stats_read(&engine->lanes[i].stats, &c->stages[DS_STAGE_READ],
                         &c->stage_latency_ns[DS_STAGE_READ]);
    stage_stats_read(&engine->decode.stats, &c->stages[DS_STAGE_DECODE],
                     &c->stage_latency_ns[DS_STAGE_DECODE]);
    stage_stats_read(&engine->copy.stats, &c->stages[DS_STAGE_COPY],
                     &c->stage_latency_ns[DS_STAGE_COPY]);
    stage_stats_read(&engine->copy.submitter_stats, &c->stages[DS_STAGE_COPY],
                     &c->stage_latency_ns[DS_STAGE_COPY]);
    stage_stats_read(&engine->complete.stats, &c->stages[DS_STAGE_COMPLETE],
                     &c->stage_latency_ns[DS_STAGE_COMPLETE]);
    histogram_read(&engine->complete.latency_ns, &c->latency_ns);
    c->gpu_decoded_tiles = STAT_GET(engine->complete.gpu_tiles);
    c->gpu_decoded_bytes = STAT_GET(engine->complete.gpu_bytes);
    c->cpu_decoded_tiles = STAT_GET(engine->decode.balance.cpu_tiles);
    c->decode_threads_bytes_per_s = STAT_GET(engine->decode.balance.told_rate);
    c->decode_batch_ns = STAT_GET(engine->decode.balance.told_batch_ns);
    c->decode_backlog_bytes = STAT_GET(engine->decode.balance.told_limit_bytes);
    c->gpu_decode_batches = STAT_GET(engine->copy.decode_batches);
    c->mapped_bytes = STAT_GET(engine->complete.mapped_bytes);
    measured_counters_read(engine, c);
}

int ds_engine_get_counters(const struct ds_engine *engine, struct ds_counters *counters)
{
    struct ds_counters ours = {.reserved = 0};

    counters_read(engine, &ours);
    return copy_struct_out(counters, &ours, sizeof(ours));
}

const char *ds_stage_name(uint32_t stage)
{
    static const char *const names[DS_STAGE_COUNT] = {"submit", "read", "decode", "copy",
                                                       "complete"};

    return stage < DS_STAGE_COUNT ? names[stage] : NULL;
}

/* The copy stage of a MANUAL engine runs with all the others; else it has a worker of its own. */
static void collect_turn(struct ds_engine *engine)
{
    if (engine->topology == DS_TOPOLOGY_MANUAL)
        engine_step(engine);
    else
        worker_turn(engine->copy_worker);
}

static void collect_park(struct ds_engine *engine, uint64_t timeout_ns)
{
    if (engine->topology == DS_TOPOLOGY_MANUAL)
        manual_park(engine, timeout_ns);
    else
        worker_park(engine->copy_worker, timeout_ns);
}

int ds_vulkan_collect(struct ds_engine *engine, uint64_t timeout_ns)
{
    uint64_t now_ns = clock_now_ns(), deadline_ns;

    if (!engine->copy_is_manual)
        return -EINVAL;
    if (__builtin_add_overflow(now_ns, timeout_ns, &deadline_ns))
        deadline_ns = UINT64_MAX;
    for (;;) {
        uint64_t ready;

        collect_turn(engine);
        ready = copy_ready_n(&engine->copy);
        if (atomic_exchange_explicit(&engine->copy.interrupted, false, memory_order_acquire) ||
            ready > 0)
            return (int)ready;
        now_ns = clock_now_ns();
        if (now_ns >= deadline_ns)
            return 0;
        collect_park(engine, deadline_ns == UINT64_MAX ? EVENT_FOREVER : deadline_ns - now_ns);
    }
}

int ds_vulkan_submit(struct ds_engine *engine)
{
    return engine->copy_is_manual ? (int)copy_submit(&engine->copy) : -EINVAL;
}

void ds_vulkan_interrupt(struct ds_engine *engine)
{
    /* release: pairs with the acquire in ds_vulkan_collect */
    atomic_store_explicit(&engine->copy.interrupted, true, memory_order_release);
    event_signal(&engine->copy_worker->event);
}
