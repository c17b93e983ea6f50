/* The memory behind the arena: mapped once, for the life of the engine. */
#ifndef ENGINE_STAGING_H
#define ENGINE_STAGING_H

#include "engine/host.h"

struct staging {
    uint8_t *memory;      /* aligned to 2 MiB where we map it, else to a page */
    uint64_t bytes;
    const char *kind;     /* "host", "vulkan" or "imported" */
    bool huge_pages;      /* madvise(MADV_HUGEPAGE) was accepted */
    bool write_combined;  /* not cached by the CPU: slow to read */
    uint64_t gpu_buffer;  /* VkBuffer over all of it, or 0 */
};

#define STAGING_ALIGN ((uint64_t)2 << 20)

/* staging_map maps anonymous memory: 2 MiB aligned, huge pages asked for, populated, not inherited
 * by fork (a child's write would otherwise break the registration). 0 or -ENOMEM. */
int staging_map(struct staging *staging, uint64_t bytes);
void staging_unmap(struct staging *staging);

#endif
