/* Each cause of a failure has a status of its own, in the result, the status array and the error
 * record alike, which also holds the whole request. Causes made for real, no faked errno. */
#include "conformance/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#define BYTES ((uint64_t)65536)

/* The request fails with `status` and `error`, everywhere the same. Returns its result. */
static struct ds_result must_fail(struct rig *rig, struct ds_request request, int32_t status,
                                  int32_t error)
{
    struct ds_error_record record = {.struct_size = sizeof(record)};
    struct ds_status_array *array;
    struct ds_result result;
    int32_t behind = 1;

    request.user_data = 0x1234;
    request.cancel_tag = 0x77;
    request.name = "the one that fails";
    cr_assert_eq(ds_status_array_create(rig->engine, 1, &array), 0);
    rig_enqueue(rig->queue, &request);
    cr_assert_eq(ds_queue_enqueue_status(rig->queue, array, 0), 0);
    ds_queue_submit(rig->queue);
    rig_results(rig->queue, &result, 1);
    cr_assert_eq(result.status, status, "%s, error %d", ds_status_name(result.status),
                 result.error);
    cr_assert_eq(result.error, error);
    cr_assert_eq(result.user_data, 0x1234);
    rig_until(rig, ds_status_array_get(array, 0, &behind) != DS_STATUS_PENDING);
    cr_assert_eq(ds_status_array_get(array, 0, &behind), status);
    cr_assert_eq(behind, error);
    cr_assert_eq(ds_queue_take_error(rig->queue, &record), 0);
    cr_assert_eq(record.failures, 1);
    cr_assert_eq(record.result.status, status);
    cr_assert_eq(record.result.error, error);
    cr_assert_eq(record.request.op, request.op);
    cr_assert_eq(record.request.flags, request.flags);
    cr_assert_eq(record.request.file, request.file);
    cr_assert_eq(record.request.offset, request.offset);
    cr_assert_eq(record.request.size, request.size);
    cr_assert_eq(record.request.host, request.host);
    cr_assert_eq(record.request.user_data, 0x1234);
    cr_assert_eq(record.request.cancel_tag, 0x77);
    cr_assert_str_eq(record.request_name, "the one that fails");
    ds_status_array_destroy(&array);
    return result;
}

/* What is said to be in place is. */
RIG_TEST(failures, the_file_ends)
{
    static uint8_t memory[100000];
    uint64_t offset = RIG_FILE_BYTES - 90000;
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 4 << 20, .chunk_bytes = 16 << 10));
    result = must_fail(&rig, rig_read(&rig, offset, sizeof(memory), memory, 0),
                       DS_STATUS_END_OF_FILE, 0);
    cr_assert_leq(result.bytes, 90000);
    cr_assert_arr_eq(memory, rig.content + offset, result.bytes);
    rig_close(&rig);
}

/* Through the page cache and at an address that O_DIRECT takes, so that the kernel moves the bytes
 * in both: a copy by the CPU would be a fault of the program's. */
RIG_TEST(failures, memory_that_is_not_there)
{
    static const enum ds_direct_mode modes[] = {DS_DIRECT_OFF, DS_DIRECT_AUTO};
    uint8_t *none = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(none != MAP_FAILED);
    for (uint32_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        struct rig rig;

        rig_open(&rig, topology, ds_engine_config(.arena_bytes = 4 << 20, .direct = modes[i]));
        must_fail(&rig, rig_read(&rig, 0, BYTES, none, 0), DS_STATUS_ACCESS_VIOLATION, -EFAULT);
        rig_close(&rig);
    }
    munmap(none, BYTES);
}

/* A request on a file in memory, which can be sealed. */
static void on_memfd(enum ds_topology topology, int seals, uint64_t offset, int32_t status,
                     int32_t error)
{
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    static uint8_t memory[4096];
    struct ds_request request;
    struct ds_file *file;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    cr_assert_eq(ftruncate(fd, 4096), 0);
    cr_assert_eq(ds_file_adopt(rig.engine, fd, ds_file_config(.flags = DS_FILE_WRITE), &file), 0);
    request = rig_read(&rig, offset, sizeof(memory), memory, 0);
    request.op = DS_OP_WRITE;
    request.file = file;
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    must_fail(&rig, request, status, error);
    ds_file_close(&file);
    close(fd);
    rig_close(&rig);
}

RIG_TEST(failures, a_file_that_may_not_be_written)
{
    on_memfd(topology, F_SEAL_WRITE, 0, DS_STATUS_READ_ONLY, -EPERM);
}

RIG_TEST(failures, a_file_that_may_not_grow)
{
    struct ds_request request;
    uint8_t memory[100] = {0};
    struct rlimit limit = {4 << 20, 4 << 20};
    struct rig rig;

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    rig_open(&rig, topology, NULL);
    request = rig_read(&rig, 4 << 20, sizeof(memory), memory, 0);
    request.op = DS_OP_WRITE;
    must_fail(&rig, request, DS_STATUS_IO_ERROR, -EFBIG);
    rig_close(&rig);
}

/* A file system of our own with room for 64 KiB, which can be made read-only. */
static void small_disk(const char *directory)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("ds-small", directory, "tmpfs", 0, "size=65536") != 0)
        cr_skip_test("mounting a small tmpfs: %s", strerror(errno));
}

static struct ds_file *file_on(struct rig *rig, const char *directory)
{
    struct ds_file *file = NULL;
    char path[128];

    snprintf(path, sizeof(path), "%s/file", directory);
    cr_assert_eq(ds_file_open(rig->engine, path,
                              ds_file_config(.flags = DS_FILE_WRITE | DS_FILE_CREATE), &file), 0);
    return file;
}

/* Half of it fits: a short write is no success, and no loop. */
RIG_TEST(failures, a_disk_that_is_full)
{
    char directory[] = "/var/tmp/ds-small-XXXXXX";
    static uint8_t memory[2 * BYTES];
    struct ds_request request;
    struct ds_result result;
    struct ds_file *file;
    struct rig rig;

    cr_assert_not_null(mkdtemp(directory));
    small_disk(directory);
    rig_open(&rig, topology, NULL);
    file = file_on(&rig, directory);
    memset(memory, 3, sizeof(memory));
    request = rig_read(&rig, 0, sizeof(memory), memory, 0);
    request.op = DS_OP_WRITE;
    request.file = file;
    must_fail(&rig, request, DS_STATUS_NO_SPACE, -ENOSPC);
    request.op = DS_OP_FLUSH;
    request.size = 0;
    request.host = NULL;
    must_fail(&rig, request, DS_STATUS_NO_SPACE, -ENOSPC); /* a write before it failed */
    request.op = DS_OP_READ; /* the disk still reads */
    request.size = 4096;
    request.host = memory;
    memory[0] = 0;
    rig_enqueue(rig.queue, &request);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    cr_assert_eq(memory[0], 3);
    ds_file_close(&file);
    rig_close(&rig);
    umount(directory);
    rmdir(directory);
}

/* No descriptor can write there any more, so it is told at the open. */
RIG_TEST(failures, a_disk_that_is_read_only)
{
    char directory[] = "/var/tmp/ds-small-XXXXXX";
    struct ds_file *file;
    struct rig rig;
    char path[128];

    cr_assert_not_null(mkdtemp(directory));
    small_disk(directory);
    rig_open(&rig, topology, NULL);
    file = file_on(&rig, directory);
    ds_file_close(&file);
    cr_assert_eq(mount(NULL, directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    snprintf(path, sizeof(path), "%s/file", directory);
    cr_assert_eq(ds_file_open(rig.engine, path, ds_file_config(.flags = DS_FILE_WRITE), &file),
                 -EROFS);
    cr_assert_eq(ds_file_open(rig.engine, path, NULL, &file), 0);
    ds_file_close(&file);
    rig_close(&rig);
    umount(directory);
    rmdir(directory);
}

/* No two statuses share a name, or the words that explain it. */
Test(failures, names_and_texts_tell_them_apart)
{
    uint32_t n = 0;

    for (int32_t a = 0; strcmp(ds_status_name(a), "UNKNOWN") != 0; a++, n++) {
        cr_assert_gt(strlen(ds_status_text(a)), 0);
        for (int32_t b = 0; b < a; b++) {
            cr_assert_str_neq(ds_status_name(a), ds_status_name(b));
            cr_assert_str_neq(ds_status_text(a), ds_status_text(b));
        }
    }
    cr_assert_geq(n, 13);
    cr_assert_str_eq(ds_status_name(-1), "UNKNOWN");
}
