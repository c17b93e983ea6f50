/* ds_file_close with requests everywhere on their way: each ends once, with its bytes or with
 * FILE_CLOSED, and nothing of it happens after the close. */
#include "conformance/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N = 300, BYTES = 3000 };

static uint8_t memory[N][BYTES];

static void enqueue_all(struct rig *rig, struct ds_file *file)
{
    memset(memory, 0x5a, sizeof(memory));
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = rig_read(rig, i * 1111, BYTES, memory[i], i);

        request.file = file;
        rig_enqueue(rig->queue, &request);
    }
}

static bool is_untouched(const uint8_t *bytes)
{
    for (uint32_t i = 0; i < BYTES; i++) {
        if (bytes[i] != 0x5a)
            return false;
    }
    return true;
}

/* Returns how many were refused. */
static uint32_t check_all(struct rig *rig)
{
    struct ds_result results[N];
    bool seen[N] = {false};
    uint32_t closed = 0;

    rig_results(rig->queue, results, N);
    for (uint32_t i = 0; i < N; i++) {
        uint64_t at = results[i].user_data;

        cr_assert(at < N && !seen[at], "request %u ended twice", (unsigned)at);
        seen[at] = true;
        if (results[i].status == DS_STATUS_FILE_CLOSED) {
            cr_assert_eq(results[i].bytes, 0);
            cr_assert(is_untouched(memory[at]), "request %u has written", (unsigned)at);
            closed++;
        } else {
            cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
            cr_assert_arr_eq(memory[at], rig->content + at * 1111, BYTES);
        }
    }
    return closed;
}

/* A file with other bytes, which gets the number of the descriptor that was closed. */
static int decoy_open(void)
{
    static uint8_t bytes[RIG_FILE_BYTES];
    int fd = memfd_create("decoy", MFD_CLOEXEC);

    memset(bytes, 0xdd, sizeof(bytes));
    cr_assert_eq(write(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
    return fd;
}

static void close_midway(struct rig *rig, uint32_t rounds)
{
    uint32_t closed = 0;

    for (uint32_t round = 0; round < rounds; round++) {
        struct ds_file *file;
        int fd = open(rig->path, O_RDONLY | O_CLOEXEC), decoy;

        cr_assert_eq(ds_file_adopt(rig->engine, fd, ds_file_config(.flags = DS_FILE_OWN_FD),
                                   &file), 0);
        enqueue_all(rig, file);
        ds_queue_submit(rig->queue);
        rig_until(rig, rig_info(rig->queue).in_flight <= N - round % 8 * (N / 8));
        ds_file_close(&file);
        cr_assert_null(file);
        decoy = decoy_open();
        closed += check_all(rig);
        close(decoy);
    }
    fprintf(stderr, "%u of %u came too late\n", closed, rounds * N);
}

RIG_TEST(file_close, with_reads_in_flight)
{
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 1 << 20, .chunk_bytes = 64 << 10,
                                              .chunks_max = 16));
    close_midway(&rig, 40 / SLOWNESS + 8);
    rig_close(&rig);
}

RIG_TEST(file_close, with_reads_in_a_pool_of_threads)
{
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 1 << 20, .chunk_bytes = 64 << 10,
                                              .read_backend = DS_READ_PREAD));
    close_midway(&rig, 16 / SLOWNESS + 8);
    rig_close(&rig);
}

/* Requests on other files do not notice. */
RIG_TEST(file_close, leaves_other_files_alone)
{
    static uint8_t other[50][BYTES];
    struct ds_result results[100];
    struct ds_file *file;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    for (uint32_t round = 0; round < 10; round++) {
        cr_assert_eq(ds_file_open(rig.engine, rig.path, NULL, &file), 0);
        for (uint32_t i = 0; i < 100; i++) {
            struct ds_request request =
                rig_read(&rig, i * 99, BYTES, i % 2 == 0 ? memory[i] : other[i / 2], i);

            if (i % 2 == 0)
                request.file = file;
            rig_enqueue(rig.queue, &request);
        }
        ds_queue_submit(rig.queue);
        ds_file_close(&file);
        rig_results(rig.queue, results, 100);
        for (uint32_t i = 0; i < 100; i++)
            cr_assert(results[i].status == DS_STATUS_OK ||
                          (results[i].user_data % 2 == 0 &&
                           results[i].status == DS_STATUS_FILE_CLOSED),
                      "%s", ds_status_name(results[i].status));
        for (uint32_t i = 0; i < 50; i++)
            cr_assert_arr_eq(other[i], rig.content + (2 * i + 1) * 99, BYTES);
    }
    rig_close(&rig);
}

/* What was written before the close returned is there, and nothing else. */
RIG_TEST(file_close, with_writes_in_flight)
{
    struct ds_result results[N];
    uint8_t back[BYTES];
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 1 << 20, .chunk_bytes = 64 << 10,
                                              .chunks_max = 16));
    for (uint32_t round = 0; round < 10; round++) {
        struct ds_file *file;
        int fd;

        cr_assert_eq(ds_file_open(rig.engine, rig.path, ds_file_config(.flags = DS_FILE_WRITE),
                                  &file), 0);
        for (uint32_t i = 0; i < N; i++) {
            struct ds_request request = rig_read(&rig, i * BYTES, BYTES, memory[i], i);

            memset(memory[i], (int)(round * 31 + i), BYTES);
            request.op = DS_OP_WRITE;
            request.file = file;
            rig_enqueue(rig.queue, &request);
        }
        ds_queue_submit(rig.queue);
        for (uint32_t i = 0; i < round; i++)
            rig_pause(&rig);
        ds_file_close(&file);
        fd = open(rig.path, O_RDONLY | O_CLOEXEC);
        rig_results(rig.queue, results, N);
        for (uint32_t i = 0; i < N; i++) {
            uint64_t at = results[i].user_data;
            bool done = results[i].status == DS_STATUS_OK;

            cr_assert(done || results[i].status == DS_STATUS_FILE_CLOSED);
            cr_assert_eq(pread(fd, back, BYTES, (off_t)(at * BYTES)), BYTES);
            cr_assert_eq(memcmp(back, memory[at], BYTES) == 0, done, "write %u", (unsigned)at);
        }
        close(fd);
    }
    rig_close(&rig);
}
