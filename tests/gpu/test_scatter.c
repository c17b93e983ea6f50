/* Destinations by address, through the whole engine: what the shader moves, what it refuses, and
 * what the back end tells of it. Under validation. */
#include "gpu/fake_discrete.h"
#include "gpu/vk_util.h"

#include <criterion/criterion.h>
#include <ds/ds.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES (3u << 20)
#define WAIT_NS 120000000000u

struct rig {
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct ds_vulkan_info info;
    struct ds_engine *engine;
    struct ds_queue *queue;
    struct vk_util_buffer buffer;
    uint8_t *content;
    uint8_t *back;
    int fd;
};

static struct ds_vulkan_info info_of(const struct ds_vulkan_backend *backend)
{
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};

    cr_assert_eq(ds_vulkan_backend_get_info(backend, &info), 0);
    return info;
}

static void rig_file(struct rig *rig)
{
    char path[] = "/var/tmp/ds-scatter-XXXXXX";
    uint32_t word = 1;

    rig->fd = mkstemp(path);
    cr_assert_geq(rig->fd, 0);
    unlink(path);
    rig->content = malloc(FILE_BYTES);
    rig->back = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i += 4) {
        word = word * 1664525u + 1013904223u;
        memcpy(rig->content + i, &word, 4);
    }
    cr_assert_eq(pwrite(rig->fd, rig->content, FILE_BYTES, 0), FILE_BYTES);
}

/* Lends the queue with COMPUTE, which vk_util uses too. */
static void lend(struct vk_util *vk, struct ds_vulkan_backend_config *config)
{
    vk_util_lend(vk, config);
    config->queue = vk->app_queue;
    config->queue_family = vk->app_queue_family;
    if (config->queue_mode == DS_VULKAN_QUEUE_AUTO) {
        config->lock_queue = vk_util_lock;
        config->unlock_queue = vk_util_unlock;
        config->lock_ctx = vk;
    }
}

/* Lends a device unless `own`. Skips the test where there is none that can scatter. */
static void rig_open(struct rig *rig, bool own, enum ds_vulkan_copy_path path, uint32_t most)
{
    struct ds_vulkan_backend_config config = {
        .struct_size = sizeof(config),
        .copy_path = path,
        /* decoding makes use of addresses, too */
        .decode_path = path == DS_VULKAN_PATH_COPY ? DS_VULKAN_DECODE_CPU : DS_VULKAN_DECODE_AUTO,
        .scatter_max_bytes = most,
        .batch_regions_max = 16, /* several batches */
    };

    memset(rig, 0, sizeof(*rig));
    vk_util_validate();
    if (!own) {
        rig->vk = vk_util_open(true);
        if (rig->vk == NULL)
            cr_skip_test("%s", vk_util_reason());
        lend(rig->vk, &config);
    }
    if (ds_vulkan_backend_create(&config, &rig->backend) != 0)
        cr_skip_test("no Vulkan device, or none that can scatter");
    rig->info = info_of(rig->backend);
    if (!rig->info.can_scatter && path != DS_VULKAN_PATH_COPY)
        cr_skip_test("the device or this build cannot scatter");
    if (own)
        rig->vk = vk_util_adopt(rig->backend);
    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = rig->backend, .arena_bytes = 1 << 20,
                                                   .chunk_bytes = 128 << 10),
                                  &rig->engine), 0);
    rig_file(rig);
    cr_assert_eq(ds_queue_create(rig->engine, NULL, &rig->queue), 0);
    vk_util_buffer(rig->vk, FILE_BYTES, 0, false, &rig->buffer);
}

static void rig_close(struct rig *rig)
{
    ds_queue_destroy(&rig->queue);
    ds_engine_destroy(&rig->engine);
    vk_util_buffer_free(rig->vk, &rig->buffer);
    vk_util_close_both(&rig->vk, &rig->backend);
    close(rig->fd);
    free(rig->content);
    free(rig->back);
    cr_assert_eq(vk_util_messages(), 0);
}

static void take_results(struct rig *rig, uint32_t n)
{
    ds_queue_submit(rig->queue);
    while (n > 0) {
        struct ds_result result;

        cr_assert_eq(ds_queue_wait(rig->queue, &result, 1, WAIT_NS), 1, "%u results missing", n);
        cr_assert_eq(result.status, DS_STATUS_OK, "request %llu: status %d, error %d, VkResult %d",
                     (unsigned long long)result.user_data, result.status, result.error,
                     result.vk_result);
        n--;
    }
}

/* Uneven pieces that cover the file: by buffer and address, or by address alone in every `alone`th
 * request (0: in none). */
static void move_all(struct rig *rig, enum ds_op op, uint32_t alone)
{
    uint32_t at = 0, n = 0;

    while (at < FILE_BYTES) {
        uint32_t left = FILE_BYTES - at;
        uint32_t bytes = n < 60 ? 1 + (n * 7919u) % 50000u : left;
        bool by_address = alone != 0 && n % alone == 0;

        bytes = bytes < left ? bytes : left;
        cr_assert_eq(
            ds_queue_enqueue(rig->queue,
                             ds_request(.op = (uint16_t)op, .fd = rig->fd, .offset = at,
                                        .size = bytes, .user_data = n, .gpu_offset = at,
                                        .gpu_buffer = by_address
                                                          ? 0
                                                          : ds_vulkan_buffer(rig->buffer.buffer),
                                        .gpu_address = rig->buffer.address,
                                        .gpu_buffer_bytes = FILE_BYTES)),
            0);
        at += bytes;
        n++;
    }
    take_results(rig, n);
}

static void check_buffer(struct rig *rig)
{
    vk_util_readback(rig->vk, &rig->buffer, 0, FILE_BYTES, rig->back);
    cr_assert(memcmp(rig->back, rig->content, FILE_BYTES) == 0);
}

static void run_whole_file(bool own, enum ds_vulkan_copy_path path, uint32_t most, uint32_t alone)
{
    struct rig rig;

    rig_open(&rig, own, path, most);
    move_all(&rig, DS_OP_READ, alone);
    check_buffer(&rig);
    rig_close(&rig);
}

Test(scatter, a_file_by_address_alone)
{
    run_whole_file(false, DS_VULKAN_PATH_AUTO, 0, 1);
}

Test(scatter, a_file_by_shader_on_an_own_device)
{
    run_whole_file(true, DS_VULKAN_PATH_SCATTER, 0, 3);
}

Test(scatter, a_file_by_both)
{
    run_whole_file(false, DS_VULKAN_PATH_AUTO, 20000, 5);
}

Test(scatter, a_file_by_command_although_there_are_addresses)
{
    run_whole_file(false, DS_VULKAN_PATH_COPY, 0, 0);
}

/* GPU memory that is known by nothing but its address is written to a file. */
Test(scatter, writes_from_an_address)
{
    struct rig rig;

    rig_open(&rig, false, DS_VULKAN_PATH_AUTO, 0);
    move_all(&rig, DS_OP_READ, 1);
    cr_assert_eq(ftruncate(rig.fd, 0), 0);
    move_all(&rig, DS_OP_WRITE, 1);
    cr_assert_eq(pread(rig.fd, rig.back, FILE_BYTES, 0), FILE_BYTES);
    cr_assert(memcmp(rig.back, rig.content, FILE_BYTES) == 0);
    rig_close(&rig);
}

/* What is refused ------------------------------------------------------------------------------ */

#define REFUSES(error, ...)                                                                        \
    cr_expect_eq(ds_queue_enqueue(rig.queue, ds_request(.fd = rig.fd, .size = 10, __VA_ARGS__)),   \
                 error, "%s", #__VA_ARGS__)

Test(scatter, refuses_addresses_that_make_no_sense)
{
    struct rig rig;

    rig_open(&rig, false, DS_VULKAN_PATH_AUTO, 0);
    REFUSES(-EINVAL, .gpu_address = UINT64_MAX - 8);
    REFUSES(-EINVAL, .gpu_address = UINT64_MAX - 1000, .gpu_offset = 995);
    REFUSES(-EINVAL, .gpu_address = 4096, .gpu_offset = UINT64_MAX - 3);
    REFUSES(-ERANGE, .gpu_address = 4096, .gpu_offset = 1, .gpu_buffer_bytes = 10);
    cr_expect_eq(ds_queue_enqueue(rig.queue, ds_request(.op = DS_OP_FLUSH, .fd = rig.fd,
                                                        .gpu_address = 4096)),
                 -EINVAL);
    rig_close(&rig);
}

Test(scatter, refuses_an_address_alone_where_only_commands_copy)
{
    struct rig rig;

    rig_open(&rig, false, DS_VULKAN_PATH_COPY, 0);
    cr_expect_not(rig.info.can_scatter);
    cr_expect_eq(rig.info.scatter_max_bytes, 0);
    cr_expect_eq(ds_vulkan_buffer_address(rig.backend, rig.buffer.buffer), 0);
    REFUSES(-ENOTSUP, .gpu_address = 4096);
    rig_close(&rig);
}

/* The back end --------------------------------------------------------------------------------- */

static int create(struct vk_util *vk, const struct ds_vulkan_backend_config *wanted,
                  struct ds_vulkan_backend **backend)
{
    struct ds_vulkan_backend_config config = *wanted;

    config.struct_size = sizeof(config);
    lend(vk, &config);
    config.has_buffer_device_address = wanted->has_buffer_device_address;
    config.has_8bit_storage = wanted->has_8bit_storage;
    return ds_vulkan_backend_create(&config, backend);
}

#define CREATE(...) create(vk, &(struct ds_vulkan_backend_config){__VA_ARGS__}, &backend)
#define FEATURES .has_buffer_device_address = true, .has_8bit_storage = true

Test(scatter, the_back_end_tells_what_it_will_do)
{
    struct vk_util *vk = vk_util_open(true);
    struct ds_vulkan_backend *backend = NULL;

    if (vk == NULL || !vk->has_addresses)
        cr_skip_test("no Vulkan device with addresses");
    cr_expect_eq(CREATE(.copy_path = (enum ds_vulkan_copy_path)4), -EINVAL);
    cr_expect_eq(CREATE(.copy_path = DS_VULKAN_PATH_MEASURE,
                        .queue_mode = DS_VULKAN_QUEUE_MANUAL), -EINVAL);
    cr_expect_eq(CREATE(.copy_path = DS_VULKAN_PATH_SCATTER), -ENOTSUP);
    cr_expect_eq(CREATE(.copy_path = DS_VULKAN_PATH_SCATTER, .has_8bit_storage = true), -ENOTSUP);
    cr_expect_null(backend);
    cr_assert_eq(CREATE(.scatter_max_bytes = 0), 0);
    cr_expect_not(info_of(backend).can_scatter, "nobody said that the features are on");
    ds_vulkan_backend_destroy(&backend);
    cr_assert_eq(CREATE(FEATURES, .scatter_max_bytes = 12345), 0);
    if (info_of(backend).can_scatter)
        cr_expect_eq(info_of(backend).scatter_max_bytes, 12345);
    ds_vulkan_backend_destroy(&backend);
    if (CREATE(FEATURES, .copy_path = DS_VULKAN_PATH_SCATTER) == 0) {
        cr_expect_eq(info_of(backend).scatter_max_bytes, UINT32_MAX);
        ds_vulkan_backend_destroy(&backend);
    }
    vk_util_close(&vk);
    cr_assert_eq(vk_util_messages(), 0);
}

/* Shaders that decode write to addresses as well. */
Test(scatter, an_address_is_of_use_where_the_gpu_decodes)
{
    struct vk_util *vk = vk_util_open(true);
    struct ds_vulkan_backend *backend = NULL;
    struct vk_util_buffer buffer;

    if (vk == NULL || !vk->has_addresses)
        cr_skip_test("no Vulkan device with addresses");
    if (CREATE(FEATURES, .copy_path = DS_VULKAN_PATH_COPY, .decode_path = DS_VULKAN_DECODE_GPU) !=
        0)
        cr_skip_test("the device or this build cannot decode");
    vk_util_buffer(vk, 4096, 0, false, &buffer);
    cr_expect_not(info_of(backend).can_scatter);
    cr_expect_eq(ds_vulkan_buffer_address(backend, buffer.buffer), buffer.address);
    cr_expect_neq(buffer.address, 0);
    vk_util_buffer_free(vk, &buffer);
    ds_vulkan_backend_destroy(&backend);
    vk_util_close(&vk);
    cr_assert_eq(vk_util_messages(), 0);
}

/* The measurement ------------------------------------------------------------------------------ */

struct measured {
    struct vk_util *vk;
    void (*change)(struct ds_vulkan_backend_config *config); /* what is lent; or NULL */
    uint32_t lines; /* of the log, about a measurement of copies: one for each */
    uint32_t locks; /* of the lent queue, by whoever wants to submit to it */
};

/* What is measured of mapped destinations, where the device has any, has lines of its own. */
static void measured_log(void *ctx, enum ds_log_level level, const char *message)
{
    static const char copies[] = "copies ";
    struct measured *measured = ctx;
    /* a device that is busy for too long ends the measurement without a result */
    bool told = strstr(message, "measured in ") != NULL ||
                strstr(message, "could not be measured") != NULL;

    if (told && strncmp(message, copies, strlen(copies)) == 0)
        measured->lines++;
    if (told || level <= DS_LOG_WARNING)
        fprintf(stderr, "log: %s\n", message);
}

static void measured_lock(void *ctx)
{
    struct measured *measured = ctx;

    measured->locks++;
    vk_util_lock(measured->vk);
}

static void measured_unlock(void *ctx)
{
    vk_util_unlock(((struct measured *)ctx)->vk);
}

static struct ds_vulkan_backend *lend_counted(struct measured *measured,
                                              enum ds_vulkan_copy_path path, uint32_t most)
{
    struct ds_vulkan_backend *backend = NULL;
    struct ds_vulkan_backend_config config = {
        .struct_size = sizeof(config),
        .copy_path = path,
        .scatter_max_bytes = most,
    };

    lend(measured->vk, &config);
    config.lock_queue = measured_lock;
    config.unlock_queue = measured_unlock;
    config.lock_ctx = measured;
    if (measured->change != NULL)
        measured->change(&config);
    cr_assert_eq(ds_vulkan_backend_create(&config, &backend), 0);
    if (!info_of(backend).can_scatter)
        cr_skip_test("the queue or this build cannot scatter");
    return backend;
}

/* Starts and ends an engine; returns how often it took the queue's lock. */
static uint32_t start_engine(struct ds_vulkan_backend *backend, struct measured *measured)
{
    struct ds_engine *engine = NULL;
    uint32_t locks = measured->locks;

    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = backend, .arena_bytes = 8 << 20,
                                                   .log = measured_log, .log_ctx = measured,
                                                   .log_level = DS_LOG_INFO),
                                  &engine), 0);
    ds_engine_destroy(&engine);
    return measured->locks - locks;
}

/* Once for each back end, whatever number of engines it serves; never where the limit is given, and
 * on a lent queue only when asked. */
static void measure(struct measured *measured)
{
    struct ds_vulkan_backend *backend = lend_counted(measured, DS_VULKAN_PATH_MEASURE, 0);
    uint32_t limit, least;

    cr_expect_gt(start_engine(backend, measured), 0);
    limit = info_of(backend).scatter_max_bytes;
    least = info_of(backend).scatter_regions_min;
    cr_expect(least >= 1 && least <= 17, "%u", least);
    cr_expect(limit == 0 || (limit >= 4096 && limit <= 256 << 10 && (limit & (limit - 1)) == 0),
              "%u", limit);
    cr_expect_eq(measured->lines, 1);
    cr_expect_eq(start_engine(backend, measured), 0);
    cr_expect_eq(measured->lines, 1, "the result is kept");
    cr_expect_eq(info_of(backend).scatter_max_bytes, limit);
    cr_expect_eq(info_of(backend).scatter_regions_min, least);
    ds_vulkan_backend_destroy(&backend);
    backend = lend_counted(measured, DS_VULKAN_PATH_MEASURE, 8192);
    start_engine(backend, measured);
    cr_expect_eq(measured->lines, 1, "the caller remembered it");
    cr_expect_eq(info_of(backend).scatter_max_bytes, 8192);
    cr_expect_eq(info_of(backend).scatter_regions_min, 1);
    ds_vulkan_backend_destroy(&backend);
    backend = lend_counted(measured, DS_VULKAN_PATH_AUTO, 0);
    cr_expect_eq(start_engine(backend, measured), 0, "a lent queue is left alone");
    cr_expect_eq(measured->lines, 1);
    cr_expect_eq(info_of(backend).submit_ns, 0);
    ds_vulkan_backend_destroy(&backend);
}

static void measure_on(void (*change)(struct ds_vulkan_backend_config *config))
{
    struct measured measured = {.vk = vk_util_open(true), .change = change};

    if (measured.vk == NULL || !measured.vk->has_addresses)
        cr_skip_test("no Vulkan device with addresses");
    measure(&measured);
    vk_util_close(&measured.vk);
    cr_assert_eq(vk_util_messages(), 0);
}

Test(scatter, measures_when_asked_and_once)
{
    measure_on(NULL);
}

/* Where mapped destinations are measured as well. */
Test(scatter, measures_beside_another_measurement)
{
    fake_discrete = (struct fake_discrete){.windows = 0};
    measure_on(fake_discrete_lend);
    cr_expect_eq(fake_discrete.windows, 3, "one for each back end: %u", fake_discrete.windows);
}
