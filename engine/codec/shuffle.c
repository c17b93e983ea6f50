/* The lossless split of BC texture blocks into one byte stream per field, and its undoing.
 *
 * A shuffled texture holds, field after field, that field of every block. Only whole groups of
 * blocks take part (so that every stream begins at a multiple of 8 bytes); blocks left over follow
 * as they are. Where a field's stream begins is its offset in the block times the number of blocks.
 */
#include "engine/base.h"

#include <ds/codec.h>

#include <errno.h>
#include <string.h>

enum { FIELDS_MAX = 6 };

struct layout {
    uint8_t block_bytes;
    uint8_t group_blocks;
    uint8_t fields[FIELDS_MAX]; /* bytes of each, in block order; 0 ends the list */
};

static const struct layout *layout_of(enum ds_codec_transform transform)
{
    static const struct layout layouts[] = {
        [DS_CODEC_TRANSFORM_NONE] = {1, 1, {1}},
        [DS_CODEC_TRANSFORM_BC1] = {8, 2, {2, 2, 4}},           /* two colours, indices */
        [DS_CODEC_TRANSFORM_BC3] = {16, 4, {1, 1, 6, 2, 2, 4}}, /* BC4 alpha, then BC1 */
        [DS_CODEC_TRANSFORM_BC4] = {8, 4, {1, 1, 6}},           /* two ends, indices */
        [DS_CODEC_TRANSFORM_BC5] = {16, 4, {1, 1, 6, 1, 1, 6}}, /* red, green */
    };

    if ((unsigned)transform >= ARRAY_LENGTH(layouts))
        return NULL;
    return &layouts[transform];
}

/* Copies one field of every block: strides tell blocks from a stream. Constant widths make the
 * copies plain loads and stores. */
static void field_copy(const uint8_t *from, size_t from_stride, uint8_t *to, size_t to_stride,
                       size_t blocks, uint32_t width)
{
#define FIELD_LOOP(bytes)                                                                          \
    for (size_t i = 0; i < blocks; i++)                                                            \
    memcpy(to + i * to_stride, from + i * from_stride, bytes)
    switch (width) {
    case 1:
        FIELD_LOOP(1);
        break;
    case 2:
        FIELD_LOOP(2);
        break;
    case 4:
        FIELD_LOOP(4);
        break;
    default:
        DS_ASSERT(width == 6);
        FIELD_LOOP(6);
        break;
    }
#undef FIELD_LOOP
}

static int transform_run(enum ds_codec_transform transform, const uint8_t *source, uint8_t *dst,
                         size_t bytes, bool undo)
{
    const struct layout *layout = layout_of(transform);
    size_t group_bytes, blocks, whole, at = 0;

    if (layout == NULL)
        return -EINVAL;
    if (bytes == 0)
        return 0;
    if (transform == DS_CODEC_TRANSFORM_NONE) {
        memcpy(dst, source, bytes);
        return 0;
    }
    group_bytes = (size_t)layout->block_bytes * layout->group_blocks;
    whole = bytes / group_bytes * group_bytes;
    blocks = whole / layout->block_bytes;
    for (uint32_t i = 0; i < FIELDS_MAX && layout->fields[i] != 0; i++) {
        uint32_t width = layout->fields[i];

        if (undo)
            field_copy(source + at * blocks, width, dst + at, layout->block_bytes, blocks, width);
        else
            field_copy(source + at, layout->block_bytes, dst + at * blocks, width, blocks, width);
        at += width;
    }
    memcpy(dst + whole, source + whole, bytes - whole);
    return 0;
}

int ds_codec_unshuffle(enum ds_codec_transform transform, const void *source, void *dst,
                       size_t bytes)
{
    return transform_run(transform, source, dst, bytes, true);
}

int ds_codec_shuffle(enum ds_codec_transform transform, const void *source, void *dst, size_t bytes)
{
    return transform_run(transform, source, dst, bytes, false);
}
