/* Exclusive images that pass between the queue family of the copies and the application's. Where
 * the device has one family, the same requests with no transfer. */
#include "gpu/test_image_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (16u << 10)
#define DST VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL
#define SRC VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL

static const struct ds_image_shape shape = {
    VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {128, 128, 1}, 2, 1};

static bool two_families(const struct image_rig *rig)
{
    bool two = rig->vk->queue_family != rig->vk->app_queue_family;

    if (!two)
        fprintf(stderr, "skipped: ownership transfer, the device has one queue family\n");
    return two;
}

/* The application takes back what the engine has released. */
static void acquire_from_engine(struct image_rig *rig, const struct rig_image *image, bool two)
{
    if (two)
        rig_change(rig, image, DST, SRC, rig->vk->queue_family, rig->vk->app_queue_family);
}

/* Written by the engine alone, and handed over. What was there before may go. */
static void released(enum ds_topology topology)
{
    struct ds_image_config config = {.layout = VK_IMAGE_LAYOUT_UNDEFINED, .layout_after = SRC};
    struct image_rig rig;
    struct rig_image image;
    struct model m;
    bool two;

    image_rig_open(&rig, CHUNK_BYTES, topology);
    two = two_families(&rig);
    config.flags = DS_IMAGE_RELEASE;
    config.release_family = rig.vk->app_queue_family;
    cr_assert(rig_image_open(&rig, &shape, &config, &image));
    model_open(&m, &shape);
    for (uint32_t round = 0; round < 3; round++) {
        model_fill(&rig, &image, &m, 4 + round);
        acquire_from_engine(&rig, &image, two);
        model_check(&m, &rig, &image, SRC);
    }
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

Test(image_owners, released_shared)
{
    released(DS_TOPOLOGY_SHARED);
}

Test(image_owners, released_dedicated)
{
    released(DS_TOPOLOGY_DEDICATED);
}

struct upload {
    struct image_rig *rig;
    const struct rig_image *image;
    const struct model *model;
    VkBuffer buffer;
};

static void record_upload(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    const struct upload *u = ctx;

    (void)util;
    for (uint32_t i = 0; i < u->model->n; i++) {
        VkBufferImageCopy copy = {
            .bufferOffset = u->model->footprints[i].offset,
            .imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, i, 0, 1},
            .imageExtent = {u->image->shape.extent.width >> i,
                            u->image->shape.extent.height >> i, 1},
        };

        u->rig->CmdCopyBufferToImage(commands, u->buffer, u->image->handle, DST, 1, &copy);
    }
}

/* The application's own contents, on its own queue. Leaves the image in SRC. */
static void upload_by_application(struct image_rig *rig, const struct rig_image *image,
                                  struct model *m)
{
    struct upload upload = {rig, image, m, VK_NULL_HANDLE};
    struct vk_util_buffer buffer;

    memcpy(m->bytes, rig->content + 12345, m->size);
    vk_util_buffer(rig->vk, m->size, 0, true, &buffer);
    memcpy(buffer.mapped, m->bytes, m->size);
    upload.buffer = buffer.buffer;
    rig_change(rig, image, VK_IMAGE_LAYOUT_UNDEFINED, DST, 0, 0);
    vk_util_run(rig->vk, record_upload, &upload, VK_NULL_HANDLE, 0);
    rig_change(rig, image, DST, SRC, 0, 0);
    vk_util_buffer_free(rig->vk, &buffer);
}

/* The engine writes boxes into what the application had there, and the rest must be left. */
static void there_and_back(enum ds_topology topology)
{
    struct ds_image_config config = {.flags = DS_IMAGE_ACQUIRE | DS_IMAGE_RELEASE,
                                     .layout = SRC,
                                     .layout_after = SRC};
    struct image_rig rig;
    struct rig_image image;
    struct model m;
    bool two;

    image_rig_open(&rig, CHUNK_BYTES, topology);
    two = two_families(&rig);
    config.acquire_family = config.release_family = rig.vk->app_queue_family;
    cr_assert(rig_image_open(&rig, &shape, &config, &image));
    model_open(&m, &shape);
    upload_by_application(&rig, &image, &m);
    model_check(&m, &rig, &image, SRC);
    for (int32_t round = 0; round < 3; round++) {
        if (two)
            rig_change(&rig, &image, SRC, DST, rig.vk->app_queue_family, rig.vk->queue_family);
        for (uint32_t mip = 0; mip < shape.mips; mip++)
            model_region(&rig, &image, &m,
                         (struct ds_image_region){.subresource = mip,
                                                  .offset = {5 + round, 11 * round, 0},
                                                  .extent = {40, 30, 1}},
                         (uint64_t)(99 + 5000 * round) + mip);
        rig_finish(&rig, shape.mips, DS_STATUS_OK);
        acquire_from_engine(&rig, &image, two);
        model_check(&m, &rig, &image, SRC);
    }
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

Test(image_owners, there_and_back_shared)
{
    there_and_back(DS_TOPOLOGY_SHARED);
}

Test(image_owners, there_and_back_dedicated)
{
    there_and_back(DS_TOPOLOGY_DEDICATED);
}
