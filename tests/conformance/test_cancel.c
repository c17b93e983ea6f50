/* Cancellation by tag: which requests, how many completions, and what happens to the memory. */
#include "conformance/rig.h"

#include "engine/request.h"

enum { N = 200, BYTES = 4096 };

static uint8_t memory[N][BYTES];

static void enqueue_tagged(struct rig *rig, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ds_request request = rig_read(rig, (i % 200) * BYTES, BYTES, memory[i], i);

        request.cancel_tag = i % 8 | 0xab00;
        memset(memory[i], 0x5a, BYTES);
        rig_enqueue(rig->queue, &request);
    }
}

/* Each request ends once; those that were hit with CANCELLED or OK, all others with OK. */
static void check_results(struct rig *rig, uint32_t n, uint64_t mask, uint64_t value,
                          uint32_t *cancelled)
{
    struct ds_result results[N];
    bool seen[N] = {false};

    rig_results(rig->queue, results, n);
    *cancelled = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = results[i].user_data;
        bool hit = ((at % 8 | 0xab00) & mask) == value;

        cr_assert(at < n && !seen[at], "request %u completed twice", (unsigned)at);
        seen[at] = true;
        if (results[i].status == DS_STATUS_CANCELLED) {
            cr_assert(hit, "request %u was not meant", (unsigned)at);
            ++*cancelled;
        } else {
            cr_assert_eq(results[i].status, DS_STATUS_OK);
            cr_assert_arr_eq(memory[at], rig->content + at * BYTES, BYTES);
        }
    }
}

RIG_TEST(cancel, before_the_submit_hits_exactly_those_with_the_tag)
{
    uint32_t cancelled;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    enqueue_tagged(&rig, N);
    cr_assert_eq(ds_queue_cancel(rig.queue, 0xff07, 0xab03), N / 8);
    cr_assert_eq(ds_queue_cancel(rig.queue, 0xff07, 0xab03), 0, "they are marked already");
    cr_assert_eq(ds_queue_cancel(rig.queue, 0xff00, 0xac00), 0, "nobody has this tag");
    ds_queue_submit(rig.queue);
    check_results(&rig, N, 0xff07, 0xab03, &cancelled);
    cr_assert_eq(cancelled, N / 8, "marked before they were submitted, none may run");
    for (uint32_t i = 3; i < N; i += 8)
        for (uint32_t b = 0; b < BYTES; b++)
            cr_assert_eq(memory[i][b], 0x5a, "a cancelled request has written");
    rig_close(&rig);
}

RIG_TEST(cancel, while_in_flight_loses_and_doubles_nothing)
{
    uint32_t cancelled, marked;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    for (uint32_t round = 0; round < 40 / SLOWNESS + 1; round++) {
        enqueue_tagged(&rig, N);
        ds_queue_submit(rig.queue);
        for (uint32_t i = 0; i < round % 5; i++)
            rig_pause(&rig);
        marked = ds_queue_cancel(rig.queue, 1, round % 2);
        check_results(&rig, N, 1, round % 2, &cancelled);
        cr_assert_leq(cancelled, marked);
    }
    rig_close(&rig);
}

RIG_TEST(cancel, a_later_request_is_never_hit)
{
    uint32_t cancelled;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    for (uint32_t round = 0; round < 20; round++) {
        cr_assert_eq(ds_queue_cancel(rig.queue, 0, 0), 0, "nothing is there");
        enqueue_tagged(&rig, N);
        ds_queue_submit(rig.queue);
        check_results(&rig, N, 0, 1, &cancelled);
        cr_assert_eq(cancelled, 0);
    }
    rig_close(&rig);
}

/* After the result the memory belongs to the caller alone. */
RIG_TEST(cancel, memory_is_untouched_after_the_completion)
{
    static uint8_t big[8][RIG_FILE_BYTES];
    struct ds_result results[8];
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 2 << 20, .chunk_bytes = 16 << 10));
    for (uint32_t round = 0; round < 8 / SLOWNESS + 1; round++) {
        for (uint32_t i = 0; i < 8; i++) {
            struct ds_request request = rig_read(&rig, i, RIG_FILE_BYTES - i, big[i], i);

            rig_enqueue(rig.queue, &request);
        }
        ds_queue_submit(rig.queue);
        for (uint32_t i = 0; i < round; i++)
            rig_pause(&rig);
        ds_queue_cancel(rig.queue, 0, 0);
        rig_results(rig.queue, results, 8);
        memset(big, 0xee, sizeof(big));
        for (uint32_t i = 0; i < 30; i++)
            rig_pause(&rig);
        for (uint64_t i = 0; i < sizeof(big); i++)
            cr_assert_eq(((uint8_t *)big)[i], 0xee, "byte %lu", (unsigned long)i);
    }
    rig_close(&rig);
}

/* Of a request in pieces, those that had not begun are not moved. */
Test(cancel, stops_a_long_request_midway)
{
    static uint8_t big[RIG_FILE_BYTES];
    struct ds_request request;
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL,
             ds_engine_config(.arena_bytes = 2 << 20, .chunk_bytes = 4096, .chunks_max = 8));
    request = rig_read(&rig, 0, RIG_FILE_BYTES, big, 1);
    rig_enqueue(rig.queue, &request);
    ds_queue_submit(rig.queue);
    rig_pause(&rig);
    cr_assert_eq(ds_queue_cancel(rig.queue, 0, 0), 1);
    rig_results(rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_CANCELLED);
    cr_assert_leq(result.bytes, 8 * 4096);
    rig_close(&rig);
}

RIG_TEST(cancel, writes_are_not_made_and_do_not_fail_a_flush)
{
    struct ds_result results[2];
    uint8_t data[100], back[100];
    struct ds_request write, flush;
    struct rig rig;

    rig_open(&rig, topology, NULL);
    memset(data, 0x77, sizeof(data));
    write = rig_read(&rig, 0, sizeof(data), data, 1);
    write.op = DS_OP_WRITE;
    write.cancel_tag = 1;
    flush = rig_read(&rig, 0, 0, NULL, 2);
    flush.op = DS_OP_FLUSH;
    rig_enqueue(rig.queue, &write);
    rig_enqueue(rig.queue, &flush);
    cr_assert_eq(ds_queue_cancel(rig.queue, UINT64_MAX, 1), 1);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, results, 2);
    cr_assert_eq(results[0].status, DS_STATUS_CANCELLED);
    cr_assert_eq(results[1].status, DS_STATUS_OK);
    write.op = DS_OP_READ;
    write.host = back;
    rig_enqueue(rig.queue, &write);
    ds_queue_submit(rig.queue);
    rig_results(rig.queue, results, 1);
    cr_assert_arr_eq(back, rig.content, sizeof(back));
    rig_close(&rig);
}

/* What a late cancel compares with: another word in each use of a slot, and not live in between.
 * The moment is too short to be met by chance. */
Test(cancel, each_use_of_a_slot_has_a_word_of_its_own)
{
    struct request slot = {.cancel_tag = 1};
    uint32_t before = 0;

    for (uint32_t i = 0; i < 1000; i++) {
        request_life_begin(&slot);
        cr_assert_neq(slot.life, before, "a cancel of the use before would hit this one");
        cr_assert_eq(slot.life & (LIFE_LIVE | LIFE_CANCELLED), LIFE_LIVE);
        before = slot.life;
        if (i % 2 == 0)
            slot.life |= LIFE_CANCELLED;
        cr_assert_eq(request_is_cancelled(&slot), i % 2 == 0);
        request_life_end(&slot);
        cr_assert_eq(slot.life & (LIFE_LIVE | LIFE_CANCELLED), 0);
    }
}
