/* Priorities: all complete, REALTIME overtakes, and the others share by bytes. */
#include "conformance/rig.h"

#include "stages/schedule.h"

#include <errno.h>
#include <pthread.h>

/* As programs do: five queues with four priorities, a status array each, from a thread each. */
struct load {
    struct rig *rig;
    struct ds_queue *queue;
    struct ds_status_array *array;
    uint32_t reads;
    uint8_t (*memory)[32 << 10];
    uint32_t failed;
    pthread_t thread;
};

static void *load_main(void *argument)
{
    struct load *load = argument;

    for (uint32_t i = 0; i < load->reads; i++) {
        struct ds_request request =
            rig_read(load->rig, i * 64, sizeof(load->memory[i]), load->memory[i], i);

        load->failed += ds_queue_enqueue(load->queue, &request) != 0;
    }
    load->failed += ds_queue_enqueue_status(load->queue, load->array, 0) != 0;
    ds_queue_submit(load->queue);
    return NULL;
}

RIG_TEST(priority, five_queues_with_four_priorities_all_complete)
{
    static const uint32_t priorities[] = {DS_PRIORITY_NORMAL, DS_PRIORITY_HIGH, DS_PRIORITY_LOW,
                                          DS_PRIORITY_REALTIME, DS_PRIORITY_NORMAL};
    static const uint32_t reads[] = {25, 15, 3, 5, 20};
    struct load loads[5];
    struct ds_result results[25];
    struct rig rig;

    rig_open(&rig, topology, ds_engine_config(.arena_bytes = 1 << 20, .chunk_bytes = 64 << 10));
    for (uint32_t i = 0; i < 5; i++) {
        loads[i] = (struct load){.rig = &rig, .reads = reads[i]};
        loads[i].memory = malloc(reads[i] * sizeof(*loads[i].memory));
        loads[i].queue = rig_queue(&rig, ds_queue_config(.priority = priorities[i]));
        cr_assert_eq(ds_status_array_create(rig.engine, 1, &loads[i].array), 0);
    }
    for (uint32_t i = 0; i < 5; i++)
        pthread_create(&loads[i].thread, NULL, load_main, &loads[i]);
    for (uint32_t i = 0; i < 5; i++)
        pthread_join(loads[i].thread, NULL);
    for (uint32_t i = 0; i < 5; i++) {
        struct load *load = &loads[i];

        cr_assert_eq(load->failed, 0);
        rig_until(&rig, ds_status_array_get(load->array, 0, NULL) != DS_STATUS_PENDING);
        cr_assert_eq(ds_status_array_get(load->array, 0, NULL), DS_STATUS_OK);
        rig_results(load->queue, results, load->reads);
        for (uint32_t at = 0; at < load->reads; at++)
            cr_assert_arr_eq(load->memory[at], rig.content + at * 64, sizeof(load->memory[at]));
        ds_queue_destroy(&load->queue);
        ds_status_array_destroy(&load->array);
        free(load->memory);
    }
    rig_close(&rig);
}

Test(priority, an_unknown_one_is_refused)
{
    struct ds_queue *queue = NULL;
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL, NULL);
    cr_assert_eq(ds_queue_create(rig.engine, ds_queue_config(.priority = 4), &queue), -EINVAL);
    cr_assert_null(queue);
    rig_close(&rig);
}

/* A realtime request that comes last is begun before what already waits for a chunk. */
Test(priority, realtime_overtakes_a_backlog)
{
    enum { N = 500 };
    static uint8_t memory[N + 1][4096];
    struct ds_result results[N];
    struct ds_queue *realtime;
    struct ds_request request;
    uint32_t ordinary;
    struct rig rig;

    /* no disk, which could keep the one and answer the others */
    rig_open(&rig, DS_TOPOLOGY_MANUAL,
             ds_engine_config(.arena_bytes = 4 << 20, .chunks_max = 8,
                              .read_backend = DS_READ_NIL, .copy_backend = DS_COPY_NIL));
    realtime = rig_queue(&rig, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    for (uint32_t i = 0; i < N; i++) {
        request = rig_read(&rig, i * 64, 4096, memory[i], i);
        rig_enqueue(rig.queue, &request);
    }
    ds_queue_submit(rig.queue);
    rig_pause(&rig);
    request = rig_read(&rig, 0, 4096, memory[N], N);
    rig_enqueue(realtime, &request);
    ds_queue_submit(realtime);
    rig_results(realtime, results, 1);
    ordinary = ds_queue_poll(rig.queue, results, N);
    cr_assert_lt(ordinary, 100, "%u requests went before it", ordinary);
    rig_results(rig.queue, results, N - ordinary);
    ds_queue_destroy(&realtime);
    rig_close(&rig);
}

/* It overtakes what is being cut into chunks, too: a long request holds nobody up. */
Test(priority, realtime_overtakes_a_long_request)
{
    static uint8_t memory[2][RIG_FILE_BYTES];
    struct ds_queue *realtime;
    struct ds_request request;
    struct ds_result result;
    struct rig rig;

    rig_open(&rig, DS_TOPOLOGY_MANUAL,
             ds_engine_config(.arena_bytes = 4 << 20, .chunks_max = 8, .chunk_bytes = 4096,
                              .read_backend = DS_READ_NIL, .copy_backend = DS_COPY_NIL));
    realtime = rig_queue(&rig, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    request = rig_read(&rig, 0, RIG_FILE_BYTES, memory[0], 1); /* 256 chunks, 8 at a time */
    rig_enqueue(rig.queue, &request);
    ds_queue_submit(rig.queue);
    rig_pause(&rig);
    request = rig_read(&rig, 0, 4096, memory[1], 2);
    rig_enqueue(realtime, &request);
    ds_queue_submit(realtime);
    rig_results(realtime, &result, 1);
    cr_assert_eq(ds_queue_poll(rig.queue, &result, 1), 0, "the long one went first");
    rig_results(rig.queue, &result, 1);
    ds_queue_destroy(&realtime);
    rig_close(&rig);
}

/* Bytes that each priority gets while all of them always have work of one size. */
static void share(uint64_t request_bytes, uint64_t *bytes)
{
    struct schedule schedule;
    uint64_t total = 0;

    memset(&schedule, 0, sizeof(schedule));
    schedule_add(&schedule, 0, DS_PRIORITY_HIGH);
    schedule_add(&schedule, 1, DS_PRIORITY_NORMAL);
    schedule_add(&schedule, 2, DS_PRIORITY_LOW);
    memset(bytes, 0, 3 * sizeof(*bytes));
    while (total < 2000 * max_u64(request_bytes, 64 << 10)) {
        static const enum ds_priority priorities[] = {DS_PRIORITY_HIGH, DS_PRIORITY_NORMAL,
                                                      DS_PRIORITY_LOW};
        uint32_t queue = schedule_pick(&schedule, 7);

        cr_assert_lt(queue, 3);
        schedule_charge(&schedule, priorities[queue], request_bytes);
        bytes[queue] += request_bytes;
        total += request_bytes;
    }
}

Test(priority, the_others_share_by_bytes_whatever_the_size)
{
    static const uint64_t sizes[] = {4096, 64 << 10, 1 << 20, 16 << 20, 1 << 30};

    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        uint64_t bytes[3];
        double high, normal;

        share(sizes[i], bytes);
        cr_assert_gt(bytes[2], 0, "LOW starves");
        high = (double)bytes[0] / (double)bytes[2];
        normal = (double)bytes[1] / (double)bytes[2];
        cr_assert(high > 80 && high < 125, "%lu bytes: %.1f : %.1f : 1", (unsigned long)sizes[i],
                  high, normal);
        cr_assert(normal > 8 && normal < 12.5, "%lu bytes: %.1f : %.1f : 1",
                  (unsigned long)sizes[i], high, normal);
    }
}

/* Who was idle for long comes back with what it had, not with all that it did not use. */
Test(priority, nobody_saves_up_while_idle)
{
    struct schedule schedule;
    uint32_t low = 0;

    memset(&schedule, 0, sizeof(schedule));
    schedule_add(&schedule, 0, DS_PRIORITY_HIGH);
    schedule_add(&schedule, 1, DS_PRIORITY_LOW);
    for (uint32_t i = 0; i < 100000; i++) {
        cr_assert_eq(schedule_pick(&schedule, 1), 0);
        schedule_charge(&schedule, DS_PRIORITY_HIGH, 64 << 10);
    }
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t queue = schedule_pick(&schedule, 3);

        low += queue;
        schedule_charge(&schedule, queue == 0 ? DS_PRIORITY_HIGH : DS_PRIORITY_LOW, 64 << 10);
    }
    cr_assert_leq(low, 3);
}
