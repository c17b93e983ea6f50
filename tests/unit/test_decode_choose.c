/* Who decodes: the rule that makes a choice of measured rates. */
#include "stages/copy_decode_choose.h"

#include <criterion/criterion.h>
#include <string.h>

#define GB 1000000000ull

static void expect_nv(uint64_t cpu, uint64_t gpu, uint64_t nv, enum ds_vulkan_decode_path path,
                      bool by_nv)
{
    struct decode_choice choice =
        copy_decode_rule(&(struct decode_rates){.cpu = cpu, .gpu = gpu, .nv = nv});

    cr_expect_eq(choice.path, path, "cpu %lu gpu %lu nv %lu: %s", cpu, gpu, nv, choice.reason);
    cr_expect_eq(choice.nv, by_nv, "cpu %lu gpu %lu nv %lu: %s", cpu, gpu, nv, choice.reason);
    cr_expect_neq(choice.reason, NULL);
    cr_expect_gt(strlen(choice.reason), 0);
}

static void expect(uint64_t cpu, uint64_t gpu, uint64_t nv, enum ds_vulkan_decode_path path)
{
    expect_nv(cpu, gpu, nv, path, false);
}

Test(decode_choose, the_gpu_must_make_half_as_much)
{
    expect(6 * GB, 3 * GB, 0, DS_VULKAN_DECODE_BALANCED);
    expect(6 * GB, 3 * GB - 1, 0, DS_VULKAN_DECODE_CPU);
    expect(3 * GB, 100 * GB, 0, DS_VULKAN_DECODE_BALANCED);
}

Test(decode_choose, a_cpu_that_keeps_up_with_disks_is_taken)
{
    expect(DECODE_ENOUGH_BYTES_PER_S, 1000 * GB, 1000 * GB, DS_VULKAN_DECODE_CPU);
    expect(DECODE_ENOUGH_BYTES_PER_S - 1, 1000 * GB, 0, DS_VULKAN_DECODE_BALANCED);
}

Test(decode_choose, the_extension_must_be_faster_by_a_quarter)
{
    expect_nv(1 * GB, 10 * GB, 12 * GB, DS_VULKAN_DECODE_BALANCED, false);
    expect_nv(1 * GB, 10 * GB, 13 * GB, DS_VULKAN_DECODE_BALANCED, true);
    expect_nv(13 * GB, 5 * GB, 7 * GB, DS_VULKAN_DECODE_BALANCED, true);
    expect_nv(13 * GB, 5 * GB, 0, DS_VULKAN_DECODE_CPU, false);
    expect_nv(1 * GB, 0, 13 * GB, DS_VULKAN_DECODE_BALANCED, true);
}

Test(decode_choose, what_is_not_known_is_not_taken)
{
    expect(0, 100 * GB, 100 * GB, DS_VULKAN_DECODE_CPU);
    expect(1 * GB, 0, 0, DS_VULKAN_DECODE_CPU);
    expect(0, 0, 0, DS_VULKAN_DECODE_CPU);
}
