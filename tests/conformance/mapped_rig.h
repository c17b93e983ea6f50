/* A lent device, an engine, and a GPU buffer that may be named with a mapping: its own, or memory
 * that is only told to be it, to see what goes there. */
#ifndef CONFORMANCE_MAPPED_RIG_H
#define CONFORMANCE_MAPPED_RIG_H

#include "conformance/rig.h"
#include "gpu/vk_util.h"

#define MAPPED_FILL 0x6d /* what both are full of */

struct mapped_rig {
    struct rig rig;
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct ds_vulkan_info info;
    struct vk_util_buffer buffer; /* mapped, RIG_FILE_BYTES */
    struct ds_file *buffered;     /* the rig's file, through the page cache */
    VkSemaphore semaphore;
    uint8_t *shadow;              /* RIG_FILE_BYTES, told to be the mapping */
    /* Lines of the engine's log: measured, not measured, EFAULT. */
    _Atomic uint32_t measured, unmeasured, refused;
};

/* mapped_open makes everything, with a back end for these two fields. */
void mapped_open(struct mapped_rig *g, enum ds_topology topology, enum ds_vulkan_mapped_path path,
                 uint64_t mapped_max_bytes);

/* mapped_backend and mapped_start do it in two steps; `change` (or NULL) has the last word on what
 * is lent. */
void mapped_backend(struct mapped_rig *g, const struct ds_vulkan_backend_config *wanted,
                    void (*change)(struct ds_vulkan_backend_config *config));
void mapped_start(struct mapped_rig *g, enum ds_topology topology);

void mapped_close(struct mapped_rig *g);

/* mapped_request reads bytes of a file to the same place in the buffer. */
struct ds_request mapped_request(const struct mapped_rig *g, struct ds_file *file, void *mapped,
                                 uint64_t offset, uint64_t bytes);

/* mapped_ask returns the result of one request. */
struct ds_result mapped_ask(struct mapped_rig *g, const struct ds_request *request);

/* mapped_untouched: are all of n bytes MAPPED_FILL? */
bool mapped_untouched(const uint8_t *bytes, uint64_t n);

struct ds_vulkan_info mapped_info(const struct mapped_rig *g);
struct ds_counters mapped_counters(const struct mapped_rig *g);

#endif
