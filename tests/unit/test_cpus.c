/* engine/cpus.h: the CPUs of the affinity mask, each once, cores before their second threads. */
#include "engine/cpus.h"

#include "unit/support.h"

#include <sched.h>

Test(cpus, are_those_of_the_affinity_mask_each_once)
{
    static struct cpus cpus;
    cpu_set_t mask, seen;

    cr_assert_eq(sched_getaffinity(0, sizeof(mask), &mask), 0);
    cpus_read(&cpus);
    CPU_ZERO(&seen);
    for (uint32_t i = 0; i < cpus.n; i++) {
        cr_assert(CPU_ISSET(cpus.ids[i], &mask), "CPU %d is not ours", cpus.ids[i]);
        cr_assert_not(CPU_ISSET(cpus.ids[i], &seen), "CPU %d came twice", cpus.ids[i]);
        CPU_SET(cpus.ids[i], &seen);
    }
    cr_assert_eq((int)cpus.n, CPU_COUNT(&mask));
}

static void siblings_list(int32_t cpu, char *list, size_t bytes)
{
    char path[96];
    FILE *file;

    snprintf(list, bytes, "?%d", cpu);
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             cpu);
    file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(list, (int)bytes, file) == NULL)
        snprintf(list, bytes, "?%d", cpu);
    fclose(file);
}

/* Once a core comes for the second time, no new core may follow. */
Test(cpus, second_hardware_threads_come_last)
{
    static struct cpus cpus;
    static char lists[CPUS_MAX][128];
    bool repeated = false;

    cpus_read(&cpus);
    for (uint32_t i = 0; i < cpus.n; i++) {
        bool seen = false;

        siblings_list(cpus.ids[i], lists[i], sizeof(lists[i]));
        for (uint32_t k = 0; k < i; k++)
            seen = seen || strcmp(lists[i], lists[k]) == 0;
        cr_assert(seen || !repeated, "CPU %d: a new core after a second thread", cpus.ids[i]);
        repeated = seen;
    }
}

Test(cpus, follow_a_narrower_mask)
{
    static struct cpus cpus;
    cpu_set_t one;
    int32_t last;

    cpus_read(&cpus);
    last = cpus.ids[cpus.n - 1];
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    cpus_read(&cpus);
    cr_assert_eq(cpus.n, 1);
    cr_assert_eq(cpus.ids[0], last);
}
