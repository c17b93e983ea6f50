/* The staging arena changes its size while there is no queue; files stay open. */
#include <criterion/criterion.h>
#include <ds/ds.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES (3u << 20)

struct rig {
    struct ds_engine *engine;
    struct ds_file *file;
    uint8_t *content, *back;
};

static int rig_open(struct rig *rig, enum ds_topology topology,
                    const struct ds_allocator *allocator)
{
    char path[] = "/var/tmp/ds-arena-XXXXXX";
    int fd = mkstemp(path);
    int rc;

    rig->content = malloc(FILE_BYTES);
    rig->back = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        rig->content[i] = (uint8_t)(i * 7 + (i >> 9));
    cr_assert_eq(write(fd, rig->content, FILE_BYTES), FILE_BYTES);
    cr_assert_eq(ds_engine_create(ds_engine_config(.topology = topology, .chunk_bytes = 1 << 20,
                                                   .read_lanes = 2, .allocator = allocator),
                                  &rig->engine), 0);
    rc = ds_file_open(rig->engine, path, NULL, &rig->file);
    unlink(path);
    close(fd);
    return rc;
}

static void rig_close(struct rig *rig)
{
    ds_file_close(&rig->file);
    ds_engine_destroy(&rig->engine);
    free(rig->content);
    free(rig->back);
}

static uint64_t arena_bytes(const struct rig *rig)
{
    struct ds_engine_info info = {.struct_size = sizeof(info)};

    cr_assert_eq(ds_engine_get_info(rig->engine, &info), 0);
    return info.arena_bytes;
}

/* Reads the file through a queue of its own; also tries to change the size meanwhile. */
static void read_all(struct rig *rig)
{
    struct ds_queue *queue;
    struct ds_result result;

    cr_assert_eq(ds_queue_create(rig->engine, NULL, &queue), 0);
    cr_assert_eq(ds_engine_set_arena_bytes(rig->engine, 8 << 20), -EBUSY);
    memset(rig->back, 0, FILE_BYTES);
    cr_assert_eq(ds_queue_enqueue(queue, ds_request(.file = rig->file, .offset = 1,
                                                    .size = FILE_BYTES - 1, .host = rig->back)),
                 0);
    ds_queue_submit(queue);
    cr_assert_eq(ds_queue_wait(queue, &result, 1, 120000000000u), 1);
    cr_assert_eq(result.status, DS_STATUS_OK, "%s", ds_status_name(result.status));
    cr_assert_eq(memcmp(rig->back, rig->content + 1, FILE_BYTES - 1), 0);
    ds_queue_destroy(&queue);
}

static void changes_size(enum ds_topology topology)
{
    struct rig rig;

    cr_assert_eq(rig_open(&rig, topology, NULL), 0);
    cr_assert_eq(arena_bytes(&rig), 64 << 20);
    read_all(&rig);
    cr_assert_eq(ds_engine_set_arena_bytes(rig.engine, 2 << 20), 0);
    cr_assert_eq(arena_bytes(&rig), 2 << 20);
    read_all(&rig);
    cr_assert_eq(ds_engine_set_arena_bytes(rig.engine, 1 << 20), -EINVAL, "less than two chunks");
    cr_assert_eq(arena_bytes(&rig), 2 << 20);
    read_all(&rig);
    cr_assert_eq(ds_engine_set_arena_bytes(rig.engine, 0), 0);
    cr_assert_eq(arena_bytes(&rig), 64 << 20);
    read_all(&rig);
    rig_close(&rig);
}

Test(arena_size, shared)
{
    changes_size(DS_TOPOLOGY_SHARED);
}

Test(arena_size, dedicated)
{
    changes_size(DS_TOPOLOGY_DEDICATED);
}

Test(arena_size, hybrid)
{
    changes_size(DS_TOPOLOGY_HYBRID);
}

Test(arena_size, manual)
{
    changes_size(DS_TOPOLOGY_MANUAL);
}

static long calls, fail_from = -1, live;

static void *failing_alloc(void *ctx, size_t bytes, size_t align)
{
    void *memory = NULL;

    (void)ctx;
    if (fail_from >= 0 && ++calls > fail_from)
        return NULL;
    if (posix_memalign(&memory, align < 8 ? 8 : align, bytes) != 0)
        return NULL;
    live++;
    return memory;
}

static void failing_free(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    live--;
    free(memory);
}

/* However far it gets before memory is short for good: an error, no leak, and an engine that says
 * so instead of crashing. */
Test(arena_size, without_memory)
{
    const struct ds_allocator allocator = {NULL, failing_alloc, failing_free};
    bool done = false;

    for (long n = 0; !done; n++) {
        struct ds_queue *queue = NULL;
        struct rig rig;

        fail_from = -1;
        cr_assert_eq(rig_open(&rig, DS_TOPOLOGY_SHARED, &allocator), 0);
        calls = 0;
        fail_from = n;
        done = ds_engine_set_arena_bytes(rig.engine, 4 << 20) == 0;
        if (!done)
            cr_assert_eq(ds_queue_create(rig.engine, NULL, &queue), -ENOMEM);
        rig_close(&rig);
        cr_assert_eq(live, 0, "leak at %ld", n);
        cr_assert_lt(n, 1000);
    }
}
