/* Times both ways at a few sizes of region, from small to large. */
#include "stages/copy_measure.h"

#include "engine/clock.h"
#include "stages/copy_trial.h"

#include <stdio.h>
#include <string.h>

#define SCRATCH_BYTES ((uint64_t)8 << 20)
#define REGIONS_MAX 512u       /* of the smallest ones copy commands take milliseconds otherwise */
#define REPEATS 2
#define REPEATS_FEW 5          /* for a few regions: there a microsecond counts */
#define REGIONS_FEW_MAX 16u
#define GAIN_PERCENT 5         /* below that the copy engines are left the work */
#define FALLBACK_BYTES 65536u

static const uint32_t sizes[] = {4u << 10, 16u << 10, 64u << 10, 128u << 10, 256u << 10};

struct measure {
    struct copy_recorder *recorder;
    struct vulkan_buffer scratch;
    struct copy_trial trial;
    uint64_t bytes;     /* of the scratch memory and of the staging that are used */
    uint64_t started_ns;
};

/* What is copied in a trial. */
struct regions {
    struct measure *m;
    uint32_t bytes, n;
    bool shader;
};

/* n regions from one place after the other to places in another order. n is a power of two, so that
 * an odd stride reaches them all. */
static void record_regions(void *ctx, VkCommandBuffer commands)
{
    const struct regions *regions = ctx;
    const struct vulkan_buffer *scratch = &regions->m->scratch;
    struct copy_recorder *recorder = regions->m->recorder;
    uint32_t n = regions->n, bytes = regions->bytes;

    if (regions->shader)
        vulkan_scatter_begin(&recorder->scatter, 0);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t from = (uint64_t)i * bytes;
        uint64_t to = (uint64_t)(i * 37u % n) * bytes;

        if (regions->shader)
            vulkan_scatter_add(&recorder->scatter, recorder->staging->address + from,
                               scratch->address + to, bytes);
        else
            recorder->copies[i] = (VkBufferCopy){from, to, bytes};
    }
    if (regions->shader)
        vulkan_scatter_record(&recorder->scatter, commands);
    else
        recorder->vk->CmdCopyBuffer(commands, recorder->staging->buffer, scratch->buffer, n,
                                    recorder->copies);
}

static uint64_t time_once(struct measure *m, uint32_t bytes, uint32_t n, bool shader)
{
    struct regions regions = {.m = m, .bytes = bytes, .n = n, .shader = shader};

    return copy_trial_run(&m->trial, record_regions, &regions);
}

static bool time_is_up(const struct measure *m)
{
    return clock_now_ns() - m->started_ns >= COPY_MEASURE_NS;
}

/* The best of a few, as time allows. UINT64_MAX: it failed. */
static uint64_t time_best(struct measure *m, uint32_t bytes, uint32_t n, bool shader,
                          uint32_t repeats)
{
    uint64_t best = UINT64_MAX;

    for (uint32_t i = 0; i < repeats && (i == 0 || !time_is_up(m)); i++) {
        uint64_t ns = time_once(m, bytes, n, shader);

        if (ns == 0)
            return UINT64_MAX;
        best = min_u64(best, ns);
    }
    return best;
}

/* The largest size up to which the shader gained something. False: nothing was measured. */
static bool find_limit(struct measure *m, uint32_t *limit, char *text, size_t text_bytes)
{
    uint32_t done = 0;

    *limit = 0;
    text[0] = '\0';
    time_once(m, sizes[0], 16, true); /* what is slow only the first time */
    time_once(m, sizes[0], 16, false);
    m->started_ns = clock_now_ns();
    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes) && !time_is_up(m); i++) {
        uint32_t n = min_u32(min_u32((uint32_t)(m->bytes / sizes[i]), REGIONS_MAX),
                             m->recorder->regions_max);
        uint64_t shader_ns, copy_ns;
        size_t length = strnlen(text, text_bytes);

        while (!is_power_of_two(n))
            n &= n - 1;
        shader_ns = time_best(m, sizes[i], n, true, REPEATS);
        copy_ns = time_best(m, sizes[i], n, false, REPEATS);
        if (shader_ns == UINT64_MAX || copy_ns == UINT64_MAX)
            break;
        done++;
        snprintf(text + length, text_bytes - length, "%s%u KiB %.1f/%.1f", i == 0 ? "" : ", ",
                 sizes[i] >> 10, (double)n * sizes[i] / (double)shader_ns,
                 (double)n * sizes[i] / (double)copy_ns);
        if (shader_ns * 100 > copy_ns * (100 - GAIN_PERCENT))
            break;
        *limit = sizes[i];
    }
    return done > 0;
}

/* The fewest of the smallest regions that the shader copies in less time than commands do. */
static uint32_t find_least(struct measure *m)
{
    uint32_t most = min_u32(REGIONS_FEW_MAX, m->recorder->regions_max);
    uint32_t least = 1;

    for (uint32_t n = 1; n <= most && !time_is_up(m); n *= 2) {
        uint64_t shader_ns = time_best(m, sizes[0], n, true, REPEATS_FEW);

        if (time_best(m, sizes[0], n, false, REPEATS_FEW) >= shader_ns)
            break;
        least = n + 1;
    }
    return least;
}

void copy_measure(struct ds_vulkan_backend *backend, const struct host *host,
                  struct copy_recorder *recorder)
{
    struct measure m = {
        .recorder = recorder,
        .bytes = min_u64(SCRATCH_BYTES, recorder->staging->bytes / sizes[4] * sizes[4]),
    };
    uint32_t limit = 0;
    bool measured = false;
    char text[160];

    DS_ASSERT(m.bytes > 0);
    if (copy_trial_open(&m.trial, backend, host) == 0 &&
        vulkan_buffer_open(&m.scratch, &backend->device, host, VULKAN_BUFFER_LOCAL, m.bytes) == 0)
        measured = find_limit(&m, &limit, text, sizeof(text));
    if (atomic_load_explicit(&backend->scatter_regions_min, memory_order_relaxed) == 0)
        atomic_store_explicit(&backend->scatter_regions_min, limit > 0 ? find_least(&m) : 1,
                              memory_order_relaxed);
    copy_trial_drain(&m.trial);
    vulkan_buffer_close(&m.scratch, &backend->device);
    copy_trial_close(&m.trial);
    if (measured)
        host_log(host, DS_LOG_INFO,
                 "copies of at most %u KiB go by shader, from %u in a submission on, larger ones "
                 "by command (GB/s by shader/command: %s; measured in %.1f ms)", limit >> 10,
                 atomic_load_explicit(&backend->scatter_regions_min, memory_order_relaxed), text,
                 (double)(clock_now_ns() - m.started_ns) / 1e6);
    else
        host_log(host, DS_LOG_WARNING,
                 "copies could not be measured: those of at most %u KiB go by shader",
                 FALLBACK_BYTES >> 10);
    atomic_store_explicit(&backend->scatter_max_bytes, measured ? limit : FALLBACK_BYTES,
                          memory_order_relaxed);
    atomic_store_explicit(&backend->scatter_measured, true, memory_order_relaxed);
}
