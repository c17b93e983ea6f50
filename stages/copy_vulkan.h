/* The Vulkan half of the copy stage: makes the `self` of copy_vulkan_ops. */
#ifndef STAGES_COPY_VULKAN_H
#define STAGES_COPY_VULKAN_H

#include "engine/host.h"
#include "stages/copy.h"

struct ds_vulkan_backend;

/* copy_vulkan_open takes the back end for one engine, and makes what batches need: command pools,
 * the timeline, tables of regions. `host` must outlive *self. 0, or with nothing left behind:
 *   -EBUSY   the back end serves another engine
 *   -ENOMEM  host or device memory
 *   -EIO     another Vulkan call failed (logged) */
int copy_vulkan_open(struct ds_vulkan_backend *backend, const struct host *host, void **self);

/* copy_vulkan_close waits until the GPU is done with all that was submitted, frees everything and
 * gives the back end back. staging_close must have been called. NULL is ignored. */
void copy_vulkan_close(void *self);

/* copy_vulkan_node returns the NUMA node that the device hangs on, or -1: unknown. */
int32_t copy_vulkan_node(const void *self);

/* copy_vulkan_decoders tells how many CPU threads there are to decode, which decides whether the
 * GPU does, where nobody chose. Before staging_open. */
void copy_vulkan_decoders(void *self, uint32_t threads_n);

#endif
