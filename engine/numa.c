/* Memory policy of a thread. */
#include "engine/numa.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LONG_BITS (8 * sizeof(unsigned long))
/* The kernel takes one less than it is told. */
#define NODES_BITS ((unsigned long)NUMA_NODES_MAX + 1)

int numa_prefer(int32_t node, struct numa_policy *before)
{
    unsigned long nodes[ARRAY_LENGTH(before->nodes)] = {0};

    if (node < 0 || node >= NUMA_NODES_MAX)
        return -EINVAL;
    if (syscall(SYS_get_mempolicy, &before->mode, before->nodes, NODES_BITS, NULL, 0) != 0)
        return -errno;
    nodes[(size_t)node / LONG_BITS] = 1ul << ((size_t)node % LONG_BITS);
    return syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes, NODES_BITS) == 0 ? 0 : -errno;
}

void numa_restore(const struct numa_policy *before)
{
    long rc = syscall(SYS_set_mempolicy, before->mode, before->nodes, NODES_BITS);

    (void)rc; /* what was in force before cannot be refused, and nothing depends on it */
}

int32_t numa_node_of(const void *memory)
{
    int node = -1;

    if (syscall(SYS_get_mempolicy, &node, NULL, 0, memory, MPOL_F_NODE | MPOL_F_ADDR) != 0)
        return -1;
    return node;
}
