/* engine/mapped.h: which figures lead where; and which of several requests is alone. */
#include "engine/mapped.h"

#include "unit/flow.h"

TestSuite(mapped_rule);

#define BATCH (16u << 20)

static struct mapped_limits rule(uint32_t mapping_ns, uint32_t staging_ns, uint32_t submit_ns)
{
    return mapped_rule(&(struct mapped_figures){mapping_ns, staging_ns, submit_ns}, BATCH);
}

#define DEMAND(limits, most, alone)                                                                \
    do {                                                                                           \
        struct mapped_limits limits_ = (limits);                                                   \
        cr_expect_eq(limits_.max_bytes, most, "%llu", (unsigned long long)limits_.max_bytes);      \
        cr_expect_eq(limits_.alone_max_bytes, alone, "%llu",                                       \
                     (unsigned long long)limits_.alone_max_bytes);                                 \
    } while (0)

/* As fast as staging or faster: all of them, whatever a submission takes. */
Test(mapped_rule, no_slower_than_staging)
{
    DEMAND(rule(100000, 100000, 0), UINT64_MAX, UINT64_MAX);
    DEMAND(rule(60000, 100000, 0), UINT64_MAX, UINT64_MAX);
    DEMAND(rule(1, UINT32_MAX, 30000), UINT64_MAX, UINT64_MAX);
}

/* Slower by what a MiB pays of a submission that sixteen of them share: still all; by one more:
 * none but those that are alone, up to where the difference is a whole submission. */
Test(mapped_rule, slower_by_a_share_of_a_submission)
{
    DEMAND(rule(102000, 100000, 32000), UINT64_MAX, UINT64_MAX);
    DEMAND(rule(102001, 100000, 32000), 0, 32000 * MAPPED_MIB / 2001);
    DEMAND(mapped_rule(&(struct mapped_figures){132000, 100000, 32000}, 1u << 20), UINT64_MAX,
           UINT64_MAX);
    DEMAND(mapped_rule(&(struct mapped_figures){132001, 100000, 32000}, 1000), 0,
           32000 * MAPPED_MIB / 32001);
}

/* 7.7 GB/s across the bus, 12 to staging, 30 us for a submission: as on a large GPU of today. */
Test(mapped_rule, slower)
{
    DEMAND(rule(136000, 87000, 30000), 0, 30000 * MAPPED_MIB / 49000);
    DEMAND(rule(136000, 87000, 0), 0, 0);
    DEMAND(rule(UINT32_MAX, 87000, 30000), 0, 0);
    DEMAND(rule(UINT32_MAX, 0, UINT32_MAX), 0, MAPPED_MIB);
}

/* Below a page nothing is worth it. */
Test(mapped_rule, much_slower)
{
    DEMAND(rule(100000 + 256 * 1000, 100000, 1000), 0, MAPPED_ALONE_MIN_BYTES);
    DEMAND(rule(100000 + 256 * 1000 + 1, 100000, 1000), 0, 0);
}

/* A byte more across the bus never takes more that way. */
Test(mapped_rule, is_monotonic)
{
    uint64_t rng = support_seed("mapped_rule");

    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t mapping = (uint32_t)support_below(&rng, 500000);
        uint32_t staging = (uint32_t)support_below(&rng, 500000);
        uint32_t submit = (uint32_t)support_below(&rng, 50000);
        struct mapped_limits a = rule(mapping, staging, submit);
        struct mapped_limits b = rule(mapping + 1, staging, submit);
        struct mapped_limits c = rule(mapping, staging, submit + 1);

        cr_assert(a.max_bytes == 0 || a.max_bytes == UINT64_MAX);
        cr_assert_geq(a.alone_max_bytes, a.max_bytes);
        cr_assert(b.max_bytes <= a.max_bytes && b.alone_max_bytes <= a.alone_max_bytes);
        cr_assert(c.max_bytes >= a.max_bytes && c.alone_max_bytes >= a.alone_max_bytes);
    }
}

/* Of requests that begin together the first is alone. */
Test(mapped_rule, one_alone_spares_a_submission_and_no_other)
{
    static struct flow flow;
    static uint8_t memory[100];
    struct ds_request request = flow_read_gpu(1, 0, sizeof(memory));
    struct ds_result results[4];
    struct ds_queue *queue;

    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .mapped_alone = true});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 8));
    request.gpu_mapped = memory;
    for (uint32_t n = 1; n <= 3; n++) {
        uint64_t before = flow.complete.mapped_bytes;

        for (uint32_t i = 0; i < n; i++)
            flow_enqueue(queue, request);
        ds_queue_submit(queue);
        flow_finish(&flow);
        cr_assert_eq(ds_queue_poll(queue, results, 4), n);
        cr_assert_eq(flow.complete.mapped_bytes - before, sizeof(memory));
        cr_assert_eq(flow.gpu.submits, n - 1, "a submission for the others of each round");
    }
    cr_assert_eq(ds_queue_enqueue_signal(queue, 9, 3, 42), 0);
    flow_enqueue(queue, request);
    ds_queue_submit(queue);
    flow_finish(&flow);
    flow_enqueue(queue, request);
    ds_queue_submit(queue);
    flow_finish(&flow);
    cr_assert_eq(ds_queue_poll(queue, results, 4), 3);
    cr_assert_eq(flow.complete.mapped_bytes, 3 * sizeof(memory),
                 "a queue that signals has submissions anyway");
    flow_close(&flow);
}
