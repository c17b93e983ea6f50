/* Sorts and joins copy regions. */
#include "stages/copy_regions.h"

bool copy_regions_before(const struct copy_region *a, const struct copy_region *b)
{
    if (a->download != b->download)
        return b->download;
    if (a->gpu_buffer != b->gpu_buffer)
        return a->gpu_buffer < b->gpu_buffer;
    return a->gpu_offset < b->gpu_offset;
}

static void merge_runs(const struct copy_region *from, struct copy_region *to, uint32_t low,
                       uint32_t middle, uint32_t high)
{
    uint32_t left = low;
    uint32_t right = middle;

    for (uint32_t i = low; i < high; i++) {
        if (left < middle && (right == high || !copy_regions_before(&from[right], &from[left])))
            to[i] = from[left++];
        else
            to[i] = from[right++];
    }
    DS_ASSERT(left == middle && right == high);
}

/* A merge sort of our own, as qsort(3) may allocate. */
struct copy_region *copy_regions_sort(struct copy_region *regions, struct copy_region *scratch,
                                      uint32_t n)
{
    struct copy_region *from = regions;
    struct copy_region *to = scratch;

    DS_ASSERT(n <= 1u << 30);
    for (uint32_t width = 1; width < n; width *= 2) {
        struct copy_region *swap = from;

        for (uint32_t low = 0; low < n; low += 2 * width)
            merge_runs(from, to, low, min_u32(low + width, n), min_u32(low + 2 * width, n));
        from = to;
        to = swap;
    }
    return from;
}

static bool same_group(const struct copy_region *a, const struct copy_region *b)
{
    return a->gpu_buffer == b->gpu_buffer && a->download == b->download;
}

static bool touch(const struct copy_region *a, const struct copy_region *b)
{
    return a->gpu_offset + a->bytes == b->gpu_offset &&
           a->staging_offset + a->bytes == b->staging_offset;
}

bool copy_region_join(struct copy_region *a, const struct copy_region *b)
{
    if (!same_group(a, b) || a->gpu_address != b->gpu_address || !touch(a, b))
        return false;
    a->bytes += b->bytes;
    return true;
}

uint32_t copy_regions_merge(struct copy_region *regions, uint32_t n)
{
    uint32_t last = 0;

    for (uint32_t i = 1; i < n; i++) {
        DS_ASSERT(!copy_regions_before(&regions[i], &regions[last]));
        if (!copy_region_join(&regions[last], &regions[i]))
            regions[++last] = regions[i];
    }
    return n == 0 ? 0 : last + 1;
}

uint32_t copy_regions_group(const struct copy_region *regions, uint32_t first, uint32_t n)
{
    uint32_t end = first + 1;

    while (end < n && same_group(&regions[first], &regions[end]))
        end++;
    return end;
}
