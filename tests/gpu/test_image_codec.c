/* Images from compressed data: the requests of test_image_requests.c, with a codec. */
#include "gpu/test_image_model.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct ds_image_config upload = {
    .layout = VK_IMAGE_LAYOUT_UNDEFINED,
    .layout_after = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
};

/* What the requests of a test are compressed into; they live until its end. */
static struct {
    void *blocks[64];
    uint32_t n;
    uint32_t damaged; /* number of a block that shall be, plus 1 */
    bool tile;        /* a tile shall be, in a container that is in order */
} packs;

static void *keep(void *block)
{
    cr_assert(block != NULL && packs.n < 64);
    packs.blocks[packs.n++] = block;
    return block;
}

static void packs_free(void)
{
    while (packs.n > 0)
        free(packs.blocks[--packs.n]);
}

/* Another codec each time, as far as there are any. */
static struct ds_codec *codec_next(enum ds_codec_format *format)
{
    static const enum ds_codec_format formats[] = {DS_CODEC_GDEFLATE, DS_CODEC_LZ4,
                                                   DS_CODEC_ZSTD};
    struct ds_codec *codec = NULL;

    *format = image_rig_gpu_decodes ? DS_CODEC_GDEFLATE : formats[packs.n % 3];
    if (ds_codec_create(*format, NULL, &codec) != 0) {
        *format = DS_CODEC_GDEFLATE;
        cr_assert_eq(ds_codec_create(*format, NULL, &codec), 0);
    }
    return codec;
}

/* A format of the application's, and the thread that decodes it. */
static struct {
    struct ds_engine *engine; /* NULL: the codecs of the library */
    pthread_t thread;
    int stop_fd;
} application;

static void decode_all(struct ds_engine *engine)
{
    struct ds_custom_request requests[8];
    struct ds_custom_result results[8];
    int n;

    while ((n = ds_custom_take(engine, DS_CUSTOM_SELECT_CUSTOM, requests, 8)) > 0) {
        for (int i = 0; i < n; i++) {
            const uint8_t *from = requests[i].source;
            uint8_t *to = requests[i].destination;

            for (uint64_t k = 0; k < requests[i].destination_bytes; k++)
                to[k] = (uint8_t)~from[k];
            results[i] = (struct ds_custom_result){.id = requests[i].id};
        }
        if (ds_custom_finish(engine, results, (uint32_t)n) != 0)
            abort();
    }
}

static void *application_main(void *argument)
{
    struct ds_engine *engine = argument;
    struct pollfd fds[2] = {{.fd = ds_custom_eventfd(engine), .events = POLLIN},
                            {.fd = application.stop_fd, .events = POLLIN}};

    while ((fds[1].revents & POLLIN) == 0) {
        decode_all(engine);
        poll(fds, 2, -1);
    }
    return NULL;
}

static void application_start(struct image_rig *rig)
{
    application.engine = rig->engine;
    application.stop_fd = eventfd(0, EFD_CLOEXEC);
    cr_assert_eq(pthread_create(&application.thread, NULL, application_main, rig->engine), 0);
}

static void application_stop(void)
{
    uint64_t one = 1;

    cr_assert_eq(write(application.stop_fd, &one, sizeof(one)), (ssize_t)sizeof(one));
    pthread_join(application.thread, NULL);
    close(application.stop_fd);
    application.engine = NULL;
}

static int read_custom(struct image_rig *rig, const struct ds_image_target *target,
                       const uint8_t *bytes, uint64_t n)
{
    uint8_t *packed = keep(malloc(n));

    for (uint64_t i = 0; i < n; i++)
        packed[i] = (uint8_t)~bytes[i];
    return ds_queue_enqueue(rig->queue, ds_request(.source = packed, .size = n,
                                                   .codec = DS_CODEC_CUSTOM_0 + packs.n,
                                                   .uncompressed_size = n,
                                                   .image_target = target));
}

static int read_packed(struct image_rig *rig, const struct ds_image_target *target,
                       const uint8_t *bytes, uint64_t n)
{
    enum ds_codec_format format;
    struct ds_codec *codec = codec_next(&format);
    uint8_t *packed;
    size_t bound, made;

    n = n > 1 << 20 ? 1 << 20 : n; /* model_region names more than it needs */
    if (application.engine != NULL) {
        ds_codec_destroy(&codec);
        return read_custom(rig, target, bytes, n);
    }
    bound = ds_codec_compress_bound(codec, n);
    packed = keep(malloc(bound));

    cr_assert_eq(ds_codec_compress(codec, 1, bytes, n, packed, bound, &made), 0);
    ds_codec_destroy(&codec);
    if (packs.damaged == packs.n && packs.tile)
        packed[8 + 4 * ((n + 65535) / 65536)] |= 6; /* a block of type 3 at the tiles' begin */
    else if (packs.damaged == packs.n)
        made /= 2;
    return ds_queue_enqueue(rig->queue, ds_request(.source = packed, .size = made,
                                                   .codec = format, .uncompressed_size = n,
                                                   .image_target = target));
}

/* Those have decoded that should have. */
static void check_who(const struct image_rig *rig)
{
    struct ds_counters counters = {.struct_size = sizeof(counters)};

    cr_assert_eq(ds_engine_get_counters(rig->engine, &counters), 0);
    cr_assert_eq(counters.gpu_decoded_tiles > 0, image_rig_gpu_decodes);
    if (image_rig_backlog_bytes != 0)
        cr_assert_eq(counters.cpu_decoded_tiles, 7 + 2 * 16);
}

static void check_regions_by(bool by_application, const struct ds_image_shape *shape,
                             const struct ds_image_region *boxes, uint32_t n)
{
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, 16 << 10, DS_TOPOLOGY_SHARED);
    rig.read = read_packed;
    if (!rig_image_open(&rig, shape, &upload, &image)) {
        fprintf(stderr, "skipped: format %d, which this device lacks\n", (int)shape->format);
        image_rig_close(&rig);
        return;
    }
    if (by_application)
        application_start(&rig);
    model_open(&m, shape);
    model_fill(&rig, &image, &m, 77);
    for (uint32_t i = 0; i < n; i++)
        model_region(&rig, &image, &m, boxes[i], 4097 * (i + 1) + i);
    rig_finish(&rig, n, DS_STATUS_OK);
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    check_who(&rig);
    if (by_application)
        application_stop();
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
    packs_free();
}

static void check_regions(const struct ds_image_shape *shape, const struct ds_image_region *boxes,
                          uint32_t n)
{
    check_regions_by(false, shape, boxes, n);
    if (!image_rig_gpu_decodes)
        check_regions_by(true, shape, boxes, n);
}

static void plain_image(void)
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

Test(image_codec, boxes_of_a_plain_image)
{
    plain_image();
}

/* Some of these boxes have a pitch that is no number of texels: these go to the CPU. */
Test(image_codec, boxes_that_the_gpu_decodes)
{
    image_rig_gpu_decodes = true;
    plain_image();
    image_rig_gpu_decodes = false;
}

/* The image is filled by the CPU, which has nothing else to do and is sooner done with so little.
 * The boxes come with twice as many bytes, for the GPU where it can. */
Test(image_codec, boxes_that_cpu_and_gpu_share)
{
    image_rig_gpu_decodes = true;
    image_rig_backlog_bytes = 600000;
    plain_image();
    image_rig_backlog_bytes = 0;
    image_rig_gpu_decodes = false;
}

/* 12 bytes a block: staging offsets are no powers of two. */
Test(image_codec, boxes_of_three_floats)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R32G32B32_UINT, VK_IMAGE_TYPE_2D, {70, 61, 1}, 3, 2};
    static const struct ds_image_region boxes[] = {
        {.subresource = 0, .offset = {5, 5, 0}, .extent = {11, 50, 1}, .row_pitch = 256},
        {.subresource = 4, .offset = {0, 1, 0}, .extent = {35, 29, 1}},
    };

    check_regions(&shape, boxes, 2);
}

/* Fills the whole image and the model from content[offset, ...), without a gap. */
static void fill_tight(struct image_rig *rig, struct rig_image *image, struct model *m,
                       uint64_t offset)
{
    struct ds_image_footprint from[64];
    uint64_t bytes;

    cr_assert_eq(ds_image_footprints(&image->shape, 0, m->n, DS_IMAGE_LAYOUT_TIGHT, 1, from,
                                     &bytes), 0);
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t mip = i % image->shape.mips;
        struct ds_image_region whole = {
            .subresource = i,
            .extent = {image->shape.extent.width >> mip, image->shape.extent.height >> mip, 1}};

        model_write(m, &whole, rig->content + offset + from[i].offset);
    }
    cr_assert_eq(rig_read(rig, ds_image_target(.kind = DS_IMAGE_SUBRESOURCES,
                                               .image = image->image,
                                               .range = {.n = m->n, .offset_align = 1,
                                                         .layout = DS_IMAGE_LAYOUT_TIGHT}),
                          offset, bytes), 0);
    rig_finish(rig, 1, DS_STATUS_OK);
}

/* Tightly packed, the subresources of one byte a texel begin at odd bytes, and a family that only
 * copies wants multiples of four: all of them must be moved before they can be copied. */
Test(image_codec, subresources_at_odd_places)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8_UNORM, VK_IMAGE_TYPE_2D, {37, 29, 1}, 5, 12};
    VkQueueFamilyProperties family = {.queueFlags = VK_QUEUE_TRANSFER_BIT,
                                      .minImageTransferGranularity = {1, 1, 1}};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_pretend = &family;
    image_rig_open(&rig, 16 << 10, DS_TOPOLOGY_MANUAL);
    rig.read = read_packed;
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    model_open(&m, &shape);
    for (uint32_t i = 0; i < 5; i++)
        fill_tight(&rig, &image, &m, 1000 + i);
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
    image_rig_pretend = NULL;
    packs_free();
}

Test(image_codec, boxes_of_a_deep_image)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8_UNORM, VK_IMAGE_TYPE_3D, {33, 21, 19}, 3, 1};
    static const struct ds_image_region boxes[] = {
        {.subresource = 0, .offset = {3, 1, 2}, .extent = {11, 13, 7}, .row_pitch = 23},
        {.subresource = 0, .offset = {0, 0, 0}, .extent = {33, 21, 19}, .row_pitch = 66,
         .slice_pitch = 66 * 21 + 31},
        {.subresource = 1, .offset = {0, 0, 3}, .extent = {16, 10, 5}, .row_pitch = 34},
    };

    check_regions(&shape, boxes, 3);
}

/* What is damaged: the container, which leaves the image alone, or a tile, which the GPU finds out
 * too late for that. Its layout is in order again, and what comes later is right. */
static void damaged_image(bool tile)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {64, 64, 1}, 1, 1};
    struct ds_image_region whole = {.extent = {64, 64, 1}};
    struct image_rig rig;
    struct rig_image image;
    struct model m;

    image_rig_open(&rig, 16 << 10, DS_TOPOLOGY_DEDICATED);
    rig.read = read_packed;
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    model_open(&m, &shape);
    model_fill(&rig, &image, &m, 77);
    packs.damaged = packs.n + 1;
    packs.tile = tile;
    cr_assert_eq(rig_read(&rig, ds_image_target(.kind = DS_IMAGE_REGION, .image = image.image,
                                                .region = whole), 1, 64 * 64 * 4), 0);
    rig_finish(&rig, 1, DS_STATUS_DECOMPRESSION);
    packs.damaged = 0;
    if (!tile)
        model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    model_fill(&rig, &image, &m, 999);
    model_check(&m, &rig, &image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
    free(m.bytes);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
    packs_free();
}

Test(image_codec, damaged_data_leaves_the_image_alone)
{
    damaged_image(false);
}

Test(image_codec, the_gpu_finds_a_damaged_tile)
{
    image_rig_gpu_decodes = true;
    damaged_image(false);
    damaged_image(true);
    image_rig_gpu_decodes = false;
}

/* An image takes all of the decoded bytes. */
Test(image_codec, destinations_for_a_part_are_refused)
{
    static const struct ds_image_shape shape = {
        VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {64, 64, 1}, 1, 1};
    static const uint8_t damaged[100];
    struct image_rig rig;
    struct rig_image image;
    struct ds_request r;

    image_rig_open(&rig, 16 << 10, DS_TOPOLOGY_SHARED);
    cr_assert(rig_image_open(&rig, &shape, &upload, &image));
    r = *ds_request(.source = damaged, .size = sizeof(damaged), .codec = DS_CODEC_GDEFLATE,
                    .uncompressed_size = 64 * 64 * 4,
                    .image_target = (struct ds_image_target *)ds_image_target(
                        .kind = DS_IMAGE_SUBRESOURCES, .image = image.image, .range = {.n = 1}));
    r.destination_bytes = r.uncompressed_size - 1;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &r), -EINVAL);
    r.destination_bytes = r.uncompressed_size;
    cr_assert_eq(ds_queue_enqueue(rig.queue, &r), 0);
    rig_finish(&rig, 1, DS_STATUS_DECOMPRESSION);
    rig_image_close(&rig, &image);
    image_rig_close(&rig);
}
