/* What an image shall hold: requests are made of the engine and of a model of it alike, and what is
 * read back must equal the model. */
#ifndef TESTS_GPU_TEST_IMAGE_MODEL_H
#define TESTS_GPU_TEST_IMAGE_MODEL_H

#include "gpu/test_image_rig.h"

struct model {
    struct ds_image_footprint footprints[64];
    struct ds_image_format format;
    uint8_t *bytes; /* in rig_readback's layout; the caller frees */
    uint64_t size;
    uint32_t n;     /* subresources, at most 64 */
};

/* model_open makes one that holds zeros. */
void model_open(struct model *m, const struct ds_image_shape *shape);

/* model_write puts a box of `source` into the model alone. */
void model_write(struct model *m, const struct ds_image_region *r, const uint8_t *source);

/* model_check reads the image back and compares. Rows only: between subresources there are gaps. */
void model_check(struct model *m, struct image_rig *rig, const struct rig_image *image,
                 VkImageLayout layout);

/* model_fill fills image and model from file[offset, ...), and waits. */
void model_fill(struct image_rig *rig, struct rig_image *image, struct model *m, uint64_t offset);

/* model_region writes a box from file[offset, ...) to both; rig_finish is the caller's. */
void model_region(struct image_rig *rig, struct rig_image *image, struct model *m,
                  struct ds_image_region region, uint64_t offset);

#endif
