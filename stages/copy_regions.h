/* The copies of a batch, put in order and joined. No Vulkan in here. */
#ifndef STAGES_COPY_REGIONS_H
#define STAGES_COPY_REGIONS_H

#include "engine/base.h"

/* One copy between staging and a buffer. Ordered by direction (downloads last), buffer, offset. */
struct copy_region {
    uint64_t gpu_buffer;  /* or 0: gpu_offset counts from gpu_address */
    uint64_t gpu_offset;
    uint64_t staging_offset;
    uint64_t bytes;
    bool download;
    uint64_t gpu_address; /* of the buffer, or 0: not known */
};

/* copy_regions_before: does a belong before b? */
bool copy_regions_before(const struct copy_region *a, const struct copy_region *b);

/* copy_region_join appends b to a if it goes on where a ends, on both sides. */
bool copy_region_join(struct copy_region *a, const struct copy_region *b);

/* copy_regions_sort sorts regions[0..n), equal ones keep their order. Allocates nothing; `scratch`
 * is as large. Returns whichever of the two arrays holds the result. */
struct copy_region *copy_regions_sort(struct copy_region *regions, struct copy_region *scratch,
                                      uint32_t n);

/* copy_regions_merge joins neighbours of a sorted array that touch in both source and destination,
 * in place, and returns how many are left. A copy engine spends several hundred nanoseconds on each
 * region, whatever its size. */
uint32_t copy_regions_merge(struct copy_region *regions, uint32_t n);

/* copy_regions_group: the end of the run of regions that starts at `first` and shares its buffer
 * and direction. */
uint32_t copy_regions_group(const struct copy_region *regions, uint32_t first, uint32_t n);

#endif
