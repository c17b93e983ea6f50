/* Destinations that are mapped on a GPU behind a bus: what is measured, when, and what follows from
 * it. The device is pretended; the figures are given where the choice depends on them. */
#include "conformance/custom_app.h"
#include "conformance/mapped_rig.h"
#include "conformance/packed.h"
#include "gpu/fake_discrete.h"

#include "engine/vulkan/backend.h"
#include "stages/copy_mapped_measure.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* A back end of the pretended device. */
#define BACKEND(g, ...)                                                                            \
    mapped_backend(g, &(struct ds_vulkan_backend_config){__VA_ARGS__}, fake_discrete_lend)

/* To write to the mapping takes as long as to staging; twice as long. */
static const struct mapped_figures cheap = {.mapping_ns = 100000, .staging_ns = 100000};
static const struct mapped_figures dear = {.mapping_ns = 200000, .staging_ns = 100000};
/* As dear, and a submission as long as the difference for 64 KiB. */
static const struct mapped_figures dear_submit = {200000, 100000, 100000 / 16};

/* A rig whose back end was measured to have these figures. */
static void open_with(struct mapped_rig *g, enum ds_topology topology,
                      const struct mapped_figures *figures)
{
    fake_discrete = (struct fake_discrete){.windows = 0};
    BACKEND(g, .decode_path = DS_VULKAN_DECODE_CPU);
    cr_assert(g->backend->mapped_measures);
    vulkan_backend_mapped_measured(g->backend, figures);
    mapped_start(g, topology);
    cr_assert_eq(fake_discrete.windows, 0, "it was measured again");
}

/* Does a request go straight into its mapping? It arrives in any case. */
static bool goes_straight(struct mapped_rig *g, struct ds_request request)
{
    const uint8_t *content = request.source != NULL ? request.source
                                                    : g->rig.content + request.offset;
    uint64_t at = request.gpu_offset, before = mapped_counters(g).mapped_bytes;
    bool straight;

    cr_assert_eq(mapped_ask(g, &request).status, DS_STATUS_OK);
    straight = !mapped_untouched(g->shadow + at, request.size);
    cr_assert_arr_eq((straight ? g->shadow : g->buffer.mapped) + at, content, request.size);
    memset((straight ? g->shadow : g->buffer.mapped) + at, MAPPED_FILL, request.size);
    cr_assert(mapped_untouched(g->shadow, RIG_FILE_BYTES));
    cr_assert(mapped_untouched(g->buffer.mapped, RIG_FILE_BYTES));
    cr_assert_eq(mapped_counters(g).mapped_bytes - before, straight ? request.size : 0);
    return straight;
}

static struct ds_request buffered(const struct mapped_rig *g, uint64_t bytes)
{
    return mapped_request(g, g->buffered, g->shadow, 12345, bytes);
}

static struct ds_request from_memory(const struct mapped_rig *g, uint64_t bytes)
{
    struct ds_request request = mapped_request(g, NULL, g->shadow, 54321, bytes);

    request.source = g->rig.content + 777;
    request.offset = 0;
    return request;
}

/* The measurement ----------------------------------------------------------------------------- */

static void demand_the_rule(const struct mapped_rig *g)
{
    struct ds_vulkan_info info = mapped_info(g);
    struct mapped_figures figures = {info.mapping_write_ns, info.staging_write_ns, info.submit_ns};
    struct mapped_limits limits = mapped_rule(&figures, g->backend->batch_bytes_max);

    cr_assert_str_eq(info.mapped_reason, "measured");
    cr_assert(figures.mapping_ns > 0 && figures.staging_ns > 0);
    cr_assert_eq(info.mapped_max_bytes, limits.max_bytes);
    cr_assert_eq(info.mapped_alone_max_bytes, limits.alone_max_bytes);
    cr_assert(!info.mapped_direct && !info.mapped_decodes);
}

/* By the first engine of a back end, whatever comes of it here. */
Test(mapped_discrete, measures_once_and_goes_by_the_rule)
{
    struct ds_vulkan_info before;
    struct mapped_rig g;
    struct ds_counters counters;
    uint64_t most;

    fake_discrete = (struct fake_discrete){.windows = 0};
    BACKEND(&g, .batch_regions_max = 16);
    cr_assert(!g.info.unified_memory);
    cr_assert_eq(g.info.mapped_max_bytes + g.info.mapped_alone_max_bytes, 0);
    cr_assert_str_eq(g.info.mapped_reason, "not measured yet");
    mapped_start(&g, DS_TOPOLOGY_SHARED);
    cr_assert(fake_discrete.windows == 1 && g.measured == 1 && g.unmeasured == 0);
    demand_the_rule(&g);
    before = mapped_info(&g);
    cr_assert_eq(before.submit_ns, 0, "a lent queue is left alone");
    counters = mapped_counters(&g);
    cr_assert(counters.mapping_write_ns == before.mapping_write_ns &&
              counters.staging_write_ns == before.staging_write_ns &&
              counters.mapped_max_bytes == before.mapped_max_bytes &&
              counters.mapped_alone_max_bytes == before.mapped_alone_max_bytes);
    most = before.mapped_max_bytes;
    cr_assert_eq(goes_straight(&g, buffered(&g, 300001)), most == UINT64_MAX);
    ds_queue_destroy(&g.rig.queue);
    cr_assert_eq(ds_engine_set_arena_bytes(g.rig.engine, 4 << 20), 0);
    g.rig.queue = rig_queue(&g.rig, NULL);
    cr_assert(fake_discrete.windows == 1 && g.measured == 1, "the result is kept");
    cr_assert_eq(mapped_info(&g).mapping_write_ns, before.mapping_write_ns);
    cr_assert_eq(goes_straight(&g, buffered(&g, 300001)), most == UINT64_MAX);
    mapped_close(&g);
}

/* A submission is timed where the copies are, too. */
Test(mapped_discrete, measures_submissions_where_it_may)
{
    struct mapped_rig g;

    fake_discrete = (struct fake_discrete){.windows = 0};
    BACKEND(&g, .copy_path = DS_VULKAN_PATH_MEASURE);
    mapped_start(&g, DS_TOPOLOGY_SHARED);
    cr_assert_eq(g.measured, 1);
    demand_the_rule(&g);
    cr_assert_gt(mapped_info(&g).submit_ns, 0);
    cr_assert_eq(mapped_counters(&g).submit_ns, mapped_info(&g).submit_ns);
    mapped_close(&g);
}

static void is_not_measured(enum ds_vulkan_mapped_path path, uint64_t most, uint64_t expected,
                            const char *reason)
{
    struct mapped_rig g;
    struct ds_vulkan_info info;

    BACKEND(&g, .mapped_path = path, .mapped_max_bytes = most);
    mapped_start(&g, DS_TOPOLOGY_SHARED);
    info = mapped_info(&g);
    cr_assert_eq(info.mapped_max_bytes, expected);
    cr_assert_eq(info.mapped_alone_max_bytes, expected);
    cr_assert_str_eq(info.mapped_reason, reason);
    cr_assert_eq(info.mapping_write_ns + info.staging_write_ns + info.submit_ns, 0);
    cr_assert_eq(fake_discrete.windows + g.measured + g.unmeasured, 0, "it was measured");
    cr_assert_eq(goes_straight(&g, buffered(&g, 1000)), expected >= 1000);
    cr_assert_eq(goes_straight(&g, from_memory(&g, 1001)), expected > 1000);
    mapped_close(&g);
}

Test(mapped_discrete, what_was_asked_for_is_not_measured)
{
    fake_discrete = (struct fake_discrete){.windows = 0};
    is_not_measured(DS_VULKAN_MAPPED_NEVER, 0, 0, "asked for");
    is_not_measured(DS_VULKAN_MAPPED_ALWAYS, 0, UINT64_MAX, "asked for");
    is_not_measured(DS_VULKAN_MAPPED_AUTO, 1000, 1000, "asked for");
}

Test(mapped_discrete, without_such_memory_there_is_nothing_to_measure)
{
    fake_discrete = (struct fake_discrete){.no_window = true};
    is_not_measured(DS_VULKAN_MAPPED_AUTO, 0, 0, "none of its memory can be mapped");
}

Test(mapped_discrete, unified_memory_is_not_measured)
{
    struct mapped_rig g;

    mapped_open(&g, DS_TOPOLOGY_SHARED, DS_VULKAN_MAPPED_AUTO, 0);
    if (!g.info.unified_memory)
        cr_skip_test("the device is discrete");
    cr_assert_eq(g.info.mapped_max_bytes, UINT64_MAX);
    cr_assert_str_eq(g.info.mapped_reason, "unified memory");
    cr_assert_eq(g.measured + g.unmeasured, 0);
    cr_assert(goes_straight(&g, buffered(&g, 300001)));
    mapped_close(&g);
}

/* What goes wrong is no failure of the engine's: all goes by way of staging. */
static void measuring_fails(void)
{
    struct mapped_rig g;
    struct ds_vulkan_info info;

    BACKEND(&g, .batch_regions_max = 16);
    mapped_start(&g, DS_TOPOLOGY_SHARED);
    info = mapped_info(&g);
    cr_assert_str_eq(info.mapped_reason, "could not be measured");
    cr_assert_eq(info.mapped_max_bytes + info.mapped_alone_max_bytes, 0);
    cr_assert_eq(info.mapping_write_ns + info.staging_write_ns + info.submit_ns, 0);
    cr_assert(fake_discrete.windows == 1 && g.measured == 0 && g.unmeasured == 1);
    cr_assert_not(goes_straight(&g, buffered(&g, 4096)));
    cr_assert_not(goes_straight(&g, from_memory(&g, 300001)));
    mapped_close(&g);
}

Test(mapped_discrete, no_memory_to_measure_with)
{
    fake_discrete = (struct fake_discrete){.refuse_allocate = true};
    measuring_fails();
    fake_discrete = (struct fake_discrete){.refuse_map = true};
    measuring_fails();
}

/* The kernel refuses to copy there: so it would for every read. */
Test(mapped_discrete, memory_that_the_kernel_cannot_write)
{
    enum { BYTES = 4 << 20 };
    void *nothing = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(nothing, MAP_FAILED);
    fake_discrete = (struct fake_discrete){.map_as = nothing};
    measuring_fails();
    munmap(nothing, BYTES);
}

static struct rlimit file_limit;

static void limit_files(void)
{
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &file_limit), 0);
}

static void keep_last(void *ctx, enum ds_log_level level, const char *message)
{
    (void)level;
    snprintf(ctx, 256, "%s", message);
}

/* The measurement's file would grow beyond what files may have: that comes with a signal, whose
 * default is the end of the process. The driver's own files are there when the limit is set. */
static void measure_below(struct mapped_rig *g, rlim_t most, const char *reason, const char *words)
{
    struct staging staging;
    struct rlimit before;
    char last[256] = "";
    struct host host;

    signal(SIGXFSZ, SIG_DFL);
    host_init(&host, NULL, keep_last, last, DS_LOG_INFO);
    cr_assert_eq(staging_map(&staging, 2 << 20), 0);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    file_limit = (struct rlimit){most, before.rlim_max};
    copy_mapped_measure(g->backend, &host, &staging);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_expect_str_eq(mapped_info(g).mapped_reason, reason);
    cr_expect_not_null(strstr(last, words), "%s", last);
    staging_unmap(&staging);
}

Test(mapped_discrete, a_limit_on_the_size_of_files)
{
    struct mapped_rig g;

    fake_discrete = (struct fake_discrete){.when_mapped = limit_files};
    BACKEND(&g, .batch_regions_max = 16);
    measure_below(&g, (4 << 20) - 1, "could not be measured", strerror(EFBIG));
    measure_below(&g, 4096, "could not be measured", "requests go by way of staging");
    measure_below(&g, 4 << 20, "measured", "measured in");
    cr_assert_eq(fake_discrete.windows, 3);
    ds_vulkan_backend_destroy(&g.backend);
    vk_util_close(&g.vk);
    cr_assert_eq(vk_util_messages(), 0);
}

/* The choice ---------------------------------------------------------------------------------- */

RIG_TEST(mapped_discrete, all_go_straight_where_that_is_cheap)
{
    struct ds_file_info file = {.struct_size = sizeof(file)};
    struct mapped_rig g;

    open_with(&g, topology, &cheap);
    cr_assert(goes_straight(&g, buffered(&g, 1)));
    cr_assert(goes_straight(&g, buffered(&g, 800001)));
    cr_assert(goes_straight(&g, from_memory(&g, 300001)));
    cr_assert_eq(mapped_counters(&g).stages[DS_STAGE_COPY].batches, 0);
    /* O_DIRECT cannot, and is not tried, though it would succeed in this memory. */
    cr_assert_eq(ds_file_get_info(g.rig.file, &file), 0);
    if (file.direct)
        cr_assert_not(goes_straight(&g, mapped_request(&g, g.rig.file, g.shadow, 65536, 131072)));
    else
        fprintf(stderr, "skipped: no O_DIRECT in /var/tmp: %s\n", file.direct_reason);
    cr_assert_eq(g.refused, 0);
    mapped_close(&g);
}

RIG_TEST(mapped_discrete, none_go_straight_where_that_is_dear)
{
    struct mapped_rig g;

    open_with(&g, topology, &dear);
    cr_assert_not(goes_straight(&g, buffered(&g, 1)));
    cr_assert_not(goes_straight(&g, buffered(&g, 800001)));
    cr_assert_not(goes_straight(&g, from_memory(&g, 4096)));
    mapped_close(&g);
}

/* Whoever is alone spares a submission, which is worth 64 KiB. */
RIG_TEST(mapped_discrete, one_alone_goes_straight_up_to_a_size)
{
    enum { LIMIT = 65536 };
    struct mapped_rig g;
    struct ds_result result;

    open_with(&g, topology, &dear_submit);
    cr_assert_eq(mapped_info(&g).mapped_max_bytes, 0);
    cr_assert_eq(mapped_info(&g).mapped_alone_max_bytes, LIMIT);
    /* the chunk of the one before it may still be on its way back */
    rig_until(&g.rig, goes_straight(&g, buffered(&g, LIMIT)));
    rig_until(&g.rig, goes_straight(&g, from_memory(&g, 1)));
    cr_assert_not(goes_straight(&g, buffered(&g, LIMIT + 1)));
    cr_assert_eq(ds_queue_enqueue_signal(g.rig.queue, ds_vulkan_semaphore(g.semaphore), 1, 0), 0);
    ds_queue_submit(g.rig.queue);
    rig_results(g.rig.queue, &result, 1);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_not(goes_straight(&g, buffered(&g, 100)), "there is a submission for the signal");
    mapped_close(&g);
}

/* Codecs -------------------------------------------------------------------------------------- */

/* Decoders read what they have written: nothing of theirs is in the mapping before it is done. */
static void decoded_elsewhere(struct mapped_rig *g, enum ds_codec_format format, uint32_t i)
{
    uint64_t bytes = 200000 + i, at = 1001 + i;
    struct ds_request request;
    struct packed p;

    if (!packed_make(&p, format, i % 2 == 0 ? DS_CODEC_TRANSFORM_NONE : DS_CODEC_TRANSFORM_BC1,
                     bytes - bytes % 8, i))
        return;
    request = packed_request(&p, NULL);
    request.gpu_buffer = ds_vulkan_buffer(g->buffer.buffer);
    request.gpu_offset = at;
    request.gpu_mapped = g->shadow;
    cr_assert_eq(mapped_ask(g, &request).status, DS_STATUS_OK);
    cr_assert_arr_eq(g->buffer.mapped + at, p.plain, p.plain_bytes);
    cr_assert(mapped_untouched(g->shadow, RIG_FILE_BYTES), "it was decoded in the mapping");
    packed_free(&p);
}

static void custom_elsewhere(struct mapped_rig *g)
{
    struct ds_request request = custom_app_read(&g->rig, APP_XOR, 100, 5000, NULL, 1);
    struct ds_custom_request item;
    struct ds_result result;

    request.gpu_buffer = ds_vulkan_buffer(g->buffer.buffer);
    request.gpu_mapped = g->shadow;
    rig_enqueue(g->rig.queue, &request);
    ds_queue_submit(g->rig.queue);
    custom_app_take(&g->rig, DS_CUSTOM_SELECT_ALL, &item, 1);
    cr_assert((uint8_t *)item.destination + item.destination_bytes <= g->shadow ||
              (uint8_t *)item.destination >= g->shadow + RIG_FILE_BYTES);
    custom_app_finish(&g->rig, &item, 1);
    rig_results(g->rig.queue, &result, 1);
    cr_assert_eq(result.status, DS_STATUS_OK);
    cr_assert(mapped_untouched(g->shadow, RIG_FILE_BYTES));
}

static void decode_all(struct mapped_rig *g)
{
    static const enum ds_codec_format formats[] = {DS_CODEC_GDEFLATE, DS_CODEC_ZSTD, DS_CODEC_LZ4};

    cr_assert_not(mapped_info(g).mapped_decodes);
    for (uint32_t i = 0; i < 2 * ARRAY_LENGTH(formats); i++)
        decoded_elsewhere(g, formats[i / 2], i);
    custom_elsewhere(g);
    cr_assert_eq(mapped_counters(g).mapped_bytes, 0);
    mapped_close(g);
}

RIG_TEST(mapped_discrete, nothing_is_decoded_in_a_mapping)
{
    struct mapped_rig g;

    open_with(&g, topology, &cheap);
    cr_assert_eq(mapped_info(&g).mapped_max_bytes, UINT64_MAX);
    decode_all(&g);
    fake_discrete = (struct fake_discrete){.windows = 0};
    BACKEND(&g, .decode_path = DS_VULKAN_DECODE_CPU, .mapped_path = DS_VULKAN_MAPPED_ALWAYS);
    mapped_start(&g, topology);
    decode_all(&g);
}
