/* Affinity mask and core topology. */
#include "engine/cpus.h"

#include <sched.h>
#include <stdio.h>

/* The lowest hardware thread of the core that `cpu` belongs to; `cpu` itself if unknown. */
static int32_t core_of(int32_t cpu)
{
    char path[96];
    int32_t first = cpu;
    FILE *file;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             cpu);
    file = fopen(path, "re");
    if (file == NULL)
        return cpu;
    if (fscanf(file, "%d", &first) != 1)
        first = cpu;
    fclose(file);
    return first;
}

void cpus_read(struct cpus *cpus)
{
    int32_t siblings[CPUS_MAX];
    uint32_t siblings_n = 0;
    bool core_taken[CPUS_MAX] = {false};
    cpu_set_t mask;

    cpus->n = 0;
    CPU_ZERO(&mask);
    if (sched_getaffinity(0, sizeof(mask), &mask) != 0)
        CPU_SET(0, &mask);
    for (int32_t cpu = 0; cpu < CPU_SETSIZE && cpu < CPUS_MAX; cpu++) {
        int32_t core;

        if (!CPU_ISSET(cpu, &mask))
            continue;
        core = core_of(cpu);
        if (core >= 0 && core < CPUS_MAX && !core_taken[core]) {
            core_taken[core] = true;
            cpus->ids[cpus->n++] = cpu;
        } else {
            siblings[siblings_n++] = cpu;
        }
    }
    for (uint32_t i = 0; i < siblings_n; i++)
        cpus->ids[cpus->n++] = siblings[i];
    if (cpus->n == 0)
        cpus->ids[cpus->n++] = 0;
}
