/* Pieces to the mapping and to staging in turn, so that both meet the same disturbances. */
#include "stages/copy_mapped_measure.h"

#include "engine/clock.h"
#include "engine/vulkan/buffer.h"
#include "stages/copy_trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define WINDOW_BYTES (2u << 20)
#define PIECE_BYTES (64u << 10) /* much more than write buffers hold */
#define SOURCE_BYTES (4u << 20)
#define SAMPLES_MIN 32u         /* fewer tell nothing */
#define SAMPLES_MAX 512u
#define SUBMISSIONS 8u

/* How bytes get there: the kernel's copy of a buffered read, and that of a memory source. Memory
 * that is only combined for writing takes plain stores as it takes streaming ones. */
enum way { WAY_KERNEL, WAY_MEMCPY, WAYS };

enum place { PLACE_MAPPING, PLACE_STAGING, PLACES };

/* Each piece is from where and to where none was for a while, as under load: a core's caches hold
 * less than the source, and than the staging that is written meanwhile. */
struct measure {
    int file;              /* SOURCE_BYTES, in memory */
    const uint8_t *source; /* the same, mapped */
    uint8_t *places[PLACES];
    uint32_t pieces_n[PLACES];
    uint32_t samples_n;
    uint64_t samples_ns[PLACES][SAMPLES_MAX];
};

static int source_open(struct measure *m)
{
    struct rlimit limit;
    void *source;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < SOURCE_BYTES)
        return -EFBIG; /* which else comes with a signal */
    m->file = memfd_create("ds-measure", MFD_CLOEXEC);
    if (m->file < 0)
        return -errno;
    if (ftruncate(m->file, SOURCE_BYTES) != 0)
        return -errno;
    source = mmap(NULL, SOURCE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->file, 0);
    if (source == MAP_FAILED)
        return -errno;
    memset(source, 0x5a, SOURCE_BYTES); /* pages that exist */
    m->source = source;
    return 0;
}

static void source_close(const struct measure *m)
{
    if (m->source != NULL)
        munmap((void *)(uintptr_t)m->source, SOURCE_BYTES);
    if (m->file >= 0)
        close(m->file);
}

/* Writes the i-th piece. 0 or -errno. */
static int piece_write(const struct measure *m, enum way way, enum place place, uint32_t i)
{
    uint64_t from = i % (SOURCE_BYTES / PIECE_BYTES) * (uint64_t)PIECE_BYTES;
    uint8_t *to = m->places[place] + i % m->pieces_n[place] * (uint64_t)PIECE_BYTES;
    ssize_t n;

    if (way == WAY_MEMCPY) {
        memcpy(to, m->source + from, PIECE_BYTES);
        return 0;
    }
    n = pread(m->file, to, PIECE_BYTES, (off_t)from);
    if (n < 0)
        return -errno;
    return n == PIECE_BYTES ? 0 : -EFAULT; /* it stops where it cannot write */
}

/* The first lap over the mapping meets page faults. 0 or -errno. */
static int mapping_touch(const struct measure *m)
{
    int error = 0;

    for (uint32_t i = 0; error == 0 && i < m->pieces_n[PLACE_MAPPING]; i++)
        error = piece_write(m, WAY_KERNEL, PLACE_MAPPING, i);
    return error;
}

/* 0 or -errno. */
static int way_measure(struct measure *m, enum way way)
{
    uint64_t end_ns = clock_now_ns() + COPY_MAPPED_MEASURE_NS / WAYS, now_ns = 0;

    for (m->samples_n = 0; m->samples_n < SAMPLES_MAX &&
                           (m->samples_n < SAMPLES_MIN || now_ns < end_ns); m->samples_n++) {
        for (uint32_t place = 0; place < PLACES; place++) {
            uint64_t begun_ns = clock_now_ns();
            int error = piece_write(m, way, (enum place)place, m->samples_n);

            if (error != 0)
                return error;
            now_ns = clock_now_ns();
            m->samples_ns[place][m->samples_n] = now_ns - begun_ns;
        }
    }
    return 0;
}

static int time_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* The median: the least of them found what it writes to in a cache, by chance. */
static uint64_t place_ns(struct measure *m, enum place place)
{
    qsort(m->samples_ns[place], m->samples_n, sizeof(uint64_t), time_compare);
    return m->samples_ns[place][m->samples_n / 2];
}

static uint32_t per_mib(uint64_t piece_ns)
{
    return (uint32_t)min_u64(max_u64(piece_ns, 1) * (MAPPED_MIB / PIECE_BYTES), UINT32_MAX);
}

/* Of the ways, that for which the mapping is worse. 0 or -errno. */
static int writes_measure(struct measure *m, struct mapped_figures *figures)
{
    int64_t worst = INT64_MIN;

    for (uint32_t way = 0; way < WAYS; way++) {
        int error = way_measure(m, (enum way)way);
        uint64_t mapping_ns, staging_ns;

        if (error != 0)
            return error;
        mapping_ns = place_ns(m, PLACE_MAPPING);
        staging_ns = place_ns(m, PLACE_STAGING);
        if ((int64_t)(mapping_ns - staging_ns) <= worst)
            continue;
        worst = (int64_t)(mapping_ns - staging_ns);
        figures->mapping_ns = per_mib(mapping_ns);
        figures->staging_ns = per_mib(staging_ns);
    }
    return 0;
}

static void record_nothing(void *ctx, VkCommandBuffer commands)
{
    (void)ctx;
    (void)commands;
}

/* What a submission takes the CPU at least; 0: it must not be tried, or that failed. */
static uint32_t submit_measure(struct ds_vulkan_backend *backend, const struct host *host)
{
    uint64_t best_ns = UINT64_MAX;
    struct copy_trial trial;

    if (!backend->may_submit_trials)
        return 0;
    if (copy_trial_open(&trial, backend, host) == 0) {
        for (uint32_t i = 0; i < SUBMISSIONS && !trial.given_up; i++) {
            copy_trial_run(&trial, record_nothing, NULL);
            if (trial.cpu_ns == 0)
                break;
            best_ns = min_u64(best_ns, trial.cpu_ns); /* a GPU that is busy does not matter */
        }
    }
    copy_trial_close(&trial);
    return best_ns == UINT64_MAX ? 0 : (uint32_t)min_u64(best_ns, UINT32_MAX);
}

static void tell(const struct ds_vulkan_backend *backend, const struct host *host,
                 const struct mapped_figures *figures, uint64_t took_ns)
{
    struct mapped_limits limits = mapped_rule(figures, backend->batch_bytes_max);
    char what[80] = "no request goes straight into them";

    if (limits.max_bytes == UINT64_MAX)
        snprintf(what, sizeof(what), "buffered reads go straight into them");
    else if (limits.alone_max_bytes != 0)
        snprintf(what, sizeof(what), "a buffered read alone goes straight into them up to %llu KiB",
                 (unsigned long long)(limits.alone_max_bytes >> 10));
    host_log(host, DS_LOG_INFO,
             "mapped destinations: %s (to write 1 MiB takes %.1f us there, %.1f us to staging, "
             "and a submission %.1f us; mapped_path, mapped_max_bytes; measured in %.1f ms)",
             what, figures->mapping_ns / 1e3, figures->staging_ns / 1e3, figures->submit_ns / 1e3,
             (double)took_ns / 1e6);
}

void copy_mapped_measure(struct ds_vulkan_backend *backend, const struct host *host,
                         const struct staging *staging)
{
    uint64_t bytes = min_u64(WINDOW_BYTES, align_down_u64(staging->bytes, PIECE_BYTES));
    uint64_t begun_ns = clock_now_ns();
    struct measure m = {.file = -1};
    struct mapped_figures figures = {.submit_ns = 0};
    struct vulkan_buffer window;
    int error = vulkan_buffer_open(&window, &backend->device, host, VULKAN_BUFFER_WINDOW, bytes);

    DS_ASSERT(bytes > 0);
    m.places[PLACE_MAPPING] = window.mapped;
    m.places[PLACE_STAGING] = staging->memory;
    m.pieces_n[PLACE_MAPPING] = (uint32_t)(bytes / PIECE_BYTES);
    m.pieces_n[PLACE_STAGING] = (uint32_t)(staging->bytes / PIECE_BYTES);
    if (error == 0)
        error = source_open(&m);
    if (error == 0)
        error = mapping_touch(&m);
    if (error == 0)
        error = writes_measure(&m, &figures);
    if (error == 0)
        figures.submit_ns = submit_measure(backend, host);
    source_close(&m);
    vulkan_buffer_close(&window, &backend->device);
    if (error == 0)
        tell(backend, host, &figures, clock_now_ns() - begun_ns);
    else
        host_log(host, DS_LOG_WARNING,
                 "mapped destinations could not be measured (%s): requests go by way of staging; "
                 "mapped_path, mapped_max_bytes", strerror(-error));
    vulkan_backend_mapped_measured(backend, error == 0 ? &figures : NULL);
}
