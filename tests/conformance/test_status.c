/* Status arrays and status entries. */
#include "conformance/rig.h"

#include <errno.h>

static struct ds_status_array *array_new(struct rig *rig, uint32_t n)
{
    struct ds_status_array *array = NULL;

    cr_assert_eq(ds_status_array_create(rig->engine, n, &array), 0);
    return array;
}

static int32_t status_at(const struct ds_status_array *array, uint32_t index)
{
    return ds_status_array_get(array, index, NULL);
}

static void await(struct rig *rig, const struct ds_status_array *array, uint32_t index)
{
    rig_until(rig, status_at(array, index) != DS_STATUS_PENDING);
}

Test(status, arrays_have_sizes_within_bounds)
{
    struct ds_status_array *array = NULL;
    struct rig rig;
    int32_t error = 1;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    cr_assert_eq(ds_status_array_create(rig.engine, 0, &array), -EINVAL);
    cr_assert_eq(ds_status_array_create(rig.engine, (1u << 20) + 1, &array), -EINVAL);
    cr_assert_null(array);
    array = array_new(&rig, 1u << 20);
    cr_assert_eq(ds_status_array_get(array, (1u << 20) - 1, &error), DS_STATUS_OK);
    cr_assert_eq(error, 0);
    cr_assert_eq(ds_status_array_get(array, 1u << 20, &error), -EINVAL);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 1u << 20), -EINVAL);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, NULL, 0), -EINVAL);
    cr_assert_eq(rig_info(rig.queue).free_slots, 1024, "a refusal must not cost a slot");
    ds_status_array_destroy(&array);
    cr_assert_null(array);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

Test(status, an_array_of_another_engine_is_refused)
{
    struct rig mine, other;
    struct ds_status_array *array;

    rig_open(&mine, DS_TOPOLOGY_MANUAL, NULL);
    rig_open(&other, DS_TOPOLOGY_MANUAL, NULL);
    array = array_new(&other, 1);
    cr_assert_eq(ds_queue_enqueue_status(mine.queue, array, 0), -EINVAL);
    cr_assert_eq(status_at(array, 0), DS_STATUS_OK);
    ds_status_array_destroy(&array);
    rig_close(&other);
    rig_close(&mine);
}

/* OK before first use, PENDING from the call on, then the outcome until it is enqueued anew. */
RIG_TEST(status, pending_from_the_enqueue_on_and_then_sticky)
{
    struct ds_status_array *array;
    struct ds_result result;
    uint8_t memory[100];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    array = array_new(&rig, 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(status_at(array, i), DS_STATUS_OK);
    for (uint32_t round = 0; round < 3; round++) {
        struct ds_request request = rig_read(&rig, round, sizeof(memory), memory, round);

        rig_enqueue(rig.queue, &request);
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 1), 0);
        for (uint32_t i = 0; i < 20; i++) {
            cr_assert_eq(status_at(array, 1), DS_STATUS_PENDING, "nothing was submitted");
            rig_pause(&rig);
        }
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 1), -EBUSY);
        ds_queue_submit(rig.queue);
        await(&rig, array, 1);
        cr_assert_arr_eq(memory, rig.content + round, sizeof(memory));
        for (uint32_t i = 0; i < 20; i++) {
            cr_assert_eq(status_at(array, 1), DS_STATUS_OK);
            rig_pause(&rig);
        }
        rig_results(rig.queue, &result, 1);
    }
    cr_assert_eq(status_at(array, 0), DS_STATUS_OK);
    cr_assert_eq(status_at(array, 2), DS_STATUS_OK);
    cr_assert_eq(rig_info(rig.queue).free_slots, 1024);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

RIG_TEST(status, an_entry_with_nothing_before_it_is_ok)
{
    struct ds_status_array *array;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    array = array_new(&rig, 64);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, i), 0);
    ds_queue_submit(rig.queue);
    await(&rig, array, 63);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(status_at(array, i), DS_STATUS_OK, "entry %u: they fire in order", i);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

/* Reads past the end fail at once, the others go to the disk: they end in another order than that
 * of their enqueues. */
static void enqueue_mixed(struct rig *rig, uint8_t *memory, uint32_t n, uint32_t first_bad)
{
    for (uint32_t i = 0; i < n; i++) {
        bool bad = i >= first_bad;
        struct ds_request request =
            rig_read(rig, bad ? RIG_FILE_BYTES : i * 1000, 1000, memory + i * 1000, i);

        rig_enqueue(rig->queue, &request);
    }
}

RIG_TEST(status, covers_the_requests_since_the_last_status_only)
{
    struct ds_status_array *array;
    struct ds_result results[30];
    static uint8_t memory[30000];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    array = array_new(&rig, 3);
    enqueue_mixed(&rig, memory, 10, 10);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
    enqueue_mixed(&rig, memory, 10, 4);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 1), 0);
    enqueue_mixed(&rig, memory, 10, 10);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 2), 0);
    ds_queue_submit(rig.queue);
    await(&rig, array, 2);
    cr_assert_eq(status_at(array, 0), DS_STATUS_OK);
    cr_assert_eq(status_at(array, 1), DS_STATUS_END_OF_FILE);
    cr_assert_eq(status_at(array, 2), DS_STATUS_OK, "an older failure is not told twice");
    rig_results(rig.queue, results, 30);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

/* Events and signals do not start a new account. */
RIG_TEST(status, an_event_between_does_not_hide_a_failure)
{
    struct ds_status_array *array;
    struct ds_result result;
    uint8_t memory[10];
    struct rig rig;
    struct ds_request bad;
    int fd;

    rig_open(&rig, topology, NULL);
    array = array_new(&rig, 1);
    fd = ds_queue_eventfd(rig.queue); /* any eventfd will do */
    bad = rig_read(&rig, RIG_FILE_BYTES, 10, memory, 1);
    rig_enqueue(rig.queue, &bad);
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, fd), 0);
    cr_assert_eq(ds_queue_enqueue_event(rig.queue, fd), 0);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
    ds_queue_submit(rig.queue);
    await(&rig, array, 0);
    cr_assert_eq(status_at(array, 0), DS_STATUS_END_OF_FILE);
    rig_results(rig.queue, &result, 1);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

/* The first failure in the order of the enqueues: it is slow (the disk is asked), while the one
 * after it fails at its begin. */
RIG_TEST(status, tells_the_first_failure_in_enqueue_order)
{
    struct ds_status_array *array;
    struct ds_result results[2];
    uint8_t memory[10];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    array = array_new(&rig, 2);
    for (uint32_t round = 0; round < 2; round++) {
        struct ds_request end = rig_read(&rig, RIG_FILE_BYTES, 10, memory, 0);
        struct ds_request closed = end;
        struct ds_file *file;

        cr_assert_eq(ds_file_open(rig.engine, rig.path, NULL, &file), 0);
        closed.file = file;
        rig_enqueue(rig.queue, round == 0 ? &end : &closed);
        rig_enqueue(rig.queue, round == 0 ? &closed : &end);
        cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, round), 0);
        ds_file_close(&file); /* before the submit: FILE_CLOSED without asking anyone */
        ds_queue_submit(rig.queue);
        rig_results(rig.queue, results, 2);
    }
    await(&rig, array, 1);
    cr_assert_eq(status_at(array, 0), DS_STATUS_END_OF_FILE);
    cr_assert_eq(status_at(array, 1), DS_STATUS_FILE_CLOSED);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

RIG_TEST(status, cancelled_requests_are_no_failures)
{
    struct ds_error_record record = {.struct_size = sizeof(record)};
    struct ds_status_array *array;
    struct ds_result results[50];
    static uint8_t memory[50000];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    array = array_new(&rig, 1);
    enqueue_mixed(&rig, memory, 50, 50);
    cr_assert_eq(ds_queue_enqueue_status(rig.queue, array, 0), 0);
    cr_assert_eq(ds_queue_cancel(rig.queue, 0, 0), 50, "requests alone are hit");
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, results, 50);
    for (uint32_t i = 0; i < 50; i++)
        cr_assert_eq(results[i].status, DS_STATUS_CANCELLED);
    await(&rig, array, 0);
    cr_assert_eq(status_at(array, 0), DS_STATUS_OK);
    cr_assert_eq(ds_queue_take_error(rig.queue, &record), 0);
    cr_assert_eq(record.failures, 0);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}

RIG_TEST(status, one_array_serves_two_queues)
{
    struct ds_status_array *array;
    struct ds_result results[16];
    static uint8_t memory[32000];
    struct ds_queue *other;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    other = rig_queue(&rig, ds_queue_config(.priority = DS_PRIORITY_HIGH));
    array = array_new(&rig, 32);
    for (uint32_t i = 0; i < 32; i++) {
        struct ds_queue *queue = i % 2 == 0 ? rig.queue : other;
        uint64_t offset = i % 8 == 3 ? RIG_FILE_BYTES : i * 1000;
        struct ds_request request = rig_read(&rig, offset, 1000, memory + i * 1000, i);

        rig_enqueue(queue, &request);
        cr_assert_eq(ds_queue_enqueue_status(queue, array, i), 0);
        cr_assert_eq(ds_queue_enqueue_status(i % 2 != 0 ? rig.queue : other, array, i), -EBUSY);
    }
    ds_queue_submit(rig.queue);
    await(&rig, array, 30);
    cr_assert_eq(status_at(array, 1), DS_STATUS_PENDING, "the other queue was not submitted");
    ds_queue_submit(other);
    await(&rig, array, 31);
    for (uint32_t i = 0; i < 32; i++)
        cr_assert_eq(status_at(array, i), i % 8 == 3 ? DS_STATUS_END_OF_FILE : DS_STATUS_OK);
    rig_results(rig.queue, results, 16);
    rig_results(other, results, 16);
    ds_queue_destroy(&other);
    ds_status_array_destroy(&array);
    rig_close(&rig);
}
