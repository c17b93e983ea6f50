/* The rig of the image tests. */
#include "gpu/test_image_rig.h"

#include "gpu/vk_util_private.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const VkQueueFamilyProperties *image_rig_pretend;
bool image_rig_gpu_decodes;
bool image_rig_draws;
uint64_t image_rig_backlog_bytes;

/* A family that can do less ------------------------------------------------------------------- */

static PFN_vkGetInstanceProcAddr real_get_instance;
static PFN_vkGetPhysicalDeviceQueueFamilyProperties real_families;

static VKAPI_ATTR void VKAPI_CALL pretend_families(VkPhysicalDevice physical, uint32_t *n,
                                                   VkQueueFamilyProperties *families)
{
    real_families(physical, n, families);
    for (uint32_t i = 0; families != NULL && i < *n; i++) {
        families[i].queueFlags = image_rig_pretend->queueFlags;
        families[i].minImageTransferGranularity = image_rig_pretend->minImageTransferGranularity;
    }
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL pretend_get(VkInstance instance, const char *name)
{
    PFN_vkVoidFunction real = real_get_instance(instance, name);

    if (strcmp(name, "vkGetPhysicalDeviceQueueFamilyProperties") != 0)
        return real;
    real_families = (PFN_vkGetPhysicalDeviceQueueFamilyProperties)real;
    return (PFN_vkVoidFunction)pretend_families;
}

/* Opening and closing ------------------------------------------------------------------------- */

static void rig_file(struct image_rig *rig)
{
    uint32_t word = 1;
    int fd;

    memcpy(rig->path, "/var/tmp/ds-image-XXXXXX", sizeof("/var/tmp/ds-image-XXXXXX"));
    fd = mkstemp(rig->path);
    cr_assert_geq(fd, 0);
    rig->content = malloc(RIG_FILE_BYTES);
    for (uint32_t i = 0; i < RIG_FILE_BYTES; i += 4) {
        float value;

        word = word * 1664525u + 1013904223u;
        value = (float)(word >> 8) / 16777216.0f;
        memcpy(rig->content + i, i < RIG_FLOATS_AT ? (void *)&word : (void *)&value, 4);
    }
    cr_assert_eq(write(fd, rig->content, RIG_FILE_BYTES), RIG_FILE_BYTES);
    close(fd);
}

static void rig_functions(struct image_rig *rig)
{
    struct vk_util *vk = rig->vk;

#define LOAD(name) rig->name = (PFN_vk##name)vk->get_device_proc_addr(vk->device, "vk" #name);
    RIG_FUNCTIONS(LOAD)
#undef LOAD
    rig->formats = (PFN_vkGetPhysicalDeviceImageFormatProperties)vk->get_instance_proc_addr(
        vk->instance, "vkGetPhysicalDeviceImageFormatProperties");
}

void image_rig_open(struct image_rig *rig, uint32_t chunk_bytes, enum ds_topology topology)
{
    struct ds_vulkan_backend_config config = {
        .struct_size = sizeof(config),
        .lock_queue = vk_util_lock,
        .unlock_queue = vk_util_unlock,
        .batch_regions_max = 16, /* several batches */
    };

    memset(rig, 0, sizeof(*rig));
    rig->vk = vk_util_open(true);
    if (rig->vk == NULL)
        cr_skip_test("%s", vk_util_reason());
    config.lock_ctx = rig->vk;
    if (image_rig_gpu_decodes || image_rig_draws)
        vk_util_lend_compute(rig->vk, &config);
    else
        vk_util_lend(rig->vk, &config);
    real_get_instance = config.get_instance_proc_addr;
    if (image_rig_pretend != NULL)
        config.get_instance_proc_addr = pretend_get;
    rig_functions(rig);
    if (image_rig_gpu_decodes) {
        config.decode_path =
            image_rig_backlog_bytes != 0 ? DS_VULKAN_DECODE_BALANCED : DS_VULKAN_DECODE_GPU;
        config.decode_backlog_bytes = image_rig_backlog_bytes;
        if (ds_vulkan_backend_create(&config, &rig->backend) != 0)
            cr_skip_test("the GPU cannot decode");
    } else {
        cr_assert_eq(ds_vulkan_backend_create(&config, &rig->backend), 0);
    }
    cr_assert_eq(ds_engine_create(ds_engine_config(.vulkan = rig->backend, .arena_bytes = 2 << 20,
                                                   .chunk_bytes = chunk_bytes, .read_lanes = 2,
                                                   .topology = topology,
                                                   .custom_codecs = 1),
                                  &rig->engine), 0);
    rig_file(rig);
    cr_assert_eq(ds_file_open(rig->engine, rig->path, NULL, &rig->file), 0);
    cr_assert_eq(ds_queue_create(rig->engine, ds_queue_config(.flags = DS_QUEUE_IMAGES),
                                 &rig->queue), 0);
    rig->done = vk_util_timeline(rig->vk, 0);
}

void image_rig_close(struct image_rig *rig)
{
    ds_queue_destroy(&rig->queue);
    ds_file_close(&rig->file);
    ds_engine_destroy(&rig->engine);
    rig->vk->DeviceWaitIdle(rig->vk->device);
    rig->vk->DestroySemaphore(rig->vk->device, rig->done, NULL);
    vk_util_close_both(&rig->vk, &rig->backend);
    unlink(rig->path);
    free(rig->content);
    cr_assert_eq(vk_util_messages(), 0);
}

/* Images -------------------------------------------------------------------------------------- */

static bool rig_supports(struct image_rig *rig, const VkImageCreateInfo *info)
{
    VkImageFormatProperties p;

    if (rig->formats(rig->vk->physical, info->format, info->imageType, info->tiling, info->usage,
                     info->flags, &p) != VK_SUCCESS)
        return false;
    return p.maxMipLevels >= info->mipLevels && p.maxArrayLayers >= info->arrayLayers &&
           p.maxExtent.width >= info->extent.width && p.maxExtent.height >= info->extent.height &&
           p.maxExtent.depth >= info->extent.depth;
}

static void rig_image_memory(struct image_rig *rig, struct rig_image *image)
{
    struct vk_util *vk = rig->vk;
    VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
    VkMemoryRequirements needs;

    rig->GetImageMemoryRequirements(vk->device, image->handle, &needs);
    allocate.allocationSize = needs.size;
    while ((needs.memoryTypeBits & (1u << allocate.memoryTypeIndex)) == 0)
        allocate.memoryTypeIndex++;
    CHECK(vk->AllocateMemory(vk->device, &allocate, NULL, &image->memory));
    CHECK(rig->BindImageMemory(vk->device, image->handle, image->memory, 0));
}

static void rig_image_free(struct image_rig *rig, const struct rig_image *image)
{
    rig->DestroyImage(rig->vk->device, image->handle, NULL);
    rig->vk->FreeMemory(rig->vk->device, image->memory, NULL);
}

/* Depth or stencil, for a family that does not draw. */
static bool rig_must_refuse(struct image_rig *rig, VkFormat format)
{
    PFN_vkGetPhysicalDeviceQueueFamilyProperties get =
        (PFN_vkGetPhysicalDeviceQueueFamilyProperties)rig->vk->get_instance_proc_addr(
            rig->vk->instance, "vkGetPhysicalDeviceQueueFamilyProperties");
    VkQueueFamilyProperties families[32];
    struct ds_image_format f;
    uint32_t n = 32;

    get(rig->vk->physical, &n, families);
    if (image_rig_pretend != NULL)
        families[rig->vk->queue_family] = *image_rig_pretend;
    return ds_image_format_get(format, &f) == 0 && f.aspect != VK_IMAGE_ASPECT_COLOR_BIT &&
           (families[rig->vk->queue_family].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0;
}

bool rig_image_open(struct image_rig *rig, const struct ds_image_shape *shape,
                    const struct ds_image_config *config, struct rig_image *image)
{
    struct vk_util *vk = rig->vk;
    uint32_t families[2] = {vk->queue_family, vk->app_queue_family};
    bool exclusive = families[0] == families[1] || (config->flags & DS_IMAGE_RELEASE) != 0;
    bool cube = shape->layers == 6 && shape->extent.width == shape->extent.height;
    VkImageCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .flags = cube ? VK_IMAGE_CREATE_CUBE_COMPATIBLE_BIT : 0,
        .imageType = shape->type,
        .format = shape->format,
        .extent = shape->extent,
        .mipLevels = shape->mips,
        .arrayLayers = shape->layers,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .tiling = VK_IMAGE_TILING_OPTIMAL,
        .usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT,
        .sharingMode = exclusive ? VK_SHARING_MODE_EXCLUSIVE : VK_SHARING_MODE_CONCURRENT,
        .queueFamilyIndexCount = exclusive ? 0 : 2,
        .pQueueFamilyIndices = families,
        .initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
    };
    struct ds_image_config own = *config;
    int rc;

    memset(image, 0, sizeof(*image));
    if (!rig_supports(rig, &info))
        return false;
    CHECK(rig->CreateImage(vk->device, &info, NULL, &image->handle));
    rig_image_memory(rig, image);
    image->shape = *shape;
    own.struct_size = sizeof(own);
    own.image = image->handle;
    own.shape = *shape;
    own.usage = info.usage;
    rc = ds_vulkan_image_create(rig->engine, &own, &image->image);
    if (rc == 0)
        return true;
    cr_assert_eq(rc, -ENOTSUP);
    cr_assert(rig_must_refuse(rig, shape->format), "format %d", (int)shape->format);
    rig_image_free(rig, image);
    rig->refused++;
    return false;
}

void rig_image_close(struct image_rig *rig, struct rig_image *image)
{
    ds_vulkan_image_destroy(&image->image);
    rig_image_free(rig, image);
}

/* Requests and results ------------------------------------------------------------------------ */

int rig_read(struct image_rig *rig, const struct ds_image_target *target, uint64_t offset,
             uint64_t bytes)
{
    if (rig->read != NULL)
        return rig->read(rig, target, rig->content + offset, bytes);
    return ds_queue_enqueue(rig->queue, ds_request(.file = rig->file, .offset = offset,
                                                   .size = bytes, .image_target = target));
}

void rig_finish(struct image_rig *rig, uint32_t n, enum ds_status status)
{
    struct ds_result result;

    cr_assert_eq(ds_queue_enqueue_signal(rig->queue, ds_vulkan_semaphore(rig->done),
                                         ++rig->done_value, 1), 0);
    ds_queue_submit(rig->queue);
    for (uint32_t i = 0; i < n + 1; i++) {
        cr_assert_eq(ds_queue_wait(rig->queue, &result, 1, RIG_WAIT_NS), 1, "%u results missing",
                     n + 1 - i);
        if (result.user_data == 0)
            cr_assert_eq(result.status, (int32_t)status, "status %s, error %d",
                         ds_status_name(result.status), result.error);
    }
}

struct change {
    struct image_rig *rig;
    const struct ds_image_shape *shape;
    VkImageMemoryBarrier barrier;
};

static void record_change(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    struct change *change = ctx;
    uint32_t mips = change->shape->mips;

    (void)util;
    for (uint32_t i = 0; i < mips * change->shape->layers; i++) {
        change->barrier.subresourceRange.baseMipLevel = i % mips;
        change->barrier.subresourceRange.baseArrayLayer = i / mips;
        change->rig->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                                        VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL,
                                        1, &change->barrier);
    }
}

void rig_change(struct image_rig *rig, const struct rig_image *image, VkImageLayout from,
                VkImageLayout to, uint32_t from_family, uint32_t to_family)
{
    bool transfer = from_family != to_family;
    struct ds_image_format format;
    struct change change = {
        .rig = rig,
        .shape = &image->shape,
        .barrier = {
            .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
            .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
            .dstAccessMask = VK_ACCESS_MEMORY_WRITE_BIT | VK_ACCESS_MEMORY_READ_BIT,
            .oldLayout = from,
            .newLayout = to,
            .srcQueueFamilyIndex = transfer ? from_family : VK_QUEUE_FAMILY_IGNORED,
            .dstQueueFamilyIndex = transfer ? to_family : VK_QUEUE_FAMILY_IGNORED,
            .image = image->handle,
            .subresourceRange = {0, 0, 1, 0, 1},
        },
    };

    ds_image_format_get(image->shape.format, &format);
    change.barrier.subresourceRange.aspectMask = format.aspect;
    vk_util_run(rig->vk, record_change, &change, rig->done, rig->done_value);
}

struct readback {
    struct image_rig *rig;
    const struct rig_image *image;
    const struct ds_image_footprint *footprints;
    VkBuffer buffer;
    VkImageLayout layout;
};

static void record_readback(struct vk_util *util, VkCommandBuffer commands, void *ctx)
{
    struct readback *r = ctx;
    const struct ds_image_shape *shape = &r->image->shape;
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT,
    };
    struct ds_image_format format;

    ds_image_format_get(shape->format, &format);
    for (uint32_t i = 0; i < shape->mips * shape->layers; i++) {
        uint32_t mip = i % shape->mips;
        VkBufferImageCopy copy = {
            .bufferOffset = r->footprints[i].offset,
            .imageSubresource = {format.aspect, mip, i / shape->mips, 1},
            .imageExtent = {shape->extent.width >> mip, shape->extent.height >> mip,
                            shape->extent.depth >> mip},
        };

        copy.imageExtent.width += copy.imageExtent.width == 0;
        copy.imageExtent.height += copy.imageExtent.height == 0;
        copy.imageExtent.depth += copy.imageExtent.depth == 0;
        r->rig->CmdCopyImageToBuffer(commands, r->image->handle, r->layout, r->buffer, 1, &copy);
    }
    util->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                             0, 1, &barrier, 0, NULL, 0, NULL);
}

uint8_t *rig_readback(struct image_rig *rig, const struct rig_image *image, VkImageLayout layout)
{
    uint32_t n = image->shape.mips * image->shape.layers;
    struct ds_image_footprint *footprints = calloc(n, sizeof(*footprints));
    struct readback readback = {.rig = rig, .image = image, .layout = layout};
    struct vk_util_buffer buffer;
    uint64_t bytes;
    uint8_t *back;

    cr_assert_eq(ds_image_footprints(&image->shape, 0, n, DS_IMAGE_LAYOUT_TIGHT, RIG_ALIGN,
                                     footprints, &bytes), 0);
    vk_util_buffer(rig->vk, bytes, 0, true, &buffer);
    readback.footprints = footprints;
    readback.buffer = buffer.buffer;
    vk_util_run(rig->vk, record_readback, &readback, rig->done, rig->done_value);
    back = malloc(bytes);
    memcpy(back, buffer.mapped, bytes);
    vk_util_buffer_free(rig->vk, &buffer);
    free(footprints);
    return back;
}

uint64_t rig_offset(const struct ds_image_footprint *footprints, uint32_t subresource,
                    uint32_t slice, uint32_t row)
{
    const struct ds_image_footprint *f = &footprints[subresource];

    return f->offset + slice * f->slice_pitch + row * f->row_pitch;
}
