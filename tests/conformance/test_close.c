/* ds_queue_close: the end of a queue that still has results. */
#include "conformance/rig.h"

#include <errno.h>

static void enqueue_reads(struct rig *rig, uint8_t (*memory)[5000], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ds_request request = rig_read(rig, i * 999, sizeof(memory[i]), memory[i], i);

        rig_enqueue(rig->queue, &request);
    }
}

RIG_TEST(close, waits_and_then_refuses_everything)
{
    static uint8_t memory[60][5000];
    struct ds_status_array *array;
    struct ds_result results[60];
    struct ds_request request;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    cr_assert_eq(ds_status_array_create(rig.engine, 2, &array), 0);
    enqueue_reads(&rig, memory, 60);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
    ds_queue_submit(rig.queue);
    ds_queue_close(rig.queue);
    cr_assert_eq(rig_info(rig.queue).in_flight, 0);
    cr_assert_eq(ds_status_array_get(array, 0, NULL), DS_STATUS_OK);
    request = rig_read(&rig, 0, 1, memory, 0);
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -ESHUTDOWN);
    cr_assert_eq(ds_queue_enqueue_batch(rig.queue, &request, 1), -ESHUTDOWN);
    cr_assert_eq(ds_queue_enqueue_wait(rig.queue, &request, RIG_WAIT_NS), -ESHUTDOWN);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 1), -ESHUTDOWN);
    cr_assert_eq(ds_status_array_get(array, 1, NULL), DS_STATUS_OK, "a refusal leaves it alone");
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, ds_queue_eventfd(rig.queue)), -ESHUTDOWN);
    cr_assert_eq(ds_queue_poll(rig.queue, results, 60), 60, "results are kept");
    for (uint32_t i = 0; i < 60; i++) {
        cr_assert_eq(results[i].status, DS_STATUS_OK);
        cr_assert_arr_eq(memory[i], rig.content + i * 999, sizeof(memory[i]));
    }
    ds_queue_close(rig.queue); /* once more does no harm */
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

RIG_TEST(close, drops_what_was_never_submitted)
{
    static uint8_t memory[10][5000];
    struct ds_status_array *array;
    struct ds_result results[20];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    cr_assert_eq(ds_status_array_create(rig.engine, 1, &array), 0);
    enqueue_reads(&rig, memory, 10);
    ds_queue_submit(rig.queue);
    enqueue_reads(&rig, memory, 10);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
    ds_queue_close(rig.queue);
    ds_queue_submit(rig.queue);
    for (uint32_t i = 0; i < 20; i++)
        rig_pause(&rig);
    cr_assert_eq(ds_queue_poll(rig.queue, results, 20), 10);
    cr_assert_eq(ds_queue_wait(rig.queue, results, 20, 10 * MS_NS), 0);
    ds_queue_destroy(&rig.queue);
    cr_assert_eq(ds_status_array_get(array, 0, NULL), DS_STATUS_CANCELLED);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

/* Others go on, also on the place that the closed one still holds. */
RIG_TEST(close, of_one_queue_leaves_the_others_alone)
{
    static uint8_t memory[10][5000];
    struct ds_result results[10];
    struct ds_queue *other;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    for (uint32_t round = 0; round < 5; round++) {
        other = rig_queue(&rig, NULL);
        ds_queue_close(other);
        enqueue_reads(&rig, memory, 10);
        ds_queue_submit(other);
        ds_queue_submit(rig.queue);
        rig_results(rig.queue, results, 10);
        ds_queue_destroy(&other);
    }
    rig_close(&rig);
}
