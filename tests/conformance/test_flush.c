/* FLUSH: after the writes before it, and never a success when one of them failed. */
#include "conformance/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* Writes beyond this fail with EFBIG; the rig's file lies below it. */
#define LIMIT_BYTES ((uint64_t)4 << 20)

static void limit_file_size(void)
{
    struct rlimit limit = {LIMIT_BYTES, LIMIT_BYTES};

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static struct ds_request write_at(const struct rig *rig, uint64_t offset, const void *data,
                                  uint64_t bytes, uint64_t user_data)
{
    struct ds_request request = rig_read(rig, offset, bytes, (void *)(uintptr_t)data, user_data);

    request.op = DS_OP_WRITE;
    return request;
}

static struct ds_request flush_of(struct ds_file *file, uint64_t user_data)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request), .op = DS_OP_FLUSH,
                               .file = file, .user_data = user_data};
}

static void enqueue_flush(struct ds_queue *queue, struct ds_file *file, uint64_t user_data)
{
    struct ds_request request = flush_of(file, user_data);

    rig_enqueue(queue, &request);
}

static void enqueue_write(struct rig *rig, struct ds_queue *queue, bool good, uint64_t user_data)
{
    static const uint8_t data[4096] = {1};
    struct ds_request request =
        write_at(rig, good ? 0 : LIMIT_BYTES, data, sizeof(data), user_data);

    rig_enqueue(queue, &request);
}

/* Results in the order of their user_data, which count from 0. */
static void take_sorted(struct ds_queue *queue, struct ds_result *sorted, uint32_t n)
{
    struct ds_result results[64];

    cr_assert_leq(n, 64);
    rig_results(queue, results, n);
    for (uint32_t i = 0; i < n; i++)
        sorted[results[i].user_data] = results[i];
}

Test(flush, refuses_what_makes_no_sense)
{
    struct ds_request request;
    struct ds_file *read_only;
    uint8_t memory[1];
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    cr_assert_eq(ds_file_open(rig.engine, rig.path, NULL, &read_only), 0);
    request = flush_of(read_only, 0);
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EBADF);
    request = flush_of(rig.file, 0);
    request.size = 1;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request.size = 0;
    request.offset = 1;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request.offset = 0;
    request.host = memory;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request.host = NULL;
    request.source = memory;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request = flush_of(NULL, 0);
    request.fd = -1;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EBADF);
    cr_assert_eq(rig_info(rig.queue).free_slots, 1024);
    ds_file_close(&read_only);
    rig_close(&rig);
}

/* The result of a flush is behind those of the writes before it, large and small. */
RIG_TEST(flush, comes_after_the_writes_before_it)
{
    static uint8_t data[512 << 10];
    struct ds_result results[12];
    struct rig rig;
    int fd;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 2 << 20, .chunk_bytes = 64 << 10));
    for (uint32_t round = 0; round < 5; round++) {
        memset(data, (int)round + 1, sizeof(data));
        for (uint32_t i = 0; i < 10; i++) {
            struct ds_request request = write_at(&rig, i * 50000, data, 1 + i * 5000, i);

            rig_enqueue(rig.queue, &request);
        }
        enqueue_flush(rig.queue, rig.file, 10);
        enqueue_flush(rig.queue, rig.file, 11);
        ds_queue_submit(rig.queue);
        rig_results(rig.queue, results, 12);
        for (uint32_t i = 0; i < 12; i++) {
            cr_assert_eq(results[i].status, DS_STATUS_OK);
            cr_assert(i >= 10 || results[i].user_data < 10, "a flush came before a write");
        }
    }
    fd = open(rig.path, O_RDONLY);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(pread(fd, rig.content, 1 + i * 5000, i * 50000), 1 + (ssize_t)i * 5000);
        cr_assert_arr_eq(rig.content, data, 1 + i * 5000);
    }
    close(fd);
    rig_close(&rig);
}

RIG_TEST(flush, alone_and_on_a_descriptor)
{
    struct ds_result result;
    struct ds_request request;
    struct rig rig;
    int fd;

    rig_open(&rig, topology, NULL);
    enqueue_flush(rig.queue, rig.file, 0);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    cr_assert_eq(result.bytes, 0);
    fd = open(rig.path, O_RDWR);
    request = flush_of(NULL, 0);
    request.fd = fd;
    rig_enqueue(rig.queue, &request);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    close(fd);
    rig_close(&rig);
}

RIG_TEST(flush, fails_once_after_a_failed_write)
{
    struct ds_result r[6];
    struct rig rig;

    limit_file_size();
    rig_open(&rig, topology, NULL);
    for (uint32_t round = 0; round < 10; round++) {
        enqueue_write(&rig, rig.queue, true, 0);
        enqueue_flush(rig.queue, rig.file, 1);
        enqueue_write(&rig, rig.queue, false, 2);
        enqueue_write(&rig, rig.queue, true, 3);
        enqueue_flush(rig.queue, rig.file, 4);
        enqueue_flush(rig.queue, rig.file, 5);
        ds_queue_submit(rig.queue);
        take_sorted(rig.queue, r, 6);
        cr_assert_eq(r[0].status, DS_STATUS_OK);
        cr_assert_eq(r[1].status, DS_STATUS_OK, "the failed write is behind it: round %u", round);
        cr_assert_eq(r[2].status, DS_STATUS_IO_ERROR);
        cr_assert_eq(r[2].error, -EFBIG);
        cr_assert_eq(r[3].status, DS_STATUS_OK);
        cr_assert_eq(r[4].status, DS_STATUS_IO_ERROR, "a success too early: round %u", round);
        cr_assert_eq(r[4].error, -EFBIG);
        cr_assert_eq(r[5].status, DS_STATUS_OK, "told once");
    }
    rig_close(&rig);
}

/* However they end: no flush succeeds behind a write that failed since the flush before it. */
RIG_TEST(flush, none_of_many_in_a_row_succeeds_too_early)
{
    struct ds_result r[60];
    struct rig rig;

    limit_file_size();
    rig_open(&rig, topology, NULL);
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < 30; i++) {
            enqueue_write(&rig, rig.queue, (i * 7 + round) % 3 != 0, 2 * i);
            enqueue_flush(rig.queue, rig.file, 2 * i + 1);
        }
        ds_queue_submit(rig.queue);
        take_sorted(rig.queue, r, 60);
        for (uint32_t i = 0; i < 30; i++)
            cr_assert(r[2 * i].status == DS_STATUS_OK || r[2 * i + 1].status != DS_STATUS_OK,
                      "round %u, write %u failed, the flush did not", round, i);
        enqueue_flush(rig.queue, rig.file, 0);
        ds_queue_submit(rig.queue);
        take_sorted(rig.queue, r, 1);
        cr_assert_eq(r[0].status, DS_STATUS_OK, "all has been told");
    }
    rig_close(&rig);
}

/* Another queue's flush takes neither the blame nor the news. */
RIG_TEST(flush, answers_for_the_writes_of_its_own_queue_and_file)
{
    struct ds_result r[2];
    struct ds_file *twin;
    struct ds_queue *other;
    struct rig rig;

    limit_file_size();
    rig_open(&rig, topology, NULL);
    other = rig_queue(&rig, NULL);
    cr_assert_eq(ds_file_open(rig.engine, rig.path, ds_file_config(.flags = DS_FILE_WRITE), &twin),
                 0);
    enqueue_write(&rig, rig.queue, false, 0);
    ds_queue_submit(rig.queue);
    take_sorted(rig.queue, r, 1);
    enqueue_flush(other, rig.file, 0);
    ds_queue_submit(other);
    take_sorted(other, r, 1);
    cr_assert_eq(r[0].status, DS_STATUS_OK, "no write of this queue has failed");
    enqueue_flush(rig.queue, twin, 0);
    enqueue_flush(rig.queue, rig.file, 1);
    ds_queue_submit(rig.queue);
    take_sorted(rig.queue, r, 2);
    cr_assert_eq(r[0].status, DS_STATUS_OK, "no write to this file has failed");
    cr_assert_eq(r[1].status, DS_STATUS_IO_ERROR, "the other queue's flush took the news");
    ds_file_close(&twin);
    ds_queue_destroy(&other);
    rig_close(&rig);
}

RIG_TEST(flush, answers_for_writes_by_descriptor_too)
{
    static const uint8_t data[100] = {1};
    struct ds_request request;
    struct ds_result r[2];
    struct rig rig;
    int fd;

    limit_file_size();
    rig_open(&rig, topology, NULL);
    fd = open(rig.path, O_RDWR);
    request = write_at(&rig, LIMIT_BYTES, data, sizeof(data), 0);
    request.file = NULL;
    request.fd = fd;
    rig_enqueue(rig.queue, &request);
    request = flush_of(NULL, 1);
    request.fd = fd;
    rig_enqueue(rig.queue, &request);
    ds_queue_submit(rig.queue);
    take_sorted(rig.queue, r, 2);
    cr_assert_eq(r[0].status, DS_STATUS_IO_ERROR);
    cr_assert_eq(r[1].status, DS_STATUS_IO_ERROR);
    close(fd);
    rig_close(&rig);
}

/* A cancelled flush has told nobody. */
RIG_TEST(flush, a_cancelled_one_leaves_the_news_to_the_next)
{
    struct ds_request request;
    struct ds_result r[3];
    struct rig rig;

    limit_file_size();
    rig_open(&rig, topology, NULL);
    enqueue_write(&rig, rig.queue, false, 0);
    request = flush_of(rig.file, 1);
    request.cancel_tag = 5;
    rig_enqueue(rig.queue, &request);
    enqueue_flush(rig.queue, rig.file, 2);
    cr_assert_eq(ds_queue_cancel(rig.queue, UINT64_MAX, 5), 1);
    ds_queue_submit(rig.queue);
    take_sorted(rig.queue, r, 3);
    cr_assert_eq(r[0].status, DS_STATUS_IO_ERROR);
    cr_assert_eq(r[1].status, DS_STATUS_CANCELLED);
    cr_assert_eq(r[2].status, DS_STATUS_IO_ERROR);
    rig_close(&rig);
}

RIG_TEST(flush, of_a_file_closed_before_the_submit_is_refused)
{
    struct ds_result result;
    struct ds_file *file;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    cr_assert_eq(ds_file_open(rig.engine, rig.path, ds_file_config(.flags = DS_FILE_WRITE), &file),
                 0);
    enqueue_flush(rig.queue, file, 0);
    ds_file_close(&file);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_FILE_CLOSED);
    rig_close(&rig);
}
