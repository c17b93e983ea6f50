/* stages/copy_image: which barriers and copies a batch becomes, seen by a Vulkan that only takes
 * notes. It knows what validation cannot: that no barrier throws contents away, and what passes
 * between queue families. */
#include "stages/copy_image.h"

#include "engine/image/split.h"
#include "engine/request.h"
#include "unit/support.h"

#include <errno.h>

#define CHUNKS 8
#define STAGING_BYTES 65536

static VkImageMemoryBarrier barriers[64];
static VkBufferImageCopy copies[64];
static uint32_t barriers_n, copies_n, copies_after; /* barriers that came before the first copy */

static VKAPI_ATTR void VKAPI_CALL note_barrier(VkCommandBuffer commands,
                                               VkPipelineStageFlags before,
                                               VkPipelineStageFlags after,
                                               VkDependencyFlags flags, uint32_t memory_n,
                                               const VkMemoryBarrier *memory, uint32_t buffers_n,
                                               const VkBufferMemoryBarrier *buffers, uint32_t n,
                                               const VkImageMemoryBarrier *images)
{
    (void)commands, (void)flags, (void)memory, (void)buffers;
    cr_assert(before != 0 && after != 0 && memory_n == 0 && buffers_n == 0);
    cr_assert_leq(barriers_n + n, ARRAY_LENGTH(barriers));
    for (uint32_t i = 0; i < n; i++)
        barriers[barriers_n++] = images[i];
}

static VKAPI_ATTR void VKAPI_CALL note_copy(VkCommandBuffer commands, VkBuffer from, VkImage to,
                                            VkImageLayout layout, uint32_t n,
                                            const VkBufferImageCopy *list)
{
    (void)commands, (void)from, (void)to;
    cr_assert(layout == VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL || layout == VK_IMAGE_LAYOUT_GENERAL);
    if (copies_n == 0)
        copies_after = barriers_n;
    cr_assert_leq(copies_n + n, ARRAY_LENGTH(copies));
    for (uint32_t i = 0; i < n; i++)
        copies[copies_n++] = list[i];
}

struct scene {
    struct host host;
    struct ds_image image;
    struct vulkan_dispatch vk;
    struct vulkan_staging staging;
    struct image_limits limits;
    struct request requests[2];
    struct image_target targets[2];
    struct chunk chunks[CHUNKS];
    struct chunk *list[CHUNKS];
    uint32_t n;
    uint8_t memory[STAGING_BYTES];
};

static struct scene *scene_open(VkImageLayout layout, VkImageLayout after, uint32_t flags,
                                uint32_t layers)
{
    struct scene *s = aligned_alloc(_Alignof(struct scene), sizeof(*s));
    struct ds_image_config config = {
        .struct_size = sizeof(config),
        .flags = flags,
        .image = (VkImage)1,
        .shape = {VK_FORMAT_R8G8B8A8_UNORM, VK_IMAGE_TYPE_2D, {32, 32, 1}, 3, layers},
        .layout = layout,
        .layout_after = after,
        .acquire_family = 2,
        .release_family = 2,
    };
    struct image_family family = {1, false, {1, 1, 1}, false};

    cr_assert_not_null(s);
    memset(s, 0, sizeof(*s));
    support_host(&s->host);
    cr_assert_eq(image_open(&s->image, &s->host, &config, &family), 0);
    s->vk.CmdPipelineBarrier = note_barrier;
    s->vk.CmdCopyBufferToImage = note_copy;
    s->staging = (struct vulkan_staging){.base = s->memory, .bytes = STAGING_BYTES};
    s->limits = (struct image_limits){.bytes_max = 2048, .align = 1};
    return s;
}

static void scene_close(struct scene *s)
{
    image_close(&s->image, &s->host);
    free(s);
}

/* Begins request `which` and cuts it: its chunks are added to the list. */
static void scene_request(struct scene *s, uint32_t which, uint32_t first, uint32_t n)
{
    struct image_target *target = &s->targets[which];
    struct request *r = &s->requests[which];
    uint64_t begin, end;

    cr_assert_eq(image_target_init(target,
                                   ds_image_target(.kind = DS_IMAGE_SUBRESOURCES,
                                                   .image = &s->image,
                                                   .range = {.first = first, .n = n}),
                                   1 << 20, &s->limits, &s->host), 0);
    *r = (struct request){.kind = REQUEST_READ, .image = target};
    r->chunks_total = image_chunks_count(target, &s->limits);
    while (image_chunk_next(target, &s->limits, true, &begin, &end)) {
        cr_assert_lt(s->n, CHUNKS);
        s->chunks[s->n] = (struct chunk){
            .request = r,
            .memory = s->memory + s->n * 4096,
            .file_offset = begin,
            .request_offset = begin,
            .payload_bytes = (uint32_t)(end - begin),
            .kind = CHUNK_READ,
        };
        s->list[s->n] = &s->chunks[s->n];
        s->n++;
    }
}

/* Records chunks [first, first + n) of the list as a batch. */
static void scene_record(struct scene *s, uint32_t first, uint32_t n)
{
    struct copy_images images = {&s->vk, &s->staging, &s->list[first], n, NULL};

    barriers_n = copies_n = copies_after = 0;
    cr_assert(copy_images_any(&images));
    copy_images_record(&images, NULL);
}

static void expect_barrier(uint32_t i, VkImageLayout from, VkImageLayout to, uint32_t mip,
                           uint32_t mips, uint32_t layer, uint32_t layers)
{
    const VkImageSubresourceRange *r = &barriers[i].subresourceRange;

    cr_assert_lt(i, barriers_n);
    cr_assert_eq(barriers[i].oldLayout, from);
    cr_assert_eq(barriers[i].newLayout, to);
    cr_assert(r->baseMipLevel == mip && r->levelCount == mips, "%u: mips %u+%u", i,
              r->baseMipLevel, r->levelCount);
    cr_assert(r->baseArrayLayer == layer && r->layerCount == layers, "%u: layers %u+%u", i,
              r->baseArrayLayer, r->layerCount);
}

#define UNDEFINED VK_IMAGE_LAYOUT_UNDEFINED
#define DST VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL
#define READ_ONLY VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL

/* All mips of two layers are one range. */
Test(image_record, one_request_in_one_batch)
{
    struct scene *s = scene_open(UNDEFINED, READ_ONLY, 0, 2);

    s->limits.bytes_max = 65536;
    scene_request(s, 0, 0, 6);
    cr_assert_eq(s->n, 1);
    scene_record(s, 0, 1);
    cr_assert_eq(barriers_n, 2);
    cr_assert_eq(copies_n, 6);
    cr_assert_eq(copies_after, 1);
    expect_barrier(0, UNDEFINED, DST, 0, 3, 0, 2);
    expect_barrier(1, DST, READ_ONLY, 0, 3, 0, 2);
    cr_assert_eq(barriers[1].srcAccessMask, VK_ACCESS_TRANSFER_WRITE_BIT);
    cr_assert_eq(barriers[0].srcQueueFamilyIndex, VK_QUEUE_FAMILY_IGNORED);
    scene_close(s);
}

/* Chunks in three batches, the last first: one change before, one after. */
Test(image_record, one_request_in_many_batches)
{
    struct scene *s = scene_open(UNDEFINED, READ_ONLY, 0, 1);

    scene_request(s, 0, 0, 3); /* 4096, 1024 and 256 bytes */
    cr_assert_eq(s->n, 3);
    scene_record(s, 2, 1);
    cr_assert_eq(barriers_n, 1);
    expect_barrier(0, UNDEFINED, DST, 0, 3, 0, 1);
    scene_record(s, 0, 1);
    cr_assert_eq(barriers_n, 0);
    scene_record(s, 1, 1);
    cr_assert_eq(barriers_n, 1);
    expect_barrier(0, DST, READ_ONLY, 0, 3, 0, 1);
    scene_close(s);
}

/* The second request keeps what the first wrote. */
Test(image_record, requests_one_after_the_other)
{
    struct scene *s = scene_open(UNDEFINED, READ_ONLY, 0, 1);

    scene_request(s, 0, 1, 1);
    scene_request(s, 1, 0, 2);
    scene_record(s, 0, 1);
    scene_record(s, 1, s->n - 1);
    cr_assert_eq(barriers_n, 3);
    expect_barrier(0, UNDEFINED, DST, 0, 1, 0, 1);
    expect_barrier(1, READ_ONLY, DST, 1, 1, 0, 1);
    expect_barrier(2, DST, READ_ONLY, 0, 2, 0, 1);
    scene_close(s);
}

/* While both write to a subresource, neither end of the first nor begin of the second shows. */
Test(image_record, requests_that_overlap)
{
    struct scene *s = scene_open(UNDEFINED, READ_ONLY, 0, 1);

    scene_request(s, 0, 2, 1);
    scene_request(s, 1, 1, 2);
    scene_record(s, 0, 2);
    cr_assert_eq(s->n, 2);
    cr_assert_eq(barriers_n, 3);
    expect_barrier(0, UNDEFINED, DST, 2, 1, 0, 1);
    expect_barrier(1, UNDEFINED, DST, 1, 1, 0, 1);
    expect_barrier(2, DST, READ_ONLY, 1, 2, 0, 1);
    scene_close(s);
}

Test(image_record, failures)
{
    struct scene *s = scene_open(UNDEFINED, READ_ONLY, 0, 1);

    scene_request(s, 0, 0, 3);
    s->chunks[0].status = DS_STATUS_IO_ERROR;
    scene_record(s, 0, 1); /* nothing was written yet */
    cr_assert_eq(barriers_n, 0);
    scene_record(s, 1, 1);
    cr_assert_eq(barriers_n, 1);
    s->chunks[2].status = DS_STATUS_IO_ERROR;
    scene_record(s, 2, 1);
    cr_assert_eq(barriers_n, 1);
    cr_assert_eq(copies_n, 0);
    expect_barrier(0, DST, READ_ONLY, 0, 3, 0, 1);
    scene_close(s);
}

/* A batch that could not be recorded ends a request all the same. */
Test(image_record, skipped_batches)
{
    struct scene *s = scene_open(UNDEFINED, READ_ONLY, 0, 1);
    struct copy_images rest = {&s->vk, &s->staging, &s->list[1], 2, NULL};

    scene_request(s, 0, 0, 3);
    scene_record(s, 0, 1);
    cr_assert_eq(s->image.subresources[1].writers, 1);
    copy_images_skip(&rest);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(s->image.subresources[i].writers, 0);
    scene_close(s);
}

Test(image_record, nothing_to_change)
{
    struct scene *s = scene_open(VK_IMAGE_LAYOUT_GENERAL, VK_IMAGE_LAYOUT_GENERAL, 0, 1);

    scene_request(s, 0, 0, 1);
    scene_record(s, 0, s->n);
    cr_assert_eq(barriers_n, 0);
    cr_assert_gt(copies_n, 0);
    scene_close(s);
}

static void expect_transfer(uint32_t i, uint32_t from, uint32_t to)
{
    cr_assert_eq(barriers[i].srcQueueFamilyIndex, from);
    cr_assert_eq(barriers[i].dstQueueFamilyIndex, to);
    cr_assert_eq(from == 1 ? barriers[i].dstAccessMask : barriers[i].srcAccessMask, 0);
}

Test(image_record, ownership_comes_and_goes)
{
    struct scene *s =
        scene_open(READ_ONLY, READ_ONLY, DS_IMAGE_ACQUIRE | DS_IMAGE_RELEASE, 1);

    for (uint32_t round = 0; round < 2; round++) {
        s->n = 0;
        scene_request(s, 0, 1, 1);
        scene_record(s, 0, 1);
        cr_assert_eq(barriers_n, 2);
        expect_barrier(0, READ_ONLY, DST, 1, 1, 0, 1);
        expect_barrier(1, DST, READ_ONLY, 1, 1, 0, 1);
        expect_transfer(0, 2, 1);
        expect_transfer(1, 1, 2);
    }
    scene_close(s);
}

/* Each subresource by itself, so that the application knows which ranges the other half has. */
Test(image_record, ownership_is_not_merged)
{
    struct scene *s =
        scene_open(READ_ONLY, READ_ONLY, DS_IMAGE_ACQUIRE | DS_IMAGE_RELEASE, 2);

    s->limits.bytes_max = 65536;
    scene_request(s, 0, 0, 6);
    scene_record(s, 0, 1);
    cr_assert_eq(barriers_n, 12);
    for (uint32_t i = 0; i < 6; i++) {
        expect_barrier(i, READ_ONLY, DST, i % 3, 1, i / 3, 1);
        expect_barrier(6 + i, DST, READ_ONLY, i % 3, 1, i / 3, 1);
        expect_transfer(i, 2, 1);
        expect_transfer(6 + i, 1, 2);
    }
    scene_close(s);
}

/* A family that does not draw cannot copy to depth or stencil, and says so at once. */
Test(image_record, depth_needs_a_family_that_draws)
{
    static const VkFormat formats[] = {VK_FORMAT_D16_UNORM, VK_FORMAT_D32_SFLOAT,
                                       VK_FORMAT_S8_UINT, VK_FORMAT_R8_UNORM};
    struct ds_image_config config = {.struct_size = sizeof(config), .image = (VkImage)1};
    struct image_family family = {1, true, {1, 1, 1}, true};
    struct host host;

    support_host(&host);
    for (uint32_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        struct ds_image image;

        memset(&image, 0, sizeof(image));
        config.shape = (struct ds_image_shape){formats[i], VK_IMAGE_TYPE_2D, {8, 8, 1}, 1, 1};
        family.color_only = true;
        cr_assert_eq(image_open(&image, &host, &config, &family), i < 3 ? -ENOTSUP : 0);
        if (i == 3)
            image_close(&image, &host);
        family.color_only = false;
        cr_assert_eq(image_open(&image, &host, &config, &family), 0);
        image_close(&image, &host);
    }
}

/* Released and not acquired again: the next request begins with nothing. */
Test(image_record, released_for_good)
{
    struct scene *s = scene_open(UNDEFINED, READ_ONLY, DS_IMAGE_RELEASE, 1);

    for (uint32_t round = 0; round < 2; round++) {
        s->n = 0;
        scene_request(s, 0, 1, 1);
        scene_record(s, 0, 1);
        cr_assert_eq(barriers_n, 2);
        expect_barrier(0, UNDEFINED, DST, 1, 1, 0, 1);
        cr_assert_eq(barriers[0].srcQueueFamilyIndex, VK_QUEUE_FAMILY_IGNORED);
        expect_transfer(1, 1, 2);
    }
    scene_close(s);
}
