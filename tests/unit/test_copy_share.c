/* stages/copy.h, how much a batch takes: half of the bytes under way, so that the GPU works on one
 * half while the thread is at the other, but not less than is worth a submission. */
#include "unit/flow.h"

static struct flow flow;

/* Keeps `depth` reads of 64 KiB under way for some batches, whose GPU ends one at a time. Returns
 * the most bytes that a batch may then take; *most: the most chunks in one. */
static uint64_t run(uint32_t depth, uint32_t *most)
{
    struct ds_result results[256];
    struct ds_queue *queue;
    uint64_t limit, i = 0;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .regions_max = 256,
                                            .arena_bytes = 32 << 20});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 256));
    for (uint32_t n = depth, round = 0; round < 24; round++) {
        if (round == 12)
            flow.gpu.chunks_max_seen = 0;
        while (n-- > 0)
            flow_enqueue(queue, flow_read_gpu(i++, 0, 65536));
        ds_queue_submit(queue);
        flow_settle(&flow);
        fake_gpu_end(&flow.gpu, 1);
        flow_settle(&flow);
        n = ds_queue_poll(queue, results, 256);
    }
    limit = flow.copy.bytes_limit;
    *most = flow.gpu.chunks_max_seen;
    flow_finish(&flow);
    flow_close(&flow);
    return limit;
}

Test(copy_share, is_half_of_what_is_under_way)
{
    uint32_t most;

    cr_expect_eq(run(8, &most), FAKE_BYTES_LEAST);
    cr_expect_eq(most, 8, "%u: all of it is not worth two submissions", most);
    cr_expect_eq(run(32, &most), FAKE_BYTES_LEAST);
    cr_expect_eq(most, 16, "%u", most);
    cr_expect_eq(run(64, &most), 32 * 65536);
    cr_expect_leq(most, 32, "%u", most);
}
