/* Requests that the application decodes, step by step: what is told when, and to whom. */
#include "stages/decode_custom.h"

#include "engine/packed.h"
#include "unit/support.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ITEMS 200u
#define BYTES 64u

/* A stage's part without a stage: chunks that were read, as many as there are items. */
struct bench {
    struct host host;
    struct custom_door door;
    struct event event;
    struct sweep sweep;
    struct decode_custom custom;
    struct ds_queue *queue;
    struct request requests[ITEMS];
    struct chunk chunks[ITEMS];
    uint8_t staging[8192];
    uint8_t host_memory[BYTES];
};

static struct bench *bench_open(uint32_t select, bool write_combined)
{
    struct bench *b = aligned_alloc(64, sizeof(*b));

    memset(b, 0, sizeof(*b));
    support_host(&b->host);
    event_init(&b->event);
    b->sweep.event = &b->event;
    atomic_init(&b->door.fd, -1);
    b->queue = aligned_alloc(_Alignof(struct ds_queue), sizeof(*b->queue));
    memset(b->queue, 0, sizeof(*b->queue));
    cr_assert_eq(decode_custom_open(&b->custom, &(struct custom_config){
                                                    .host = &b->host,
                                                    .door = &b->door,
                                                    .sweep = &b->sweep,
                                                    .items_max = ITEMS,
                                                    .select = select,
                                                    .write_combined = write_combined,
                                                }), 0);
    for (uint32_t i = 0; i < ITEMS; i++) {
        b->requests[i] = (struct request){
            .size = BYTES,
            .unpacked_bytes = BYTES,
            .source = b->staging,
            .codec = DS_CODEC_CUSTOM_0,
            .special = 1,
            .queue = b->queue,
            .user_data = i,
        };
        b->chunks[i] = (struct chunk){
            .request = &b->requests[i],
            .memory = b->staging + 4096,
            .payload_bytes = BYTES,
            .packed = 1,
            .ordinary = 1,
            .state = CHUNK_IN_DECODE,
        };
    }
    return b;
}

static void bench_close(struct bench *b)
{
    decode_custom_close(&b->custom);
    event_fini(&b->event);
    if (b->door.fd >= 0)
        close(b->door.fd);
    free(b->queue);
    free(b);
}

static void offer(struct bench *b, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++)
        cr_assert(decode_custom_offer(&b->custom, &b->chunks[i]));
}

static uint32_t take(struct bench *b, struct ds_custom_request *out, uint32_t max)
{
    return (uint32_t)decode_custom_take(&b->custom, DS_CUSTOM_SELECT_ALL, out, max);
}

static void finish_all(struct bench *b, const struct ds_custom_request *taken, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ds_custom_result result = {.id = taken[i].id};

        cr_assert_eq(decode_custom_finish(&b->custom, &result, 1), 0);
    }
}

/* Collects all that is there, and returns how many. */
static uint32_t collect(struct bench *b, enum ds_status status)
{
    struct chunk *chunk;
    uint32_t n = 0;

    for (; (chunk = decode_custom_collect(&b->custom)) != NULL; n++)
        cr_assert_eq(chunk->status, status);
    return n;
}

static bool readable(struct bench *b)
{
    struct pollfd p = {.fd = decode_custom_eventfd(&b->custom), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* What happens just before the next read(2), which the library makes to clear its eventfd. */
static void (*before_read)(struct bench *b);
static struct bench *before_read_bench;

ssize_t read(int fd, void *bytes, size_t n)
{
    void (*now)(struct bench *b) = before_read;

    before_read = NULL;
    if (now != NULL)
        now(before_read_bench);
    return syscall(SYS_read, fd, bytes, n);
}

static void cancel(struct bench *b, uint32_t i)
{
    b->requests[i].life |= LIFE_LIVE | LIFE_CANCELLED;
}

Test(decode_custom, nothing_is_held_where_nothing_is_handed_out)
{
    struct bench *b = bench_open(0, false);

    cr_assert_null(b->custom.items);
    cr_assert_not(decode_custom_wants(&b->custom, &b->requests[0]));
    cr_assert_not(decode_custom_pending(&b->custom));
    cr_assert_eq(decode_custom_sweep(&b->custom), 0);
    cr_assert_eq(decode_custom_out_n(&b->custom), 0);
    bench_close(b);
}

Test(decode_custom, memory_that_is_not_cached_is_told)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_CUSTOM, true);
    struct ds_custom_request taken[3];

    b->requests[1].in_place = 1;
    b->requests[1].host = b->host_memory;
    b->requests[2].in_place = 1;
    b->requests[2].host = b->host_memory;
    b->requests[2].transform = DS_CODEC_TRANSFORM_BC1;
    offer(b, 0, 3);
    cr_assert_eq(take(b, taken, 3), 3);
    cr_assert_eq(taken[0].flags, DS_CUSTOM_WRITE_COMBINED);
    cr_assert_eq(taken[1].flags, 0, "the application's own memory");
    cr_assert_eq(taken[1].destination, (void *)b->host_memory);
    cr_assert_eq(taken[2].flags, DS_CUSTOM_WRITE_COMBINED, "shuffled bytes lie in staging");
    finish_all(b, taken, 3);
    cr_assert_eq(collect(b, DS_STATUS_OK), 3);
    bench_close(b);
}

/* Between an offer and its announcement: whoever is faster takes it, and nothing is told late. */
Test(decode_custom, what_is_taken_before_it_is_told_is_not_told)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_CUSTOM, false);
    struct ds_custom_request taken[4];

    cr_assert_not(readable(b));
    offer(b, 0, 2);
    cr_assert_eq(take(b, taken, 2), 2);
    decode_custom_announce(&b->custom);
    cr_assert_not(readable(b));
    offer(b, 2, 2);
    cr_assert_eq(take(b, taken + 2, 1), 1);
    decode_custom_announce(&b->custom);
    cr_assert(readable(b), "one of two is left");
    cr_assert_eq(take(b, taken + 3, 4), 1);
    cr_assert_not(readable(b));
    finish_all(b, taken, 4);
    cr_assert_eq(collect(b, DS_STATUS_OK), 4);
    bench_close(b);
}

Test(decode_custom, an_offer_of_what_is_void_fails_it)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_CUSTOM, false);

    cancel(b, 0);
    cr_assert_not(decode_custom_offer(&b->custom, &b->chunks[0]));
    cr_assert_eq(b->chunks[0].status, DS_STATUS_CANCELLED);
    cr_assert_eq(decode_custom_out_n(&b->custom), 0);
    atomic_store(&b->queue->abandons, true);
    cr_assert_not(decode_custom_offer(&b->custom, &b->chunks[1]));
    cr_assert_eq(b->chunks[1].status, DS_STATUS_CANCELLED);
    bench_close(b);
}

/* A taker that meets nothing but what is void has taken it off the offer, too. */
Test(decode_custom, what_a_taker_drops_is_not_told_of_any_more)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_CUSTOM, false);
    struct ds_custom_request taken[4];

    cr_assert_not(readable(b));
    offer(b, 0, 4);
    decode_custom_announce(&b->custom);
    cancel(b, 0);
    cancel(b, 1);
    cancel(b, 3);
    cr_assert_eq(take(b, taken, 1), 1);
    cr_assert_eq(taken[0].user_data, 2);
    cr_assert(readable(b), "the last is still on offer");
    cr_assert_eq(take(b, taken + 1, 1), 0);
    cr_assert_not(readable(b));
    cr_assert_eq(collect(b, DS_STATUS_CANCELLED), 3);
    finish_all(b, taken, 1);
    cr_assert_eq(collect(b, DS_STATUS_OK), 1);
    bench_close(b);
}

/* A sweep is asked for, goes on over several turns, and keeps the order of what stays. */
Test(decode_custom, a_sweep_is_bounded_and_loses_nothing)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_CUSTOM, false);
    struct ds_custom_request taken[ITEMS];
    uint32_t turns = 0, seen, total = 0;

    offer(b, 0, ITEMS);
    decode_custom_announce(&b->custom);
    cr_assert_eq(decode_custom_sweep(&b->custom), 0, "not unless it is asked for");
    for (uint32_t i = 0; i < ITEMS; i += 3)
        cancel(b, i);
    cr_assert_not(decode_custom_pending(&b->custom));
    sweep_ask(&b->sweep, SWEEP_CANCELLED);
    for (; decode_custom_pending(&b->custom) && turns < 100; turns++) {
        seen = decode_custom_sweep(&b->custom);
        cr_assert_leq(seen, 64);
        total += seen;
        collect(b, DS_STATUS_CANCELLED);
        cr_assert(readable(b), "those that stay are told of at all times");
    }
    cr_assert_eq(total, ITEMS);
    cr_assert_eq(decode_custom_out_n(&b->custom), ITEMS - (ITEMS + 2) / 3);
    seen = take(b, taken, ITEMS);
    cr_assert_eq(seen, ITEMS - (ITEMS + 2) / 3);
    for (uint32_t i = 0; i < seen; i++)
        cr_assert_eq(taken[i].user_data, i / 2 * 3 + i % 2 + 1);
    cr_assert_not(readable(b));
    finish_all(b, taken, seen);
    cr_assert_eq(collect(b, DS_STATUS_OK), seen);
    bench_close(b);
}

/* All of it void: the eventfd is cleared by the sweep. */
Test(decode_custom, a_sweep_of_everything_clears_the_eventfd)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_CUSTOM, false);

    cr_assert_not(readable(b));
    offer(b, 0, 10);
    decode_custom_announce(&b->custom);
    cr_assert(readable(b));
    atomic_store(&b->queue->abandons, true);
    sweep_ask(&b->sweep, SWEEP_CLOSING);
    cr_assert_eq(decode_custom_sweep(&b->custom), 10);
    cr_assert_not(readable(b));
    cr_assert_eq(collect(b, DS_STATUS_CANCELLED), 10);
    bench_close(b);
}

/* Ids are new with each use of a place, and never 0. */
Test(decode_custom, ids_do_not_repeat)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_CUSTOM, false);
    struct ds_custom_request taken[1];
    uint64_t before = 0;

    b->door.generation = UINT32_MAX - 5;
    for (uint32_t round = 0; round < 20; round++) {
        offer(b, round, 1);
        decode_custom_announce(&b->custom);
        cr_assert_eq(take(b, taken, 1), 1);
        cr_assert_neq(taken[0].id, 0);
        cr_assert_neq(taken[0].id, before);
        if (before != 0)
            cr_assert_eq(decode_custom_finish(&b->custom,
                                              &(struct ds_custom_result){.id = before}, 1),
                         -ENOENT);
        before = taken[0].id;
        finish_all(b, taken, 1);
        cr_assert_eq(collect(b, DS_STATUS_OK), 1);
    }
    bench_close(b);
}

Test(decode_custom, max_is_kept_and_zero_takes_nothing)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_ALL, false);
    struct ds_custom_request taken[6];

    b->requests[1].codec = DS_CODEC_GDEFLATE;
    b->chunks[2].ordinary = 0;
    b->chunks[3].ordinary = 0;
    b->requests[3].codec = DS_CODEC_GDEFLATE;
    offer(b, 0, 4);
    decode_custom_announce(&b->custom);
    cr_assert_eq(take(b, taken, 0), 0);
    cr_assert_eq(decode_custom_take(&b->custom, DS_CUSTOM_SELECT_BUILTIN, taken, 1), 1);
    cr_assert_eq(taken[0].user_data, 3);
    cr_assert_eq(take(b, taken + 1, 2), 2);
    cr_assert_eq(taken[1].user_data, 2);
    cr_assert_eq(taken[2].user_data, 0);
    cr_assert(readable(b));
    cr_assert_eq(take(b, taken + 3, UINT32_MAX), 1);
    cr_assert_eq(taken[3].user_data, 1);
    finish_all(b, taken, 4);
    cr_assert_eq(collect(b, DS_STATUS_OK), 4);
    bench_close(b);
}

static void one_more_is_told_of(struct bench *b)
{
    offer(b, 5, 1);
    decode_custom_announce(&b->custom);
}

/* The taker has counted none, and clears the eventfd; in between comes one whose news it clears. */
Test(decode_custom, what_comes_while_the_eventfd_is_cleared_is_told)
{
    struct bench *b = bench_open(DS_CUSTOM_SELECT_CUSTOM, false);
    struct ds_custom_request taken[2];

    cr_assert_not(readable(b));
    offer(b, 0, 1);
    decode_custom_announce(&b->custom);
    before_read = one_more_is_told_of;
    before_read_bench = b;
    cr_assert_eq(take(b, taken, 2), 1);
    cr_assert_null(before_read, "it was read");
    cr_assert(readable(b));
    cr_assert_eq(take(b, taken + 1, 2), 1);
    cr_assert_not(readable(b));
    finish_all(b, taken, 2);
    cr_assert_eq(collect(b, DS_STATUS_OK), 2);
    bench_close(b);
}
