/* Pieces to the mapping and to staging in turn, so that both meet the same disturbances. */
#include "stages/copy_mapped_measure.h"

#include "engine/clock.h"
#include "engine/vulkan/buffer.h"
#include "stages/copy_trial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define WINDOW_BYTES (2u << 20)
#define PIECE_BYTES (64u << 10) /* much more than write buffers hold */
#define LAPS 4u                 /* the first one meets page faults */
#define SUBMISSIONS 8u

/* How bytes get there: the kernel's copy of a buffered read, and that of a memory source. Memory
 * that is only combined for writing takes plain stores as it takes streaming ones. */
enum way { WAY_KERNEL, WAY_MEMCPY, WAYS };

enum place { PLACE_MAPPING, PLACE_STAGING, PLACES };

struct measure {
    int file;              /* PIECE_BYTES, in memory */
    const uint8_t *source; /* the same, mapped */
    uint8_t *places[PLACES];
    uint32_t pieces_n;     /* in each place */
};

static int source_open(struct measure *m)
{
    struct rlimit limit;
    void *source;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < PIECE_BYTES)
        return -EFBIG; /* which else comes with a signal */
    m->file = memfd_create("ds-measure", MFD_CLOEXEC);
    if (m->file < 0)
        return -errno;
    if (ftruncate(m->file, PIECE_BYTES) != 0)
        return -errno;
    source = mmap(NULL, PIECE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->file, 0);
    if (source == MAP_FAILED)
        return -errno;
    memset(source, 0x5a, PIECE_BYTES); /* pages that exist */
    m->source = source;
    return 0;
}

static void source_close(const struct measure *m)
{
    if (m->source != NULL)
        munmap((void *)(uintptr_t)m->source, PIECE_BYTES);
    if (m->file >= 0)
        close(m->file);
}

/* 0 or -errno. */
static int piece_write(const struct measure *m, enum way way, uint8_t *to)
{
    ssize_t n;

    if (way == WAY_MEMCPY) {
        memcpy(to, m->source, PIECE_BYTES);
        return 0;
    }
    n = pread(m->file, to, PIECE_BYTES, 0);
    if (n < 0)
        return -errno;
    return n == PIECE_BYTES ? 0 : -EFAULT; /* it stops where it cannot write */
}

/* best[place]: the least that a piece took: whatever else runs only adds to it. 0 or -errno. */
static int way_measure(const struct measure *m, enum way way, uint64_t best[PLACES])
{
    uint64_t end_ns = clock_now_ns() + COPY_MAPPED_MEASURE_NS / WAYS, now_ns = 0;

    best[PLACE_MAPPING] = best[PLACE_STAGING] = UINT64_MAX;
    for (uint32_t i = 0; i < LAPS * m->pieces_n && now_ns < end_ns; i++) {
        for (uint32_t place = 0; place < PLACES; place++) {
            uint64_t begun_ns = clock_now_ns();
            int error =
                piece_write(m, way, m->places[place] + i % m->pieces_n * (uint64_t)PIECE_BYTES);

            if (error != 0)
                return error;
            now_ns = clock_now_ns();
            best[place] = min_u64(best[place], now_ns - begun_ns);
        }
    }
    return 0;
}

static uint32_t per_mib(uint64_t piece_ns)
{
    return (uint32_t)min_u64(max_u64(piece_ns, 1) * (MAPPED_MIB / PIECE_BYTES), UINT32_MAX);
}

/* Of the ways, that for which the mapping is worse. 0 or -errno. */
static int writes_measure(const struct measure *m, struct mapped_figures *figures)
{
    int64_t worst = INT64_MIN;

    for (uint32_t way = 0; way < WAYS; way++) {
        uint64_t best[PLACES];
        int error = way_measure(m, (enum way)way, best);
        int64_t extra;

        if (error != 0)
            return error;
        extra = (int64_t)(best[PLACE_MAPPING] - best[PLACE_STAGING]);
        if (extra <= worst)
            continue;
        worst = extra;
        figures->mapping_ns = per_mib(best[PLACE_MAPPING]);
        figures->staging_ns = per_mib(best[PLACE_STAGING]);
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
    struct measure m = {.file = -1, .pieces_n = (uint32_t)(bytes / PIECE_BYTES)};
    struct mapped_figures figures = {.submit_ns = 0};
    struct vulkan_buffer window;
    int error = vulkan_buffer_open(&window, &backend->device, host, VULKAN_BUFFER_WINDOW, bytes);

    DS_ASSERT(m.pieces_n > 0);
    m.places[PLACE_MAPPING] = window.mapped;
    m.places[PLACE_STAGING] = staging->memory;
    if (error == 0)
        error = source_open(&m);
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
