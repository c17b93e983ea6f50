/* Images for tests: an engine with a file of random bytes, images to read into, and readback. */
#ifndef TESTS_GPU_TEST_IMAGE_RIG_H
#define TESTS_GPU_TEST_IMAGE_RIG_H

#include "gpu/vk_util.h"

#include <ds/ds.h>
#include <ds/vulkan_image.h>

#define RIG_WAIT_NS 120000000000u
#define RIG_FILE_BYTES (8u << 20)
/* From here on the file holds floats in [0, 1), which is what depth images want. */
#define RIG_FLOATS_AT (6u << 20)

#define RIG_FUNCTIONS(X)                                                                           \
    X(CreateImage)                                                                                 \
    X(DestroyImage)                                                                                \
    X(GetImageMemoryRequirements)                                                                  \
    X(BindImageMemory)                                                                             \
    X(CmdCopyBufferToImage)                                                                        \
    X(CmdCopyImageToBuffer)                                                                        \
    X(CmdPipelineBarrier)

struct image_rig {
    struct vk_util *vk;
    struct ds_vulkan_backend *backend;
    struct ds_engine *engine;
    struct ds_file *file;
    struct ds_queue *queue;
    uint8_t *content;
    VkSemaphore done;
    uint64_t done_value;
    uint32_t refused; /* images of depth or stencil, rightly: the queue's family does not draw */
    char path[64];
    /* What rig_read does instead of reading the file: the bytes are content + offset. Or NULL. */
    int (*read)(struct image_rig *rig, const struct ds_image_target *target, const uint8_t *bytes,
                uint64_t n);
    PFN_vkGetPhysicalDeviceImageFormatProperties formats;
#define RIG_POINTER_(name) PFN_vk##name name;
    RIG_FUNCTIONS(RIG_POINTER_)
#undef RIG_POINTER_
};

struct rig_image {
    VkImage handle;
    VkDeviceMemory memory;
    struct ds_image_shape shape;
    struct ds_image *image;
};

/* Not NULL: the engine is told that every queue family is like this one. */
extern const VkQueueFamilyProperties *image_rig_pretend;

/* GDeflate is decoded by the GPU (forced), or the test is skipped. */
extern bool image_rig_gpu_decodes;

/* The engine is lent the queue that draws, which copies depth and stencil, not that for copies. */
extern bool image_rig_draws;

/* Not 0: of what the GPU decodes the CPU gets as much as may be queued for it, in bytes. */
extern uint64_t image_rig_backlog_bytes;

/* image_rig_open skips the test where there is no Vulkan. */
void image_rig_open(struct image_rig *rig, uint32_t chunk_bytes, enum ds_topology topology);

/* image_rig_close asserts that the validation layers were silent. */
void image_rig_close(struct image_rig *rig);

/* rig_image_open makes a VkImage and registers it; `config` gives layouts and flags. False: the
 * device does not support such an image, or `refused` was counted. */
bool rig_image_open(struct image_rig *rig, const struct ds_image_shape *shape,
                    const struct ds_image_config *config, struct rig_image *image);
void rig_image_close(struct image_rig *rig, struct rig_image *image);

/* rig_read enqueues a read of file[offset, + bytes) and returns ds_queue_enqueue's answer. */
int rig_read(struct image_rig *rig, const struct ds_image_target *target, uint64_t offset,
             uint64_t bytes);

/* rig_finish submits, waits for `n` results, which must all have `status`, and for the GPU. */
void rig_finish(struct image_rig *rig, uint32_t n, enum ds_status status);

/* rig_readback returns all subresources, laid out TIGHT with offset_align RIG_ALIGN; the caller
 * frees. The image is in TRANSFER_SRC_OPTIMAL or GENERAL. */
uint8_t *rig_readback(struct image_rig *rig, const struct rig_image *image, VkImageLayout layout);

/* rig_change brings all subresources from one layout to another on the app queue, after what
 * rig_finish waited for. Where the families differ it is one half of a transfer of ownership:
 * the release if from_family is the app queue's, else the acquisition. */
void rig_change(struct image_rig *rig, const struct rig_image *image, VkImageLayout from,
                VkImageLayout to, uint32_t from_family, uint32_t to_family);

/* rig_offset: where row `row` of slice `slice` of a subresource begins in rig_readback's answer. */
uint64_t rig_offset(const struct ds_image_footprint *footprints, uint32_t subresource,
                    uint32_t slice, uint32_t row);

#define RIG_ALIGN 192

#endif
