/* Requests and queues: the input is a list of calls with arbitrary arguments, made against an
 * engine that the caller steps. Only what a caller must promise is kept: memory that is as large as
 * the request says. Whatever was accepted must end exactly once, and all must come to rest. */
#include "fuzz.h"

#include <ds/ds.h>
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MEMORY_BYTES = 64 << 10,
    QUEUES = 3,
    IDS_MAX = 4096,
    STATUSES = 4,
    STEPS_MAX = 100000,
};

struct side {
    struct ds_engine *engine;
    struct ds_queue *queues[QUEUES];
    struct ds_status_array *statuses;
    struct ds_file *files[2]; /* read-only, writable */
};

struct world {
    struct side sides[2]; /* copies to the host, copies nothing but takes any destination */
    int fd;
    int event;
    uint8_t *memory;
    uint8_t *source;
};

/* What is left of the input, and what is under way. */
struct run {
    struct world *world;
    struct side *side;
    const uint8_t *data;
    size_t bytes;
    uint32_t ids;
    uint8_t pending[IDS_MAX]; /* queue + 1 of an accepted request without result */
};

#define must(condition) ((condition) ? (void)0 : broken(#condition, __LINE__))

static _Noreturn void broken(const char *condition, int line)
{
    fprintf(stderr, "fuzz_request.c:%d: %s\n", line, condition);
    abort();
}

static void side_make(struct world *world, struct side *side, enum ds_copy_backend copy)
{
    static const struct ds_queue_config configs[QUEUES] = {
        {.struct_size = sizeof(configs[0]), .capacity = 8},
        {.struct_size = sizeof(configs[0]), .capacity = 32,
         .flags = DS_QUEUE_SINGLE_PRODUCER | DS_QUEUE_SINGLE_CONSUMER | DS_QUEUE_AUTO_SUBMIT,
         .priority = DS_PRIORITY_REALTIME},
        {.struct_size = sizeof(configs[0]), .capacity = 16, .flags = DS_QUEUE_IMAGES,
         .priority = DS_PRIORITY_LOW},
    };

    must(ds_engine_create(ds_engine_config(.topology = DS_TOPOLOGY_MANUAL, .arena_bytes = 2 << 20,
                                           .chunk_bytes = 16 << 10, .chunks_max = 16,
                                           .read_backend = DS_READ_NIL, .copy_backend = copy),
                          &side->engine) == 0);
    for (uint32_t i = 0; i < QUEUES; i++)
        must(ds_queue_create(side->engine, &configs[i], &side->queues[i]) == 0);
    must(ds_status_array_create(side->engine, STATUSES, &side->statuses) == 0);
    must(ds_file_adopt(side->engine, world->fd, NULL, &side->files[0]) == 0);
    must(ds_file_adopt(side->engine, world->fd, ds_file_config(.flags = DS_FILE_WRITE),
                       &side->files[1]) == 0);
}

static struct world *world_get(void)
{
    static struct world *world;

    if (world != NULL)
        return world;
    world = calloc(1, sizeof(*world));
    must(world != NULL);
    world->fd = memfd_create("fuzz", MFD_CLOEXEC);
    world->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    world->memory = malloc(MEMORY_BYTES);
    world->source = calloc(1, MEMORY_BYTES);
    must(world->fd >= 0 && world->event >= 0 && world->memory != NULL && world->source != NULL);
    must(ftruncate(world->fd, 1 << 20) == 0);
    side_make(world, &world->sides[0], DS_COPY_HOST);
    side_make(world, &world->sides[1], DS_COPY_NIL);
    return world;
}

static uint8_t take(struct run *run)
{
    if (run->bytes == 0)
        return 0;
    run->bytes--;
    return *run->data++;
}

static uint64_t take_number(struct run *run, uint32_t bytes)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)take(run) << 8 * i;
    return value;
}

/* A number of any magnitude: the first byte chooses it. */
static uint64_t take_any(struct run *run)
{
    uint8_t shape = take(run);

    if (shape < 0x40)
        return shape;
    if (shape < 0xa0)
        return take_number(run, 2);
    if (shape < 0xc0)
        return take_number(run, 4);
    if (shape < 0xe0)
        return take_number(run, 8);
    return (uint64_t)1 << (shape & 31) << 31;
}

/* Too much to be accepted, or within the memory there is. */
static uint64_t take_size(struct run *run)
{
    uint64_t size = take_any(run);

    return size > (uint64_t)1 << 43 ? size : size % (MEMORY_BYTES + 1);
}

static struct ds_file *take_file(struct run *run)
{
    uint8_t choice = take(run);

    if ((choice & 7) == 7) /* of another engine */
        return run->world->sides[run->side == &run->world->sides[0]].files[choice >> 3 & 1];
    return (choice & 3) == 0 ? NULL : run->side->files[choice & 1];
}

static struct ds_request take_request(struct run *run)
{
    struct world *world = run->world;
    uint8_t flags = take(run), odd = take(run);
    struct ds_request request = {.struct_size = sizeof(request)};

    request.op = flags & 3;
    request.flags = flags >> 2 & 1;
    request.file = take_file(run);
    request.fd = (flags & 8) != 0 ? world->fd : -1;
    request.offset = take_any(run);
    request.size = take_size(run);
    request.host = (flags & 16) != 0 ? NULL : world->memory;
    request.gpu_buffer = (flags & 32) != 0 ? take_any(run) : 0;
    request.gpu_offset = (flags & 32) != 0 ? take_any(run) : 0;
    request.gpu_buffer_bytes = (flags & 32) != 0 ? take_any(run) : 0;
    request.source = (flags & 64) != 0 ? world->source : NULL;
    request.cancel_tag = odd & 15;
    request.name = (odd & 16) != 0 ? "name" : NULL;
    if ((flags & 128) != 0) {
        request.codec = take(run) & 7;
        request.transform = take(run) & 7;
        request.uncompressed_size = take_size(run);
    }
    if (odd >> 5 == 7) { /* what older and newer callers pass, and none should */
        request.struct_size = (uint32_t)(take_any(run) % (sizeof(request) + 1));
        request.reserved = take(run);
        request.op = (uint16_t)take_any(run);
        request.flags = (uint16_t)take_any(run);
    }
    return request;
}

static void enqueue(struct run *run, uint32_t queue)
{
    struct ds_request request = take_request(run);
    int rc;

    if (run->ids == IDS_MAX)
        return;
    request.user_data = run->ids;
    if (request.struct_size < offsetof(struct ds_request, user_data) + 8)
        request.struct_size = 0; /* its result could not be told */
    rc = ds_queue_enqueue(run->side->queues[queue], &request);
    must(rc <= 0);
    if (rc == 0)
        run->pending[run->ids++] = (uint8_t)(queue + 1);
}

static void signal_enqueue(struct run *run, uint32_t queue)
{
    uint64_t semaphore = take_any(run), value = take_any(run);

    if (run->ids < IDS_MAX && ds_queue_enqueue_signal(run->side->queues[queue], semaphore, value,
                                                      run->ids) == 0)
        run->pending[run->ids++] = (uint8_t)(queue + 1);
}

static void enqueue_batch(struct run *run, uint32_t queue)
{
    struct ds_request requests[6];
    uint32_t n = take(run) % 7;
    int rc;

    if (run->ids + n > IDS_MAX)
        return;
    for (uint32_t i = 0; i < n; i++) {
        requests[i] = take_request(run);
        requests[i].struct_size = sizeof(requests[i]);
        requests[i].user_data = run->ids + i;
    }
    rc = ds_queue_enqueue_batch(run->side->queues[queue], requests, n);
    must(rc <= (int)n);
    for (int i = 0; i < rc; i++)
        run->pending[run->ids++] = (uint8_t)(queue + 1);
}

static void results_check(struct run *run, uint32_t queue, const struct ds_result *results,
                          uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        must(results[i].user_data < run->ids);
        must(run->pending[results[i].user_data] == queue + 1);
        run->pending[results[i].user_data] = 0;
        must(results[i].status != DS_STATUS_PENDING);
    }
}

static void poll_queue(struct run *run, uint32_t queue, uint32_t max)
{
    struct ds_result results[64];

    results_check(run, queue, results, ds_queue_poll(run->side->queues[queue], results, max % 65));
}

static void ask(struct run *run, uint32_t queue)
{
    struct ds_error_record record = {.struct_size = sizeof(record)};
    struct ds_queue_info info = {.struct_size = sizeof(info)};
    int32_t error;

    must(ds_queue_get_info(run->side->queues[queue], &info) == 0);
    must(info.free_slots <= info.capacity);
    if ((take(run) & 1) != 0)
        must(ds_queue_take_error(run->side->queues[queue], &record) == 0);
    ds_status_array_get(run->side->statuses, take(run) % (STATUSES + 2), &error);
}

static void call(struct run *run)
{
    uint8_t code = take(run);
    uint32_t queue = (code >> 4) % QUEUES;
    struct ds_queue *at = run->side->queues[queue];

    switch (code & 15) {
    case 0:
        ds_queue_submit(at);
        break;
    case 1:
        enqueue_batch(run, queue);
        break;
    case 2:
        poll_queue(run, queue, take(run));
        break;
    case 3:
        ds_queue_cancel(at, take(run) & 15, take(run) & 15);
        break;
    case 4:
        ds_queue_enqueue_status(at, run->side->statuses, take(run) % (STATUSES + 2));
        break;
    case 5:
        ds_queue_enqueue_event(at, (take(run) & 7) != 0 ? run->world->event : run->world->fd);
        break;
    case 6:
        signal_enqueue(run, queue);
        break;
    case 7:
        ask(run, queue);
        break;
    case 8:
    case 9:
    case 10:
        ds_engine_step(run->side->engine);
        break;
    default:
        enqueue(run, queue);
    }
}

/* Everything that was accepted ends, and nothing else is left. */
static void come_to_rest(struct run *run)
{
    for (uint32_t queue = 0; queue < QUEUES; queue++) {
        struct ds_queue_info info = {.struct_size = sizeof(info)};
        uint32_t steps = 0;

        ds_queue_submit(run->side->queues[queue]);
        do {
            poll_queue(run, queue, 64);
            ds_engine_step(run->side->engine);
            must(ds_queue_get_info(run->side->queues[queue], &info) == 0);
            must(steps++ < STEPS_MAX);
        } while (info.free_slots != info.capacity);
        must(info.in_flight == 0 && info.unsubmitted == 0);
    }
    for (uint32_t i = 0; i < run->ids; i++)
        must(run->pending[i] == 0);
    for (uint32_t i = 0; i < STATUSES; i++)
        must(ds_status_array_get(run->side->statuses, i, NULL) != DS_STATUS_PENDING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct run run;
    uint32_t ids = run.ids;

    if (bytes == 0)
        return 0;
    memset(run.pending, 0, ids);
    run.world = world_get();
    run.side = &run.world->sides[data[0] & 1];
    run.data = data + 1;
    run.bytes = bytes - 1;
    run.ids = 0;
    memcpy(run.world->source, data, bytes < MEMORY_BYTES ? bytes : MEMORY_BYTES);
    while (run.bytes != 0)
        call(&run);
    come_to_rest(&run);
    return 0;
}
