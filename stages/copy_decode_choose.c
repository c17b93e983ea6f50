#include "stages/copy_decode_choose.h"

#include "engine/clock.h"
#include "stages/copy_decode_measure.h"

#include <sched.h>
#include <stdio.h>

#define CPU      DS_VULKAN_DECODE_CPU
#define GPU      DS_VULKAN_DECODE_GPU
#define NV       DS_VULKAN_DECODE_NV
#define BALANCED DS_VULKAN_DECODE_BALANCED

#define BY_SHADER "the CPU, and the shader what would wait too long for it"
#define BY_NV     "the CPU, and VK_NV_memory_decompression what would wait too long for it"

static struct decode_choice by_cpu(const char *reason)
{
    return (struct decode_choice){.path = CPU, .reason = reason};
}

struct decode_choice copy_decode_rule(const struct decode_rates *rates)
{
    bool nv = rates->nv > rates->gpu / 100 * DECODE_NV_PERCENT;
    uint64_t best = nv ? rates->nv : rates->gpu;

    if (rates->cpu == 0)
        return by_cpu("the measurement failed");
    if (rates->cpu >= DECODE_ENOUGH_BYTES_PER_S)
        return by_cpu("measured: its threads decode more than a disk brings");
    if (best == 0)
        return by_cpu("the measurement of the GPU failed");
    if (best < rates->cpu / 100 * DECODE_GPU_PERCENT)
        return by_cpu("measured: the GPU would gain too little");
    return (struct decode_choice){
        .path = BALANCED,
        .reason = nv ? "measured: " BY_NV : "measured: " BY_SHADER,
        .nv = nv,
    };
}

/* Measuring ----------------------------------------------------------------------------------- */

/* Those that can run at once. Without threads of its own the decode stage has the engine's. */
static uint32_t useful_threads(uint32_t threads_n)
{
    cpu_set_t mask;
    uint32_t cpus_n = threads_n;

    if (sched_getaffinity(0, sizeof(mask), &mask) == 0)
        cpus_n = (uint32_t)CPU_COUNT(&mask);
    cpus_n = min_u32(threads_n, cpus_n);
    return cpus_n > 0 ? cpus_n : 1;
}

static uint64_t rate_of(struct ds_vulkan_backend *backend, enum ds_vulkan_decode_path path)
{
    return atomic_load_explicit(&backend->decode_rates[path], memory_order_relaxed);
}

static void rate_set(struct ds_vulkan_backend *backend, enum ds_vulkan_decode_path path,
                     uint64_t rate)
{
    atomic_store_explicit(&backend->decode_rates[path], rate, memory_order_relaxed);
}

/* The GPU is left alone where the CPU wins anyhow. */
static bool wants_gpu(struct ds_vulkan_backend *backend, uint32_t threads_n)
{
    uint64_t cpu = rate_of(backend, CPU) * threads_n;

    return !backend->decode_gpu_measured && cpu != 0 &&
           (cpu < DECODE_ENOUGH_BYTES_PER_S || backend->decode_measures_all);
}

static void measure_gpu(struct ds_vulkan_backend *backend, const struct host *host,
                        const struct decode_sample *sample)
{
    bool nv =
        backend->device.gdeflate.nv && (backend->decode_trusted || backend->decode_measures_all);
    struct decode_gpu_rates rates = copy_decode_measure(backend, host, sample, nv);

    rate_set(backend, GPU, rates.gpu);
    rate_set(backend, NV, rates.nv);
    backend->decode_batch_ns[GPU] = rates.gpu_batch_ns;
    backend->decode_batch_ns[NV] = rates.nv_batch_ns;
    backend->decode_gpu_measured = true;
}

/* What is missing. True: something was measured. */
static bool measure(struct ds_vulkan_backend *backend, const struct host *host, uint32_t threads_n)
{
    struct decode_sample *sample;

    if (backend->decode_cpu_measured && !wants_gpu(backend, threads_n))
        return false;
    sample = decode_sample_make(host);
    if (sample != NULL && !backend->decode_cpu_measured)
        rate_set(backend, CPU, decode_sample_cpu_rate(sample));
    if (sample == NULL || rate_of(backend, CPU) == 0)
        host_log(host, DS_LOG_WARNING, "decode: no measurement: %s",
                 sample == NULL ? "no memory" : "the CPU decodes a sample wrong");
    backend->decode_cpu_measured = true;
    if (sample != NULL && wants_gpu(backend, threads_n))
        measure_gpu(backend, host, sample);
    else if (sample == NULL)
        backend->decode_gpu_measured = true;
    decode_sample_free(host, sample);
    return true;
}

/* The rate, or that there is none. */
static const char *rate_text(char text[16], uint64_t rate)
{
    if (rate == 0)
        return "-";
    snprintf(text, 16, "%.1f", (double)rate / 1e9);
    return text;
}

static struct decode_choice choose_by_measuring(struct ds_vulkan_backend *backend,
                                                const struct host *host, uint32_t threads_n)
{
    uint64_t started_ns = clock_now_ns();
    bool measured = measure(backend, host, threads_n);
    uint64_t took_ns = measured ? clock_now_ns() - started_ns : 0;
    struct decode_rates rates = {
        .cpu = rate_of(backend, CPU) * threads_n,
        .gpu = rate_of(backend, GPU),
        .nv = backend->decode_trusted ? rate_of(backend, NV) : 0,
    };
    struct decode_choice choice = copy_decode_rule(&rates);
    char cpu[16], gpu[16], nv[16];

    atomic_fetch_add_explicit(&backend->decode_measure_ns, took_ns, memory_order_relaxed);
    host_log(host, DS_LOG_INFO,
             "decode: GDeflate by %s: %s (GB/s: CPU %s for each of %u threads, shader %s, "
             "VK_NV_memory_decompression %s; measured in %.1f ms)",
             choice.path == CPU ? "the CPU" : "CPU and GPU", choice.reason,
             rate_text(cpu, rate_of(backend, CPU)), threads_n, rate_text(gpu, rates.gpu),
             rate_text(nv, rate_of(backend, NV)), (double)took_ns / 1e6);
    return choice;
}

struct decode_choice copy_decode_choose(struct ds_vulkan_backend *backend, const struct host *host,
                                        uint32_t threads_n, bool may_measure)
{
    struct decode_choice choice = {.path = backend->decode_path, .reason = backend->decode_why};
    uint32_t useful_n = useful_threads(threads_n);

    if (choice.path == DS_VULKAN_DECODE_AUTO && backend->decode_measures && may_measure)
        choice = choose_by_measuring(backend, host, useful_n);
    else if (choice.path == DS_VULKAN_DECODE_AUTO)
        choice = (struct decode_choice){.path = BALANCED, .reason = "not measured: " BY_SHADER};
    balance_init(&choice.balance, backend->decode_backlog_bytes, rate_of(backend, CPU) * useful_n,
                 useful_n, backend->decode_batch_ns[choice.nv ? NV : GPU]);
    return choice;
}
