#include "conformance/rig.h"

#include "engine/clock.h"

#include <sched.h>
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void rig_file(struct rig *rig)
{
    int fd;

    memcpy(rig->path, "/var/tmp/ds-conformance-XXXXXX", sizeof("/var/tmp/ds-conformance-XXXXXX"));
    fd = mkstemp(rig->path);
    cr_assert_geq(fd, 0);
    rig->content = malloc(RIG_FILE_BYTES);
    for (uint32_t i = 0; i < RIG_FILE_BYTES; i += 4) {
        uint32_t word = (i + 1) * 2654435761u;

        memcpy(rig->content + i, &word, 4);
    }
    cr_assert_eq(write(fd, rig->content, RIG_FILE_BYTES), (ssize_t)RIG_FILE_BYTES);
    close(fd);
}

void rig_open(struct rig *rig, enum ds_topology topology, const struct ds_engine_config *config)
{
    struct ds_engine_config ours;

    ds_engine_config_init(&ours);
    if (config != NULL)
        ours = *config;
    else
        ours.arena_bytes = 4 << 20;
    ours.topology = topology;
    memset(rig, 0, sizeof(*rig));
    rig->topology = topology;
    cr_assert_eq(ds_engine_create(&ours, &rig->engine), 0);
    rig_file(rig);
    cr_assert_eq(ds_file_open(rig->engine, rig->path, ds_file_config(.flags = DS_FILE_WRITE),
                              &rig->file), 0);
    rig->queue = rig_queue(rig, NULL);
}

void rig_close(struct rig *rig)
{
    ds_queue_destroy(&rig->queue);
    ds_file_close(&rig->file);
    ds_engine_destroy(&rig->engine);
    unlink(rig->path);
    free(rig->content);
}

struct ds_queue *rig_queue(struct rig *rig, const struct ds_queue_config *config)
{
    struct ds_queue *queue = NULL;

    cr_assert_eq(ds_queue_create(rig->engine, config, &queue), 0);
    return queue;
}

struct ds_request rig_read(const struct rig *rig, uint64_t offset, uint64_t size, void *host,
                           uint64_t user_data)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request), .file = rig->file,
                               .offset = offset, .size = size, .host = host,
                               .user_data = user_data};
}

void rig_enqueue(struct ds_queue *queue, const struct ds_request *request)
{
    int rc = ds_queue_enqueue(queue, request);

    cr_assert_eq(rc, 0, "%s", strerror(-rc));
}

void rig_results(struct ds_queue *queue, struct ds_result *results, uint32_t n)
{
    struct ds_result more;

    for (uint32_t got = 0; got < n;) {
        uint32_t now = ds_queue_wait(queue, results + got, n - got, RIG_WAIT_NS);

        cr_assert_gt(now, 0, "%u of %u results are missing", n - got, n);
        got += now;
    }
    cr_assert_eq(ds_queue_poll(queue, &more, 1), 0, "more than %u results", n);
}

void rig_pause(struct rig *rig)
{
    if (rig->topology == DS_TOPOLOGY_MANUAL) {
        if (ds_engine_step(rig->engine) == 0)
            ds_engine_wait(rig->engine, MS_NS);
    } else {
        sched_yield();
    }
}

uint64_t rig_now_ns(void)
{
    return clock_now_ns();
}

uint64_t rig_eventfd_read(int fd)
{
    uint64_t count = 0;

    if (read(fd, &count, sizeof(count)) < 0)
        cr_assert_eq(errno, EAGAIN);
    return count;
}

struct ds_queue_info rig_info(const struct ds_queue *queue)
{
    struct ds_queue_info info = {.struct_size = sizeof(info)};

    cr_assert_eq(ds_queue_get_info(queue, &info), 0);
    return info;
}
