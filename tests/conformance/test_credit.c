/* Staging memory is what requests of all sizes share: whatever the order, nothing waits for ever
 * for a run that is long enough. An allocator that does not join what comes back hangs here. */
#include "conformance/rig.h"

enum { SMALL = 700, LARGE = 12 };

/* Everything goes through staging: the copy that moves nothing reads nothing in place. */
static void credit_open(struct rig *rig, enum ds_topology topology)
{
    rig_open(rig, topology,
             ds_engine_config(.arena_bytes = 2 << 20, .chunk_bytes = 1 << 20,
                              .copy_backend = DS_COPY_NIL));
}

static void enqueue_sizes(struct rig *rig, struct ds_queue *queue, uint32_t n, uint64_t size)
{
    static uint8_t memory[RIG_FILE_BYTES];

    for (uint32_t i = 0; i < n; i++) {
        struct ds_request request =
            rig_read(rig, (uint64_t)i * 37 % (RIG_FILE_BYTES - size + 1), size, memory, i);

        rig_enqueue(queue, &request);
    }
    ds_queue_submit(queue);
}

static void take_all(struct ds_queue *queue, uint32_t n)
{
    struct ds_result result;

    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(ds_queue_wait(queue, &result, 1, RIG_WAIT_NS), 1, "%u of %u are stuck", n - i,
                     n);
        cr_assert_eq(result.status, DS_STATUS_OK);
    }
}

/* Small ones cut the whole arena into pieces, then large ones need half of it in one. */
RIG_TEST(credit, large_requests_after_small_ones)
{
    struct rig rig;

    credit_open(&rig, topology);
    for (uint32_t round = 0; round < 6; round++) {
        enqueue_sizes(&rig, rig.queue, SMALL, 1 + 3000 * (round % 3));
        enqueue_sizes(&rig, rig.queue, LARGE, RIG_FILE_BYTES - round);
        enqueue_sizes(&rig, rig.queue, 40, 100000);
        take_all(rig.queue, SMALL + LARGE + 40);
    }
    rig_close(&rig);
}

/* While small ones keep coming on one queue, a large one of another gets its turn. */
RIG_TEST(credit, a_large_request_among_small_ones)
{
    struct ds_queue *other;
    struct rig rig;

    credit_open(&rig, topology);
    other = rig_queue(&rig, ds_queue_config(.priority = DS_PRIORITY_LOW));
    enqueue_sizes(&rig, rig.queue, SMALL, 4000);
    enqueue_sizes(&rig, other, 2, RIG_FILE_BYTES);
    for (uint32_t round = 0; round < 4; round++) {
        take_all(rig.queue, SMALL / 2);
        enqueue_sizes(&rig, rig.queue, SMALL / 2, 4000);
    }
    take_all(other, 2);
    take_all(rig.queue, SMALL);
    ds_queue_destroy(&other);
    rig_close(&rig);
}
