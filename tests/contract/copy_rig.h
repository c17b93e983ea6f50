/* Everything around copy_vulkan_ops that a test of them needs: a device (own or lent), staging, and
 * hooks that count and fail Vulkan calls. */
#ifndef TESTS_CONTRACT_COPY_RIG_H
#define TESTS_CONTRACT_COPY_RIG_H

#include "engine/request.h"
#include "gpu/vk_util.h"
#include "stages/copy_vulkan.h"

#include <stdatomic.h>

#define RIG_TIMEOUT_NS 120000000000u

struct rig_options {
    bool own;                /* the back end's own device; else lent, with hooks */
    bool no_validation;      /* for tests that do what the layers forbid */
    enum ds_vulkan_staging staging;
    enum ds_vulkan_queue_mode queue_mode;
    bool locks;              /* lend vk_util's queue lock */
    uint32_t batches_max;
    uint32_t regions_max;
    enum ds_vulkan_copy_path copy_path;
    uint32_t scatter_max_bytes;
    uint32_t scatter_regions_min;
    uint32_t scatter_groups_max;
    enum ds_vulkan_decode_path decode_path;
};

/* What the hooks saw, and what they shall answer. Lent devices only. */
struct rig_hooks {
    _Atomic uint32_t copy_calls;
    _Atomic uint32_t copy_regions;
    _Atomic uint32_t barriers;
    _Atomic uint32_t dispatches;
    _Atomic uint32_t groups;          /* of the last of these */
    _Atomic uint32_t submits;
    _Atomic uint32_t submit_infos;    /* of the last vkQueueSubmit */
    _Atomic uint32_t ticket_signals;  /* semaphores in the last of them */
    VkSemaphore ticket_semaphore;     /* the first of these */
    _Atomic uint32_t locks;
    _Atomic int32_t lock_depth;
    _Atomic uint32_t submits_unlocked;
    _Atomic uint32_t forbidden;       /* destroying or idling what was lent: asked for */
    _Atomic VkResult submit_result;           /* not VK_SUCCESS: vkQueueSubmit answers this */
    _Atomic VkResult counter_result;          /* the same for vkGetSemaphoreCounterValue */
    _Atomic VkResult wait_result;             /* the same for vkWaitSemaphores */
    _Atomic uint64_t counter_value;           /* not 0: answered instead of the counter */
    _Atomic bool import_fails;                /* vkAllocateMemory refuses to import */
};

struct rig {
    struct rig_options options;
    struct vk_util *util;
    struct ds_vulkan_backend *backend;
    struct host host;
    struct staging staging;
    void *self;
    uint64_t ticket;     /* the last one submitted */
};

extern struct rig_hooks rig_hooks;

/* rig_backend makes device and back end; rig_open also opens copy_vulkan_ops with staging of
 * `staging_bytes`. Both skip the test where there is no Vulkan. */
void rig_backend(struct rig *rig, const struct rig_options *options);
void rig_open(struct rig *rig, const struct rig_options *options, uint64_t staging_bytes);

/* rig_close closes all, and asserts that the layers were silent and nothing lent was touched. */
void rig_close(struct rig *rig);

/* rig_log prints warnings and errors; fit for ds_log_fn. */
void rig_log(void *ctx, enum ds_log_level level, const char *message);

struct rig_piece {
    struct chunk chunk;
    struct request request;
};

/* rig_pieces makes n of them, for free(). */
struct rig_piece *rig_pieces(uint32_t n);

/* rig_piece fills a chunk of its own request: `bytes` bytes at `staging_offset` to or from
 * buffer[gpu_offset]. `payload_offset` bytes of alignment lie before an upload's payload. */
void rig_piece(const struct rig *rig, struct rig_piece *piece, bool download, VkBuffer buffer,
               uint64_t gpu_offset, uint64_t staging_offset, uint32_t bytes,
               uint32_t payload_offset);

/* rig_piece_address adds the buffer's address to a piece. With `alone` it is all that is left. */
void rig_piece_address(struct rig_piece *piece, uint64_t address, bool alone);

/* rig_submit records and submits with the next ticket, which it returns. */
uint64_t rig_submit(struct rig *rig, uint32_t index, struct chunk *const *chunks, uint32_t n,
                    const struct copy_signal *signals, uint32_t signals_n);

/* rig_wait waits until the ticket is reached, and asserts it. */
void rig_wait(struct rig *rig, uint64_t ticket);

#endif
