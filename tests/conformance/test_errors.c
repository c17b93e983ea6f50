/* The error record, its eventfd, and what a failing request may not look at. */
#include "conformance/rig.h"

#include <errno.h>
#include <poll.h>

static struct ds_error_record take(struct ds_queue *queue)
{
    struct ds_error_record record;

    memset(&record, 0xa5, sizeof(record));
    record.struct_size = sizeof(record);
    cr_assert_eq(ds_queue_take_error(queue, &record), 0);
    return record;
}

static void must_be_empty(const struct ds_error_record *record)
{
    struct ds_error_record nothing = {.struct_size = sizeof(nothing)};

    cr_assert_arr_eq(record, &nothing, sizeof(nothing));
}

RIG_TEST(errors, a_record_without_error_is_empty)
{
    struct ds_error_record record;
    struct ds_request request;
    struct ds_result result;
    uint8_t memory[10];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    record = take(rig.queue);
    must_be_empty(&record);
    request = rig_read(&rig, 5, sizeof(memory), memory, 1);
    rig_enqueue(rig.queue, &request);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, &result, 1);
    record = take(rig.queue);
    must_be_empty(&record);
    rig_close(&rig);
}

/* Nobody may look at names and tags of requests that succeed. */
RIG_TEST(errors, garbage_in_name_and_tag_of_a_good_request_harms_nobody)
{
    struct ds_result results[64];
    uint8_t memory[100];
    struct rig rig;

    rig_open(&rig, topology, NULL);
    for (uint32_t i = 0; i < 64; i++) {
        struct ds_request request = rig_read(&rig, i, sizeof(memory), memory, i);

        request.name = (const char *)(uintptr_t)(0x5a5a5a5a5a5a0000u + i);
        request.cancel_tag = 0xa5a5a5a5a5a5a5a5u * (i + 1);
        rig_enqueue(rig.queue, &request);
    }
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, results, 64);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK);
    rig_close(&rig);
}

static void check_first(const struct ds_error_record *record, const struct ds_request *first,
                        const char *path, uint64_t age_ns)
{
    cr_assert_eq(record->result.status, DS_STATUS_END_OF_FILE);
    cr_assert_eq(record->result.user_data, first->user_data);
    cr_assert_leq(record->result.latency_ns, age_ns);
    cr_assert_eq(record->request.op, DS_OP_READ);
    cr_assert_eq(record->request.file, first->file);
    cr_assert_eq(record->request.offset, first->offset);
    cr_assert_eq(record->request.size, first->size);
    cr_assert_eq(record->request.host, first->host);
    cr_assert_eq(record->request.user_data, first->user_data);
    cr_assert_eq(record->request.cancel_tag, first->cancel_tag);
    cr_assert_str_eq(record->file_name, path);
    cr_assert_str_eq(record->request_name, "texture 3");
}

RIG_TEST(errors, counts_and_describes_the_first_in_enqueue_order)
{
    static const char *const names[] = {"texture 0", "texture 1", "texture 2", "texture 3",
                                        "texture 4", "texture 5", "texture 6", "texture 7"};
    struct ds_error_record record;
    struct ds_request first = {.size = 0};
    struct ds_result results[8];
    static uint8_t memory[8][5000];
    uint64_t begin_ns;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    for (uint32_t round = 0; round < 3; round++) {
        begin_ns = rig_now_ns();
        for (uint32_t i = 0; i < 8; i++) {
            struct ds_request request = rig_read(&rig, i * 5000, sizeof(memory[i]), memory[i], i);

            request.name = names[i];
            request.cancel_tag = 100 + i;
            if (i >= 3 && i != 5)
                request.offset = RIG_FILE_BYTES - 1 + i;
            if (i == 3)
                first = request;
            rig_enqueue(rig.queue, &request);
        }
        ds_queue_submit(rig.queue);
        rig_results(rig.queue, results, 8);
        record = take(rig.queue);
        cr_assert_eq(record.failures, 4);
        check_first(&record, &first, rig.path, rig_now_ns() - begin_ns);
        record = take(rig.queue);
        must_be_empty(&record);
    }
    rig_close(&rig);
}

Test(errors, long_names_are_cut_and_missing_ones_empty)
{
    struct ds_error_record record;
    struct ds_result result;
    uint8_t memory[10];
    char name[200];
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (uint32_t i = 0; i < 2; i++) {
        struct ds_request request = rig_read(&rig, RIG_FILE_BYTES, 10, memory, 0);

        request.name = i == 0 ? name : NULL;
        rig_enqueue(rig.queue, &request);
        ds_queue_submit(rig.queue);
        rig_results(rig.queue, &result, 1);
        record = take(rig.queue);
        cr_assert_eq(strlen(record.request_name), i == 0 ? 63 : 0);
    }
    rig_close(&rig);
}

/* A caller of an older version has a shorter record; one that cannot hold itself takes nothing. */
Test(errors, a_refused_take_takes_nothing)
{
    struct ds_error_record record = {.struct_size = 0};
    struct ds_request request;
    struct ds_result result;
    uint8_t memory[10];
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    request = rig_read(&rig, RIG_FILE_BYTES, 10, memory, 77);
    rig_enqueue(rig.queue, &request);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(ds_queue_take_error(rig.queue, &record), -EINVAL);
    record.struct_size = offsetof(struct ds_error_record, request);
    record.request.size = 4711;
    cr_assert_eq(ds_queue_take_error(rig.queue, &record), 0);
    cr_assert_eq(record.failures, 1);
    cr_assert_eq(record.result.user_data, 77);
    cr_assert_eq(record.request.size, 4711, "not a byte more than the caller has");
    rig_close(&rig);
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void fail_one(struct rig *rig)
{
    uint8_t memory[10];
    struct ds_request request = rig_read(rig, RIG_FILE_BYTES, 10, memory, 1);
    struct ds_result result;

    rig_enqueue(rig->queue, &request);
    ds_queue_submit(rig->queue);
    rig_results(rig->queue, &result, 1);
}

RIG_TEST(errors, the_eventfd_is_readable_after_a_failure)
{
    struct ds_request good;
    struct ds_result result;
    uint8_t memory[10];
    struct rig rig;
    int fd;

    rig_open(&rig, topology, NULL);
    fail_one(&rig); /* before the eventfd exists: it counts too */
    fd = ds_queue_error_eventfd(rig.queue);
    cr_assert_geq(fd, 0);
    cr_assert(is_readable(fd));
    cr_assert_eq(rig_eventfd_read(fd), 1);
    cr_assert_eq(ds_queue_error_eventfd(rig.queue), fd);
    cr_assert_not(is_readable(fd), "nothing has failed since it was read");
    good = rig_read(&rig, 0, 10, memory, 1);
    rig_enqueue(rig.queue, &good);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, &result, 1);
    cr_assert_not(is_readable(fd), "a success is no failure");
    fail_one(&rig);
    fail_one(&rig);
    cr_assert(is_readable(fd));
    cr_assert_eq(rig_eventfd_read(fd), 2);
    cr_assert_eq(take(rig.queue).failures, 3);
    rig_close(&rig);
}

/* Each queue keeps its own account. */
RIG_TEST(errors, of_one_queue_do_not_show_in_another)
{
    struct ds_queue *other;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    other = rig_queue(&rig, NULL);
    fail_one(&rig);
    cr_assert_eq(take(other).failures, 0);
    cr_assert_eq(take(rig.queue).failures, 1);
    ds_queue_destroy(&other);
    rig_close(&rig);
}
