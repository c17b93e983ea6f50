#include "conformance/mapped_rig.h"

#include "conformance/gpu_end.h"

#include <sys/mman.h>

void mapped_backend(struct mapped_rig *g, const struct ds_vulkan_backend_config *wanted,
                    void (*change)(struct ds_vulkan_backend_config *config))
{
    struct ds_vulkan_backend_config config = *wanted;

    memset(g, 0, sizeof(*g));
    config.struct_size = sizeof(config);
    vk_util_validate();
    g->vk = vk_util_open(true);
    if (g->vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    vk_util_lend(g->vk, &config);
    config.lock_queue = vk_util_lock; /* the tests submit to it, too, where there is but one */
    config.unlock_queue = vk_util_unlock;
    config.lock_ctx = g->vk;
    if (change != NULL)
        change(&config);
    if (ds_vulkan_backend_create(&config, &g->backend) != 0)
        cr_skip_test("no Vulkan device that suits");
    g->info = mapped_info(g);
}

static void keep_lines(void *ctx, enum ds_log_level level, const char *message)
{
    struct mapped_rig *g = ctx;

    (void)level;
    if (strstr(message, "mapped destinations: ") != NULL)
        g->measured++;
    else if (strstr(message, "mapped destinations could not be measured") != NULL)
        g->unmeasured++;
    else if (strstr(message, "gpu_mapped: EFAULT") != NULL)
        g->refused++;
    else
        return;
    fprintf(stderr, "log: %s\n", message);
}

void mapped_start(struct mapped_rig *g, enum ds_topology topology)
{
    rig_open(&g->rig, topology, ds_engine_config(.vulkan = g->backend, .arena_bytes = 2 << 20,
                                                 .chunk_bytes = 64 << 10, .decode_threads = 2,
                                                 .custom_codecs = 1, .log = keep_lines,
                                                 .log_ctx = g, .log_level = DS_LOG_INFO));
    cr_assert_eq(ds_file_open(g->rig.engine, g->rig.path,
                              ds_file_config(.direct = DS_DIRECT_OFF), &g->buffered), 0);
    vk_util_buffer(g->vk, RIG_FILE_BYTES, 0, true, &g->buffer);
    memset(g->buffer.mapped, MAPPED_FILL, RIG_FILE_BYTES);
    g->semaphore = vk_util_timeline(g->vk, 0);
    g->shadow = mmap(NULL, RIG_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0);
    cr_assert_neq(g->shadow, MAP_FAILED);
    memset(g->shadow, MAPPED_FILL, RIG_FILE_BYTES);
}

void mapped_open(struct mapped_rig *g, enum ds_topology topology, enum ds_vulkan_mapped_path path,
                 uint64_t mapped_max_bytes)
{
    mapped_backend(g, &(struct ds_vulkan_backend_config){.mapped_path = path,
                                                         .mapped_max_bytes = mapped_max_bytes},
                   NULL);
    mapped_start(g, topology);
}

void mapped_close(struct mapped_rig *g)
{
    ds_file_close(&g->buffered);
    gpu_end(&g->rig, &g->vk, &g->backend, &g->buffer, g->semaphore);
    munmap(g->shadow, RIG_FILE_BYTES);
}

struct ds_request mapped_request(const struct mapped_rig *g, struct ds_file *file, void *mapped,
                                 uint64_t offset, uint64_t bytes)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request), .file = file,
                               .offset = offset, .size = bytes, .fd = -1,
                               .gpu_buffer = ds_vulkan_buffer(g->buffer.buffer),
                               .gpu_offset = offset, .gpu_buffer_bytes = RIG_FILE_BYTES,
                               .gpu_mapped = mapped};
}

struct ds_result mapped_ask(struct mapped_rig *g, const struct ds_request *request)
{
    struct ds_result result;

    rig_enqueue(g->rig.queue, request);
    ds_queue_submit(g->rig.queue);
    rig_results(g->rig.queue, &result, 1);
    return result;
}

bool mapped_untouched(const uint8_t *bytes, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (bytes[i] != MAPPED_FILL)
            return false;
    }
    return true;
}

struct ds_vulkan_info mapped_info(const struct mapped_rig *g)
{
    struct ds_vulkan_info info = {.struct_size = sizeof(info)};

    cr_assert_eq(ds_vulkan_backend_get_info(g->backend, &info), 0);
    return info;
}

struct ds_counters mapped_counters(const struct mapped_rig *g)
{
    struct ds_counters counters = {.struct_size = sizeof(counters)};

    cr_assert_eq(ds_engine_get_counters(g->rig.engine, &counters), 0);
    return counters;
}
