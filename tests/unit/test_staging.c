/* The memory of the arena. */
#include "engine/staging.h"

#include "engine/numa.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

Test(staging, aligned_rounded_and_populated)
{
    static const uint64_t sizes[] = {1, MIB, 2 * MIB, 2 * MIB + 1, 64 * MIB};
    static unsigned char resident[64 * MIB / 4096];

    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct staging staging;

        cr_assert_eq(staging_map(&staging, sizes[i]), 0);
        cr_expect_eq((uintptr_t)staging.memory % STAGING_ALIGN, 0);
        cr_expect_eq(staging.bytes, align_up_u64(sizes[i], STAGING_ALIGN));
        cr_expect_str_eq(staging.kind, "host");
        cr_expect_eq(staging.gpu_buffer, 0);
        cr_assert_eq(mincore(staging.memory, staging.bytes, resident), 0);
        for (uint64_t page = 0; page < staging.bytes / 4096; page++)
            cr_assert(resident[page] & 1, "page %u", (unsigned)page);
        memset(staging.memory, 0xff, staging.bytes);
        staging_unmap(&staging);
        cr_expect_null(staging.memory);
        staging_unmap(&staging);
    }
}

Test(staging, too_large)
{
    struct staging staging = {0};

    cr_expect_eq(staging_map(&staging, UINT64_MAX), -ENOMEM);
    cr_expect_eq(staging_map(&staging, (uint64_t)1 << 60), -ENOMEM);
    cr_expect_null(staging.memory);
}

/* What unmapping gives back is exactly what mapping took: neighbours live. */
Test(staging, leaves_the_rest_of_the_address_space)
{
    struct staging stagings[16];

    for (uint32_t i = 0; i < ARRAY_LENGTH(stagings); i++)
        cr_assert_eq(staging_map(&stagings[i], 2 * MIB), 0);
    for (uint32_t i = 0; i < ARRAY_LENGTH(stagings); i += 2)
        staging_unmap(&stagings[i]);
    for (uint32_t i = 1; i < ARRAY_LENGTH(stagings); i += 2) {
        memset(stagings[i].memory, (int)i, stagings[i].bytes);
        staging_unmap(&stagings[i]);
    }
}

/* The machine may have one node, and a container may refuse; then nothing has changed. */
Test(staging, comes_from_the_node_that_is_preferred)
{
    struct numa_policy before, after;
    struct staging staging;
    int refused = numa_prefer(0, &before);

    cr_expect_eq(numa_prefer(-1, &after), -EINVAL);
    cr_expect_eq(numa_prefer(NUMA_NODES_MAX, &after), -EINVAL);
    cr_expect_lt(numa_prefer(NUMA_NODES_MAX - 1, &after), 0);
    cr_assert_eq(staging_map(&staging, 2 * MIB), 0);
    if (refused == 0) {
        cr_expect_eq(numa_node_of(staging.memory), 0);
        numa_restore(&before);
        cr_assert_eq(numa_prefer(0, &after), 0);
        cr_expect_eq(after.mode, before.mode, "restored");
        cr_expect_arr_eq(after.nodes, before.nodes, sizeof(before.nodes));
        numa_restore(&before);
    } else {
        fprintf(stderr, "skipped: set_mempolicy: errno %d\n", -refused);
    }
    staging_unmap(&staging);
    cr_expect_eq(numa_node_of(NULL), -1);
}

/* A child must not get at it: with a page shared by fork, the parent's next write moves the parent
 * to a copy, while the kernel goes on filling the page that it has pinned. */
Test(staging, not_inherited)
{
    struct staging staging;
    unsigned char resident;
    int status;
    pid_t pid;

    cr_assert_eq(staging_map(&staging, 2 * MIB), 0);
    pid = fork();
    if (pid == 0)
        _exit(mincore(staging.memory, 4096, &resident) != 0 && errno == ENOMEM ? 0 : 1);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    staging_unmap(&staging);
}
