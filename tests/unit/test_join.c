/* stages/join.h: what touches in the file lies side by side in staging, and credit comes back
 * whatever the order in which it ends. */
#include "unit/flow.h"

static struct flow flow;

/* What a disk saw of a stream of requests. */
struct seen {
    uint32_t chunks, touching;
    const uint8_t *end;
    uint64_t file_end;
};

static int64_t look(struct flow *f, const struct chunk *chunk)
{
    struct seen *seen = f->ctx;

    seen->chunks++;
    if (chunk->memory == seen->end && chunk->file_offset == seen->file_end)
        seen->touching++;
    seen->end = chunk->memory + chunk->io_bytes;
    seen->file_end = chunk->file_offset + chunk->io_bytes;
    return chunk->io_bytes;
}

static void stream(struct ds_queue *queue, uint32_t n, uint32_t bytes, uint64_t step)
{
    for (uint32_t i = 0; i < n; i++)
        flow_enqueue(queue, flow_read_gpu(i, i * step, bytes));
    ds_queue_submit(queue);
    flow_finish(&flow);
}

static uint32_t drain(struct ds_queue *queue)
{
    struct ds_result results[64];
    uint32_t n, total = 0;

    while ((n = ds_queue_poll(queue, results, 64)) > 0)
        total += n;
    return total;
}

Test(join, a_stream_lies_side_by_side)
{
    uint32_t group = CHUNK_GROUP_BYTES / 4096;
    struct seen seen = {0};
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    flow.disk_result = look;
    flow.ctx = &seen;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 64));
    for (uint32_t round = 0; round < 20; round++) {
        seen = (struct seen){0};
        stream(queue, 60, 4096, 4096);
        cr_assert_eq(drain(queue), 60);
        cr_assert_eq(seen.chunks, 60);
        cr_assert_geq(seen.touching, 60 - 60 / group - 1, "%u touch", seen.touching);
    }
    flow_close(&flow);
}

Test(join, what_does_not_touch_in_the_file_is_not_kept_together)
{
    struct seen seen = {0};
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU});
    flow.disk_result = look;
    flow.ctx = &seen;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 64));
    stream(queue, 60, 4096, 8192);
    cr_assert_eq(drain(queue), 60);
    cr_assert_eq(seen.touching, 0);
    flow_close(&flow);
}

static bool hold_randomly(struct flow *f, const struct chunk *chunk)
{
    static uint64_t seed = 5;

    (void)f;
    (void)chunk;
    return support_below(&seed, 4) != 0;
}

/* A small arena, streams that start and stop, ends in any order: all staging comes back, which
 * flow_close demands, and nobody's staging is anybody else's, which the arena asserts. */
Test(join, staging_comes_back_in_any_order)
{
    uint64_t seed = support_seed("join");
    struct ds_queue *queue;
    uint32_t sent = 0, done = 0;
    uint64_t offset = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .arena_bytes = 2 << 20,
                                            .granularity_bytes = 512});
    flow.disk_holds = hold_randomly;
    queue = flow_queue(&flow, ds_queue_config(.capacity = 256));
    while (done < 20000 / SLOWNESS) {
        uint32_t size = 512 + 512 * (uint32_t)support_below(&seed, 40);

        if (support_below(&seed, 10) == 0)
            offset = 512 * support_below(&seed, 1 << 20);
        flow_enqueue(queue, flow_read_gpu(sent++, offset, size));
        offset += size;
        if (sent - done < 100)
            continue;
        ds_queue_submit(queue);
        flow_step(&flow, 200000);
        fake_gpu_end(&flow.gpu, UINT64_MAX / 2);
        done += drain(queue);
        arena_check(&flow.submit.arena);
        while (sent - done >= 200) {
            flow_finish(&flow);
            done += drain(queue);
        }
    }
    ds_queue_submit(queue);
    flow.disk_holds = NULL;
    flow_finish(&flow);
    cr_assert_eq(done + drain(queue), sent);
    flow_close(&flow);
}
