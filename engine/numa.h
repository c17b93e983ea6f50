/* On which NUMA node memory is taken: raw system calls, no libnuma. A container may refuse them;
 * memory then comes from the node of the thread that touches it first. */
#ifndef ENGINE_NUMA_H
#define ENGINE_NUMA_H

#include "engine/base.h"

#define NUMA_NODES_MAX 1024

struct numa_policy {
    int mode;
    unsigned long nodes[NUMA_NODES_MAX / (8 * sizeof(unsigned long))];
};

/* numa_prefer makes this thread take memory from `node` while there is some, and keeps what it did
 * before in *before. 0, or -errno with nothing changed: -EINVAL no such node, -EPERM, -ENOSYS. */
int numa_prefer(int32_t node, struct numa_policy *before);
void numa_restore(const struct numa_policy *before);

/* numa_node_of returns the node of the page at `memory`, which has been touched, or -1: the kernel
 * does not tell. */
int32_t numa_node_of(const void *memory);

#endif
