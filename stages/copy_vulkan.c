/* Copies between staging and VkBuffers with the copy commands and shaders of one VkQueue.
 *
 * Owns: a command buffer (in a pool of its own) for each batch, and the timeline semaphore whose
 * value is the ticket of the last submission that ended.
 *
 *   a batch:   IDLE -> RECORDED -> PENDING -> (its ticket is reached) -> RECORDED ...
 *
 * Ordering. Each batch ends with a barrier over the whole queue, so later submissions see its
 * writes and cannot overtake its reads: batches need none against each other. A batch with
 * downloads also begins with one, because it reads what others than we have written. */
#include "stages/copy_vulkan.h"

#include "engine/cpus.h"
#include "engine/vulkan/commands.h"
#include "stages/copy_decode.h"
#include "stages/copy_mapped_measure.h"
#include "stages/copy_measure.h"
#include "stages/copy_record.h"

#include <errno.h>

enum batch_state { BATCH_IDLE, BATCH_RECORDED, BATCH_PENDING };

struct batch {
    struct vulkan_commands commands;
    uint64_t ticket;        /* PENDING: of its submission */
    enum batch_state state;
    bool empty;             /* nothing to copy: submitted without its command buffer */
};

struct copy_vulkan {
    struct ds_vulkan_backend *backend;
    const struct vulkan_dispatch *vk; /* of backend->device */
    const struct host *host;
    struct vulkan_staging staging;
    struct vulkan_timeline timeline;
    struct batch batches[COPY_BATCHES_MAX];

    struct copy_recorder recorder;  /* whoever records */
    struct copy_decoder decoder;    /* likewise */
    uint32_t decoders_n; /* CPU threads that could do it instead */

    /* whoever submits */
    VkSemaphore *signal_semaphores; /* regions_max */
    uint64_t *signal_values;        /* regions_max */
};

/* Recording ----------------------------------------------------------------------------------- */

static VkResult record_commands(struct copy_vulkan *copy, const struct batch *batch,
                                const struct copy_images *images)
{
    VkResult result = vulkan_commands_begin(&batch->commands, &copy->backend->device);

    if (result != VK_SUCCESS) {
        copy_images_skip(images);
        return result;
    }
    copy_recorder_record(&copy->recorder, batch->commands.buffer, images);
    return copy->vk->EndCommandBuffer(batch->commands.buffer);
}

/* The operations ------------------------------------------------------------------------------ */

/* The largest region that goes by shader, of a batch of n chunks. */
static uint32_t batch_scatter_max(const struct ds_vulkan_backend *backend, uint32_t n)
{
    return n < atomic_load_explicit(&backend->scatter_regions_min, memory_order_relaxed)
               ? 0
               : atomic_load_explicit(&backend->scatter_max_bytes, memory_order_relaxed);
}

static int record_batch(void *self, uint32_t index, struct chunk *const *chunks, uint32_t n)
{
    struct copy_vulkan *copy = self;
    struct batch *batch = &copy->batches[index];
    struct copy_images images = {copy->vk, &copy->staging, chunks, n, &copy->decoder};
    VkResult result;
    bool any;

    DS_ASSERT(index < copy->backend->batches_max);
    DS_ASSERT(n <= copy->backend->batch_regions_max);
    /* validation notices this one, but only where it is installed */
    if (batch->state == BATCH_PENDING) {
        bool over = vulkan_timeline_is_past(&copy->timeline, batch->ticket);

        DS_ASSERT(over || vulkan_timeline_lost(&copy->timeline) != VK_SUCCESS);
    }
    if (vulkan_timeline_lost(&copy->timeline) != VK_SUCCESS) {
        copy_images_skip(&images);
        return vulkan_timeline_lost(&copy->timeline);
    }
    batch->state = BATCH_IDLE;
    any = copy_recorder_collect(&copy->recorder, index, chunks, n,
                                batch_scatter_max(copy->backend, n));
    batch->empty = !any && !copy_images_any(&images);
    result = batch->empty ? VK_SUCCESS : record_commands(copy, batch, &images);
    if (result == VK_SUCCESS)
        batch->state = BATCH_RECORDED;
    else
        vulkan_fail(copy->host, "recording a batch of copies", result);
    return result;
}

static int vulkan_record(void *self, uint32_t index, struct chunk *const *chunks, uint32_t n)
{
    struct copy_vulkan *copy = self;
    int result = record_batch(copy, index, chunks, n);

    copy->decoder.items_n = 0; /* the next ones are of the next batch */
    return result;
}

static struct gpu_decode vulkan_decode(void *self)
{
    const struct copy_vulkan *copy = self;

    return copy->decoder.rule;
}

static bool vulkan_take(void *self, uint32_t index, const struct chunk *chunk)
{
    struct copy_vulkan *copy = self;

    return copy_decoder_take(&copy->decoder, index, chunk);
}

static void vulkan_release(void *self, uint32_t index)
{
    struct copy_vulkan *copy = self;

    vulkan_decode_release(&copy->decoder.decode, index);
}

/* add_signals lists the caller's signals, which the copy stage has made unique. */
static void add_signals(const struct copy_vulkan *copy, const struct copy_signal *signals,
                        uint32_t signals_n)
{
    DS_ASSERT(signals_n <= copy->backend->batch_regions_max);
    for (uint32_t i = 0; i < signals_n; i++) {
        copy->signal_semaphores[i] = (VkSemaphore)signals[i].semaphore;
        copy->signal_values[i] = signals[i].value;
    }
}

/* The commands and the caller's signals are one VkSubmitInfo, and our ticket is the next: within
 * one the signals have no order, but a later one comes after all earlier (Vulkan 1.3, 7.2 "Signal
 * operation order"). So whoever sees a ticket reached sees the caller's semaphores signalled. */
static VkResult submit_batch(struct copy_vulkan *copy, const struct batch *batch, uint64_t ticket,
                             uint32_t signals_n)
{
    VkTimelineSemaphoreSubmitInfo values[2] = {
        {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
         .signalSemaphoreValueCount = signals_n,
         .pSignalSemaphoreValues = copy->signal_values},
        {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
         .signalSemaphoreValueCount = 1,
         .pSignalSemaphoreValues = &ticket},
    };
    VkSubmitInfo submits[2] = {
        {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
         .pNext = &values[0],
         .signalSemaphoreCount = signals_n,
         .pSignalSemaphores = copy->signal_semaphores},
        {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
         .pNext = &values[1],
         .signalSemaphoreCount = 1,
         .pSignalSemaphores = &copy->timeline.semaphore},
    };
    uint32_t first = signals_n > 0 ? 0 : 1;
    VkResult result;

    submits[first].commandBufferCount = batch->empty ? 0 : 1;
    submits[first].pCommandBuffers = &batch->commands.buffer;
    ds_vulkan_queue_lock(copy->backend);
    result = copy->vk->QueueSubmit(copy->backend->device.queue, 2 - first, &submits[first],
                                   VK_NULL_HANDLE);
    ds_vulkan_queue_unlock(copy->backend);
    return result;
}

static int vulkan_submit(void *self, uint32_t index, uint64_t ticket,
                         const struct copy_signal *signals, uint32_t signals_n)
{
    struct copy_vulkan *copy = self;
    struct batch *batch = &copy->batches[index];
    uint64_t before = atomic_load_explicit(&copy->timeline.submitted, memory_order_relaxed);
    VkResult result = vulkan_timeline_lost(&copy->timeline);

    if (result != VK_SUCCESS)
        return result;
    DS_ASSERT(batch->state == BATCH_RECORDED);
    add_signals(copy, signals, signals_n);
    batch->ticket = ticket;
    batch->state = BATCH_PENDING;
    vulkan_timeline_begin(&copy->timeline, ticket);
    result = submit_batch(copy, batch, ticket, signals_n);
    if (result != VK_SUCCESS)
        batch->state = BATCH_IDLE; /* refused or lost: the ticket will not be reached by it */
    return vulkan_timeline_end(&copy->timeline, before, result);
}

static int vulkan_semaphore_value(void *self, uint64_t semaphore, uint64_t *value)
{
    struct copy_vulkan *copy = self;

    return copy->vk->GetSemaphoreCounterValue(copy->backend->device.device, (VkSemaphore)semaphore,
                                              value);
}

static int vulkan_signal(void *self, uint64_t semaphore, uint64_t value)
{
    struct copy_vulkan *copy = self;
    VkSemaphoreSignalInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
        .semaphore = (VkSemaphore)semaphore,
        .value = value,
    };

    return copy->vk->SignalSemaphore(copy->backend->device.device, &info);
}

static int vulkan_reached(void *self, uint64_t *ticket)
{
    struct copy_vulkan *copy = self;

    return vulkan_timeline_read(&copy->timeline, ticket);
}

static void vulkan_wait(void *self, uint64_t ticket, uint64_t timeout_ns)
{
    struct copy_vulkan *copy = self;

    vulkan_timeline_wait(&copy->timeline, ticket, timeout_ns); /* errors show in reached */
}

static int open_scatter(struct copy_vulkan *copy, uint64_t bytes)
{
    struct ds_vulkan_backend *backend = copy->backend;
    int error;

    if (!backend->can_scatter)
        return 0;
    error = vulkan_scatter_open(&copy->recorder.scatter, &backend->device, copy->host,
                                backend->batches_max,
                                vulkan_scatter_pieces_max(backend->batch_regions_max, bytes),
                                backend->scatter_groups_max);
    if (error == 0 && !atomic_load_explicit(&backend->scatter_measured, memory_order_relaxed))
        copy_measure(backend, copy->host, &copy->recorder);
    return error;
}

/* And what works with it: the shader that copies, the decoder. */
static int vulkan_staging_make(void *self, uint64_t bytes, struct staging *staging)
{
    struct copy_vulkan *copy = self;
    struct ds_vulkan_backend *backend = copy->backend;
    int error;

    DS_ASSERT(copy->staging.buffer == VK_NULL_HANDLE);
    error = vulkan_staging_open(&copy->staging, &backend->device, copy->host, backend->staging,
                                bytes, staging);
    if (error != 0)
        return error;
    error = open_scatter(copy, bytes);
    if (error == 0 && backend->mapped_measures)
        copy_mapped_measure(backend, copy->host, staging);
    if (error == 0)
        error = copy_decoder_open(&copy->decoder, backend, copy->host, &copy->staging,
                                  copy->decoders_n);
    if (error != 0) {
        vulkan_scatter_close(&copy->recorder.scatter);
        vulkan_staging_close(&copy->staging, &backend->device, staging);
    }
    return error;
}

static void vulkan_staging_free(void *self, struct staging *staging)
{
    struct copy_vulkan *copy = self;

    vulkan_timeline_drain(&copy->timeline);
    copy_decoder_close(&copy->decoder, copy->host);
    vulkan_scatter_close(&copy->recorder.scatter);
    vulkan_staging_close(&copy->staging, &copy->backend->device, staging);
}

static uint32_t vulkan_batches_max(void *self)
{
    const struct copy_vulkan *copy = self;

    return copy->backend->batches_max;
}

static uint32_t vulkan_regions_max(void *self)
{
    const struct copy_vulkan *copy = self;

    return copy->backend->batch_regions_max;
}

static uint64_t vulkan_bytes_max(void *self)
{
    const struct copy_vulkan *copy = self;

    return copy->backend->batch_bytes_max;
}

/* A GPU is idle for 12 us between two submissions (H100), software only wakes up. */
static uint64_t vulkan_bytes_least(void *self)
{
    const struct copy_vulkan *copy = self;

    return vulkan_device_is_software(&copy->backend->device) ? 256 << 10 : 1 << 20;
}

static bool vulkan_addresses(void *self)
{
    const struct copy_vulkan *copy = self;

    return copy->backend->can_scatter;
}

static bool vulkan_manual(void *self)
{
    const struct copy_vulkan *copy = self;

    return copy->backend->queue_mode == DS_VULKAN_QUEUE_MANUAL;
}

int32_t copy_vulkan_node(const void *self)
{
    const struct copy_vulkan *copy = self;
    const char *pci = copy->backend->device.pci;

    return pci[0] != '\0' ? cpus_device_node(CPUS_SYSFS, pci) : CPUS_UNKNOWN;
}

void copy_vulkan_decoders(void *self, uint32_t threads_n)
{
    struct copy_vulkan *copy = self;

    copy->decoders_n = threads_n;
}

const struct copy_gpu_ops copy_vulkan_ops = {
    .name = "vulkan",
    .staging_open = vulkan_staging_make,
    .staging_close = vulkan_staging_free,
    .batches_max = vulkan_batches_max,
    .regions_max = vulkan_regions_max,
    .bytes_max = vulkan_bytes_max,
    .bytes_least = vulkan_bytes_least,
    .decode = vulkan_decode,
    .take = vulkan_take,
    .release = vulkan_release,
    .record = vulkan_record,
    .submit = vulkan_submit,
    .semaphore_value = vulkan_semaphore_value,
    .signal = vulkan_signal,
    .reached = vulkan_reached,
    .wait = vulkan_wait,
    .addresses = vulkan_addresses,
    .manual = vulkan_manual,
};

/* Opening and closing ------------------------------------------------------------------------- */

static int open_tables(struct copy_vulkan *copy)
{
    uint32_t n = copy->backend->batch_regions_max;

    copy->signal_semaphores = host_calloc(copy->host, n, sizeof(*copy->signal_semaphores));
    copy->signal_values = host_calloc(copy->host, n, sizeof(*copy->signal_values));
    if (copy->signal_semaphores == NULL || copy->signal_values == NULL)
        return -ENOMEM;
    return copy_recorder_open(&copy->recorder, copy->host, n);
}

static void close_tables(struct copy_vulkan *copy)
{
    size_t n = copy->backend->batch_regions_max;

    copy_recorder_close(&copy->recorder, copy->host);
    host_free(copy->host, copy->signal_semaphores, n * sizeof(*copy->signal_semaphores));
    host_free(copy->host, copy->signal_values, n * sizeof(*copy->signal_values));
}

static int open_objects(struct copy_vulkan *copy)
{
    int error = open_tables(copy);

    if (error == 0)
        error = vulkan_timeline_open(&copy->timeline, &copy->backend->device, copy->host);
    for (uint32_t i = 0; error == 0 && i < copy->backend->batches_max; i++)
        error = vulkan_commands_open(&copy->batches[i].commands, &copy->backend->device, copy->host,
                                     copy->backend->device.queue_family);
    return error;
}

int copy_vulkan_open(struct ds_vulkan_backend *backend, const struct host *host, void **self)
{
    struct copy_vulkan *copy;
    int error = vulkan_backend_acquire(backend);

    if (error != 0)
        return error;
    copy = host_alloc(host, sizeof(*copy), CACHE_LINE);
    if (copy == NULL) {
        vulkan_backend_release(backend);
        return -ENOMEM;
    }
    copy->backend = backend;
    copy->vk = &backend->device.vk;
    copy->host = host;
    copy->recorder.vk = copy->vk;
    copy->recorder.staging = &copy->staging;
    copy->recorder.decoder = &copy->decoder;
    error = open_objects(copy);
    if (error != 0) {
        copy_vulkan_close(copy);
        return error;
    }
    *self = copy;
    return 0;
}

void copy_vulkan_close(void *self)
{
    struct copy_vulkan *copy = self;
    struct ds_vulkan_backend *backend;

    if (copy == NULL)
        return;
    DS_ASSERT(copy->staging.buffer == VK_NULL_HANDLE);
    vulkan_timeline_drain(&copy->timeline);
    backend = copy->backend;
    for (uint32_t i = 0; i < backend->batches_max; i++)
        vulkan_commands_close(&copy->batches[i].commands, &backend->device);
    vulkan_timeline_close(&copy->timeline);
    close_tables(copy);
    host_free(copy->host, copy, sizeof(*copy));
    vulkan_backend_release(backend);
}
