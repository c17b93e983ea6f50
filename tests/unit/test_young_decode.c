/* While the GPU has what it decodes for less time than that usually takes, no thread waits for it
 * in the driver, where it might look for the end without a pause: they look at intervals. */
#include "unit/flow_packed.h"

#define LONG_NS (UINT64_MAX / 4)

static struct flow flow;

static void send(struct ds_queue *queue, struct ds_request request)
{
    flow_enqueue(queue, request);
    ds_queue_submit(queue);
    flow_settle(&flow);
}

/* The time of a flow is its own: what is under way is made to have begun long ago. */
static void usually_takes(uint64_t ns)
{
    struct complete_stage *complete = &flow.complete;

    if (complete->held_head != complete->held_tail)
        complete->held[complete->held_head & complete->held_mask]->entered_ns = 0;
    flow.copy.batches[flow.copy.freed_n % flow.copy.batches_n].opened_ns = 0;
    atomic_store(&complete->gpu_batch_ns, ns);
}

static enum stage_wait complete_waits(void)
{
    return complete_stage_ops.waiting(&flow.complete);
}

static enum stage_wait copy_waits(void)
{
    return copy_stage_ops.waiting(&flow.copy);
}

Test(young_decode, is_not_waited_for_in_the_driver)
{
    struct ds_result results[4];
    struct ds_queue *queue;

    pack_make();
    flow_open(&flow, &(struct flow_options){.kind = COPY_KIND_GPU, .scratch_bytes = 1 << 20});
    queue = flow_queue(&flow, ds_queue_config(.capacity = 8));
    send(queue, packed_read(1));
    cr_assert_eq(flow.gpu.submitted, 1);
    usually_takes(0);
    cr_expect_eq(complete_waits(), STAGE_WAIT_DEVICE, "nothing is known");
    usually_takes(1);
    cr_expect_eq(complete_waits(), STAGE_WAIT_DEVICE, "it is due");
    usually_takes(LONG_NS);
    cr_expect_eq(complete_waits(), STAGE_WAIT_POLL);
    cr_expect_eq(copy_waits(), STAGE_IDLE);
    send(queue, packed_read(1));
    usually_takes(LONG_NS);
    cr_expect_eq(copy_waits(), STAGE_WAIT_POLL, "for its turn");
    usually_takes(1);
    cr_expect_eq(copy_waits(), STAGE_WAIT_DEVICE, "its turn is near");
    flow_finish(&flow);
    cr_expect_eq(complete_waits(), STAGE_IDLE);
    cr_expect_eq(copy_waits(), STAGE_IDLE);
    send(queue, flow_read_gpu(2, 0, 10));
    usually_takes(LONG_NS);
    cr_expect_eq(complete_waits(), STAGE_WAIT_DEVICE, "a copy is soon done");
    flow_finish(&flow);
    cr_assert_eq(ds_queue_poll(queue, results, 4), 3);
    flow_close(&flow);
}
