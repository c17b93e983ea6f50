/* What an image shall hold. */
#include "gpu/test_image_model.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

void model_open(struct model *m, const struct ds_image_shape *shape)
{
    m->n = shape->mips * shape->layers;
    cr_assert_eq(ds_image_format_get(shape->format, &m->format), 0);
    cr_assert_eq(ds_image_footprints(shape, 0, m->n, DS_IMAGE_LAYOUT_TIGHT, RIG_ALIGN,
                                     m->footprints, &m->size), 0);
    m->bytes = calloc(1, m->size);
}

void model_write(struct model *m, const struct ds_image_region *r, const uint8_t *source)
{
    uint32_t column = (uint32_t)r->offset.x / m->format.block_width;
    uint32_t columns = (r->extent.width + m->format.block_width - 1) / m->format.block_width;
    uint32_t rows = (r->extent.height + m->format.block_height - 1) / m->format.block_height;
    uint32_t top = (uint32_t)r->offset.y / m->format.block_height;
    uint64_t row_bytes = (uint64_t)columns * m->format.block_bytes;
    uint64_t row_pitch = r->row_pitch != 0 ? r->row_pitch : row_bytes;
    uint64_t slice_pitch = r->slice_pitch != 0 ? r->slice_pitch : row_pitch * rows;

    for (uint32_t z = 0; z < r->extent.depth; z++) {
        for (uint32_t y = 0; y < rows; y++)
            memcpy(m->bytes +
                       rig_offset(m->footprints, r->subresource, (uint32_t)r->offset.z + z,
                                  top + y) +
                       (uint64_t)column * m->format.block_bytes,
                   source + z * slice_pitch + y * row_pitch, row_bytes);
    }
}

/* Compares rows only: between subresources the readback has gaps. */
void model_check(struct model *m, struct image_rig *rig, const struct rig_image *image,
                        VkImageLayout layout)
{
    uint8_t *back = rig_readback(rig, image, layout);

    for (uint32_t i = 0; i < m->n; i++) {
        const struct ds_image_footprint *f = &m->footprints[i];

        for (uint32_t line = 0; line < f->rows * f->slices; line++) {
            uint64_t at = rig_offset(m->footprints, i, line / f->rows, line % f->rows);

            cr_assert_arr_eq(back + at, m->bytes + at, f->row_bytes, "subresource %u, line %u", i,
                             line);
        }
    }
    free(back);
}

/* Fills the whole image and the model from file[offset, ...). */
void model_fill(struct image_rig *rig, struct rig_image *image, struct model *m, uint64_t offset)
{
    struct ds_image_footprint from[64];
    uint64_t bytes;

    cr_assert_eq(ds_image_footprints(&image->shape, 0, m->n, DS_IMAGE_LAYOUT_D3D12, 0, from,
                                     &bytes), 0);
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t mip = i % image->shape.mips;
        struct ds_image_region whole = {
            .subresource = i,
            .extent = {image->shape.extent.width >> mip, image->shape.extent.height >> mip,
                       image->shape.extent.depth >> mip},
            .row_pitch = from[i].row_pitch,
            .slice_pitch = from[i].slice_pitch,
        };

        whole.extent.width += whole.extent.width == 0;
        whole.extent.height += whole.extent.height == 0;
        whole.extent.depth += whole.extent.depth == 0;
        model_write(m, &whole, rig->content + offset + from[i].offset);
    }
    cr_assert_eq(rig_read(rig, ds_image_target(.kind = DS_IMAGE_SUBRESOURCES,
                                               .image = image->image,
                                               .range = {.n = m->n,
                                                         .layout = DS_IMAGE_LAYOUT_D3D12}),
                          offset, bytes), 0);
    rig_finish(rig, 1, DS_STATUS_OK);
}

void model_region(struct image_rig *rig, struct rig_image *image, struct model *m,
                  struct ds_image_region region, uint64_t offset)
{
    cr_assert_eq(rig_read(rig, ds_image_target(.kind = DS_IMAGE_REGION, .image = image->image,
                                               .region = region),
                          offset, 2 << 20), 0);
    model_write(m, &region, rig->content + offset);
}
