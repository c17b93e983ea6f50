/* The CPUs that this process may use. */
#ifndef ENGINE_CPUS_H
#define ENGINE_CPUS_H

#include "engine/base.h"

#define CPUS_MAX 1024

struct cpus {
    uint32_t n;
    int32_t ids[CPUS_MAX]; /* rising; first one hardware thread of each core, then the others */
};

/* cpus_read reads the affinity mask of the calling thread, one hardware thread of each core first
 * (sysfs topology; in the mask's order where sysfs does not tell). Always at least one. */
void cpus_read(struct cpus *cpus);

#endif
