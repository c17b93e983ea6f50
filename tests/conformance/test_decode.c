/* Requests with a codec, to host memory. */
#include "conformance/packed.h"

#include <errno.h>

#define BYTES_MAX (8u << 20)
#define GUARD 0x5c

static const enum ds_codec_format formats[] = {DS_CODEC_GDEFLATE, DS_CODEC_ZSTD, DS_CODEC_LZ4};

static void open_rig(struct rig *rig, enum ds_topology topology, uint32_t decode_threads)
{
    rig_open(rig, topology, ds_engine_config(.arena_bytes = 32 << 20,
                                             .decode_threads = decode_threads));
}

/* Memory with a guard behind it. */
static uint8_t *guarded(uint64_t bytes)
{
    uint8_t *memory = malloc(bytes + 64);

    cr_assert_not_null(memory);
    memset(memory, GUARD, bytes + 64);
    return memory;
}

static void guard_check(const uint8_t *memory, uint64_t bytes)
{
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(memory[bytes + i], GUARD, "a byte behind the destination was written");
}

static struct ds_result one_result(struct rig *rig, const struct ds_request *request)
{
    struct ds_result result;

    rig_enqueue(rig->queue, request);
    ds_queue_submit(rig->queue);
    rig_results(rig->queue, &result, 1);
    return result;
}

static void demand_decoded(struct rig *rig, const struct packed *packed,
                           const struct ds_request *request)
{
    struct ds_result result = one_result(rig, request);
    const uint8_t *to = request->host;

    cr_assert_eq(result.status, DS_STATUS_OK, "%s", ds_status_name(result.status));
    cr_assert_eq(result.bytes, packed->plain_bytes);
    cr_assert_arr_eq(to, packed->plain, packed->plain_bytes);
    guard_check(to, packed->plain_bytes);
}

static void round_trip(struct rig *rig, enum ds_codec_format format,
                       enum ds_codec_transform transform, uint64_t bytes)
{
    uint8_t *to = guarded(bytes);
    struct packed packed;
    struct ds_request request;

    if (packed_make(&packed, format, transform, bytes, bytes + format)) {
        request = packed_request(&packed, to);
        demand_decoded(rig, &packed, &request);
        memset(to, GUARD, bytes);
        request = packed_from_file(rig, &packed, packed_store(rig, &packed), to);
        demand_decoded(rig, &packed, &request);
        packed_free(&packed);
    }
    free(to);
}

RIG_TEST(decode, all_sizes_arrive_byte_for_byte)
{
    static const uint64_t sizes[] = {1,     17,     65535,         65536,    65537,
                                     99999, 262144, (1 << 20) + 7, BYTES_MAX};
    struct rig rig;

    open_rig(&rig, topology, 0);
    for (uint32_t f = 0; f < ARRAY_LENGTH(formats); f++) {
        for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++)
            round_trip(&rig, formats[f], DS_CODEC_TRANSFORM_NONE, sizes[i]);
    }
    rig_close(&rig);
}

RIG_TEST(decode, transforms_are_undone)
{
    struct rig rig;

    open_rig(&rig, topology, 2);
    for (uint32_t f = 0; f < ARRAY_LENGTH(formats); f++) {
        for (uint32_t t = DS_CODEC_TRANSFORM_BC1; t <= DS_CODEC_TRANSFORM_BC5; t++) {
            round_trip(&rig, formats[f], (enum ds_codec_transform)t, 131072 + 24);
            round_trip(&rig, formats[f], (enum ds_codec_transform)t, 5);
        }
    }
    rig_close(&rig);
}

/* Far more than the arena holds, decoded by different numbers of threads. */
static void many(enum ds_topology topology, uint32_t threads)
{
    enum { N = 200, BYTES = 150000 };
    uint8_t *to = malloc((size_t)N * BYTES);
    struct packed packed[3] = {{.plain = NULL}};
    struct ds_result results[N];
    uint64_t offsets[3];
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 2 << 20, .chunks_max = 32,
                                              .decode_threads = threads));
    for (uint32_t f = 0; f < 3; f++) {
        if (!packed_make(&packed[f], formats[f], DS_CODEC_TRANSFORM_NONE, BYTES, f))
            cr_assert(packed_make(&packed[f], formats[0], DS_CODEC_TRANSFORM_NONE, BYTES, f));
        offsets[f] = packed_store(&rig, &packed[f]);
    }
    for (uint32_t i = 0; i < N; i++) {
        const struct packed *p = &packed[i % 3];
        uint8_t *at = to + (size_t)i * BYTES;
        struct ds_request request = i % 5 == 0 ? packed_request(p, at)
                                               : packed_from_file(&rig, p, offsets[i % 3], at);

        if (i % 7 == 0) /* one without a codec */
            request = rig_read(&rig, i * 1001, BYTES, at, 0);
        rig_enqueue(rig.queue, &request);
    }
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, results, N);
    for (uint32_t i = 0; i < N; i++) {
        const uint8_t *wanted = i % 7 == 0 ? rig.content + i * 1001 : packed[i % 3].plain;

        cr_assert_eq(results[i].status, DS_STATUS_OK);
        cr_assert_arr_eq(to + (size_t)i * BYTES, wanted, BYTES, "request %u", i);
    }
    for (uint32_t f = 0; f < 3; f++)
        packed_free(&packed[f]);
    rig_close(&rig);
    free(to);
}

RIG_TEST(decode, more_than_the_arena_goes_through)
{
    many(topology, DS_DECODE_INLINE);
    many(topology, 1);
    many(topology, 5);
}

static void demand_damaged(struct rig *rig, const struct ds_request *request)
{
    struct ds_result result = one_result(rig, request);

    cr_assert_eq(result.status, DS_STATUS_DECOMPRESSION, "%s", ds_status_name(result.status));
    cr_assert_eq(result.error, -EBADMSG);
    cr_assert_eq(result.bytes, 0);
}

RIG_TEST(decode, damaged_and_wrong_sizes_are_typed_failures)
{
    enum { BYTES = 200000 };
    struct ds_counters counters = {.struct_size = sizeof(counters)};
    uint8_t *to = guarded(BYTES + 1);
    uint64_t failures = 0;
    struct rig rig;

    open_rig(&rig, topology, 0);
    for (uint32_t f = 0; f < ARRAY_LENGTH(formats); f++) {
        struct packed packed;
        struct ds_request request;

        if (!packed_make(&packed, formats[f], DS_CODEC_TRANSFORM_NONE, BYTES, f))
            continue;
        request = packed_request(&packed, to);
        request.uncompressed_size = BYTES - 1;
        demand_damaged(&rig, &request);
        request.uncompressed_size = BYTES + 1;
        demand_damaged(&rig, &request);
        request = packed_request(&packed, to);
        request.size = packed.bytes_n / 2;
        demand_damaged(&rig, &request);
        request.size = 1;
        demand_damaged(&rig, &request);
        memset(packed.bytes + packed.bytes_n / 2, 0xff, packed.bytes_n / 4);
        request = packed_from_file(&rig, &packed, packed_store(&rig, &packed), to);
        demand_damaged(&rig, &request);
        guard_check(to, BYTES + 1);
        packed_free(&packed);
        failures += 5;
    }
    cr_assert_eq(ds_engine_get_counters(rig.engine, &counters), 0);
    cr_assert_eq(counters.stages[DS_STAGE_DECODE].errors, failures);
    cr_assert_eq(counters.requests_failed, failures);
    rig_close(&rig);
    free(to);
}

/* The range lies past the end of the file: that is no fault of the data. */
RIG_TEST(decode, end_of_file_stays_one)
{
    uint8_t to[1000];
    struct packed packed;
    struct ds_request request;
    struct ds_result result;
    struct rig rig;

    open_rig(&rig, topology, 0);
    cr_assert(packed_make(&packed, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 1000, 1));
    request = packed_from_file(&rig, &packed, packed_store(&rig, &packed) + 3, to);
    result = one_result(&rig, &request);
    cr_assert_eq(result.status, DS_STATUS_END_OF_FILE, "%s", ds_status_name(result.status));
    packed_free(&packed);
    rig_close(&rig);
}

static int refused(struct rig *rig, struct ds_request request)
{
    return ds_queue_enqueue(rig->queue, &request);
}

RIG_TEST(decode, what_makes_no_sense_is_refused)
{
    uint8_t to[1000];
    struct packed packed;
    struct ds_request good;
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 2 << 20));
    cr_assert(packed_make(&packed, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 1000, 1));
    good = packed_request(&packed, to);
#define REFUSED(error, ...)                                                                        \
    do {                                                                                           \
        struct ds_request request = good;                                                          \
        __VA_ARGS__;                                                                               \
        cr_assert_eq(refused(&rig, request), error, "%s", #__VA_ARGS__);                           \
    } while (0)
    REFUSED(-EINVAL, request.uncompressed_size = 0);
    REFUSED(-EINVAL, request.codec = 77);
    REFUSED(-EINVAL, request.transform = 99);
    REFUSED(-EINVAL, request.flags = DS_REQUEST_ALLOW_SHORT);
    REFUSED(-EINVAL, request.codec = DS_CODEC_NONE);
    REFUSED(-EINVAL, request.codec = DS_CODEC_NONE; request.uncompressed_size = 0;
            request.transform = DS_CODEC_TRANSFORM_BC1);
    REFUSED(-EINVAL, request.op = DS_OP_WRITE; request.source = NULL; request.file = rig.file);
    REFUSED(-EFBIG, request.source = NULL; request.file = rig.file; request.size = 3 << 20);
    REFUSED(-EFBIG, request.transform = DS_CODEC_TRANSFORM_BC1;
            request.uncompressed_size = 3 << 20);
    REFUSED(-EFBIG, request.uncompressed_size = UINT64_MAX);
    REFUSED(0, request.codec = DS_CODEC_NONE; request.uncompressed_size = request.size);
#undef REFUSED
    packed_free(&packed);
    rig_close(&rig);
}
