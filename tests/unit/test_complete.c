/* stages/complete.h: every chunk ends exactly once, results and callbacks come out right, and what
 * needs no GPU does not wait for it. Also the whole flow, at random, against a plain model. */
#include "unit/flow.h"

#include "engine/notice.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define MODEL_ENTRIES 600
#define MODEL_ROUNDS (60 / SLOWNESS + 1)

static struct flow flow;

struct calls {
    uint32_t results, calls, reenqueued;
    struct ds_queue *queue;
};

/* The slots of the results are free again by now: the callback finds room, even in a full queue. */
static void on_complete(void *ctx, const struct ds_result *results, uint32_t n)
{
    struct calls *calls = ctx;

    cr_assert_geq(n, 1);
    calls->calls++;
    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(results[i].status, DS_STATUS_OK);
        calls->results++;
        if (calls->reenqueued < 1000) {
            flow_enqueue(calls->queue, flow_read_gpu(calls->reenqueued++, 0, 10));
        }
    }
    ds_queue_submit(calls->queue);
}

Test(complete, callbacks_find_room_to_enqueue)
{
    struct calls calls = {0};
    struct ds_result result;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_NIL});
    calls.queue = flow_queue(&flow, ds_queue_config(.capacity = 4, .on_complete = on_complete,
                                                    .on_complete_ctx = &calls));
    for (uint32_t i = 0; i < 4; i++)
        flow_enqueue(calls.queue, flow_read_gpu(i, 0, 10));
    ds_queue_submit(calls.queue);
    flow_finish(&flow);
    cr_assert_eq(calls.results, 1004);
    cr_assert_eq(ds_queue_poll(calls.queue, &result, 1), 0, "nothing is left to poll");
    flow_close(&flow);
}

/* Results of two queues that end in turns reach the right one. */
Test(complete, results_reach_their_own_queue)
{
    struct ds_queue *queues[3];
    struct ds_result results[100];

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_NIL});
    for (uint32_t i = 0; i < 3; i++)
        queues[i] = flow_queue(&flow, ds_queue_config(.capacity = 128));
    for (uint32_t i = 0; i < 300; i++) {
        flow_enqueue(queues[i % 3], flow_read_gpu(i, 0, 10));
        ds_queue_submit(queues[i % 3]);
        if (i % 50 == 0)
            flow_step(&flow, 10);
    }
    flow_finish(&flow);
    for (uint32_t q = 0; q < 3; q++) {
        cr_assert_eq(ds_queue_poll(queues[q], results, 100), 100);
        for (uint32_t i = 0; i < 100; i++)
            cr_assert_eq(results[i].user_data % 3, q);
        cr_assert_eq(atomic_load(&queues[q]->completed), 100);
    }
    flow_close(&flow);
}

/* Parked on the GPU's oldest ticket, not on a later one, and not when nothing is there. */
Test(complete, parks_on_the_oldest_ticket)
{
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 8));
    cr_assert_not(complete_stage_ops.park(&flow.complete, SECOND_NS));
    cr_assert_eq(complete_stage_ops.waiting(&flow.complete), STAGE_IDLE);
    flow_enqueue(queue, flow_read_gpu(1, 0, 10));
    ds_queue_submit(queue);
    flow_settle(&flow);
    cr_assert_eq(complete_stage_ops.waiting(&flow.complete), STAGE_WAIT_DEVICE);
    cr_assert(complete_stage_ops.park(&flow.complete, SECOND_NS));
    cr_assert_eq(flow.gpu.waits, 1);
    flow_close(&flow);
}

/* A chunk that comes twice would end another request. */
/* A signal that the host makes, and that fails: a failure like any other. */
Test(complete, a_failed_signal_by_the_host_is_told_everywhere)
{
    struct ds_error_record record = {.struct_size = sizeof(record)};
    struct ds_status_array *array;
    struct ds_result results[2];
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 8));
    cr_assert_eq(status_array_open(NULL, &flow.host, 2, &array), 0);
    flow_enqueue(queue, flow_read_gpu(1, 0, 100));
    cr_assert_eq(ds_queue_enqueue_status(queue, array, 0), 0);
    cr_assert_eq(ds_queue_enqueue_signal(queue, 3, 1, 77), 0);
    cr_assert_eq(ds_queue_enqueue_status(queue, array, 1), 0);
    flow.gpu.host_signal_result = -13;
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(flow.gpu.host_signals, 1, "behind a status that is open the host signals");
    cr_assert_eq(ds_queue_poll(queue, results, 2), 2);
    cr_assert_eq(results[1].user_data, 77);
    cr_assert_eq(results[1].status, DS_STATUS_VULKAN_ERROR);
    cr_assert_eq(results[1].vk_result, -13);
    cr_assert_eq(ds_status_array_get(array, 0, NULL), DS_STATUS_OK);
    cr_assert_eq(ds_status_array_get(array, 1, NULL), DS_STATUS_VULKAN_ERROR);
    cr_assert_eq(flow.complete.failed, 1);
    cr_assert_eq(ds_queue_take_error(queue, &record), 0);
    cr_assert_eq(record.failures, 1);
    cr_assert_eq(record.result.user_data, 77);
    ds_status_array_destroy(&array);
    flow_close(&flow);
}

/* What the submit stage finds when it is woken, at each wake-up: the signal handler runs within the
 * write that wakes it, on this thread. */
static struct {
    struct ds_queue *queue;
    uint32_t wakes;
    bool at_rest;
} woken;

static void look_when_woken(int signal)
{
    (void)signal;
    woken.wakes++;
    woken.at_rest = atomic_load(&woken.queue->completed) == atomic_load(&woken.queue->begun);
}

/* As many notifications as a burst of credit holds: when the burst is full it goes back at once,
 * but the queue is at rest only after it. Whoever waits for that must be woken once more. */
Test(complete, the_last_wake_up_comes_when_the_queue_is_at_rest)
{
    struct sigaction action = {.sa_handler = look_when_woken}, before;
    struct ds_status_array *array;
    struct event event;
    int fds[2];

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_NIL});
    woken.queue = flow_queue(&flow, ds_queue_config(.capacity = COMPLETE_BURST));
    cr_assert_eq(status_array_open(NULL, &flow.host, COMPLETE_BURST, &array), 0);
    for (uint32_t i = 0; i < COMPLETE_BURST; i++)
        cr_assert_eq(ds_queue_enqueue_status(woken.queue, array, i), 0);
    ds_queue_submit(woken.queue);

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(sigaction(SIGIO, &action, &before), 0);
    cr_assert_eq(fcntl(fds[0], F_SETOWN_EX, &(struct f_owner_ex){F_OWNER_TID, gettid()}), 0);
    cr_assert_eq(fcntl(fds[0], F_SETFL, O_ASYNC | O_NONBLOCK), 0);
    event_init(&event);
    event.fd = fds[1];
    flow.complete.config.submit_event = &event;
    for (uint32_t i = 0; i < 3; i++) {
        submit_stage_ops.work(&flow.submit, flow.now_ns);
        read_stage_ops.work(&flow.read, flow.now_ns);
        copy_stage_ops.work(&flow.copy, flow.now_ns);
    }
    event_prepare(&event); /* the submit stage sleeps */
    cr_assert_eq(complete_stage_ops.work(&flow.complete, flow.now_ns), COMPLETE_BURST);
    event_cancel(&event);
    sigaction(SIGIO, &before, NULL);
    cr_assert_geq(woken.wakes, 1);
    cr_assert(woken.at_rest, "woken %u times, and never after the queue came to rest", woken.wakes);

    flow.complete.config.submit_event = NULL;
    event.fd = -1;
    event_fini(&event);
    close(fds[0]);
    close(fds[1]);
    ds_status_array_destroy(&array);
    flow_close(&flow);
}

Test(complete, a_chunk_that_comes_twice_is_a_bug, .signal = SIGABRT)
{
    struct ds_queue *queue;
    struct chunk *chunk;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_NIL});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 8));
    flow_enqueue(queue, flow_read_gpu(1, 0, 10));
    ds_queue_submit(queue);
    chunk = flow.submit.free_chunks[flow.submit.free_chunks_n - 1];
    flow_finish(&flow);
    ring_push_sp(&flow.complete.done, chunk);
    flow_step(&flow, 1);
}

/* --- the whole flow against a model --- */

enum model_kind {
    MODEL_READ_GPU,
    MODEL_READ_HOST,
    MODEL_WRITE_GPU,
    MODEL_WRITE_HOST,
    MODEL_SIGNAL,
};

struct model_entry {
    enum model_kind kind;
    uint32_t queue;
    uint64_t size;
    uint64_t value;       /* signal */
    bool fails;           /* the disk fails its first transfer */
    bool failed;          /* and has done so */
    uint64_t disk_bytes, gpu_bytes;
    uint32_t results;
};

struct model {
    struct model_entry entries[MODEL_ENTRIES];
    uint32_t n, polled;
    uint64_t next_value[FLOW_QUEUES];
    uint32_t last_signal[FLOW_QUEUES]; /* index + 1 of the last one that fired */
    uint64_t seed;
};

static struct model model;
static uint8_t model_memory[300000];

static struct model_entry *entry_of(const struct chunk *chunk)
{
    return &model.entries[chunk->request->user_data];
}

static bool model_holds(struct flow *f, const struct chunk *chunk)
{
    (void)f;
    (void)chunk;
    return support_below(&model.seed, 4) == 0;
}

static int64_t model_disk(struct flow *f, const struct chunk *chunk)
{
    struct model_entry *e = entry_of(chunk);
    uint32_t left = chunk->io_bytes - chunk->io_done;

    (void)f;
    if (e->fails && !e->failed) {
        e->failed = true;
        return -EIO;
    }
    if (support_below(&model.seed, 8) == 0)
        return -EAGAIN;
    if (left > 1 && support_below(&model.seed, 4) == 0)
        left = 1 + (uint32_t)support_below(&model.seed, left); /* a short transfer */
    e->disk_bytes += left;
    return left;
}

static void model_chunk(void *ctx, const struct chunk *chunk)
{
    (void)ctx;
    entry_of(chunk)->gpu_bytes += chunk->payload_bytes;
}

static bool entry_is_over(const struct model_entry *e)
{
    switch (e->kind) {
    case MODEL_READ_GPU:
        return e->failed || e->gpu_bytes == e->size;
    case MODEL_READ_HOST:
    case MODEL_WRITE_HOST:
    case MODEL_WRITE_GPU:
        return e->failed || e->disk_bytes == e->size;
    case MODEL_SIGNAL:
        break;
    }
    return true;
}

/* All of the queue that was enqueued before the signal must be over, by the model's own books. */
static void model_signal(void *ctx, const struct copy_signal *signal)
{
    uint32_t queue = (uint32_t)signal->semaphore - 1;

    (void)ctx;
    for (uint32_t i = 0; i < model.n; i++) {
        const struct model_entry *e = &model.entries[i];

        if (e->queue != queue)
            continue;
        if (e->kind == MODEL_SIGNAL && e->value == signal->value)
            return;
        cr_assert(entry_is_over(e), "signal %llu of queue %u before request %u",
                  (unsigned long long)signal->value, queue, i);
    }
    cr_assert_fail("signal %llu is none of ours", (unsigned long long)signal->value);
}

static int model_enqueue(struct model_entry *e, uint32_t index)
{
    struct ds_queue *queue = &flow.queues[e->queue];
    struct ds_request r = flow_read_gpu(index, support_below(&model.seed, 100000), e->size);
    bool host = e->kind == MODEL_READ_HOST || e->kind == MODEL_WRITE_HOST;

    if (e->kind == MODEL_SIGNAL)
        return ds_queue_enqueue_signal(queue, e->queue + 1, e->value, index);
    if (host)
        r.host = model_memory;
    r.op = e->kind == MODEL_WRITE_GPU || e->kind == MODEL_WRITE_HOST ? DS_OP_WRITE : DS_OP_READ;
    return ds_queue_enqueue(queue, &r);
}

static void model_add(void)
{
    struct model_entry *e = &model.entries[model.n];

    if (model.n == MODEL_ENTRIES)
        return;
    *e = (struct model_entry){
        .kind = (enum model_kind)support_below(&model.seed, 5),
        .queue = (uint32_t)support_below(&model.seed, FLOW_QUEUES),
        .size = 1 + support_below(&model.seed, support_below(&model.seed, 3) ? 3000 : 300000),
        .fails = support_below(&model.seed, 16) == 0,
    };
    if (e->kind == MODEL_SIGNAL)
        e->value = ++model.next_value[e->queue];
    if (model_enqueue(e, model.n) == 0)
        model.n++;
    else if (e->kind == MODEL_SIGNAL)
        model.next_value[e->queue]--; /* the queue is full */
}

static void model_check_result(uint32_t queue, const struct ds_result *result)
{
    struct model_entry *e = &model.entries[result->user_data];

    cr_assert_lt(result->user_data, model.n);
    cr_assert_eq(e->queue, queue);
    cr_assert_eq(++e->results, 1, "request %u ended twice", (uint32_t)result->user_data);
    cr_assert(entry_is_over(e), "request %u ended too early", (uint32_t)result->user_data);
    cr_assert_eq(result->status, e->failed ? DS_STATUS_IO_ERROR : DS_STATUS_OK);
    cr_assert_eq(result->error, e->failed ? -EIO : 0);
    if (e->kind == MODEL_SIGNAL) {
        cr_assert_gt(result->user_data + 1, model.last_signal[queue], "signals out of order");
        model.last_signal[queue] = (uint32_t)result->user_data + 1;
    } else if (!e->failed) {
        cr_assert_eq(result->bytes, e->size);
    }
}

static void model_poll(void)
{
    struct ds_result results[16];

    for (uint32_t q = 0; q < FLOW_QUEUES; q++) {
        uint32_t n = ds_queue_poll(&flow.queues[q], results, 16);

        for (uint32_t i = 0; i < n; i++)
            model_check_result(q, &results[i]);
        model.polled += n;
    }
}

static void model_act(void)
{
    switch (support_below(&model.seed, 8)) {
    case 0:
    case 1:
        model_add();
        break;
    case 2:
        ds_queue_submit(&flow.queues[support_below(&model.seed, FLOW_QUEUES)]);
        break;
    case 3:
        fake_gpu_end(&flow.gpu, support_below(&model.seed, 3));
        break;
    case 4:
        model_poll();
        break;
    case 5:
        submit_stage_ops.work(&flow.submit, flow.now_ns);
        break;
    case 6:
        read_stage_ops.work(&flow.read, flow.now_ns);
        break;
    default:
        flow_step(&flow, support_below(&model.seed, 60000));
    }
}

static void model_round(uint64_t seed)
{
    memset(&model, 0, sizeof(model));
    model.seed = seed;
    flow_open(&flow, &(struct flow_options){
                         .kind = COPY_KIND_GPU,
                         .chunks_max = 8u << support_below(&model.seed, 5),
                         .chunk_bytes = 4096u << support_below(&model.seed, 5),
                         .regions_max = 1 + (uint32_t)support_below(&model.seed, 8),
                         .batches_max = 1 + (uint32_t)support_below(&model.seed, 4),
                     });
    flow.gpu.on_chunk = model_chunk;
    flow.gpu.on_signal = model_signal;
    flow.disk_holds = model_holds;
    flow.disk_result = model_disk;
    for (uint32_t i = 0; i < FLOW_QUEUES; i++)
        flow_queue(&flow, ds_queue_config(.capacity = 32, .flags = i % 2
                                                              ? DS_QUEUE_SINGLE_PRODUCER |
                                                                    DS_QUEUE_SINGLE_CONSUMER
                                                              : 0));
    while (model.n < MODEL_ENTRIES)
        model_act();
    for (uint32_t i = 0; model.polled < model.n; i++) {
        cr_assert_lt(i, 1000000, "%u of %u never ended", model.n - model.polled, model.n);
        for (uint32_t q = 0; q < FLOW_QUEUES; q++)
            ds_queue_submit(&flow.queues[q]);
        flow_step(&flow, 100000);
        fake_gpu_end(&flow.gpu, 1);
        model_poll();
    }
    for (uint32_t q = 0; q < FLOW_QUEUES; q++)
        cr_assert_eq(flow.gpu.values[q + 1], model.next_value[q], "the last signal of queue %u", q);
    flow_close(&flow);
}

Test(complete, the_whole_flow_like_a_plain_model)
{
    uint64_t seed = support_seed("flow");

    for (uint32_t round = 0; round < MODEL_ROUNDS; round++)
        model_round(seed + round);
}
