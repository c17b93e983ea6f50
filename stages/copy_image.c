/* Copies from staging to images.
 *
 * A subresource has writers: requests that have begun to write to it. The first brings it to the
 * layout for copies, the last to the layout after; in between, and between two requests that meet
 * in one batch, nothing changes. So it does not matter in which order chunks come.
 *
 * Ordering. The barriers before wait for everything earlier on the queue (the caller's work there);
 * those after make our writes available to everything later. Across batches the barrier at the end
 * of each does that, as for buffers. */
#include "stages/copy_image.h"

#include "engine/image/split.h"
#include "engine/request.h"

#include <string.h>

#define BARRIERS_MAX 32
#define COPIES_MAX (2 * IMAGE_REGIONS_MAX)

/* NULL: the chunk has nothing to do with images. */
static struct image_target *chunk_target(const struct chunk *chunk)
{
    return chunk->kind == CHUNK_READ || chunk->kind == CHUNK_MEMORY ? chunk->request->image : NULL;
}

bool copy_images_any(const struct copy_images *images)
{
    for (uint32_t i = 0; i < images->n; i++) {
        if (chunk_target(images->chunks[i]) != NULL)
            return true;
    }
    return false;
}

/* Barriers ------------------------------------------------------------------------------------ */

struct barriers {
    const struct copy_images *images;
    VkCommandBuffer commands;
    bool before; /* the copies, or after them */
    uint32_t n;
    VkImageMemoryBarrier list[BARRIERS_MAX];
};

static void barriers_flush(struct barriers *b)
{
    VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    VkPipelineStageFlags transfer = VK_PIPELINE_STAGE_TRANSFER_BIT;

    if (b->n > 0)
        b->images->vk->CmdPipelineBarrier(b->commands, b->before ? all : transfer,
                                          b->before ? transfer : all, 0, 0, NULL, 0, NULL, b->n,
                                          b->list);
    b->n = 0;
}

static bool same_change(const VkImageMemoryBarrier *a, const VkImageMemoryBarrier *b)
{
    return a->image == b->image && a->oldLayout == b->oldLayout && a->newLayout == b->newLayout &&
           a->srcQueueFamilyIndex == b->srcQueueFamilyIndex &&
           a->dstQueueFamilyIndex == b->dstQueueFamilyIndex;
}

/* Appends `next` to `last` if it goes on where that ends: the next mip of one layer, or the same
 * mips of the next layer. A transfer of ownership stays alone: its other half, which the
 * application records, must name the same range. */
static bool barrier_merge(VkImageMemoryBarrier *last, const VkImageMemoryBarrier *next)
{
    VkImageSubresourceRange *a = &last->subresourceRange;
    const VkImageSubresourceRange *b = &next->subresourceRange;

    if (!same_change(last, next) || next->srcQueueFamilyIndex != VK_QUEUE_FAMILY_IGNORED)
        return false;
    if (a->layerCount == b->layerCount && a->baseArrayLayer == b->baseArrayLayer &&
        a->baseMipLevel + a->levelCount == b->baseMipLevel) {
        a->levelCount += b->levelCount;
        return true;
    }
    if (a->baseMipLevel == b->baseMipLevel && a->levelCount == b->levelCount &&
        a->baseArrayLayer + a->layerCount == b->baseArrayLayer) {
        a->layerCount += b->layerCount;
        return true;
    }
    return false;
}

/* A layer's mips come one by one: when they have become a run like that of the layers before, the
 * two become one. */
static void barriers_add(struct barriers *b, const VkImageMemoryBarrier *barrier)
{
    if (b->n > 0 && barrier_merge(&b->list[b->n - 1], barrier)) {
        if (b->n > 1 && barrier_merge(&b->list[b->n - 2], &b->list[b->n - 1]))
            b->n--;
        return;
    }
    if (b->n == BARRIERS_MAX)
        barriers_flush(b);
    b->list[b->n++] = *barrier;
}

static VkImageMemoryBarrier barrier_for(const struct ds_image *image, uint32_t subresource)
{
    return (VkImageMemoryBarrier){
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = image->handle,
        .subresourceRange = {image->shape.format.aspect, subresource % image->shape.mips, 1,
                             subresource / image->shape.mips, 1},
    };
}

/* The first writer of a subresource comes. */
static void subresource_begin(struct barriers *b, struct ds_image *image, uint32_t subresource)
{
    struct image_subresource *s = &image->subresources[subresource];
    VkImageMemoryBarrier barrier = barrier_for(image, subresource);
    bool acquire = s->foreign && image->acquire_family != image->family;

    if (s->layout != image->copy_layout || acquire) {
        barrier.srcAccessMask = acquire ? 0 : VK_ACCESS_MEMORY_WRITE_BIT;
        barrier.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
        barrier.oldLayout = s->layout;
        barrier.newLayout = image->copy_layout;
        if (acquire) {
            barrier.srcQueueFamilyIndex = image->acquire_family;
            barrier.dstQueueFamilyIndex = image->family;
        }
        barriers_add(b, &barrier);
    }
    s->layout = image->copy_layout;
    s->foreign = false;
}

/* The last writer goes. */
static void subresource_end(struct barriers *b, struct ds_image *image, uint32_t subresource)
{
    struct image_subresource *s = &image->subresources[subresource];
    VkImageMemoryBarrier barrier = barrier_for(image, subresource);
    bool release = (image->flags & DS_IMAGE_RELEASE) != 0 &&
                   image->release_family != image->family;

    if (s->layout != image->layout_after || release) {
        barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
        barrier.dstAccessMask =
            release ? 0 : VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
        barrier.oldLayout = s->layout;
        barrier.newLayout = image->layout_after;
        if (release) {
            barrier.srcQueueFamilyIndex = image->family;
            barrier.dstQueueFamilyIndex = image->release_family;
        }
        barriers_add(b, &barrier);
    }
    s->layout = image->layout_after;
    if (release) {
        s->foreign = (image->flags & DS_IMAGE_ACQUIRE) != 0;
        s->layout = s->foreign ? image->layout_after : VK_IMAGE_LAYOUT_UNDEFINED;
    }
}

static bool has_copies(const struct chunk *chunk)
{
    return chunk_target(chunk) != NULL && chunk->status == DS_STATUS_OK &&
           chunk->payload_bytes > 0;
}

/* Requests with their first copy in this batch become writers. */
static void record_begins(struct barriers *b)
{
    b->before = true;
    for (uint32_t i = 0; i < b->images->n; i++) {
        struct image_target *target = chunk_target(b->images->chunks[i]);

        if (!has_copies(b->images->chunks[i]) || target->writing)
            continue;
        target->writing = true;
        for (uint32_t s = target->first; s < target->first + target->n; s++) {
            if (target->image->subresources[s].writers++ == 0)
                subresource_begin(b, target->image, s);
        }
    }
    barriers_flush(b);
}

/* Counts a chunk of an image. True: it is the last of a request that is a writer, and that is one
 * no longer. */
static bool chunk_ends_writing(const struct chunk *chunk)
{
    struct image_target *target = chunk_target(chunk);
    bool writing;

    if (target == NULL || ++target->recorded_n < chunk->request->chunks_total)
        return false;
    DS_ASSERT(target->recorded_n == chunk->request->chunks_total);
    writing = target->writing;
    target->writing = false;
    return writing;
}

/* Requests with their last chunk in this batch, failed or not, are writers no longer. */
static void record_ends(struct barriers *b)
{
    b->before = false;
    for (uint32_t i = 0; i < b->images->n; i++) {
        const struct image_target *target = chunk_target(b->images->chunks[i]);

        if (!chunk_ends_writing(b->images->chunks[i]))
            continue;
        for (uint32_t s = target->first; s < target->first + target->n; s++) {
            DS_ASSERT(target->image->subresources[s].writers > 0);
            if (--target->image->subresources[s].writers == 0)
                subresource_end(b, target->image, s);
        }
    }
    barriers_flush(b);
}

/* Copies -------------------------------------------------------------------------------------- */

struct copies {
    const struct copy_images *images;
    VkCommandBuffer commands;
    VkBuffer from;
    const struct ds_image *image;
    uint32_t n;
    VkBufferImageCopy list[COPIES_MAX];
};

static void copies_flush(struct copies *c)
{
    if (c->n > 0)
        c->images->vk->CmdCopyBufferToImage(c->commands, c->from, c->image->handle,
                                            c->image->copy_layout, c->n, c->list);
    c->n = 0;
}

/* Moves rows whose pitch Vulkan cannot express next to each other. Downwards, so from the first. */
static uint64_t rows_repack(uint8_t *payload, struct image_region *region)
{
    uint8_t *to = payload;

    for (uint32_t z = 0; z < region->extent.depth; z++) {
        for (uint32_t row = 0; row < region->rows; row++) {
            memmove(to, payload + z * region->slice_pitch + row * region->row_pitch,
                    region->row_bytes);
            to += region->row_bytes;
        }
    }
    region->row_pitch = region->row_bytes;
    region->slice_pitch = region->row_bytes * region->rows;
    return (uint64_t)(to - payload);
}

static uint8_t *chunk_payload(const struct chunk *chunk)
{
    const struct request *r = chunk->request;

    return chunk->memory + (r->offset + chunk->request_offset - chunk->file_offset);
}

/* Brings the payload to where its copies may begin, and returns its place in the staging buffer.
 * Behind it there is room to shift (IMAGE_SHIFT_BYTES). */
static uint64_t payload_place(const struct copy_images *images, const struct chunk *chunk,
                              struct image_region *regions)
{
    const struct request *r = chunk->request;
    uint8_t *payload = chunk_payload(chunk);
    uint64_t bytes = chunk->payload_bytes, place;
    uint32_t align = r->image->image->copy_align, rest;

    _Static_assert(IMAGE_SHIFT_BYTES >= 128, "the largest copy_align is 32 bytes");
    if (regions[0].repack)
        bytes = rows_repack(payload, &regions[0]);
    place = vulkan_staging_offset(images->staging, payload, bytes);
    rest = (uint32_t)(place % align);
    if (rest == 0)
        return place;
    memmove(payload + align - rest, payload, bytes);
    return place + align - rest;
}

static VkBufferImageCopy copy_for(const struct ds_image *image, const struct image_region *region,
                                  uint64_t place)
{
    const struct ds_image_format *format = &image->shape.format;
    VkBufferImageCopy copy = {
        .bufferOffset = place + region->offset,
        .imageSubresource = {format->aspect, region->subresource % image->shape.mips,
                             region->subresource / image->shape.mips, 1},
        .imageOffset = region->at,
        .imageExtent = region->extent,
    };

    DS_ASSERT(copy.bufferOffset % image->copy_align == 0);
    if (region->rows > 1 || region->extent.depth > 1)
        copy.bufferRowLength =
            (uint32_t)(region->row_pitch / format->block_bytes * format->block_width);
    if (region->extent.depth > 1)
        copy.bufferImageHeight =
            (uint32_t)(region->slice_pitch / region->row_pitch * format->block_height);
    return copy;
}

static void copies_add(struct copies *c, VkBuffer from, const struct image_target *target,
                       const struct image_region *regions, uint32_t n, uint64_t place)
{
    if (c->image != target->image || c->from != from || c->n + n > COPIES_MAX)
        copies_flush(c);
    c->image = target->image;
    c->from = from;
    for (uint32_t k = 0; k < n; k++)
        c->list[c->n++] = copy_for(target->image, &regions[k], place);
}

/* A source that was decoded as a whole is cut here. Where its pieces may not be copied from where
 * they are they move down, into the room in front of it (image_whole_room). */
static void record_whole(struct copies *c, const struct chunk *chunk)
{
    struct image_region regions[IMAGE_REGIONS_MAX];
    struct image_target cursor = *chunk->request->image;
    uint8_t *payload = chunk_payload(chunk);
    uint64_t begin, end;

    cursor.part = 0;
    cursor.line = 0;
    for (uint32_t k = 0; image_chunk_next(&cursor, &image_limits_none, true, &begin, &end); k++) {
        uint32_t n = image_chunk_regions(&cursor, begin, end, regions);
        uint64_t bytes = end - begin;
        uint64_t place = vulkan_staging_offset(c->images->staging, payload + begin, bytes);
        uint64_t shift = image_whole_shift(&cursor, chunk->request->room_bytes, k, place);

        if (regions[0].repack)
            bytes = rows_repack(payload + begin, &regions[0]);
        if (shift > 0)
            memmove(payload + begin - shift, payload + begin, bytes);
        copies_add(c, c->images->staging->buffer, chunk->request->image, regions, n,
                   place - shift);
    }
}

/* The same for one that the GPU decodes to scratch memory: nothing can be moved there, and nothing
 * need be (image_whole_plain). */
static void record_scratch(struct copies *c, const struct chunk *chunk)
{
    const struct copy_decode_item *item = copy_decoder_next(c->images->decoder, chunk);
    struct image_region regions[IMAGE_REGIONS_MAX];
    struct image_target cursor = *chunk->request->image;
    uint64_t begin, end;

    cursor.part = 0;
    cursor.line = 0;
    while (image_chunk_next(&cursor, &image_limits_none, true, &begin, &end)) {
        uint32_t n = image_chunk_regions(&cursor, begin, end, regions);

        DS_ASSERT(!regions[0].repack);
        copies_add(c, c->images->decoder->decode.scratch.buffer, chunk->request->image, regions, n,
                   item->unpacked_at + begin);
    }
}

static void record_copies(struct copies *c)
{
    struct image_region regions[IMAGE_REGIONS_MAX];

    if (c->images->decoder != NULL)
        copy_decoder_rewind(c->images->decoder);
    for (uint32_t i = 0; i < c->images->n; i++) {
        const struct chunk *chunk = c->images->chunks[i];
        const struct image_target *target = chunk->request->image;
        uint64_t begin = chunk->request_offset;
        uint32_t n;

        if (!has_copies(chunk))
            continue;
        if (chunk->packed) {
            record_scratch(c, chunk);
            continue;
        }
        if (request_is_packed(chunk->request)) {
            record_whole(c, chunk);
            continue;
        }
        n = image_chunk_regions(target, begin, begin + chunk->payload_bytes, regions);
        copies_add(c, c->images->staging->buffer, target, regions, n,
                   payload_place(c->images, chunk, regions));
    }
    copies_flush(c);
}

void copy_images_skip(const struct copy_images *images)
{
    for (uint32_t i = 0; i < images->n; i++) {
        const struct image_target *target = chunk_target(images->chunks[i]);

        if (!chunk_ends_writing(images->chunks[i]))
            continue;
        for (uint32_t s = target->first; s < target->first + target->n; s++)
            target->image->subresources[s].writers--;
    }
}

void copy_images_record(const struct copy_images *images, VkCommandBuffer commands)
{
    struct barriers barriers = {.images = images, .commands = commands};
    struct copies copies = {.images = images, .commands = commands};

    if (!copy_images_any(images))
        return;
    record_begins(&barriers);
    record_copies(&copies);
    record_ends(&barriers);
}
