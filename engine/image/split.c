/* Cutting image requests into chunks. */
#include "engine/image/split.h"

/* Lines and regions --------------------------------------------------------------------------- */

/* The most lines of a part that end at or before `limit`. */
static uint64_t lines_before(const struct image_part *part, uint64_t limit)
{
    uint64_t rest, slice, rows;

    if (limit < part->offset + part->row_bytes)
        return 0;
    rest = limit - part->offset;
    slice = min_u64(rest / part->slice_pitch, part->extent.depth - 1);
    rest -= slice * part->slice_pitch;
    rows = rest < part->row_bytes ? 0 : (rest - part->row_bytes) / part->row_pitch + 1;
    return slice * part->rows + min_u64(rows, part->rows);
}

/* Slices of a part must be copied one by one when their pitch is not one of rows. */
static bool slices_apart(const struct image_part *part)
{
    return part->slice_pitch % part->row_pitch != 0 ||
           part->slice_pitch / part->row_pitch > INT32_MAX / 16;
}

static VkExtent3D granules(const struct ds_image *image, const struct image_part *part)
{
    VkExtent3D g = image->granularity;

    return g.width == 0 ? (VkExtent3D){part->extent.width, part->rows, part->extent.depth} : g;
}

/* Rounds a number of lines down to where the queue family lets a copy end. */
static uint64_t lines_cut(const struct ds_image *image, const struct image_part *part,
                          uint64_t lines)
{
    VkExtent3D g = granules(image, part);
    uint64_t slice_lines = (uint64_t)part->rows * min_u32(g.depth, part->extent.depth);
    uint64_t rest;

    if (lines == image_part_lines(part))
        return lines;
    rest = lines % slice_lines;
    if (slice_lines > part->rows)
        return lines - rest;
    return lines - rest + rest / g.height * g.height;
}

uint64_t image_atom_bytes(const struct ds_image *image, const struct image_part *part)
{
    VkExtent3D g = granules(image, part);
    uint64_t slices = min_u32(g.depth, part->extent.depth);
    uint64_t rows = slices > 1 ? part->rows : min_u32(g.height, part->rows);

    return (slices - 1) * part->slice_pitch + (rows - 1) * part->row_pitch + part->row_bytes;
}

/* The largest box that begins at `line` and stays before line number `stop`. Returns its lines. */
static uint64_t region_make(const struct ds_image *image, const struct image_part *part,
                            uint64_t line, uint64_t stop, uint64_t begin,
                            struct image_region *region)
{
    const struct ds_image_format *format = &image->shape.format;
    uint32_t slice = (uint32_t)(line / part->rows), row = (uint32_t)(line % part->rows);
    uint64_t rows = min_u64(part->rows - row, stop - line), slices = 1;
    uint64_t first_texel = (uint64_t)row * format->block_height;

    if (row == 0 && rows == part->rows && !slices_apart(part))
        slices = (stop - line) / part->rows;
    *region = (struct image_region){
        .subresource = part->subresource,
        .at = {part->at.x, part->at.y + (int32_t)first_texel, part->at.z + (int32_t)slice},
        .extent = {part->extent.width,
                   (uint32_t)min_u64(rows * format->block_height,
                                     part->extent.height - first_texel),
                   (uint32_t)slices},
        .offset = image_line_offset(part, line) - begin,
        .row_bytes = part->row_bytes,
        .row_pitch = part->row_pitch,
        .slice_pitch = part->slice_pitch,
        .rows = (uint32_t)rows,
    };
    region->repack = (rows > 1 || slices > 1) && part->row_pitch % format->block_bytes != 0;
    return rows * slices;
}

/* Chunks -------------------------------------------------------------------------------------- */

struct cut {
    uint64_t begin, end;
    uint64_t limit;   /* source bytes of the chunk end at or before it */
    uint32_t regions;
    bool full;        /* no further region may join */
};

/* The disk transfer is [offset + begin, offset + end), both rounded outwards. */
static uint64_t cut_limit(const struct image_limits *limits, uint64_t begin)
{
    uint64_t window = align_down_u64(limits->offset + begin, limits->align);

    return align_down_u64(window + limits->bytes_max, limits->align) - limits->offset;
}

/* May a region join those of the chunk so far? */
static bool region_joins(const struct ds_image *image, const struct cut *cut,
                         const struct image_region *region)
{
    if (cut->regions == 0)
        return true;
    return cut->regions < IMAGE_REGIONS_MAX && !region->repack &&
           region->offset % image->copy_align == 0;
}

/* Adds lines of a part to the chunk, from *line on. False: the chunk ends within this part. */
static bool cut_part(const struct ds_image *image, const struct image_part *part, struct cut *cut,
                     uint64_t *line)
{
    uint64_t stop = lines_cut(image, part, lines_before(part, cut->limit));

    while (*line < stop && !cut->full) {
        struct image_region region;
        uint64_t lines = region_make(image, part, *line, stop, cut->begin, &region);

        if (!region_joins(image, cut, &region))
            return false;
        cut->full = region.repack;
        cut->regions++;
        *line += lines;
        cut->end = image_line_end(part, *line - 1);
    }
    return *line == image_part_lines(part);
}

bool image_chunk_next(struct image_target *target, const struct image_limits *limits, bool commit,
                      uint64_t *begin, uint64_t *end)
{
    uint32_t at = target->part;
    uint64_t line = target->line;
    struct cut cut = {.regions = 0};

    while (at < target->parts_n) {
        struct image_part part = image_target_part(target, at);

        if (cut.regions == 0) {
            cut.begin = image_line_offset(&part, line);
            cut.limit = cut_limit(limits, cut.begin);
        }
        if (cut.full || !cut_part(target->image, &part, &cut, &line))
            break;
        at++;
        line = 0;
    }
    if (cut.regions == 0) {
        DS_ASSERT(at == target->parts_n); /* image_target_init: each atom fits */
        return false;
    }
    *begin = cut.begin;
    *end = cut.end;
    if (commit) {
        target->part = at;
        target->line = line;
    }
    return true;
}

uint32_t image_chunks_count(struct image_target *target, const struct image_limits *limits)
{
    uint64_t begin, end;
    uint32_t n = 0;

    target->part = 0;
    target->line = 0;
    while (image_chunk_next(target, limits, true, &begin, &end)) {
        DS_ASSERT(n < UINT32_MAX);
        n++;
    }
    target->part = 0;
    target->line = 0;
    return n;
}

const struct image_limits image_limits_none = {.bytes_max = UINT64_MAX / 4, .align = 1};

uint64_t image_whole_room(struct image_target *target)
{
    uint32_t align = target->image->copy_align;
    uint64_t begin, end, n = 0;
    bool moves = IMAGE_WHOLE_ALIGN % align != 0;

    target->part = 0;
    target->line = 0;
    for (; image_chunk_next(target, &image_limits_none, true, &begin, &end); n++)
        moves = moves || begin % align != 0;
    target->part = 0;
    target->line = 0;
    return moves ? (n + 1) * align : 0;
}

uint64_t image_whole_shift(const struct image_target *target, uint64_t room_bytes, uint32_t k,
                           uint64_t place)
{
    uint32_t align = target->image->copy_align;
    uint64_t n = room_bytes / align - 1;

    if (room_bytes == 0)
        return 0;
    DS_ASSERT(k < n);
    return place % align + (n - k) * align;
}

/* The line that begins at a byte of the source. */
static uint64_t line_at(const struct image_part *part, uint64_t offset)
{
    uint64_t rest = offset - part->offset;
    uint64_t slice = min_u64(rest / part->slice_pitch, part->extent.depth - 1);
    uint64_t line = slice * part->rows + (rest - slice * part->slice_pitch) / part->row_pitch;

    DS_ASSERT(image_line_offset(part, line) == offset);
    return line;
}

uint32_t image_chunk_regions(const struct image_target *target, uint64_t begin, uint64_t end,
                             struct image_region regions[IMAGE_REGIONS_MAX])
{
    uint32_t at = image_target_find(target, begin), n = 0;
    uint64_t line = 0;

    for (; at < target->parts_n; at++) {
        struct image_part part = image_target_part(target, at);
        uint64_t stop = lines_before(&part, end);

        if (n == 0)
            line = line_at(&part, begin);
        while (line < stop) {
            DS_ASSERT(n < IMAGE_REGIONS_MAX);
            line += region_make(target->image, &part, line, stop, begin, &regions[n]);
            n++;
        }
        if (line < image_part_lines(&part))
            break;
        line = 0;
    }
    DS_ASSERT(n > 0);
    return n;
}

bool image_whole_plain(struct image_target *target)
{
    struct image_region regions[IMAGE_REGIONS_MAX];
    uint64_t begin, end;
    bool plain = image_whole_room(target) == 0;

    while (plain && image_chunk_next(target, &image_limits_none, true, &begin, &end)) {
        image_chunk_regions(target, begin, end, regions);
        plain = !regions[0].repack; /* one that is to be moved is alone in its chunk */
    }
    target->part = 0;
    target->line = 0;
    return plain;
}
