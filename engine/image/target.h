/* The image half of a request: which texels, and where their bytes lie in the source.
 *
 * A target is a row of parts. A part is one box of one subresource and the place of its rows in the
 * source; a row of blocks is called a line here, counted through the slices of the part. */
#ifndef ENGINE_IMAGE_TARGET_H
#define ENGINE_IMAGE_TARGET_H

#include "engine/image/image.h"

struct image_target {
    struct ds_image *image;
    struct ds_image_target wanted; /* checked */
    struct layout_rule rule;       /* SUBRESOURCES, unless EXPLICIT */
    uint32_t parts_n;
    uint32_t first, n;             /* the subresources that it touches are among these */

    uint32_t part, line;           /* where the next chunk begins; submit stage */
    uint32_t recorded_n;           /* chunks; copy stage */
    bool writing;                  /* it is among its subresources' writers; copy stage */
};

struct image_part {
    uint32_t subresource;
    VkOffset3D at;        /* texels */
    VkExtent3D extent;    /* texels */
    uint64_t offset;      /* of line 0, in the source */
    uint64_t row_bytes;
    uint64_t row_pitch;
    uint64_t slice_pitch;
    uint32_t rows;        /* lines in one slice */
};

/* What bounds a chunk. */
struct image_limits {
    uint64_t offset;    /* of the source, in the file */
    uint64_t bytes_max; /* of one disk transfer, alignment and room to shift included */
    uint32_t align;     /* of disk transfers; a power of two */
};

/* image_target_init checks *wanted for a source of `bytes` bytes, with the errors of
 * ds_queue_enqueue, and fills *target. limits->align is the largest that may be used. */
int image_target_init(struct image_target *target, const struct ds_image_target *wanted,
                      uint64_t bytes, const struct image_limits *limits, const struct host *host);

/* image_target_part: number `index` < parts_n. Parts ascend in the source. */
struct image_part image_target_part(const struct image_target *target, uint32_t index);

/* image_target_find: the part whose lines contain the source byte `offset`. */
uint32_t image_target_find(const struct image_target *target, uint64_t offset);

static inline uint64_t image_part_lines(const struct image_part *part)
{
    return (uint64_t)part->rows * part->extent.depth;
}

static inline uint64_t image_line_offset(const struct image_part *part, uint64_t line)
{
    return part->offset + line / part->rows * part->slice_pitch +
           line % part->rows * part->row_pitch;
}

static inline uint64_t image_line_end(const struct image_part *part, uint64_t line)
{
    return image_line_offset(part, line) + part->row_bytes;
}

#endif
