/* Memory as source of a READ, to host memory. */
#include "conformance/rig.h"

#include <errno.h>

static struct ds_request from_memory(const void *source, void *host, uint64_t bytes)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request), .source = source,
                               .host = host, .size = bytes, .fd = -1};
}

RIG_TEST(source, memory_arrives_byte_for_byte)
{
    static const uint64_t sizes[] = {1, 63, 4096, 65537, RIG_FILE_BYTES - 17};
    static uint8_t to[RIG_FILE_BYTES + 2];
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 2 << 20, .chunk_bytes = 64 << 10));
    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct ds_request request = from_memory(rig.content + 13 + i, to + 1, sizes[i]);

        memset(to, 0x33, sizeof(to));
        rig_enqueue(rig.queue, &request);
        ds_queue_submit(rig.queue);
        rig_results(rig.queue, &result, 1);
        cr_assert_eq(result.status, DS_STATUS_OK);
        cr_assert_eq(result.bytes, sizes[i]);
        cr_assert_arr_eq(to + 1, rig.content + 13 + i, sizes[i]);
        cr_assert(to[0] == 0x33 && to[sizes[i] + 1] == 0x33, "a byte beside it was written");
    }
    rig_close(&rig);
}

/* Together far more than the staging memory, and mixed with reads of a file: nothing gets stuck. */
RIG_TEST(source, more_than_the_arena_goes_through)
{
    enum { N = 300, BYTES = 50000 };
    static uint8_t to[N][BYTES];
    struct ds_result results[N];
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 1 << 20, .chunk_bytes = 64 << 10,
                                              .chunks_max = 16));
    for (uint32_t i = 0; i < N; i++) {
        struct ds_request request = from_memory(rig.content + i * 1001, to[i], BYTES);

        if (i % 3 == 0)
            request = rig_read(&rig, i * 1001, BYTES, to[i], 0);
        rig_enqueue(rig.queue, &request);
    }
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, results, N);
    for (uint32_t i = 0; i < N; i++) {
        cr_assert_eq(results[i].status, DS_STATUS_OK);
        cr_assert_arr_eq(to[i], rig.content + i * 1001, BYTES);
    }
    rig_close(&rig);
}

Test(source, refuses_two_sources_and_writes)
{
    struct ds_request request;
    uint8_t to[10];
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    request = from_memory(rig.content, to, 10);
    request.file = rig.file;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request.file = NULL;
    request.op = DS_OP_WRITE;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request.op = DS_OP_READ;
    request.host = NULL;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request.gpu_buffer = 1;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -ENODEV);
    rig_close(&rig);
}

RIG_TEST(source, may_be_cancelled)
{
    static uint8_t to[1000];
    struct ds_request request;
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    request = from_memory(rig.content, to, sizeof(to));
    memset(to, 0x11, sizeof(to));
    rig_enqueue(rig.queue, &request);
    cr_assert_eq(ds_queue_cancel(rig.queue, 0, 0), 1);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_CANCELLED);
    for (uint32_t i = 0; i < sizeof(to); i++)
        cr_assert_eq(to[i], 0x11);
    rig_close(&rig);
}

/* A queue that promises where its reads come from. */
Test(source, a_queue_can_be_restricted_to_one)
{
    static uint8_t to[2][64];
    struct ds_queue *files, *memory, *none = NULL;
    struct ds_request of_file, of_memory, request;
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    files = rig_queue(&rig, ds_queue_config(.source = DS_QUEUE_SOURCE_FILE));
    memory = rig_queue(&rig, ds_queue_config(.source = DS_QUEUE_SOURCE_MEMORY));
    of_file = rig_read(&rig, 0, sizeof(to[0]), to[0], 1);
    of_memory = from_memory(rig.content, to[1], sizeof(to[1]));
    cr_assert_eq(ds_queue_enqueue(files, &of_memory), -EPROTOTYPE);
    cr_assert_eq(ds_queue_enqueue(memory, &of_file), -EPROTOTYPE);
    request = of_file;
    request.op = DS_OP_FLUSH;
    request.size = 0;
    request.host = NULL;
    cr_assert_eq(ds_queue_enqueue(memory, &request), -EPROTOTYPE, "a flush has a file");
    rig_enqueue(files, &of_file);
    rig_enqueue(memory, &of_memory);
    ds_queue_submit(files);
    ds_queue_submit(memory);
    rig_results(files, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    rig_results(memory, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    cr_assert_arr_eq(to[0], to[1], sizeof(to[0]));
    cr_assert_eq(ds_queue_create(rig.engine, ds_queue_config(.source = 3), &none), -EINVAL);
    cr_assert_eq(ds_queue_create(rig.engine, ds_queue_config(.reserved = 1), &none), -EINVAL);
    ds_queue_destroy(&files);
    ds_queue_destroy(&memory);
    rig_close(&rig);
}
