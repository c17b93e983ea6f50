/* Codecs of the application's: what it is handed, where the bytes go, and what its answers do. */
#include "conformance/custom_app.h"
#include "conformance/packed.h"

#include <errno.h>

#define GUARD 0x5c

static void open_rig(struct rig *rig, enum ds_topology topology)
{
    rig_open(rig, topology, ds_engine_config(.arena_bytes = 8 << 20, .custom_codecs = 1));
}

static void submit(struct rig *rig, const struct ds_request *request)
{
    rig_enqueue(rig->queue, request);
    ds_queue_submit(rig->queue);
}

/* The bytes of a taken request are those of the file, and go where they should. */
static void demand_item(const struct rig *rig, const struct ds_custom_request *item,
                        const struct ds_request *request)
{
    const uint8_t *source = request->source != NULL ? request->source
                                                    : rig->content + request->offset;

    cr_assert_neq(item->id, 0);
    cr_assert_eq(item->codec, request->codec);
    cr_assert_eq(item->user_data, request->user_data);
    cr_assert_eq(item->name, request->name);
    cr_assert_eq(item->transform, request->transform);
    cr_assert_eq(item->flags, 0);
    cr_assert_eq(item->reserved, 0);
    cr_assert_eq(item->source_bytes, request->size);
    cr_assert_eq(item->destination_bytes, request->uncompressed_size);
    cr_assert_arr_eq(item->source, source, request->size);
    if (request->source != NULL)
        cr_assert_eq(item->source, request->source, "a source in memory is not copied");
    if (request->host != NULL && request->transform == 0)
        cr_assert_eq(item->destination, request->host, "decoded in place");
}

static void demand_decoded(struct rig *rig, const struct ds_request *request)
{
    uint8_t *expected = malloc(request->uncompressed_size);
    uint8_t *to = request->host;
    const uint8_t *source = request->source != NULL ? request->source
                                                    : rig->content + request->offset;
    struct ds_custom_request item;
    struct ds_result result;

    custom_app_expect(request->codec, source, request->size, expected);
    memset(to, GUARD, request->uncompressed_size + 64);
    submit(rig, request);
    custom_app_take(rig, DS_CUSTOM_SELECT_CUSTOM, &item, 1);
    demand_item(rig, &item, request);
    cr_assert_eq(ds_queue_poll(rig->queue, &result, 1), 0, "not before it is finished");
    custom_app_finish(rig, &item, 1);
    rig_results(rig->queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK, "%s", ds_status_name(result.status));
    cr_assert_eq(result.bytes, request->uncompressed_size);
    cr_assert_arr_eq(to, expected, request->uncompressed_size);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(to[request->uncompressed_size + i], GUARD);
    free(expected);
}

RIG_TEST(custom, all_sizes_from_files_and_memory)
{
    static const uint64_t sizes[] = {1, 7, 4096, 65536, 100001, 500000};
    uint8_t *to = malloc(3 * 500000 + 64);
    struct rig rig;

    open_rig(&rig, topology);
    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        uint32_t codec = DS_CODEC_CUSTOM_0 + 21 * i; /* whatever it is called */
        struct ds_request request;

        request = custom_app_read(&rig, APP_TRIPLE, 3 * i, sizes[i], to, i + 100);
        request.name = "three for one";
        demand_decoded(&rig, &request);
        request.file = NULL;
        request.source = rig.content + 17;
        request.offset = 0;
        demand_decoded(&rig, &request);
        request = custom_app_read(&rig, codec, 4096, sizes[i], to, UINT64_MAX);
        demand_decoded(&rig, &request);
    }
    rig_close(&rig);
    free(to);
}

RIG_TEST(custom, transforms_are_undone_by_finish)
{
    static uint8_t to[50008 + 64], shuffled[50008];
    struct rig rig;

    open_rig(&rig, topology);
    for (uint32_t t = DS_CODEC_TRANSFORM_BC1; t <= DS_CODEC_TRANSFORM_BC5; t++) {
        struct ds_request request = custom_app_read(&rig, APP_XOR, 0, sizeof(shuffled), to, 0);
        struct ds_custom_request item;
        struct ds_result result;

        ds_codec_shuffle((enum ds_codec_transform)t, rig.content, shuffled, sizeof(shuffled));
        for (uint32_t i = 0; i < sizeof(shuffled); i++)
            shuffled[i] ^= 0x5a;
        request.transform = t;
        request.file = NULL;
        request.source = shuffled;
        memset(to, GUARD, sizeof(to));
        submit(&rig, &request);
        custom_app_take(&rig, DS_CUSTOM_SELECT_ALL, &item, 1);
        demand_item(&rig, &item, &request);
        cr_assert_neq(item.destination, (void *)to, "shuffled bytes stay in staging");
        custom_app_finish(&rig, &item, 1);
        rig_results(rig.queue, &result, 1);
        cr_assert_eq(result.status, DS_STATUS_OK);
        cr_assert_arr_eq(to, rig.content, sizeof(shuffled));
        cr_assert_eq(to[sizeof(shuffled)], GUARD);
    }
    rig_close(&rig);
}

/* An error is the application's word: the engine hands it on, an HRESULT too. */
RIG_TEST(custom, failures_are_the_results)
{
    static const int32_t errors[] = {-EBADMSG, -1, INT32_MIN, (int32_t)0x89240030u};
    struct ds_counters counters = {.struct_size = sizeof(counters)};
    struct ds_error_record record = {.struct_size = sizeof(record)};
    uint8_t to[300];
    struct rig rig;

    open_rig(&rig, topology);
    for (uint32_t i = 0; i < ARRAY_LENGTH(errors); i++) {
        struct ds_request request = custom_app_read(&rig, APP_TRIPLE, 0, 100, to, i);
        struct ds_custom_request item;
        struct ds_custom_result answer;
        struct ds_result result;

        submit(&rig, &request);
        custom_app_take(&rig, DS_CUSTOM_SELECT_CUSTOM, &item, 1);
        answer = (struct ds_custom_result){.id = item.id, .error = errors[i]};
        cr_assert_eq(ds_custom_finish(rig.engine, &answer, 1), 0);
        rig_results(rig.queue, &result, 1);
        cr_assert_eq(result.status, DS_STATUS_DECOMPRESSION, "%s", ds_status_name(result.status));
        cr_assert_eq(result.error, errors[i]);
        cr_assert_eq(result.bytes, 0);
        cr_assert_eq(result.user_data, i);
    }
    cr_assert_eq(ds_engine_get_counters(rig.engine, &counters), 0);
    cr_assert_eq(counters.stages[DS_STAGE_DECODE].errors, ARRAY_LENGTH(errors));
    cr_assert_eq(ds_queue_take_error(rig.queue, &record), 0);
    cr_assert_eq(record.failures, ARRAY_LENGTH(errors));
    cr_assert_eq(record.result.error, errors[0]);
    cr_assert_eq(record.request.codec, APP_TRIPLE);
    rig_close(&rig);
}

RIG_TEST(custom, answers_that_make_no_sense_change_nothing)
{
    struct ds_custom_request items[4];
    struct ds_custom_result answers[6] = {{.id = 0}};
    struct ds_result results[4];
    uint8_t to[4][300];
    struct rig rig;

    open_rig(&rig, topology);
    cr_assert_eq(ds_custom_finish(rig.engine, answers, 1), -ENOENT, "nothing was taken");
    cr_assert_eq(ds_custom_finish(rig.engine, answers, 0), 0);
    for (uint32_t i = 0; i < 4; i++) {
        struct ds_request request = custom_app_read(&rig, APP_TRIPLE, i, 100, to[i], i);

        rig_enqueue(rig.queue, &request);
    }
    ds_queue_submit(rig.queue);
    custom_app_take(&rig, DS_CUSTOM_SELECT_CUSTOM, items, 4);
    for (uint32_t i = 0; i < 4; i++)
        answers[i] = custom_app_one(&items[i]);
    answers[0].error = 1;
    cr_assert_eq(ds_custom_finish(rig.engine, answers, 1), -EINVAL);
    answers[0].error = 0;
    answers[0].reserved = 1;
    cr_assert_eq(ds_custom_finish(rig.engine, answers, 1), -EINVAL);
    answers[0].reserved = 0;
    answers[4] = answers[1];                       /* twice in one call */
    answers[5].id = items[2].id + (1ull << 40);    /* never given out */
    cr_assert_eq(ds_custom_finish(rig.engine, answers + 1, 5), -ENOENT);
    rig_results(rig.queue, results, 3);
    cr_assert_eq(ds_custom_finish(rig.engine, answers + 1, 1), -ENOENT, "of the past");
    answers[1].id = UINT64_MAX;
    cr_assert_eq(ds_custom_finish(rig.engine, answers, 2), -ENOENT);
    rig_results(rig.queue, results + 3, 1);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK);
    rig_close(&rig);
}

/* Ids of requests that are on offer, but were not taken, are nobody's to finish. */
RIG_TEST(custom, only_what_was_taken_can_be_finished)
{
    struct ds_custom_request item;
    struct ds_custom_result answer;
    struct ds_result result;
    uint8_t to[300];
    struct ds_request request;
    struct rig rig;

    open_rig(&rig, topology);
    request = custom_app_read(&rig, APP_TRIPLE, 0, 100, to, 0);
    submit(&rig, &request);
    custom_app_take(&rig, DS_CUSTOM_SELECT_CUSTOM, &item, 1);
    custom_app_finish(&rig, &item, 1);
    rig_results(rig.queue, &result, 1);
    submit(&rig, &request);
    /* The next generation of the same place, as an application could guess it. */
    answer = (struct ds_custom_result){.id = item.id + (1ull << 32)};
    for (uint32_t i = 0; i < 50; i++) {
        cr_assert_eq(ds_custom_finish(rig.engine, &answer, 1), -ENOENT);
        rig_pause(&rig);
    }
    custom_app_take(&rig, DS_CUSTOM_SELECT_CUSTOM, &item, 1);
    custom_app_finish(&rig, &item, 1);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    rig_close(&rig);
}

RIG_TEST(custom, an_engine_that_hands_nothing_out_says_so)
{
    struct ds_custom_request item;
    struct ds_custom_result answer = {.id = 1};
    uint8_t to[300];
    struct ds_request request;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    request = custom_app_read(&rig, APP_TRIPLE, 0, 100, to, 0);
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -ENOTSUP);
    cr_assert_eq(ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, &item, 1), -ENOTSUP);
    cr_assert_eq(ds_custom_finish(rig.engine, &answer, 1), -ENOTSUP);
    cr_assert_eq(ds_custom_eventfd(rig.engine), -ENOTSUP);
    rig_close(&rig);
    open_rig(&rig, topology);
    cr_assert_eq(ds_custom_take(rig.engine, 0, &item, 1), -EINVAL);
    cr_assert_eq(ds_custom_take(rig.engine, 4, &item, 1), -EINVAL);
    request = custom_app_read(&rig, 0x7f, 0, 100, to, 0);
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request = custom_app_read(&rig, 0x100, 0, 100, to, 0);
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EINVAL);
    request = custom_app_read(&rig, APP_XOR, 0, 9 << 20, to, 0);
    cr_assert_eq(ds_queue_enqueue(rig.queue, &request), -EFBIG);
    rig_close(&rig);
}

/* DS_DECODE_APPLICATION: the built-in codecs too, apart from the others or with them. */
RIG_TEST(custom, builtin_codecs_are_handed_out_when_asked_for)
{
    static uint8_t to[4][200000];
    struct ds_custom_request items[4];
    struct ds_result results[4];
    struct packed packed;
    struct ds_request request;
    struct ds_engine_info info = {.struct_size = sizeof(info)};
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 8 << 20, .custom_codecs = 1,
                                              .decode_threads = DS_DECODE_APPLICATION));
    cr_assert_eq(ds_engine_get_info(rig.engine, &info), 0);
    cr_assert_eq(info.decode_threads, 0);
    cr_assert(packed_make(&packed, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_BC4, 200000, 1));
    for (uint32_t i = 0; i < 4; i++) {
        request = i % 2 == 0 ? packed_request(&packed, to[i])
                             : custom_app_read(&rig, APP_XOR, 100 * i, 200000, to[i], 0);
        rig_enqueue(rig.queue, &request);
    }
    ds_queue_submit(rig.queue);
    custom_app_take(&rig, DS_CUSTOM_SELECT_BUILTIN, items, 2);
    custom_app_take(&rig, DS_CUSTOM_SELECT_CUSTOM, items + 2, 2);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(items[i].codec, i < 2 ? DS_CODEC_GDEFLATE : APP_XOR);
    for (uint32_t i = 0; i < 4; i++)
        custom_app_finish(&rig, &items[i], 1);
    rig_results(rig.queue, results, 4);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(results[i].status, DS_STATUS_OK);
    cr_assert_arr_eq(to[0], packed.plain, 200000);
    cr_assert_arr_eq(to[2], packed.plain, 200000);
    cr_assert_eq(to[3][7], rig.content[307] ^ 0x5a);
    rig_close(&rig);
    packed_free(&packed);
}

/* Without it they stay with the engine, whatever an application selects. */
RIG_TEST(custom, builtin_codecs_stay_with_the_engine_otherwise)
{
    static uint8_t to[200000];
    struct ds_custom_request item;
    struct ds_result result;
    struct packed packed;
    struct ds_request request;
    struct rig rig;

    open_rig(&rig, topology);
    cr_assert(packed_make(&packed, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 200000, 1));
    request = packed_request(&packed, to);
    submit(&rig, &request);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    cr_assert_arr_eq(to, packed.plain, 200000);
    cr_assert_eq(ds_custom_take(rig.engine, DS_CUSTOM_SELECT_ALL, &item, 1), 0);
    rig_close(&rig);
    packed_free(&packed);
}

RIG_TEST(custom, realtime_first_then_the_oldest)
{
    enum { N = 20 };
    struct ds_custom_request items[2 * N];
    struct ds_result results[N];
    uint8_t to[300];
    struct ds_queue *realtime;
    struct rig rig;

    open_rig(&rig, topology);
    realtime = rig_queue(&rig, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    for (uint32_t i = 0; i < 2 * N; i++) {
        struct ds_request request = custom_app_read(&rig, APP_XOR, 0, 100, to, i);

        /* from memory: none overtakes another on its way */
        request.file = NULL;
        request.source = rig.content;
        rig_enqueue(i < N ? rig.queue : realtime, &request);
    }
    ds_queue_submit(rig.queue);
    ds_queue_submit(realtime);
    rig_until(&rig, custom_app_out_n(&rig) == 2 * N);
    custom_app_take(&rig, DS_CUSTOM_SELECT_CUSTOM, items, 2 * N);
    for (uint32_t i = 0; i < 2 * N; i++)
        cr_assert_eq(items[i].user_data, (i + N) % (2 * N));
    for (uint32_t i = 0; i < 2 * N; i++)
        custom_app_finish(&rig, &items[2 * N - 1 - i], 1);
    rig_results(rig.queue, results, N);
    rig_results(realtime, results, N);
    ds_queue_destroy(&realtime);
    rig_close(&rig);
}
