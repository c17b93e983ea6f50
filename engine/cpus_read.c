/* Reading the affinity mask, and what sysfs tells of its CPUs. Nothing that it says is trusted:
 * what is missing, malformed or out of range counts as unknown. */
#include "engine/cpus.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES 8192 /* a list of CPUS_MAX numbers fits */

/* Whole small file as a string. False: not there, or nothing in it. */
static bool text_read(const char *sysfs, const char *name, char *text)
{
    char path[256];
    ssize_t n = -1;
    int fd;

    if (snprintf(path, sizeof(path), "%s/%s", sysfs, name) >= (int)sizeof(path))
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    do
        n = read(fd, text, TEXT_BYTES - 1);
    while (n < 0 && errno == EINTR);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

/* A number of at most nine digits; *text moves behind it. -1: none. */
static int32_t number_take(const char **text)
{
    int32_t value = 0;
    uint32_t digits = 0;

    for (; **text >= '0' && **text <= '9'; (*text)++) {
        if (++digits > 9)
            return -1;
        value = value * 10 + (**text - '0');
    }
    return digits > 0 ? value : -1;
}

/* list_next takes one range of a list such as "0-3,8". False: the end, or not a list. */
static bool list_next(const char **text, int32_t *first, int32_t *last)
{
    if (**text == ',')
        (*text)++;
    *first = *last = number_take(text);
    if (*first >= 0 && **text == '-') {
        (*text)++;
        *last = number_take(text);
    }
    return *first >= 0 && *last >= *first;
}

static bool list_has(const char *text, int32_t number)
{
    int32_t first, last;

    while (list_next(&text, &first, &last)) {
        if (number >= first && number <= last)
            return true;
    }
    return false;
}

/* The lowest CPU of a list that has `cpu` in it, or CPUS_UNKNOWN. */
static int32_t list_lowest(const char *text, int32_t cpu)
{
    int32_t lowest = CPUS_UNKNOWN, first, last;
    const char *at = text;

    while (list_next(&at, &first, &last)) {
        if (lowest == CPUS_UNKNOWN || first < lowest)
            lowest = first;
    }
    return list_has(text, cpu) && lowest < CPUS_MAX ? lowest : CPUS_UNKNOWN;
}

static int32_t number_read(const char *sysfs, const char *name)
{
    char text[TEXT_BYTES];
    const char *at = text;

    return text_read(sysfs, name, text) ? number_take(&at) : CPUS_UNKNOWN;
}

static int32_t cpu_number(const char *sysfs, int32_t cpu, const char *file)
{
    char name[128];

    snprintf(name, sizeof(name), "devices/system/cpu/cpu%d/%s", cpu, file);
    return number_read(sysfs, name);
}

static int32_t cpu_lowest(const char *sysfs, int32_t cpu, const char *file)
{
    char name[128], text[TEXT_BYTES];

    snprintf(name, sizeof(name), "devices/system/cpu/cpu%d/%s", cpu, file);
    return text_read(sysfs, name, text) ? list_lowest(text, cpu) : CPUS_UNKNOWN;
}

static int32_t core_read(const char *sysfs, int32_t cpu)
{
    int32_t core = cpu_lowest(sysfs, cpu, "topology/thread_siblings_list");

    return core != CPUS_UNKNOWN ? core : cpu;
}

/* Cores without a third level are taken together by die, by package, or all. */
static int32_t cache_read(const char *sysfs, int32_t cpu)
{
    static const char *const files[] = {"cache/index3/shared_cpu_list", "topology/die_cpus_list",
                                        "topology/package_cpus_list",
                                        "topology/core_siblings_list"};

    for (uint32_t i = 0; i < ARRAY_LENGTH(files); i++) {
        int32_t lowest = cpu_lowest(sysfs, cpu, files[i]);

        if (lowest != CPUS_UNKNOWN)
            return lowest;
    }
    return 0;
}

/* Gives each CPU of a list in `text` this node. True: one of ours is in it. */
static bool node_give(struct cpus *cpus, const char *text, int32_t node)
{
    int32_t first, last;
    bool ours = false;

    while (list_next(&text, &first, &last)) {
        for (uint32_t i = 0; i < cpus->n; i++) {
            if (cpus->list[i].id >= first && cpus->list[i].id <= last) {
                cpus->list[i].node = (int16_t)node;
                ours = true;
            }
        }
    }
    return ours;
}

static void nodes_read(struct cpus *cpus, const char *sysfs)
{
    char nodes[TEXT_BYTES], text[TEXT_BYTES], name[64];

    if (!text_read(sysfs, "devices/system/node/online", nodes))
        return;
    for (int32_t node = 0; node < CPUS_MAX; node++) {
        snprintf(name, sizeof(name), "devices/system/node/node%d/cpulist", node);
        if (list_has(nodes, node) && text_read(sysfs, name, text) && node_give(cpus, text, node))
            cpus->nodes_n++;
    }
}

/* Slow is what has less than four fifths of the best, by the kernel's measure of all CPUs. */
static bool speeds_read(struct cpus *cpus, const char *sysfs, const char *file)
{
    int32_t speeds[CPUS_MAX], best = 0;

    for (uint32_t i = 0; i < cpus->n; i++) {
        speeds[i] = cpu_number(sysfs, cpus->list[i].id, file);
        if (speeds[i] <= 0)
            return false;
        best = speeds[i] > best ? speeds[i] : best;
    }
    for (uint32_t i = 0; i < cpus->n; i++)
        cpus->list[i].slow = (int64_t)speeds[i] * 5 < (int64_t)best * 4;
    return true;
}

/* Intel's efficiency cores, for kernels that give CPUs no capacity. */
static void atoms_read(struct cpus *cpus, const char *sysfs)
{
    char text[TEXT_BYTES];
    const char *at = text;
    int32_t first, last;

    if (!text_read(sysfs, "devices/cpu_atom/cpus", text))
        return;
    while (list_next(&at, &first, &last)) {
        for (uint32_t i = 0; i < cpus->n; i++) {
            if (cpus->list[i].id >= first && cpus->list[i].id <= last)
                cpus->list[i].slow = true;
        }
    }
}

void cpus_describe(struct cpus *cpus, const char *sysfs)
{
    cpus->nodes_n = 0;
    for (uint32_t i = 0; i < cpus->n; i++) {
        int16_t id = cpus->list[i].id;

        cpus->list[i] = (struct cpu){.id = id,
                                     .core = (int16_t)core_read(sysfs, id),
                                     .cache = (int16_t)cache_read(sysfs, id),
                                     .node = CPUS_UNKNOWN};
    }
    nodes_read(cpus, sysfs);
    if (!speeds_read(cpus, sysfs, "cpu_capacity") &&
        !speeds_read(cpus, sysfs, "cpufreq/cpuinfo_max_freq"))
        atoms_read(cpus, sysfs);
}

void cpus_read(struct cpus *cpus, const char *sysfs)
{
    cpu_set_t mask;

    cpus->n = 0;
    CPU_ZERO(&mask);
    if (sched_getaffinity(0, sizeof(mask), &mask) != 0)
        CPU_SET(0, &mask);
    for (int32_t cpu = 0; cpu < CPU_SETSIZE && cpu < CPUS_MAX; cpu++) {
        if (CPU_ISSET(cpu, &mask))
            cpus->list[cpus->n++].id = (int16_t)cpu;
    }
    if (cpus->n == 0)
        cpus->list[cpus->n++].id = 0;
    cpus_describe(cpus, sysfs);
}

int32_t cpus_device_node(const char *sysfs, const char *pci)
{
    char name[96];
    int32_t node;

    snprintf(name, sizeof(name), "bus/pci/devices/%s/numa_node", pci);
    node = number_read(sysfs, name); /* "-1" where the firmware does not tell */
    return node < CPUS_MAX ? node : CPUS_UNKNOWN;
}
