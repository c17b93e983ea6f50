#include "conformance/custom_app.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

uint64_t custom_app_expect(uint32_t codec, const uint8_t *source, uint64_t n, uint8_t *to)
{
    if (codec != APP_TRIPLE) {
        for (uint64_t i = 0; i < n; i++)
            to[i] = source[i] ^ 0x5a;
        return n;
    }
    for (uint64_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < 3; k++)
            to[3 * i + k] = (uint8_t)(source[i] + k);
    }
    return 3 * n;
}

int32_t custom_app_decode(const struct ds_custom_request *request)
{
    struct ds_codec *codec;
    int rc;

    if (request->codec >= DS_CODEC_CUSTOM_0)
        return custom_app_expect(request->codec, request->source, request->source_bytes,
                                 request->destination) == request->destination_bytes
                   ? 0
                   : -EBADMSG;
    rc = ds_codec_create((enum ds_codec_format)request->codec, NULL, &codec);
    if (rc != 0)
        return rc;
    rc = ds_codec_decompress(codec, request->source, request->source_bytes, request->destination,
                             request->destination_bytes, NULL);
    ds_codec_destroy(&codec);
    return rc;
}

struct ds_custom_result custom_app_one(const struct ds_custom_request *request)
{
    return (struct ds_custom_result){.id = request->id, .error = custom_app_decode(request)};
}

int32_t custom_app_error(uint64_t user_data)
{
    return -1000 - (int32_t)user_data;
}

struct ds_request custom_app_read(const struct rig *rig, uint32_t codec, uint64_t offset,
                                  uint64_t size, void *host, uint64_t user_data)
{
    struct ds_request request = rig_read(rig, offset, size, host, user_data);

    request.codec = codec;
    request.uncompressed_size = codec == APP_TRIPLE ? 3 * size : size;
    return request;
}

void custom_app_take(struct rig *rig, uint32_t select, struct ds_custom_request *requests,
                     uint32_t n)
{
    for (uint32_t got = 0; got < n;) {
        int now = 0;

        rig_until(rig, (now = ds_custom_take(rig->engine, select, requests + got, n - got)) != 0);
        cr_assert_gt(now, 0, "%s", strerror(-now));
        got += (uint32_t)now;
    }
}

void custom_app_finish(struct rig *rig, const struct ds_custom_request *requests, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ds_custom_result result = custom_app_one(&requests[i]);

        cr_assert_eq(ds_custom_finish(rig->engine, &result, 1), 0);
    }
}

uint64_t custom_app_out_n(const struct rig *rig)
{
    struct ds_counters counters = {.struct_size = sizeof(counters)};

    cr_assert_eq(ds_engine_get_counters(rig->engine, &counters), 0);
    return counters.stages[DS_STAGE_DECODE].device_high_water;
}

/* What a thread has taken and not finished. */
struct hand {
    struct custom_app *app;
    uint64_t rng;
    uint32_t n;
    struct ds_custom_request held[APP_HELD_MAX];
};

static struct ds_custom_result answer(struct custom_app *app,
                                      const struct ds_custom_request *request)
{
    struct ds_custom_result result = custom_app_one(request);

    if (app->fail_every != 0 && request->user_data % app->fail_every == 0) {
        result.error = custom_app_error(request->user_data);
        atomic_fetch_add(&app->failed, 1);
    }
    return result;
}

/* Finishes n of those held, at random. */
static void hand_finish(struct hand *hand, uint32_t n)
{
    struct ds_custom_result results[APP_HELD_MAX];

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)support_below(&hand->rng, hand->n);

        results[i] = answer(hand->app, &hand->held[at]);
        hand->held[at] = hand->held[--hand->n];
    }
    if (n > 0 && ds_custom_finish(hand->app->engine, results, n) != 0)
        atomic_fetch_add(&hand->app->faults, 1);
}

static void *thread_main(void *argument)
{
    struct custom_app *app = argument;
    struct hand hand = {.app = app, .rng = app->seed ^ (uintptr_t)&hand};
    struct pollfd fds[2] = {{.fd = ds_custom_eventfd(app->engine), .events = POLLIN},
                            {.fd = app->stop_fd, .events = POLLIN}};

    for (;;) {
        uint32_t room = APP_HELD_MAX - hand.n;
        uint32_t max = 1 + (uint32_t)support_below(&hand.rng, room < 9 ? room : 9);
        int n = ds_custom_take(app->engine, app->select, hand.held + hand.n, max);

        if (n < 0 || (uint32_t)n > max) {
            atomic_fetch_add(&app->faults, 1);
            return NULL;
        }
        hand.n += (uint32_t)n;
        atomic_fetch_add(&app->taken, (uint64_t)n);
        if (n == 0) {
            hand_finish(&hand, hand.n);
            poll(fds, 2, -1);
            if ((fds[1].revents & POLLIN) != 0)
                return NULL;
        } else if (hand.n == APP_HELD_MAX || support_below(&hand.rng, 2) == 0) {
            hand_finish(&hand, 1 + (uint32_t)support_below(&hand.rng, hand.n));
        }
    }
}

void custom_app_start(struct custom_app *app, struct ds_engine *engine, uint32_t select,
                      uint32_t threads)
{
    uint32_t fail_every = app->fail_every;

    memset(app, 0, sizeof(*app));
    app->engine = engine;
    app->select = select;
    app->fail_every = fail_every;
    app->seed = support_seed("custom_app");
    app->stop_fd = eventfd(0, EFD_CLOEXEC);
    cr_assert_geq(app->stop_fd, 0);
    for (; app->threads_n < threads; app->threads_n++)
        cr_assert_eq(pthread_create(&app->threads[app->threads_n], NULL, thread_main, app), 0);
}

void custom_app_stop(struct custom_app *app)
{
    uint64_t one = 1;

    cr_assert_eq(write(app->stop_fd, &one, sizeof(one)), (ssize_t)sizeof(one));
    for (uint32_t i = 0; i < app->threads_n; i++)
        pthread_join(app->threads[i], NULL);
    close(app->stop_fd);
    cr_assert_eq(atomic_load(&app->faults), 0);
}

void custom_app_enqueue(struct rig *rig, struct ds_queue *queue, uint8_t (*to)[CUSTOM_APP_BYTES],
                        uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ds_request request = custom_app_read(rig, APP_XOR, 999 * (i % 900),
                                                    CUSTOM_APP_BYTES, to[i], i);

        request.cancel_tag = i;
        rig_enqueue(queue, &request);
    }
    ds_queue_submit(queue);
}

void custom_app_demand(const struct ds_result *results, uint32_t n, enum ds_status status)
{
    for (uint32_t i = 0; i < n; i++)
        cr_assert_eq((enum ds_status)results[i].status, status, "%u: %s", i,
                     ds_status_name(results[i].status));
}

bool custom_app_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}
