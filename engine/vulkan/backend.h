/* The public back end handle: a device, how its queue is shared, and who uses it. */
#ifndef ENGINE_VULKAN_BACKEND_H
#define ENGINE_VULKAN_BACKEND_H

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
    _Atomic bool scatter_measured;   /* scatter_max_bytes needs no measurement (any more) */
    _Atomic uint32_t scatter_max_bytes;
    uint64_t mapped_max_bytes;       /* requests up to that size go straight into their mapping */
    bool mapped_decodes;             /* those with a codec, too */
    enum ds_vulkan_decode_path decode_path; /* never AUTO */
    bool decode_forced;              /* it was asked for by name */
    uint64_t decode_scratch_bytes;
    char decode_reason[160];
    void (*lock_queue)(void *ctx);   /* LOCKED only, else NULL */
    void (*unlock_queue)(void *ctx);
    void *lock_ctx;
    pthread_mutex_t own_queue_mutex; /* own device, unless LOCKED */
    _Atomic bool in_use;             /* by an engine */
};

/* vulkan_backend_acquire takes the back end for one engine: 0 or -EBUSY. */
int vulkan_backend_acquire(struct ds_vulkan_backend *backend);
void vulkan_backend_release(struct ds_vulkan_backend *backend);

#endif
