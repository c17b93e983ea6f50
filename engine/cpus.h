/* The CPUs that this process may use: how many, and which of them threads are best pinned to. */
#ifndef ENGINE_CPUS_H
#define ENGINE_CPUS_H

#include "engine/base.h"

#define CPUS_MAX 1024
#define CPUS_UNKNOWN (-1)
#define PLACEMENT_MAX 32
#define CPUS_SYSFS "/sys"

/* Numbers are those of sysfs. Where it does not tell: a core of its own, one cache, no node. Small,
 * since all of this lies on the stack of whoever makes an engine. */
struct cpu {
    int16_t id;
    int16_t core;  /* its lowest hardware thread */
    int16_t cache; /* the lowest CPU that shares its last-level cache */
    int16_t node;  /* NUMA, or CPUS_UNKNOWN */
    bool slow;     /* an efficiency core, beside faster ones */
};

struct cpus {
    uint32_t n;       /* at least 1 */
    uint32_t nodes_n; /* of the machine's NUMA nodes, those that have one of these CPUs */
    struct cpu list[CPUS_MAX]; /* rising */
};

/* cpus_read reads the affinity mask of the calling thread. `sysfs` is CPUS_SYSFS, or a tree that
 * looks like it. */
void cpus_read(struct cpus *cpus, const char *sysfs);

/* cpus_describe does so for the mask that the caller has put into the n first ids of list. */
void cpus_describe(struct cpus *cpus, const char *sysfs);

/* What shall be pinned: at most PLACEMENT_MAX threads. */
struct cpus_wish {
    uint32_t threads;
    int32_t caller;    /* the CPU that asks, left to it; or CPUS_UNKNOWN */
    int32_t node;      /* near the device that matters, or CPUS_UNKNOWN */
};

struct placement {
    uint32_t n;        /* `threads`, or 0: no thread is to be pinned */
    int32_t node;      /* of all of them, or CPUS_UNKNOWN */
    int32_t ids[PLACEMENT_MAX];
    char reason[96];   /* for the log */
};

/* cpus_place chooses a CPU for each thread: the cores of one last-level cache, on the wished node,
 * one thread a core, apart from the caller's core; then cores that are farther or slower; second
 * hardware threads only when cores run out. Never the caller's CPU: none is pinned where there are
 * not more CPUs than threads. */
void cpus_place(const struct cpus *cpus, const struct cpus_wish *wish, struct placement *placement);

/* cpus_device_node returns the NUMA node of a PCI device ("0000:01:00.0"), or CPUS_UNKNOWN. */
int32_t cpus_device_node(const char *sysfs, const char *pci);

#endif
