/* ds/queue.h, on an engine that moves no data: what enqueue refuses, that no slot is lost or comes
 * twice, that submit publishes what was enqueued and nothing else, and that waiters are woken. */
#include "engine/clock.h"
#include "unit/support.h"

#include <ds/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WAIT_ROUNDS (50000 / SLOWNESS)

static struct ds_engine *engine;

static void engine_open_with(enum ds_topology topology, enum ds_read_backend read,
                             enum ds_copy_backend copy)
{
    cr_assert_eq(ds_engine_create(ds_engine_config(.topology = topology, .read_backend = read,
                                                   .copy_backend = copy, .arena_bytes = 4 << 20),
                                  &engine), 0);
}

static void open_manual(void)
{
    engine_open_with(DS_TOPOLOGY_MANUAL, DS_READ_NIL, DS_COPY_NIL);
}

static void close_engine(void)
{
    ds_engine_destroy(&engine);
}

TestSuite(queue, .init = open_manual, .fini = close_engine);

static struct ds_queue *queue_new(const struct ds_queue_config *config)
{
    struct ds_queue *queue;

    cr_assert_eq(ds_queue_create(engine, config, &queue), 0);
    return queue;
}

static struct ds_request nil_request(uint64_t user_data)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request), .fd = -1, .size = 100,
                               .user_data = user_data};
}

static int enqueue_one(struct ds_queue *queue, uint64_t user_data)
{
    struct ds_request request = nil_request(user_data);

    return ds_queue_enqueue(queue, &request);
}

static uint32_t free_slots(struct ds_queue *queue)
{
    struct ds_queue_info info = {.struct_size = sizeof(info)};

    cr_assert_eq(ds_queue_get_info(queue, &info), 0);
    return info.free_slots;
}

static void steps(uint32_t n)
{
    while (n-- > 0)
        ds_engine_step(engine);
}

/* Each errno in the header's list. The nil engine asks for neither file nor memory, so those are
 * refused by one that does. */
#define REFUSES(error, ...)                                                                        \
    do {                                                                                           \
        struct ds_request r_ = {.struct_size = sizeof(r_), .fd = fd, .size = 10, .host = memory};  \
        struct ds_request *r = &r_;                                                                \
        __VA_ARGS__;                                                                               \
        cr_expect_eq(ds_queue_enqueue(queue, r), error, "%s", #__VA_ARGS__);                       \
    } while (0)

static void check_shapes(struct ds_queue *queue, int fd, uint8_t *memory)
{
    REFUSES(-EINVAL, r->size = 0);
    REFUSES(-EINVAL, r->struct_size = 0);
    REFUSES(-EINVAL, r->op = 2);
    REFUSES(-EINVAL, r->flags = 2);
    REFUSES(-EINVAL, r->reserved = 1);
    REFUSES(-EINVAL, r->offset = UINT64_MAX);
    REFUSES(-EINVAL, r->offset = INT64_MAX - 9);
    REFUSES(-EINVAL, r->size = (uint64_t)INT64_MAX);
    REFUSES(-EINVAL, r->host = NULL; r->gpu_buffer = 1; r->gpu_offset = UINT64_MAX);
    REFUSES(-ERANGE, r->host = NULL; r->gpu_buffer = 1; r->gpu_offset = 1;
            r->gpu_buffer_bytes = 10);
}

Test(queue, refuses_shapes_that_make_no_sense)
{
    struct ds_queue *queue = queue_new(NULL);
    uint8_t memory[10];

    check_shapes(queue, -1, memory);
    cr_assert_eq(free_slots(queue), 1024, "a refusal must not cost a slot");
    ds_queue_destroy(&queue);
}

Test(queue, refuses_what_a_host_engine_cannot_do)
{
    struct ds_engine *nil = engine;
    struct ds_queue *queue;
    uint8_t memory[10];
    int fd;

    engine_open_with(DS_TOPOLOGY_MANUAL, DS_READ_PREAD, DS_COPY_HOST);
    queue = queue_new(NULL);
    fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    REFUSES(-EINVAL, r->host = NULL);
    REFUSES(-ENODEV, r->host = NULL; r->gpu_buffer = 1);
    REFUSES(-EBADF, r->fd = -1);
    REFUSES(-EBADF, r->fd = 9999);
    REFUSES(-EBADF, r->op = DS_OP_WRITE);
    cr_expect_eq(ds_queue_enqueue_signal(queue, 1, 1, 0), -ENODEV);
    cr_expect_eq(ds_queue_enqueue_signal(queue, 0, 1, 0), -EINVAL);
    close(fd);
    fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    REFUSES(-EBADF, r->op = DS_OP_READ);
    close(fd);
    ds_queue_destroy(&queue);
    ds_engine_destroy(&engine);
    engine = nil;
}

Test(queue, refuses_files_of_others_and_writes_to_read_only_ones)
{
    struct ds_engine *nil = engine, *other;
    struct ds_file *file;
    struct ds_queue *mine = queue_new(NULL), *queue;
    uint8_t memory[10];
    int fd = -1;

    engine_open_with(DS_TOPOLOGY_MANUAL, DS_READ_PREAD, DS_COPY_HOST);
    other = engine;
    queue = queue_new(NULL);
    cr_assert_eq(ds_file_open(other, "/proc/self/exe", NULL, &file), 0);
    REFUSES(-EBADF, r->file = file; r->op = DS_OP_WRITE);
    REFUSES(0, r->file = file);
    ds_queue_destroy(&queue);
    queue = mine;
    REFUSES(-EINVAL, r->file = file);
    ds_file_close(&file);
    ds_engine_destroy(&other);
    engine = nil;
    ds_queue_destroy(&mine);
}

Test(queue, create_refuses_bad_configurations)
{
    struct ds_queue *queue = NULL;
    struct ds_queue_config none = {.struct_size = 0};

    cr_expect_eq(ds_queue_create(engine, &none, &queue), -EINVAL);
    cr_expect_eq(ds_queue_create(engine, ds_queue_config(.capacity = 65537), &queue), -EINVAL);
    cr_expect_eq(ds_queue_create(engine, ds_queue_config(.flags = 1u << 31), &queue), -EINVAL);
    cr_expect_null(queue, "untouched on error");
}

Test(queue, there_are_64_queues_and_their_places_come_back)
{
    struct ds_queue *queues[65];

    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 64; i++)
            queues[i] = queue_new(ds_queue_config(.capacity = 1));
        cr_assert_eq(ds_queue_create(engine, NULL, &queues[64]), -ENOSPC);
        for (uint32_t i = 0; i < 64; i++) {
            cr_assert_eq(enqueue_one(queues[i], i), 0);
            ds_queue_submit(queues[i]);
        }
        for (uint32_t i = 0; i < 64; i++)
            ds_queue_destroy(&queues[(i * 37) % 64]);
    }
}

static void check_capacity(uint32_t flags, uint32_t asked, uint32_t capacity)
{
    struct ds_queue *queue = queue_new(ds_queue_config(.capacity = asked, .flags = flags));
    struct ds_result result;
    uint32_t polled = 0;

    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < capacity; i++)
            cr_assert_eq(enqueue_one(queue, i), 0, "%u of %u", i, capacity);
        cr_assert_eq(enqueue_one(queue, 0), -EAGAIN, "more than %u", capacity);
        cr_assert_eq(free_slots(queue), 0);
        ds_queue_submit(queue);
        while (polled < capacity)
            polled += ds_queue_wait(queue, &result, 1, SECOND_NS);
        polled = 0;
        cr_assert_eq(free_slots(queue), capacity);
    }
    ds_queue_destroy(&queue);
}

Test(queue, is_full_at_exactly_its_capacity)
{
    for (uint32_t flags = 0; flags <= 3; flags++) {
        check_capacity(flags, 1, 1);
        check_capacity(flags, 5, 8);
        check_capacity(flags, 0, 1024);
    }
    check_capacity(0, 65536, 65536);
}

/* A slot is in use until its result was polled, not only until it is done. */
Test(queue, a_result_not_polled_keeps_its_slot)
{
    struct ds_queue *queue = queue_new(ds_queue_config(.capacity = 2));
    struct ds_result result;

    cr_assert(enqueue_one(queue, 1) == 0 && enqueue_one(queue, 2) == 0);
    ds_queue_submit(queue);
    steps(8);
    cr_assert_eq(enqueue_one(queue, 3), -EAGAIN);
    cr_assert_eq(ds_queue_poll(queue, &result, 1), 1);
    cr_assert_eq(enqueue_one(queue, 3), 0);
    cr_assert_eq(enqueue_one(queue, 4), -EAGAIN);
    ds_queue_destroy(&queue);
}

Test(queue, a_batch_is_accepted_up_to_the_first_refusal)
{
    struct ds_queue *queue = queue_new(ds_queue_config(.capacity = 8));
    struct ds_request requests[12];
    struct ds_result results[12];

    for (uint32_t i = 0; i < 12; i++)
        requests[i] = nil_request(i);
    requests[3].size = 0;
    cr_assert_eq(ds_queue_enqueue_batch(queue, requests, 0), 0);
    cr_assert_eq(ds_queue_enqueue_batch(queue, requests, 12), 3);
    cr_assert_eq(ds_queue_enqueue_batch(queue, &requests[3], 9), -EINVAL);
    cr_assert_eq(ds_queue_enqueue_batch(queue, &requests[4], 8), 5, "five slots are left");
    cr_assert_eq(ds_queue_enqueue_batch(queue, &requests[4], 8), -EAGAIN);
    ds_queue_submit(queue);
    steps(8);
    cr_assert_eq(ds_queue_poll(queue, results, 12), 8);
    for (uint32_t i = 0; i < 8; i++)
        cr_assert_eq(results[i].user_data, i < 3 ? i : i + 1);
    ds_queue_destroy(&queue);
}

Test(queue, nothing_starts_before_submit_and_submit_takes_only_what_was_there)
{
    for (uint32_t flags = 0; flags <= 3; flags++) {
        struct ds_queue *queue = queue_new(ds_queue_config(.capacity = 8, .flags = flags));
        struct ds_result results[8];

        ds_queue_submit(queue); /* nothing there */
        cr_assert_eq(enqueue_one(queue, 1), 0);
        steps(4);
        cr_assert_eq(ds_queue_poll(queue, results, 8), 0);
        ds_queue_submit(queue);
        cr_assert_eq(enqueue_one(queue, 2), 0); /* before the engine has looked */
        steps(8);
        cr_assert_eq(ds_queue_poll(queue, results, 8), 1);
        cr_assert_eq(results[0].user_data, 1);
        ds_queue_submit(queue);
        steps(8);
        cr_assert_eq(ds_queue_poll(queue, results, 8), 1);
        cr_assert_eq(results[0].user_data, 2);
        ds_queue_destroy(&queue);
    }
}

Test(queue, poll_gives_no_more_than_it_was_asked_for)
{
    struct ds_queue *queue = queue_new(NULL);
    struct ds_result results[200];
    uint32_t total = 0;

    for (uint32_t i = 0; i < 200; i++)
        cr_assert_eq(enqueue_one(queue, i), 0);
    ds_queue_submit(queue);
    steps(20);
    cr_assert_eq(ds_queue_poll(queue, results, 0), 0);
    for (uint32_t max = 1; total < 200; max += 13) {
        uint32_t n = ds_queue_poll(queue, &results[total], min_u32(max, 200 - total));

        cr_assert_eq(n, min_u32(max, 200 - total));
        total += n;
    }
    for (uint32_t i = 0; i < 200; i++)
        cr_assert(results[i].user_data == i && results[i].bytes == 100 &&
                  results[i].status == DS_STATUS_OK);
    ds_queue_destroy(&queue);
}

Test(queue, wait_ends_when_time_is_up)
{
    static const enum ds_topology topologies[] = {DS_TOPOLOGY_MANUAL, DS_TOPOLOGY_SHARED};

    for (size_t i = 0; i < ARRAY_LENGTH(topologies); i++) {
        struct ds_engine *nil = engine;
        struct ds_queue *queue;
        struct ds_result result;
        uint64_t begin_ns;

        engine_open_with(topologies[i], DS_READ_NIL, DS_COPY_NIL);
        queue = queue_new(NULL);
        begin_ns = clock_now_ns();
        cr_assert_eq(ds_queue_wait(queue, &result, 1, 20 * MS_NS), 0);
        cr_assert_geq(clock_now_ns() - begin_ns, 19 * MS_NS);
        cr_assert_eq(ds_queue_wait(queue, &result, 1, 0), 0);
        cr_assert_eq(ds_queue_wait(queue, &result, 0, UINT64_MAX), 0);
        ds_queue_destroy(&queue);
        ds_engine_destroy(&engine);
        engine = nil;
    }
}

Test(queue, engine_wait_tells_work_from_time_being_up)
{
    struct ds_queue *queue = queue_new(NULL);

    steps(2);
    cr_assert_eq(ds_engine_wait(engine, 0), -ETIMEDOUT);
    cr_assert_eq(ds_engine_wait(engine, 5 * MS_NS), -ETIMEDOUT);
    cr_assert_eq(enqueue_one(queue, 1), 0);
    ds_queue_submit(queue);
    cr_assert_eq(ds_engine_wait(engine, 0), 0);
    cr_assert_eq(ds_engine_wait(engine, UINT64_MAX), 0);
    ds_queue_destroy(&queue);
}

/* While one thread waits for its result, another runs the stages, and may finish it between the
 * waiter's look and its sleep. */
struct stepper {
    pthread_t thread;
    _Atomic bool stop;
};

static void *step_all_the_time(void *argument)
{
    struct stepper *stepper = argument;

    while (!atomic_load(&stepper->stop)) {
        if (ds_engine_step(engine) < 0)
            sched_yield();
    }
    return NULL;
}

Test(queue, a_waiter_on_a_manual_engine_does_not_sleep_through_anothers_work)
{
    struct ds_queue *queue = queue_new(ds_queue_config(.capacity = 2));
    struct stepper stepper = {.stop = false};
    struct ds_result result;

    cr_assert_eq(pthread_create(&stepper.thread, NULL, step_all_the_time, &stepper), 0);
    for (uint32_t i = 0; i < WAIT_ROUNDS; i++) {
        uint64_t begin_ns = clock_now_ns();

        cr_assert_eq(enqueue_one(queue, i), 0);
        ds_queue_submit(queue);
        cr_assert_eq(ds_queue_wait(queue, &result, 1, PATIENCE_NS), 1);
        cr_assert_lt(clock_now_ns() - begin_ns, PATIENCE_NS / 2, "slept, and then looked");
    }
    atomic_store(&stepper.stop, true);
    pthread_join(stepper.thread, NULL);
    ds_queue_destroy(&queue);
}

Test(queue, the_eventfd_becomes_readable_for_epoll)
{
    struct ds_queue *queue = queue_new(NULL);
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC), fd;
    struct ds_result result;
    uint64_t count;

    cr_assert_eq(enqueue_one(queue, 1), 0);
    ds_queue_submit(queue);
    steps(8); /* done before the descriptor exists: it counts too */
    fd = ds_queue_eventfd(queue);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ds_queue_eventfd(queue), fd);
    cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(epoll_wait(epoll, &event, 1, 1000), 1);
        cr_assert_eq(read(fd, &count, sizeof(count)), (ssize_t)sizeof(count));
        cr_assert_eq(ds_queue_poll(queue, &result, 1), 1);
        cr_assert_eq(epoll_wait(epoll, &event, 1, 0), 0);
        cr_assert_eq(enqueue_one(queue, 1), 0);
        ds_queue_submit(queue);
        steps(8);
    }
    close(epoll);
    ds_queue_destroy(&queue);
}

Test(queue, destroy_drops_what_was_never_submitted_or_polled)
{
    for (uint32_t flags = 0; flags <= 3; flags++) {
        struct ds_queue *queue = queue_new(ds_queue_config(.capacity = 16, .flags = flags));

        for (uint32_t i = 0; i < 4; i++)
            cr_assert_eq(enqueue_one(queue, i), 0);
        ds_queue_submit(queue);
        steps(8); /* four results, never polled */
        for (uint32_t i = 0; i < 4; i++)
            cr_assert_eq(enqueue_one(queue, i), 0);
        ds_queue_submit(queue); /* submitted, not begun */
        for (uint32_t i = 0; i < 4; i++)
            cr_assert_eq(enqueue_one(queue, i), 0); /* never submitted */
        ds_queue_destroy(&queue);
        cr_assert_null(queue);
        ds_queue_destroy(&queue);
    }
}
