/* The public back end handle: a device, how its queue is shared, and who uses it. */
#ifndef ENGINE_VULKAN_BACKEND_H
#define ENGINE_VULKAN_BACKEND_H

#include "engine/mapped.h"
#include "engine/vulkan/device.h"

#include <pthread.h>
#include <stdatomic.h>

struct ds_vulkan_backend {
    struct host host;
    struct vulkan_device device;
    enum ds_vulkan_queue_mode queue_mode; /* never AUTO */
    enum ds_vulkan_staging staging;
    uint32_t batches_max;
    uint32_t batch_regions_max;
    uint64_t batch_bytes_max;
    uint32_t scatter_groups_max; /* 1..SCATTER_GROUPS_MAX */
    enum ds_vulkan_copy_path copy_path;
    bool can_scatter;                /* never with PATH_COPY */
    bool may_submit_trials;          /* while an engine starts, for the sake of their time */
    _Atomic bool scatter_measured;   /* scatter_max_bytes needs no measurement (any more) */
    _Atomic uint32_t scatter_max_bytes;
    _Atomic uint32_t scatter_regions_min; /* 0: to be measured; it counts as 1 until then */
    bool mapped_decodes;             /* into mappings, too */
    bool mapped_direct;              /* O_DIRECT into a mapping is worth a try */
    bool mapped_measures;            /* the next engine shall; whoever has acquired it */
    _Atomic uint64_t mapped_max_bytes, mapped_alone_max_bytes; /* as struct mapped_limits */
    _Atomic uint32_t mapping_write_ns, staging_write_ns, submit_ns; /* as struct mapped_figures */
    const char *_Atomic mapped_reason;                              /* static */
    enum ds_vulkan_decode_path decode_path; /* AUTO: each engine chooses; never MEASURE */
    bool decode_forced;              /* GPU, NV or BALANCED, asked for by name */
    bool decode_measures;            /* AUTO chooses by rates, else by the CPU threads there are */
    bool decode_measures_all;        /* also what could not be chosen */
    bool decode_trusted;             /* NV may be chosen */
    bool decode_cpu_measured, decode_gpu_measured; /* whoever has acquired it */
    const char *decode_why;          /* static */
    uint64_t decode_scratch_bytes;
    uint64_t decode_backlog_bytes;   /* BALANCED: the limit, or 0 */
    uint64_t decode_batch_ns[4];     /* by path: of a few tiles; 0: none; as decode_cpu_measured */
    _Atomic uint64_t decode_rates[4];   /* by path: bytes a second; CPU: of a thread; 0: none */
    _Atomic uint64_t decode_measure_ns; /* so far */
    _Atomic uint32_t decode_told;       /* path of the last engine; AUTO: there was none */
    const char *_Atomic decode_reason;  /* static */
    void (*lock_queue)(void *ctx);   /* LOCKED only, else NULL */
    void (*unlock_queue)(void *ctx);
    void *lock_ctx;
    pthread_mutex_t own_queue_mutex; /* own device, unless LOCKED */
    _Atomic bool in_use;             /* by an engine */
};

/* vulkan_backend_acquire takes the back end for one engine: 0 or -EBUSY. */
int vulkan_backend_acquire(struct ds_vulkan_backend *backend);
void vulkan_backend_release(struct ds_vulkan_backend *backend);

/* vulkan_backend_mapped fills what config and device say about mapped destinations. */
void vulkan_backend_mapped(struct ds_vulkan_backend *backend,
                           const struct ds_vulkan_backend_config *config);

/* vulkan_backend_mapped_measured applies the rule to what was measured; NULL: that failed, and
 * nothing goes straight. */
void vulkan_backend_mapped_measured(struct ds_vulkan_backend *backend,
                                    const struct mapped_figures *figures);

/* vulkan_decode_is_forced: must it be this way of the GPU's, or the GPU a part of it? */
static inline bool vulkan_decode_is_forced(enum ds_vulkan_decode_path path)
{
    return path == DS_VULKAN_DECODE_GPU || path == DS_VULKAN_DECODE_NV ||
           path == DS_VULKAN_DECODE_BALANCED;
}

/* vulkan_backend_decode fills what config and device say about decoding. 0, or -ENOTSUP: the device
 * cannot what was asked for (logged). */
int vulkan_backend_decode(struct ds_vulkan_backend *backend,
                          const struct ds_vulkan_backend_config *config);

/* vulkan_backend_decode_tell sets what ds_vulkan_info tells; `reason` is static. */
void vulkan_backend_decode_tell(struct ds_vulkan_backend *backend, enum ds_vulkan_decode_path path,
                                const char *reason);

#endif
