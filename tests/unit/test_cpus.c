/* engine/cpus.h: the CPUs of the affinity mask, what sysfs tells of them, and which of them threads
 * are pinned to. The machines are synthetic trees, but for the first tests. */
#include "engine/cpus.h"

#include "unit/support.h"

#include <ftw.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/stat.h>

Test(cpus, are_those_of_the_affinity_mask_each_once)
{
    static struct cpus cpus;
    cpu_set_t mask, seen;

    cr_assert_eq(sched_getaffinity(0, sizeof(mask), &mask), 0);
    cpus_read(&cpus, CPUS_SYSFS);
    CPU_ZERO(&seen);
    for (uint32_t i = 0; i < cpus.n; i++) {
        cr_assert(CPU_ISSET(cpus.list[i].id, &mask), "CPU %d is not ours", cpus.list[i].id);
        cr_assert_not(CPU_ISSET(cpus.list[i].id, &seen), "CPU %d came twice", cpus.list[i].id);
        CPU_SET(cpus.list[i].id, &seen);
    }
    cr_assert_eq((int)cpus.n, CPU_COUNT(&mask));
}

Test(cpus, follow_a_narrower_mask)
{
    static struct cpus cpus;
    cpu_set_t one;
    int32_t last;

    cpus_read(&cpus, CPUS_SYSFS);
    last = cpus.list[cpus.n - 1].id;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    cpus_read(&cpus, CPUS_SYSFS);
    cr_assert_eq(cpus.n, 1);
    cr_assert_eq(cpus.list[0].id, last);
}

/* A tree in the shape of /sys. */
struct tree {
    char root[64];
    struct cpus cpus;
    struct placement placement;
};

static void tree_open(struct tree *tree, uint32_t cpus_n)
{
    memset(tree, 0, sizeof(*tree));
    snprintf(tree->root, sizeof(tree->root), "/tmp/ds-cpus-XXXXXX");
    cr_assert_not_null(mkdtemp(tree->root));
    tree->cpus.n = cpus_n;
    for (uint32_t i = 0; i < cpus_n; i++)
        tree->cpus.list[i].id = (int16_t)i;
}

static int tree_remove(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)stat;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void tree_close(struct tree *tree)
{
    cr_assert_eq(nftw(tree->root, tree_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Writes text into root/name, making the folders on the way. */
__attribute__((format(printf, 3, 4))) static void put(const struct tree *tree, const char *text,
                                                      const char *name, ...)
{
    char path[256];
    size_t n = (size_t)snprintf(path, sizeof(path), "%s/", tree->root);
    va_list args;
    FILE *file;

    va_start(args, name);
    vsnprintf(path + n, sizeof(path) - n, name, args);
    va_end(args);
    for (char *slash = strchr(path + 5, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    file = fopen(path, "we");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

static void put_core(const struct tree *tree, int32_t cpu, const char *siblings, const char *cache)
{
    put(tree, siblings, "devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    if (cache != NULL)
        put(tree, cache, "devices/system/cpu/cpu%d/cache/index3/shared_cpu_list", cpu);
}

/* Two sockets of four cores with two threads each: CPU i + 8 is the second thread of core i. */
static void tree_two_sockets(struct tree *tree)
{
    tree_open(tree, 16);
    for (int32_t cpu = 0; cpu < 16; cpu++) {
        char siblings[16];

        snprintf(siblings, sizeof(siblings), "%d,%d\n", cpu % 8, cpu % 8 + 8);
        put_core(tree, cpu, siblings, cpu % 8 < 4 ? "0-3,8-11\n" : "4-7,12-15\n");
    }
    put(tree, "0-1\n", "devices/system/node/online");
    put(tree, "0-3,8-11\n", "devices/system/node/node0/cpulist");
    put(tree, "4-7,12-15\n", "devices/system/node/node1/cpulist");
    put(tree, "1\n", "bus/pci/devices/0000:c1:00.0/numa_node");
    put(tree, "-1\n", "bus/pci/devices/0000:01:00.0/numa_node");
}

static const struct placement *place(struct tree *tree, uint32_t threads, int32_t caller,
                                     int32_t node)
{
    cpus_describe(&tree->cpus, tree->root);
    cpus_place(&tree->cpus,
               &(struct cpus_wish){.threads = threads, .caller = caller, .node = node},
               &tree->placement);
    return &tree->placement;
}

#define EXPECT_IDS(placement, ...)                                                                 \
    do {                                                                                           \
        const int32_t expected_[] = {__VA_ARGS__};                                                 \
        cr_assert_eq((placement)->n, ARRAY_LENGTH(expected_), "%u: %s", (placement)->n,            \
                     (placement)->reason);                                                         \
        for (uint32_t i_ = 0; i_ < (placement)->n; i_++)                                           \
            cr_expect_eq((placement)->ids[i_], expected_[i_], "thread %u on CPU %d, not %d: %s",   \
                         i_, (placement)->ids[i_], expected_[i_], (placement)->reason);            \
    } while (0)

Test(cpus, threads_share_a_cache_apart_from_the_callers_core)
{
    struct tree tree;

    tree_two_sockets(&tree);
    EXPECT_IDS(place(&tree, 3, 0, CPUS_UNKNOWN), 1, 2, 3);
    cr_expect_eq(tree.placement.node, 0);
    cr_expect_str_eq(tree.placement.reason, "distinct cores of one cache");
    EXPECT_IDS(place(&tree, 2, 9, CPUS_UNKNOWN), 0, 2); /* CPU 9 is the second thread of core 1 */
    EXPECT_IDS(place(&tree, 3, 6, CPUS_UNKNOWN), 4, 5, 7);
    cr_expect_eq(tree.cpus.nodes_n, 2);
    tree_close(&tree);
}

Test(cpus, threads_go_where_the_device_is)
{
    struct tree tree;
    int32_t node;

    tree_two_sockets(&tree);
    node = cpus_device_node(tree.root, "0000:c1:00.0");
    cr_assert_eq(node, 1);
    EXPECT_IDS(place(&tree, 3, 0, node), 4, 5, 6);
    cr_expect_eq(tree.placement.node, 1);
    cr_expect_eq(cpus_device_node(tree.root, "0000:01:00.0"), CPUS_UNKNOWN);
    cr_expect_eq(cpus_device_node(tree.root, "0000:02:00.0"), CPUS_UNKNOWN);
    tree_close(&tree);
}

/* Four of them do not fit beside the caller, but on the other socket. */
Test(cpus, a_cache_with_room_for_all_comes_first)
{
    struct tree tree;

    tree_two_sockets(&tree);
    EXPECT_IDS(place(&tree, 4, 0, CPUS_UNKNOWN), 4, 5, 6, 7);
    EXPECT_IDS(place(&tree, 5, 0, CPUS_UNKNOWN), 4, 5, 6, 7, 1);
    cr_expect_eq(tree.placement.node, CPUS_UNKNOWN);
    cr_expect_str_eq(tree.placement.reason, "distinct cores of several nodes");
    tree_close(&tree);
}

Test(cpus, second_threads_come_when_cores_run_out)
{
    struct tree tree;

    tree_two_sockets(&tree);
    EXPECT_IDS(place(&tree, 9, 0, CPUS_UNKNOWN), 4, 5, 6, 7, 1, 2, 3, 12, 13);
    cr_expect_not_null(strstr(tree.placement.reason, "cores run out"), "%s",
                       tree.placement.reason);
    for (uint32_t i = 0; i < place(&tree, 15, 0, CPUS_UNKNOWN)->n; i++)
        cr_expect_neq(tree.placement.ids[i], 0, "the caller's own CPU");
    EXPECT_IDS(place(&tree, 1, 0, CPUS_UNKNOWN), 1);
    cr_expect_eq(place(&tree, 16, 0, CPUS_UNKNOWN)->n, 0);
    cr_expect_not_null(strstr(tree.placement.reason, "16 CPUs for 16"), "%s",
                       tree.placement.reason);
    tree_close(&tree);
}

/* A mask that leaves but second threads of some cores: they are cores of their own then. */
Test(cpus, only_the_mask_counts)
{
    static const int16_t mask[] = {1, 8, 10, 12, 13};
    struct tree tree;

    tree_two_sockets(&tree);
    tree.cpus.n = ARRAY_LENGTH(mask);
    for (uint32_t i = 0; i < ARRAY_LENGTH(mask); i++)
        tree.cpus.list[i].id = mask[i];
    EXPECT_IDS(place(&tree, 2, 1, CPUS_UNKNOWN), 8, 10);
    EXPECT_IDS(place(&tree, 4, 1, CPUS_UNKNOWN), 8, 10, 12, 13);
    tree_close(&tree);
}

/* One socket, one node, caches of four cores each, as Zen has them. */
Test(cpus, core_complexes)
{
    struct tree tree;

    tree_open(&tree, 12);
    for (int32_t cpu = 0; cpu < 12; cpu++) {
        char siblings[16], cache[32];

        snprintf(siblings, sizeof(siblings), "%d\n", cpu);
        snprintf(cache, sizeof(cache), "%d-%d\n", cpu / 4 * 4, cpu / 4 * 4 + 3);
        put_core(&tree, cpu, siblings, cache);
    }
    put(&tree, "0\n", "devices/system/node/online");
    put(&tree, "0-11\n", "devices/system/node/node0/cpulist");
    EXPECT_IDS(place(&tree, 2, 5, 0), 4, 6);
    EXPECT_IDS(place(&tree, 4, 5, 0), 0, 1, 2, 3);
    EXPECT_IDS(place(&tree, 6, 5, 0), 0, 1, 2, 3, 4, 6);
    cr_expect_str_eq(tree.placement.reason, "distinct cores of several caches");
    cr_expect_eq(tree.placement.node, 0);
    tree_close(&tree);
}

/* Two fast cores with two threads each, four slow ones, one cache. */
static void tree_of_two_kinds(struct tree *tree)
{
    tree_open(tree, 8);
    for (int32_t cpu = 0; cpu < 8; cpu++) {
        char siblings[32];

        snprintf(siblings, sizeof(siblings), "%d-%d\n", cpu < 4 ? cpu / 2 * 2 : cpu,
                 cpu < 4 ? cpu / 2 * 2 + 1 : cpu);
        put_core(tree, cpu, siblings, "0-7\n");
    }
}

Test(cpus, slow_cores_come_after_fast_ones_but_before_second_threads)
{
    struct tree tree;

    tree_of_two_kinds(&tree);
    put(&tree, "4-7\n", "devices/cpu_atom/cpus");
    EXPECT_IDS(place(&tree, 3, 7, CPUS_UNKNOWN), 0, 2, 4);
    cr_expect_not_null(strstr(tree.placement.reason, "slow"), "%s", tree.placement.reason);
    EXPECT_IDS(place(&tree, 7, 7, CPUS_UNKNOWN), 0, 2, 4, 5, 6, 1, 3);
    tree_close(&tree);
}

Test(cpus, capacity_tells_slow_cores_where_all_have_one)
{
    struct tree tree;

    tree_of_two_kinds(&tree);
    for (int32_t cpu = 0; cpu < 8; cpu++)
        put(&tree, cpu < 4 ? "600\n" : "1024\n", "devices/system/cpu/cpu%d/cpu_capacity", cpu);
    EXPECT_IDS(place(&tree, 3, 7, CPUS_UNKNOWN), 4, 5, 6);
    put(&tree, "\n", "devices/system/cpu/cpu%d/cpu_capacity", 6);
    EXPECT_IDS(place(&tree, 3, 7, CPUS_UNKNOWN), 0, 2, 4);
    for (int32_t cpu = 0; cpu < 8; cpu++) /* some are a little faster: no other kind */
        put(&tree, cpu < 6 ? "5000000\n" : "5400000\n",
            "devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", cpu);
    EXPECT_IDS(place(&tree, 3, 7, CPUS_UNKNOWN), 0, 2, 4);
    for (uint32_t i = 0; i < tree.cpus.n; i++)
        cr_expect_not(tree.cpus.list[i].slow);
    tree_close(&tree);
}

Test(cpus, without_sysfs_each_is_a_core_of_its_own)
{
    struct tree tree;

    tree_open(&tree, 4);
    EXPECT_IDS(place(&tree, 2, 0, CPUS_UNKNOWN), 1, 2);
    cr_expect_eq(tree.cpus.nodes_n, 0);
    cr_expect_eq(tree.placement.node, CPUS_UNKNOWN);
    EXPECT_IDS(place(&tree, 3, 99, 7), 0, 1, 2); /* no such CPU, no such node */
    tree_close(&tree);
}

Test(cpus, packages_stand_for_caches_that_are_not_told)
{
    struct tree tree;

    tree_open(&tree, 6);
    for (int32_t cpu = 0; cpu < 6; cpu++)
        put(&tree, cpu < 3 ? "0-2\n" : "3-5\n",
            "devices/system/cpu/cpu%d/topology/package_cpus_list", cpu);
    EXPECT_IDS(place(&tree, 3, 0, CPUS_UNKNOWN), 3, 4, 5);
    tree_close(&tree);
}

/* Whatever a file holds: CPUs of the mask, each once, and no crash. */
Test(cpus, nothing_that_files_say_is_trusted)
{
    static const char *const texts[] = {
        "", "\n", "-", "-1", ",", ",,,", "3-1", "0-", "999999999", "9999999999999999999999",
        "0-999999999", "1024-2000", "x", "0 1 2", "0-3-5", "0x10", "-5-3", "1025,0",
        "7,6,5,4,3,2,1,0",
    };
    static const char *const files[] = {
        "devices/system/cpu/cpu%d/topology/thread_siblings_list",
        "devices/system/cpu/cpu%d/cache/index3/shared_cpu_list",
        "devices/system/cpu/cpu%d/topology/die_cpus_list",
        "devices/system/cpu/cpu%d/cpu_capacity",
        "devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq",
        "devices/system/node/node%d/cpulist",
    };
    struct tree tree;

    tree_open(&tree, 8);
    for (uint32_t i = 0; i < 8 * ARRAY_LENGTH(texts); i++) {
        bool seen[8] = {false};

        for (uint32_t k = 0; k < ARRAY_LENGTH(files); k++) {
            char name[96];

            snprintf(name, sizeof(name), files[k], (int)(i + k) % 8);
            put(&tree, texts[(i / 8 + k) % ARRAY_LENGTH(texts)], "%s", name);
        }
        put(&tree, texts[i / 8], "devices/system/node/online");
        put(&tree, texts[i / 8], "devices/cpu_atom/cpus");
        put(&tree, texts[i / 8], "bus/pci/devices/0000:01:00.0/numa_node");
        place(&tree, 1 + i % 7, (int32_t)(i % 9) - 1, cpus_device_node(tree.root, "0000:01:00.0"));
        cr_assert_eq(tree.placement.n, 1 + i % 7);
        for (uint32_t k = 0; k < tree.placement.n; k++) {
            int32_t id = tree.placement.ids[k];

            cr_assert(id >= 0 && id < 8 && !seen[id], "\"%s\": CPU %d", texts[i / 8], id);
            cr_assert_neq(id, (int32_t)(i % 9) - 1, "the caller's");
            seen[id] = true;
        }
    }
    tree_close(&tree);
}
