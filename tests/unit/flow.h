/* The stages in one thread, with a disk and a GPU that the test commands: no engine, no
 * thread, no clock but the test's. */
#ifndef UNIT_FLOW_H
#define UNIT_FLOW_H

#include "engine/clock.h"
#include "engine/queue.h"
#include "stages/complete.h"
#include "stages/copy.h"
#include "stages/decode.h"
#include "stages/read.h"
#include "stages/submit.h"

#include "unit/fake_gpu.h"

#define FLOW_QUEUES 4
#define FLOW_DEPTH 64

struct flow;

/* A disk: keeps what was issued until flow.disk_holds says no; answers as flow.disk_result says. */
struct flow_disk {
    struct flow *flow;
    struct chunk *issued[FLOW_DEPTH];
    uint32_t n;
};

struct flow {
    struct host host;
    struct counting counting;
    struct staging staging;
    struct event event;
    struct submit_stage submit;
    struct read_stage read;
    struct decode_stage decode;    /* only where the GPU decodes */
    struct copy_stage copy;
    struct complete_stage complete;
    struct fake_gpu gpu;
    struct ds_queue queues[FLOW_QUEUES];
    uint32_t queues_n;
    uint64_t now_ns;
    bool has_gpu;

    /* NULL: nothing is held; all transfers succeed. */
    bool (*disk_holds)(struct flow *flow, const struct chunk *chunk);
    int64_t (*disk_result)(struct flow *flow, const struct chunk *chunk);
    void *ctx;
};

static inline int flow_disk_open(const struct read_backend_config *config,
                                 struct read_backend_info *info, void **self)
{
    struct flow_disk *disk = host_calloc(config->host, 1, sizeof(*disk));

    if (disk == NULL)
        return -ENOMEM;
    *info = (struct read_backend_info){0};
    *self = disk;
    return 0;
}

static inline int flow_disk_start(void *self, struct read_backend_info *info)
{
    (void)self;
    (void)info;
    return 0;
}

static inline bool flow_disk_issue(void *self, struct chunk *chunk)
{
    struct flow_disk *disk = self;

    if (disk->n == FLOW_DEPTH)
        return false;
    disk->issued[disk->n++] = chunk;
    return true;
}

static inline uint32_t flow_disk_flush(void *self)
{
    return ((struct flow_disk *)self)->n;
}

static inline uint32_t flow_disk_reap(void *self, struct read_completion *done, uint32_t max)
{
    struct flow_disk *disk = self;
    struct flow *flow = disk->flow;
    uint32_t kept = 0, n = 0;

    for (uint32_t i = 0; i < disk->n; i++) {
        struct chunk *chunk = disk->issued[i];

        if (n == max || (flow->disk_holds != NULL && flow->disk_holds(flow, chunk))) {
            disk->issued[kept++] = chunk;
            continue;
        }
        done[n].chunk = chunk;
        done[n++].result = flow->disk_result != NULL
                               ? flow->disk_result(flow, chunk)
                               : (int64_t)(chunk->io_bytes - chunk->io_done);
    }
    disk->n = kept;
    return n;
}

static inline void flow_disk_forget(void *self, const struct ds_file *file)
{
    (void)self;
    (void)file;
}

static inline void flow_disk_stop(void *self)
{
    cr_assert_eq(((struct flow_disk *)self)->n, 0);
}

static inline void flow_disk_close(void *self)
{
    struct flow_disk *disk = self;

    host_free(&disk->flow->host, disk, sizeof(*disk));
}

static const struct read_backend_ops flow_disk_ops = {
    .name = "commanded",
    .open = flow_disk_open,
    .start = flow_disk_start,
    .issue = flow_disk_issue,
    .flush = flow_disk_flush,
    .reap = flow_disk_reap,
    .forget = flow_disk_forget,
    .stop = flow_disk_stop,
    .close = flow_disk_close,
};

struct flow_options {
    enum copy_kind kind;
    uint64_t arena_bytes;          /* 0 = 2 MiB */
    uint32_t granularity_bytes;    /* 0 = 4096 */
    uint32_t chunk_bytes;          /* 0 = 64 KiB */
    uint32_t chunks_max;           /* 0 = 256 */
    uint32_t batches_max;          /* 0 = 4 */
    uint32_t regions_max;          /* 0 = 16 */
    uint64_t bytes_max;            /* of a batch; 0 = any number */
    uint32_t flush_ns;             /* 0 = 100 us */
    bool gpu_manual;
    uint64_t scratch_bytes;        /* of the GPU, which decodes; 0 = it does not */
    const struct balance *balance; /* not NULL: the GPU and the CPU do */
    bool mapped_alone;             /* mappings are used by requests that are alone, only */
};

static inline uint32_t flow_or(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static inline void flow_open_copy(struct flow *flow, const struct flow_options *o)
{
    flow->gpu.batches_max = flow_or(o->batches_max, 4);
    flow->gpu.regions_max = flow_or(o->regions_max, 16);
    flow->gpu.bytes_max = o->bytes_max;
    flow->gpu.manual = o->gpu_manual;
    flow->gpu.decode = (struct gpu_decode){.on = o->scratch_bytes > 0, .verdicts = true,
                                           .align = 1, .scratch_bytes = o->scratch_bytes,
                                           .balanced = o->balance != NULL};
    if (o->balance != NULL)
        flow->gpu.decode.balance = *o->balance;
    cr_assert_eq(copy_open(&flow->copy, &(struct copy_config){
                               .host = &flow->host,
                               .kind = o->kind,
                               .gpu = flow->has_gpu ? &fake_gpu_ops : NULL,
                               .gpu_self = &flow->gpu,
                               .flush_ns = flow_or(o->flush_ns, 100000),
                               .chunks_max = flow_or(o->chunks_max, 256),
                               .done = &flow->complete.done,
                               .submitted = &flow->complete.submitted,
                               .gpu_batch_ns = &flow->complete.gpu_batch_ns,
                           }, o->scratch_bytes > 0 ? 2 : 1), 0);
}

static inline void flow_open_decode(struct flow *flow, const struct flow_options *o)
{
    if (!flow->gpu.decode.on)
        return;
    cr_assert_eq(decode_open(&flow->decode, &(struct decode_config){
                                 .host = &flow->host,
                                 .chunks_max = flow_or(o->chunks_max, 256),
                                 .lanes = 1,
                                 .event = &flow->event,
                                 .out = &flow->copy.in[1],
                                 .balance = flow->gpu.decode.balance,
                                 .gpu_batch_ns = &flow->complete.gpu_batch_ns,
                             }), 0);
    flow->read.out_packed = &flow->decode.in[0];
}

static inline void flow_open(struct flow *flow, const struct flow_options *o)
{
    struct ds_allocator table = counting_table(&flow->counting);
    uint32_t chunks_max = flow_or(o->chunks_max, 256);

    memset(flow, 0, sizeof(*flow));
    host_init(&flow->host, &table, NULL, NULL, DS_LOG_ERROR);
    event_init(&flow->event);
    flow->now_ns = clock_now_ns();
    flow->has_gpu = o->kind == COPY_KIND_GPU;
    cr_assert_eq(staging_map(&flow->staging, o->arena_bytes != 0 ? o->arena_bytes : 2 << 20), 0);
    cr_assert_eq(submit_open(&flow->submit, &(struct submit_config){
                                 .host = &flow->host,
                                 .staging = &flow->staging,
                                 .granularity_bytes = flow_or(o->granularity_bytes, 4096),
                                 .chunk_bytes = flow_or(o->chunk_bytes, 65536),
                                 .chunks_max = chunks_max,
                                 .copies_data = o->kind != COPY_KIND_NIL,
                                 .mapped_direct = true,
                                 .mapped_max_bytes = o->mapped_alone ? 0 : UINT64_MAX,
                             }), 0);
    cr_assert_eq(complete_open(&flow->complete, &(struct complete_config){
                                   .host = &flow->host,
                                   .gpu = flow->has_gpu ? &fake_gpu_ops : NULL,
                                   .gpu_self = &flow->gpu,
                                   .chunks_max = chunks_max,
                                   .returned = &flow->submit.returned,
                                   .leaves_young = true,
                               }), 0);
    flow_open_copy(flow, o);
    cr_assert_eq(read_open(&flow->read, &flow_disk_ops,
                           &(struct read_backend_config){.host = &flow->host,
                                                         .staging = &flow->staging,
                                                         .event = &flow->event,
                                                         .depth = FLOW_DEPTH,
                                                         .manual = true},
                           chunks_max, &flow->copy.in[0]), 0);
    ((struct flow_disk *)flow->read.backend_self)->flow = flow;
    flow_open_decode(flow, o);
    submit_add_lane(&flow->submit, &flow->read.in, NULL);
}

static inline struct ds_queue *flow_queue(struct flow *flow, const struct ds_queue_config *config)
{
    uint32_t index = flow->queues_n++;
    struct ds_queue *queue = &flow->queues[index];
    struct queue_port port = {
        .host = &flow->host,
        .submit_event = &flow->event,
        .ready = &flow->submit.ready,
        .gpu_allowed = flow->copy.config.kind != COPY_KIND_HOST,
        .signals_by_host = flow->has_gpu,
        .mapped_max_bytes = flow->has_gpu ? UINT64_MAX : 0,
        .memory_checked = flow->copy.config.kind != COPY_KIND_NIL,
        .file_checked = false,
        .arena_bytes = flow->staging.bytes,
        .decode = flow->gpu.decode,
    };

    cr_assert_lt(index, FLOW_QUEUES);
    cr_assert_eq(queue_open(queue, &port, config, index), 0);
    submit_attach(&flow->submit, queue);
    return queue;
}

/* flow_step gives each stage a turn, `ns` later, and returns what moved. */
static inline uint32_t flow_step(struct flow *flow, uint64_t ns)
{
    uint32_t moved;

    flow->now_ns += ns;
    moved = submit_stage_ops.work(&flow->submit, flow->now_ns);
    moved += read_stage_ops.work(&flow->read, flow->now_ns);
    if (flow->gpu.decode.on)
        moved += decode_stage_ops.work(&flow->decode, flow->now_ns);
    moved += copy_stage_ops.work(&flow->copy, flow->now_ns);
    moved += complete_stage_ops.work(&flow->complete, flow->now_ns);
    return moved;
}

/* flow_settle steps until nothing moves; time passes, so that held batches go out. */
static inline void flow_settle(struct flow *flow)
{
    uint32_t quiet = 0;

    for (uint32_t i = 0; quiet < 3; i++) {
        cr_assert_lt(i, 10000000u, "never at rest");
        quiet = flow_step(flow, flow->copy.config.flush_ns) == 0 ? quiet + 1 : 0;
    }
}

/* flow_finish is flow_settle with a GPU that ends what it was given. */
static inline void flow_finish(struct flow *flow)
{
    uint64_t ended;

    do {
        flow_settle(flow);
        ended = flow->gpu.ended;
        fake_gpu_end(&flow->gpu, UINT64_MAX / 2);
    } while (flow->gpu.ended != ended);
}

/* flow_close demands that everything is at rest and all credit is back. */
static inline void flow_close(struct flow *flow)
{
    flow_finish(flow);
    cr_assert_eq(flow->submit.free_chunks_n, flow->submit.chunks_max, "chunks are missing");
    cr_assert_eq(flow->submit.arena.used_n, 0, "staging is missing");
    arena_check(&flow->submit.arena);
    for (uint32_t i = 0; i < flow->queues_n; i++)
        queue_close(&flow->queues[i]);
    read_close(&flow->read, &flow->host);
    decode_close(&flow->decode);
    copy_close(&flow->copy);
    complete_close(&flow->complete);
    submit_close(&flow->submit);
    staging_unmap(&flow->staging);
    event_fini(&flow->event);
    cr_assert_eq(atomic_load(&flow->counting.live_n), 0, "memory leaked");
    cr_assert_eq(atomic_load(&flow->counting.live_bytes), 0, "freed with another size");
}

static inline struct ds_request flow_read_gpu(uint64_t user_data, uint64_t offset, uint64_t size)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request), .gpu_buffer = 1,
                               .offset = offset, .size = size, .user_data = user_data, .fd = -1};
}

static inline void flow_enqueue(struct ds_queue *queue, struct ds_request request)
{
    cr_assert_eq(ds_queue_enqueue(queue, &request), 0);
}

#endif
