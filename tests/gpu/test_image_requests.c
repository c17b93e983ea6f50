/* Requests on images beyond the matrix of formats: boxes, tiles, size, failure, many at once,
 * layouts, ownership, and what enqueue refuses. */
#include "gpu/test_image_model.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (16u << 10)

static const struct ds_image_config upload = {
    .layout = VK_IMAGE_LAYOUT_UNDEFINED,
    .layout_after = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
};

/* Later requests keep what earlier ones wrote: the layout is tracked, not reset. */
static void check_regions(const struct ds_image_shape *shape, const struct ds_image_region *boxes,
                          uint32_t n)
{
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_SHARED);
    if (!rig_image_open(&rig, shape, &upload, &image)) {
        fprintf(stderr, "skipped: format %d, which this device lacks\n", (int)shape->format);
        image_rig_close(&rig);
        return;
    }
    model_open(&m, shape);
    model_fill(&rig, &image, &m, 77);
    for (uint32_t i = 0; i < n; i++)
        model_region(&rig, &image, &m, boxes[i], 4097 * (i + 1) + i);
    rig_finish(&rig, n, DS_STATUS_OK);
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

Test(image_requests, boxes_of_a_plain_image)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {200, 150, 1}, 3, 2};
    static const struct ds_image_region boxes[] = {
        {.subresource = 0, .offset = {10, 20, 0}, .extent = {100, 90, 1}},
        {.subresource = 0, .offset = {199, 149, 0}, .extent = {1, 1, 1}},
        {.subresource = 4, .offset = {3, 5, 0}, .extent = {97, 70, 1}, .row_pitch = 512},
        {.subresource = 5, .offset = {0, 0, 0}, .extent = {7, 37, 1}, .row_pitch = 31},
        {.subresource = 2, .offset = {1, 2, 0}, .extent = {3, 3, 1}, .row_pitch = 13},
    };

    check_regions(&shape, boxes, 5);
}

Test(image_requests, boxes_of_blocks)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_BC7_UNORM_BLOCK, VK_IMAGE_TYPE_2D, {202, 150, 1}, 4, 1};
    static const struct ds_image_region boxes[] = {
        {.subresource = 0, .offset = {4, 8, 0}, .extent = {64, 100, 1}, .row_pitch = 256},
        {.subresource = 0, .offset = {196, 148, 0}, .extent = {6, 2, 1}},
        {.subresource = 1, .offset = {96, 0, 0}, .extent = {5, 75, 1}},
        {.subresource = 3, .offset = {24, 16, 0}, .extent = {1, 2, 1}},
    };

    check_regions(&shape, boxes, 4);
}

Test(image_requests, boxes_of_a_deep_image)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R16G16_UNORM, VK_IMAGE_TYPE_3D, {60, 50, 20}, 2, 1};
    static const struct ds_image_region boxes[] = {
        {.subresource = 0, .offset = {2, 3, 4}, .extent = {50, 40, 12}},
        {.subresource = 0, .offset = {0, 0, 17}, .extent = {60, 50, 2}, .row_pitch = 256,
         .slice_pitch = 256 * 50 + 100},
        {.subresource = 1, .offset = {1, 1, 1}, .extent = {20, 20, 9}, .row_pitch = 83,
         .slice_pitch = 83 * 21},
    };

    check_regions(&shape, boxes, 3);
}

/* 12 bytes divide neither 256 nor 512: every row has to be moved. */
Test(image_requests, boxes_of_three_floats)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R32G32B32_UINT, VK_IMAGE_TYPE_2D, {70, 61, 1}, 3, 2};
    static const struct ds_image_region boxes[] = {
        {.subresource = 0, .offset = {5, 5, 0}, .extent = {11, 50, 1}, .row_pitch = 256},
        {.subresource = 4, .offset = {0, 1, 0}, .extent = {35, 29, 1}},
    };

    check_regions(&shape, boxes, 2);
}

/* 5.6 MiB through an arena of 2 MiB, in chunks of 16 KiB, four times: reads end in any order. */
Test(image_requests, larger_than_the_arena)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {1201, 1000, 1}, 5, 1};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_DEDICATED);
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    model_open(&m, &shape);
    for (uint32_t i = 0; i < 4; i++)
        model_fill(&rig, &image, &m, 1 + 5 * i);
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

/* Bands of one subresource by many requests at once, none of which may undo another's. */
Test(image_requests, many_writers_of_one_subresource)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, {301, 128, 1}, 1, 1};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_DEDICATED);
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    model_open(&m, &shape);
    for (uint32_t round = 0; round < 3; round++) {
        for (int32_t i = 0; i < 64; i++)
            model_region(&rig, &image, &m,
                       (struct ds_image_region){.offset = {0, 2 * i, 0}, .extent = {301, 2, 1}},
                       round * 777 + 5003 * (uint64_t)i);
        rig_finish(&rig, 64, DS_STATUS_OK);
    }
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

/* Tiles into an image that is not sparse, which is all the same to the copies. */
Test(image_requests, tiles)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {300, 200, 1}, 2, 1};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_SHARED);
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    model_open(&m, &shape);
    model_fill(&rig, &image, &m, 3);
    cr_assert_eq(rig_read(&rig, ds_image_target(.kind = DS_IMAGE_TILES, .image = image.image,
                                                .tiles = {.x = 1, .y = 1, .n = 4}),
                          9999, 4 * DS_IMAGE_TILE_BYTES), 0);
    rig_finish(&rig, 1, DS_STATUS_OK);
    for (uint32_t i = 0; i < 4; i++) { /* (1, 1) and (2, 1) of mip 0, both of mip 1 */
        struct ds_image_region tile = {
            .subresource = i / 2,
            .offset = {i < 2 ? (int32_t)(128 * (i + 1)) : (int32_t)(128 * (i - 2)),
                       i < 2 ? 128 : 0, 0},
            .row_pitch = 512,
        };

        tile.extent = (VkExtent3D){i == 0 || i == 2 ? 128 : i == 1 ? 44 : 22, i < 2 ? 72 : 100, 1};
        model_write(&m, &tile, rig.content + 9999 + i * DS_IMAGE_TILE_BYTES);
    }
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

/* After a failure in the middle the next request finds the layout as it should be. */
Test(image_requests, the_file_ends_inside_one)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {256, 256, 1}, 1, 1};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_DEDICATED);
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    model_open(&m, &shape);
    cr_assert_eq(rig_read(&rig, ds_image_target(.kind = DS_IMAGE_SUBRESOURCES,
                                                .image = image.image, .range = {.n = 1}),
                          RIG_FILE_BYTES - 100000, 256 * 256 * 4), 0);
    rig_finish(&rig, 1, DS_STATUS_END_OF_FILE);
    cr_assert_eq(rig_read(&rig, ds_image_target(.kind = DS_IMAGE_SUBRESOURCES,
                                                .image = image.image, .range = {.n = 1}),
                          RIG_FILE_BYTES + 1, 256 * 256 * 4), 0);
    rig_finish(&rig, 1, DS_STATUS_END_OF_FILE);
    model_fill(&rig, &image, &m, 0);
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

/* The caller makes the transitions itself, and says so; the engine makes none, or the layers would
 * find another layout than the caller's next barrier names. */
Test(image_requests, layouts_by_the_caller)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {64, 64, 1}, 1, 1};
    const VkImageLayout to = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
    const VkImageLayout from = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    const struct ds_image_config as_is = {.layout = VK_IMAGE_LAYOUT_UNDEFINED};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_SHARED);
    cr_assert(rig_image_open(&rig, &shape, &as_is, &image));
    model_open(&m, &shape);
    cr_assert_eq(ds_vulkan_image_set_layout(image.image, 0, 2, to), -EINVAL);
    for (uint32_t round = 0; round < 2; round++) {
        rig_change(&rig, &image, round == 0 ? VK_IMAGE_LAYOUT_UNDEFINED : from, to, 0, 0);
        cr_assert_eq(ds_vulkan_image_set_layout(image.image, 0, 1, to), 0);
        model_fill(&rig, &image, &m, 100 + round);
        rig_change(&rig, &image, to, from, 0, 0);
        model_check(&m, &rig, &image, from);
    }
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

Test(image_requests, from_memory)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8_UNORM, VK_IMAGE_TYPE_2D, {100, 90, 1}, 1, 1};
    struct ds_image_region whole = {.extent = {100, 90, 1}};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, 4096, DS_TOPOLOGY_MANUAL);
    if (!rig_image_open(&rig, &shape, &upload, &image)) {
        struct ds_image_shape other = shape;

        other.format = VK_FORMAT_R8G8_UNORM;
        cr_assert(rig_image_open(&rig, &other, &upload, &image));
    }
    model_open(&m, &image.shape);
    model_write(&m, &whole, rig.content + 1);
    cr_assert_eq(ds_queue_enqueue(rig.queue,
                                  ds_request(.source = rig.content + 1, .size = 27000,
                                             .image_target = ds_image_target(
                                                 .kind = DS_IMAGE_REGION, .image = image.image,
                                                 .region = whole))), 0);
    rig_finish(&rig, 1, DS_STATUS_OK);
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

/* Cancelled anywhere on their way, requests leave the layout as it should be, and the neighbours
 * alone. */
static void cancelled_midway(enum ds_topology topology)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, {1000, 512, 1}, 1, 1};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, CHUNK_BYTES, topology);
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    model_open(&m, &shape);
    for (uint32_t round = 0; round < 12; round++) {
        struct ds_result results[16];
        uint32_t cancelled = 0;

        for (int32_t i = 0; i < 16; i++) {
            struct ds_image_region band = {.offset = {0, 32 * i, 0}, .extent = {1000, 32, 1}};

            cr_assert_eq(ds_queue_enqueue(
                             rig.queue,
                             ds_request(.file = rig.file, .offset = round * 777u + 5003u * i,
                                        .size = 32000, .user_data = (uint64_t)i,
                                        .cancel_tag = (uint64_t)i % 3,
                                        .image_target = ds_image_target(.kind = DS_IMAGE_REGION,
                                                                        .image = image.image,
                                                                        .region = band))), 0);
        }
        ds_queue_submit(rig.queue);
        for (uint32_t i = 0; i < round; i++)
            ds_engine_step(rig.engine); /* -EINVAL but for MANUAL */
        ds_queue_cancel(rig.queue, UINT64_MAX, round % 3);
        for (uint32_t got = 0; got < 16; got++)
            cr_assert_eq(ds_queue_wait(rig.queue, &results[got], 1, RIG_WAIT_NS), 1);
        for (uint32_t i = 0; i < 16; i++) {
            bool hit = results[i].user_data % 3 == round % 3;

            cr_assert(results[i].status == DS_STATUS_OK ||
                      (hit && results[i].status == DS_STATUS_CANCELLED));
            cancelled += results[i].status == DS_STATUS_CANCELLED;
        }
        cr_assert(round > 0 || topology != DS_TOPOLOGY_MANUAL || cancelled == 6,
                  "nothing had begun, and %u of 6 were cancelled", cancelled);
    }
    model_fill(&rig, &image, &m, 9);
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}

Test(image_requests, cancelled_midway_shared)
{
    cancelled_midway(DS_TOPOLOGY_SHARED);
}

Test(image_requests, cancelled_midway_dedicated)
{
    cancelled_midway(DS_TOPOLOGY_DEDICATED);
}

Test(image_requests, cancelled_midway_manual)
{
    cancelled_midway(DS_TOPOLOGY_MANUAL);
}

/* A request that was not submitted when its image went away fails, and touches nothing. */
Test(image_requests, destroyed_before_submit)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, {64, 64, 1}, 1, 1};
    struct ds_queue *dropped;
    struct image_rig rig;
    struct rig_image image;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_SHARED);
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    cr_assert_eq(ds_queue_create(rig.engine, ds_queue_config(.flags = DS_QUEUE_IMAGES), &dropped),
                 0);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(ds_queue_enqueue(i == 0 ? rig.queue : dropped,
                                      ds_request(.file = rig.file, .size = 4096,
                                                 .image_target = ds_image_target(
                                                     .kind = DS_IMAGE_SUBRESOURCES,
                                                     .image = image.image, .range = {.n = 1}))),
                     0);
    cr_assert_eq(ds_vulkan_image_set_layout(image.image, 0, 1, VK_IMAGE_LAYOUT_GENERAL), -EBUSY);
    rig_image_close(&rig, &image);
    rig_finish(&rig, 1, DS_STATUS_CANCELLED);
    ds_queue_destroy(&dropped);
    image_rig_close(&rig);
}

Test(image_requests, refusals)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {4096, 4, 1}, 1, 1};
    struct ds_image_target *target;
    struct ds_queue *plain;
    struct image_rig rig;
    struct rig_image image;
    struct ds_image *other = NULL;
    struct ds_request r;
    uint8_t byte;

    image_rig_open(&rig, CHUNK_BYTES, DS_TOPOLOGY_SHARED);
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    target = (struct ds_image_target *)ds_image_target(
        .kind = DS_IMAGE_SUBRESOURCES, .image = image.image, .range = {.n = 1});
    r = *ds_request(.file = rig.file, .size = 65536, .image_target = target);
    cr_assert_eq(ds_queue_enqueue(rig.queue, &r), -EFBIG, "a row of 16 KiB and room to shift it");
    cr_assert_eq(ds_queue_create(rig.engine, NULL, &plain), 0);
    cr_assert_eq(ds_queue_enqueue(plain, &r), -EINVAL);
    ds_queue_destroy(&plain);
    r.op = DS_OP_WRITE;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &r), -EINVAL);
    r.op = DS_OP_READ;
    r.host = &byte;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &r), -EINVAL);
    r.host = NULL;
    r.flags = DS_REQUEST_ALLOW_SHORT;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &r), -EINVAL);
    r.flags = 0;
    r.size = 65535;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &r), -ERANGE);
    cr_assert_eq(ds_vulkan_image_create(rig.engine, ds_image_config(.shape = shape), &other),
                 -EINVAL);
    cr_assert_eq(ds_vulkan_image_create(rig.engine,
                                        ds_image_config(.image = image.handle, .shape = shape,
                                                        .usage = VK_IMAGE_USAGE_SAMPLED_BIT),
                                        &other), -EINVAL);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}
