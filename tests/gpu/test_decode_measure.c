/* Who decodes GDeflate where nobody has said so: what is measured decides, once for a back end. On
 * software that plays a GPU, with rates of the test's. */
#include "engine/codec/gdeflate_encode.h"
#include "gpu/decode_measure_rig.h"
#include "gpu/shader_nv.h"
#include "stages/copy_decode_choose.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES (8u * 65536u) /* of 1 MiB of scratch memory */
#define SECOND_NS   1000000000u
#define NEVER_NS    (1000ull * SECOND_NS) /* slower than any CPU, whatever watches it */

static uint64_t rate(uint64_t batch_ns)
{
    return BATCH_BYTES * (uint64_t)SECOND_NS / batch_ns;
}

static bool nearly(uint64_t a, uint64_t b)
{
    return a / 1000 == b / 1000 || (a > b ? a - b : b - a) < b / 1000;
}

/* The CPU's rate, as if it had been measured. */
static void cpu_rate_set(struct measure_rig *rig, uint64_t bytes_per_s)
{
    rig->backend->decode_cpu_measured = true;
    rig->backend->decode_rates[DS_VULKAN_DECODE_CPU] = bytes_per_s;
}

static void expect_path(const struct measure_rig *rig, enum ds_vulkan_decode_path path)
{
    static const char *const kinds[] = {"", "cpu", "gpu", "nv", "", "balanced"};

    cr_expect_str_eq(rig->info.decode_kind, kinds[path], "%s", rig->info.decode_reason);
    cr_expect_eq(rig->vulkan.decode_path, path);
}

Test(decode_measure, the_faster_one_decodes_and_is_measured_once)
{
    struct measure_rig rig;
    uint64_t took_ns;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    rig.vulkan.struct_size = sizeof(rig.vulkan);
    cr_assert_eq(ds_vulkan_backend_get_info(rig.backend, &rig.vulkan), 0);
    cr_expect_eq(rig.vulkan.decode_path, DS_VULKAN_DECODE_AUTO, "no engine has chosen");
    cr_assert_eq(measure_rig_engine(&rig, 1, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_BALANCED);
    cr_expect_eq(fake.submits, 1);
    cr_expect_eq(rig.measured, 1);
    cr_expect_neq(strstr(rig.line, "GDeflate by CPU and GPU"), NULL, "%s", rig.line);
    cr_expect(nearly(rig.vulkan.decode_gpu_bytes_per_s, rate(fake.gpu_ns)));
    cr_expect_gt(rig.vulkan.decode_cpu_bytes_per_s, 0);
    cr_expect_eq(rig.vulkan.decode_nv_bytes_per_s, 0);
    took_ns = rig.vulkan.decode_measure_ns;
    cr_expect_gt(took_ns, 0);
    cr_expect_eq(rig.counters.decode_measure_ns, took_ns);
    cr_expect_eq(measure_rig_decode(&rig, true), DS_STATUS_OK);
    measure_rig_engine_close(&rig);

    fake.gpu_ns = NEVER_NS;
    cr_assert_eq(measure_rig_engine(&rig, DS_DECODE_INLINE, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_BALANCED);
    cr_expect_eq(fake.submits, 0, "it was known");
    cr_expect_eq(rig.counters.decode_measure_ns, took_ns);
    measure_rig_close(&rig);
}

Test(decode_measure, a_slow_gpu_leaves_it_to_the_cpu)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.gpu_ns = NEVER_NS;
    cr_assert_eq(measure_rig_engine(&rig, 1, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_CPU);
    cr_expect_eq(fake.submits, 1);
    cr_expect_eq(rig.warnings, 0);
    cr_expect(nearly(rig.vulkan.decode_gpu_bytes_per_s, rate(NEVER_NS)));
    cr_expect_neq(strstr(rig.line, "GDeflate by the CPU"), NULL, "%s", rig.line);
    cr_expect_eq(measure_rig_decode(&rig, false), DS_STATUS_OK);
    measure_rig_close(&rig);
}

/* 16 tiles, then twice as many if there is time for them: 20 ms all told. */
static void run_batches(uint64_t batch_ns, uint32_t batches, uint32_t tiles)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    rig.backend->decode_scratch_bytes = 4 << 20;
    fake.gpu_ns = batch_ns;
    cr_assert_eq(measure_rig_engine(&rig, 1, NULL), 0);
    cr_expect_eq(fake.submits, batches);
    cr_expect(nearly(rig.vulkan.decode_gpu_bytes_per_s, rate(batch_ns) / 8 * tiles));
    measure_rig_close(&rig);
}

Test(decode_measure, batches_grow_while_there_is_time)
{
    run_batches(6000000, 2, 32);
}

Test(decode_measure, batches_do_not_grow_beyond_it)
{
    run_batches(7000000, 1, 16);
}

/* The rates are the back end's, the choice is each engine's. */
Test(decode_measure, each_engine_chooses_anew)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    cpu_rate_set(&rig, DECODE_ENOUGH_BYTES_PER_S / 2 - 1);
    fake.gpu_ns = BATCH_BYTES * (uint64_t)SECOND_NS / (DECODE_ENOUGH_BYTES_PER_S * 5 / 4);
    cr_assert_eq(measure_rig_engine(&rig, 1, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_BALANCED);
    measure_rig_engine_close(&rig);
    cpu_rate_set(&rig, DECODE_ENOUGH_BYTES_PER_S);
    cr_assert_eq(measure_rig_engine(&rig, 1, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_CPU);
    cr_expect_neq(strstr(rig.info.decode_reason, "more than a disk brings"), NULL, "%s",
                  rig.info.decode_reason);
    measure_rig_close(&rig);
}

/* Where the queue family has no timestamps the time of a submission is taken. Which of them wins
 * here is for this machine to say; it must be what the rule makes of the rates. */
Test(decode_measure, without_timestamps)
{
    struct decode_rates rates;
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.no_timestamps = true;
    cr_assert_eq(measure_rig_engine(&rig, DS_DECODE_INLINE, NULL), 0);
    cr_expect_eq(fake.submits, 1);
    rates = (struct decode_rates){.cpu = rig.vulkan.decode_cpu_bytes_per_s,
                                  .gpu = rig.vulkan.decode_gpu_bytes_per_s};
    cr_expect_gt(rates.gpu, 0);
    cr_expect_lt(rates.gpu, rate(fake.gpu_ns), "nobody has asked the timestamps");
    expect_path(&rig, copy_decode_rule(&rates).path);
    measure_rig_close(&rig);
}

/* VK_NV_memory_decompression ------------------------------------------------------------------ */

static void run_nv(bool trusted, uint64_t gpu_ns, uint64_t nv_ns, bool by_nv)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, trusted);
    if (!shader_nv_install(rig.vk, rig.backend))
        cr_skip_test("no software device, on which the stand-in works");
    fake.gpu_ns = gpu_ns;
    fake.nv_ns = nv_ns;
    cr_assert_eq(measure_rig_engine(&rig, 1, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_BALANCED);
    cr_expect_eq(strstr(rig.info.decode_reason, "VK_NV_memory_decompression") != NULL, by_nv, "%s",
                 rig.info.decode_reason);
    cr_expect_eq(ds_engine_decode_support(rig.engine, DS_CODEC_GDEFLATE) & 3,
                 by_nv ? DS_DECODE_GPU_OPTIMIZED : DS_DECODE_GPU_FALLBACK);
    cr_expect_eq(fake.submits, 2);
    cr_expect(nearly(rig.vulkan.decode_gpu_bytes_per_s, rate(gpu_ns)));
    cr_expect(nearly(rig.vulkan.decode_nv_bytes_per_s, rate(nv_ns)), "it is told in any case");
    measure_rig_engine_close(&rig);
    rig.vk->DeviceWaitIdle(rig.vk->device);
    shader_nv_remove(rig.vk, rig.backend);
    measure_rig_close(&rig);
}

Test(decode_measure, the_extension_when_data_is_trusted)
{
    run_nv(true, 130, 100, true);
}

Test(decode_measure, not_the_extension_for_a_little)
{
    run_nv(true, 120, 100, false);
}

Test(decode_measure, not_the_extension_for_data_that_may_be_damaged)
{
    run_nv(false, 1000, 1, false);
}

/* Where nothing is measured ------------------------------------------------------------------- */

static void expect_unmeasured(struct measure_rig *rig, uint32_t threads,
                              enum ds_vulkan_decode_path path)
{
    cr_assert_eq(measure_rig_engine(rig, threads, NULL), 0);
    expect_path(rig, path);
    cr_expect_eq(rig->measured, 0);
    cr_expect_eq(rig->warnings, 0);
    cr_expect_eq(fake.submits, 0);
    cr_expect_eq(rig->vulkan.decode_cpu_bytes_per_s, 0);
    cr_expect_eq(rig->counters.decode_measure_ns, 0);
    measure_rig_engine_close(rig);
}

static void run_forced(enum ds_vulkan_decode_path path)
{
    struct measure_rig rig;

    measure_rig_open(&rig, path, true);
    measure_rig_pretend(&rig, true, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    expect_unmeasured(&rig, 1, path);
    cr_expect_str_eq(rig.info.decode_reason, "asked for");
    measure_rig_close(&rig);
}

Test(decode_measure, not_when_the_cpu_was_asked_for)
{
    run_forced(DS_VULKAN_DECODE_CPU);
}

Test(decode_measure, not_when_the_shader_was_asked_for)
{
    run_forced(DS_VULKAN_DECODE_GPU);
}

Test(decode_measure, not_when_both_were_asked_for)
{
    run_forced(DS_VULKAN_DECODE_BALANCED);
}

/* AUTO: own devices that are no software, and whose queue the engine may use. */
Test(decode_measure, automatically_on_own_hardware_alone)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_AUTO, false);
    measure_rig_pretend(&rig, true, VK_PHYSICAL_DEVICE_TYPE_CPU);
    expect_unmeasured(&rig, 1, DS_VULKAN_DECODE_CPU);
    cr_expect_str_eq(rig.info.decode_reason, "a software device");
    measure_rig_pretend(&rig, false, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    expect_unmeasured(&rig, 4, DS_VULKAN_DECODE_BALANCED);
    cr_expect_neq(strstr(rig.info.decode_reason, "not measured"), NULL);
    rig.backend->queue_mode = DS_VULKAN_QUEUE_MANUAL;
    measure_rig_pretend(&rig, true, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    expect_unmeasured(&rig, 4, DS_VULKAN_DECODE_BALANCED);
    rig.backend->queue_mode = DS_VULKAN_QUEUE_LOCKED;
    measure_rig_pretend(&rig, true, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    cr_assert_eq(measure_rig_engine(&rig, 4, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_BALANCED);
    cr_expect_eq(rig.measured, 1);
    measure_rig_close(&rig);
}

/* AUTO asks the GPU only where its answer matters, MEASURE in any case. */
Test(decode_measure, the_gpu_is_left_alone_where_the_cpu_suffices)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_AUTO, false);
    measure_rig_pretend(&rig, true, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU);
    cpu_rate_set(&rig, DECODE_ENOUGH_BYTES_PER_S);
    cr_assert_eq(measure_rig_engine(&rig, 1, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_CPU);
    cr_expect_eq(fake.submits, 0);
    measure_rig_engine_close(&rig);
    rig.config.decode_path = DS_VULKAN_DECODE_MEASURE;
    measure_rig_pretend(&rig, false, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU);
    cr_assert_eq(measure_rig_engine(&rig, 1, NULL), 0);
    expect_path(&rig, DS_VULKAN_DECODE_CPU);
    cr_expect_eq(fake.submits, 1);
    cr_expect_gt(rig.vulkan.decode_gpu_bytes_per_s, 0);
    measure_rig_close(&rig);
}

Test(decode_measure, not_on_a_queue_that_the_host_submits_to)
{
    struct ds_vulkan_backend *backend = NULL;
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    rig.config.queue_mode = DS_VULKAN_QUEUE_MANUAL;
    cr_expect_eq(ds_vulkan_backend_create(&rig.config, &backend), -EINVAL);
    measure_rig_close(&rig);
}

/* Failures ------------------------------------------------------------------------------------ */

static void expect_fallback(struct measure_rig *rig)
{
    cr_assert_eq(measure_rig_engine(rig, 1, NULL), 0);
    expect_path(rig, DS_VULKAN_DECODE_CPU);
    cr_expect_gt(rig->warnings, 0);
    cr_expect_neq(strstr(rig->info.decode_reason, "failed"), NULL, "%s", rig->info.decode_reason);
    cr_expect_eq(rig->vulkan.decode_gpu_bytes_per_s, 0);
    cr_expect_gt(rig->vulkan.decode_cpu_bytes_per_s, 0);
}

static void fallback_close(struct measure_rig *rig)
{
    measure_rig_engine_close(rig);
    fake = (struct fake){.gpu_ns = 1};
    cr_assert_eq(measure_rig_engine(rig, 1, NULL), 0);
    expect_path(rig, DS_VULKAN_DECODE_CPU);
    cr_expect_eq(fake.submits, 0, "it is not tried again");
    cr_expect_eq(measure_rig_decode(rig, false), DS_STATUS_OK);
    measure_rig_close(rig);
}

Test(decode_measure, no_memory_for_the_first_buffer)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.fail_allocation = 1;
    expect_fallback(&rig);
    cr_expect_eq(fake.allocations, 1);
    fallback_close(&rig);
}

Test(decode_measure, no_memory_for_the_second_buffer)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.fail_allocation = 2;
    expect_fallback(&rig);
    cr_expect_eq(fake.allocations, 2);
    fallback_close(&rig);
}

Test(decode_measure, no_memory_for_the_decoder)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.fail_allocation = 4;
    expect_fallback(&rig);
    cr_expect_eq(fake.allocations, 4);
    fallback_close(&rig);
}

static uint32_t refused;

static void *memory_alloc(void *ctx, size_t bytes, size_t align)
{
    void *found = NULL;

    (void)ctx;
    if (bytes == encoder_bytes()) {
        refused++;
        return NULL;
    }
    return posix_memalign(&found, align < sizeof(void *) ? sizeof(void *) : align, bytes) == 0
               ? found
               : NULL;
}

static void memory_free(void *ctx, void *pointer, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free(pointer);
}

Test(decode_measure, no_memory_for_the_encoder)
{
    const struct ds_allocator allocator = {.alloc = memory_alloc, .free = memory_free};
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    cr_assert_eq(measure_rig_engine(&rig, 1, &allocator), 0);
    cr_expect_eq(refused, 1);
    expect_path(&rig, DS_VULKAN_DECODE_CPU);
    cr_expect_gt(rig.warnings, 0);
    cr_expect_eq(fake.submits, 0);
    measure_rig_close(&rig);
}

Test(decode_measure, a_gpu_that_does_not_decode_wins_nothing)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.skip_dispatches = true;
    expect_fallback(&rig);
    cr_expect_gt(fake.dispatches, 0);
    fallback_close(&rig);
}

Test(decode_measure, a_gpu_that_does_not_end_is_given_up)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.never_ends = true;
    expect_fallback(&rig);
    cr_expect_eq(fake.submits, 1);
    fallback_close(&rig);
}

Test(decode_measure, a_refused_submission)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.submit_result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    expect_fallback(&rig);
    fallback_close(&rig);
}

/* The engine starts, and tells of the loss as it does of any. */
Test(decode_measure, a_device_that_is_lost)
{
    struct measure_rig rig;

    measure_rig_open(&rig, DS_VULKAN_DECODE_MEASURE, false);
    fake.submit_result = VK_ERROR_DEVICE_LOST;
    expect_fallback(&rig);
    cr_expect(rig.lost);
    cr_expect_eq(measure_rig_decode(&rig, false), DS_STATUS_DEVICE_LOST);
    measure_rig_close(&rig);
}
