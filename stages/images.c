/* ds_vulkan_image_*: the images of an engine. */
#include "stages/runtime.h"

#include "engine/image/image.h"
#include "engine/vulkan/backend.h"

#include <errno.h>

/* Frees destroyed images whose last request is gone. The caller holds `control`. */
static void images_sweep(struct ds_engine *engine)
{
    struct ds_image **link = &engine->images;

    while (*link != NULL) {
        struct ds_image *image = *link;

        if (!image->gone || !image_at_rest(image)) {
            link = &image->next;
            continue;
        }
        *link = image->next;
        image_close(image, &engine->host);
        host_free(&engine->host, image, sizeof(*image));
    }
}

void images_close_all(struct ds_engine *engine)
{
    pthread_mutex_lock(&engine->control);
    images_sweep(engine);
    DS_ASSERT(engine->images == NULL); /* ds_vulkan_image_destroy before ds_engine_destroy */
    pthread_mutex_unlock(&engine->control);
}

/* Without a GPU (the nil copy) nothing is demanded. */
static struct image_family engine_family(const struct ds_engine *engine)
{
    const VkQueueFlags work = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT;
    struct image_family family = {.granularity = {1, 1, 1}};

    if (engine->copy_kind == DS_COPY_VULKAN) {
        const struct vulkan_device *device = &engine->config.vulkan->device;

        family.index = device->queue_family;
        family.transfer_only = (device->queue_flags & work) == 0;
        family.color_only = (device->queue_flags & VK_QUEUE_GRAPHICS_BIT) == 0;
        family.granularity = device->transfer_granularity;
    }
    return family;
}

int ds_vulkan_image_create(struct ds_engine *engine, const struct ds_image_config *caller,
                           struct ds_image **out)
{
    struct ds_image_config config = {.struct_size = sizeof(config)};
    struct image_family family = engine_family(engine);
    struct ds_image *image;
    int rc = copy_struct_in(&config, sizeof(config), caller);

    if (rc != 0)
        return rc;
    if (engine->copy_kind == DS_COPY_HOST)
        return -ENODEV;
    image = host_alloc(&engine->host, sizeof(*image), CACHE_LINE);
    if (image == NULL)
        return -ENOMEM;
    rc = image_open(image, &engine->host, &config, &family);
    if (rc != 0) {
        host_free(&engine->host, image, sizeof(*image));
        return rc;
    }
    image->engine = engine;
    pthread_mutex_lock(&engine->control);
    images_sweep(engine);
    image->next = engine->images;
    engine->images = image;
    pthread_mutex_unlock(&engine->control);
    *out = image;
    return 0;
}

/* As for files: see file_quiesce. */
void ds_vulkan_image_destroy(struct ds_image **handle)
{
    struct ds_image *image = *handle;
    struct ds_engine *engine;

    if (image == NULL)
        return;
    *handle = NULL;
    engine = image->engine;
    /* seq_cst: the order against image_request_begin in the submit stage */
    atomic_store_explicit(&image->closed, true, memory_order_seq_cst);
    engine_sweep_closing(engine);
    for (;;) {
        struct event *event = &engine->complete.files;
        uint32_t key = event_prepare(event);
        /* First: one that is refused from now on and has ended is counted as begun too. */
        uint64_t ended = atomic_load_explicit(&image->ended, memory_order_acquire);

        if (atomic_load_explicit(&image->begun, memory_order_seq_cst) == ended) {
            event_cancel(event);
            break;
        }
        engine_pause(engine, event, key);
    }
    pthread_mutex_lock(&engine->control);
    image->gone = true;
    images_sweep(engine);
    pthread_mutex_unlock(&engine->control);
}

int ds_vulkan_image_set_layout(struct ds_image *image, uint32_t first, uint32_t n,
                               VkImageLayout layout)
{
    uint32_t all = image_subresources_n(image);

    if (n == 0 || first >= all || n > all - first)
        return -EINVAL;
    if (!image_at_rest(image))
        return -EBUSY;
    for (uint32_t i = first; i < first + n; i++) {
        DS_ASSERT(image->subresources[i].writers == 0);
        image->subresources[i].layout = layout;
    }
    return 0;
}
