/* Times both ways at a few sizes of region, from small to large. */
#include "stages/copy_measure.h"

#include "engine/clock.h"
#include "engine/vulkan/timeline.h"

#include <stdio.h>
#include <string.h>

#define SCRATCH_BYTES ((uint64_t)8 << 20)
#define REGIONS_MAX 512u       /* of the smallest ones copy commands take milliseconds otherwise */
#define REPEATS 2
#define WAIT_NS 100000000u     /* a GPU that is busy for so long tells nothing */
#define GAIN_PERCENT 5         /* below that the copy engines are left the work */
#define FALLBACK_BYTES 65536u

static const uint32_t sizes[] = {4u << 10, 16u << 10, 64u << 10, 128u << 10, 256u << 10};

struct measure {
    struct ds_vulkan_backend *backend;
    const struct vulkan_dispatch *vk;
    VkDevice device;
    struct copy_recorder *recorder;
    struct vulkan_buffer scratch;
    struct vulkan_timeline timeline;
    VkCommandPool pool;
    VkCommandBuffer commands;
    uint64_t ticket;
    uint64_t bytes;     /* of the scratch memory and of the staging that are used */
    uint64_t started_ns;
    bool given_up;      /* the GPU did not end in time, and may still be at the commands */
};

static VkResult measure_commands(struct measure *m)
{
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
        .queueFamilyIndex = m->backend->device.queue_family,
    };
    VkCommandBufferAllocateInfo commands = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VkResult result = m->vk->CreateCommandPool(m->device, &pool, NULL, &m->pool);

    if (result != VK_SUCCESS) {
        m->pool = VK_NULL_HANDLE;
        return result;
    }
    commands.commandPool = m->pool;
    return m->vk->AllocateCommandBuffers(m->device, &commands, &m->commands);
}

static int measure_open(struct measure *m, const struct host *host)
{
    const struct vulkan_device *device = &m->backend->device;
    VkResult result;
    int error = vulkan_timeline_open(&m->timeline, device, host);

    if (error == 0)
        error = vulkan_buffer_open(&m->scratch, device, host, VULKAN_BUFFER_LOCAL, m->bytes);
    if (error != 0)
        return error;
    result = measure_commands(m);
    return result == VK_SUCCESS ? 0 : vulkan_fail(host, "vkCreateCommandPool", result);
}

static void measure_close(struct measure *m)
{
    vulkan_timeline_drain(&m->timeline);
    if (m->pool != VK_NULL_HANDLE)
        m->vk->DestroyCommandPool(m->device, m->pool, NULL);
    vulkan_buffer_close(&m->scratch, &m->backend->device);
    vulkan_timeline_close(&m->timeline);
}

/* n regions from one place after the other to places in another order. n is a power of two, so that
 * an odd stride reaches them all. */
static void record_regions(struct measure *m, uint32_t bytes, uint32_t n, bool shader)
{
    struct copy_recorder *recorder = m->recorder;

    if (shader)
        vulkan_scatter_begin(&recorder->scatter, 0);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t from = (uint64_t)i * bytes;
        uint64_t to = (uint64_t)(i * 37u % n) * bytes;

        if (shader)
            vulkan_scatter_add(&recorder->scatter, recorder->staging->address + from,
                               m->scratch.address + to, bytes);
        else
            recorder->copies[i] = (VkBufferCopy){from, to, bytes};
    }
    if (shader)
        vulkan_scatter_record(&recorder->scatter, m->commands);
    else
        m->vk->CmdCopyBuffer(m->commands, recorder->staging->buffer, m->scratch.buffer, n,
                             recorder->copies);
}

static VkResult record(struct measure *m, uint32_t bytes, uint32_t n, bool shader)
{
    VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VkMemoryBarrier barrier = { /* the scratch memory is written again and again */
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
    };
    VkResult result = m->vk->ResetCommandPool(m->device, m->pool, 0);

    if (result == VK_SUCCESS)
        result = m->vk->BeginCommandBuffer(m->commands, &begin);
    if (result != VK_SUCCESS)
        return result;
    m->vk->CmdPipelineBarrier(m->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                              VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1, &barrier, 0, NULL, 0,
                              NULL);
    record_regions(m, bytes, n, shader);
    return m->vk->EndCommandBuffer(m->commands);
}

static VkResult submit(struct measure *m)
{
    uint64_t before = m->ticket++;
    VkTimelineSemaphoreSubmitInfo values = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .signalSemaphoreValueCount = 1,
        .pSignalSemaphoreValues = &m->ticket,
    };
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &values,
        .commandBufferCount = 1,
        .pCommandBuffers = &m->commands,
        .signalSemaphoreCount = 1,
        .pSignalSemaphores = &m->timeline.semaphore,
    };
    VkResult result;

    vulkan_timeline_begin(&m->timeline, m->ticket);
    ds_vulkan_queue_lock(m->backend);
    result = m->vk->QueueSubmit(m->backend->device.queue, 1, &info, VK_NULL_HANDLE);
    ds_vulkan_queue_unlock(m->backend);
    return vulkan_timeline_end(&m->timeline, before, result);
}

/* Nanoseconds from the submission to its end, or 0: it failed, or did not end. Polled: a sleep
 * takes longer to end than most of what is measured. */
static uint64_t time_once(struct measure *m, uint32_t bytes, uint32_t n, bool shader)
{
    uint64_t reached = 0, started_ns, now_ns;

    if (m->given_up || record(m, bytes, n, shader) != VK_SUCCESS)
        return 0;
    started_ns = clock_now_ns();
    if (submit(m) != VK_SUCCESS)
        return 0;
    do {
        if (vulkan_timeline_read(&m->timeline, &reached) != VK_SUCCESS)
            return 0;
        now_ns = clock_now_ns();
    } while (reached < m->ticket && now_ns - started_ns < WAIT_NS);
    m->given_up = reached < m->ticket;
    return m->given_up ? 0 : max_u64(now_ns - started_ns, 1);
}

static bool time_is_up(const struct measure *m)
{
    return clock_now_ns() - m->started_ns >= COPY_MEASURE_NS;
}

/* The best of a few, as time allows. UINT64_MAX: it failed. */
static uint64_t time_best(struct measure *m, uint32_t bytes, uint32_t n, bool shader)
{
    uint64_t best = UINT64_MAX;

    for (uint32_t i = 0; i < REPEATS && (i == 0 || !time_is_up(m)); i++) {
        uint64_t ns = time_once(m, bytes, n, shader);

        if (ns == 0)
            return UINT64_MAX;
        best = min_u64(best, ns);
    }
    return best;
}

/* The largest size up to which the shader gained something. False: nothing was measured. */
static bool find_limit(struct measure *m, uint32_t *limit, char *text, size_t text_bytes)
{
    uint32_t done = 0;

    *limit = 0;
    text[0] = '\0';
    time_once(m, sizes[0], 16, true); /* what is slow only the first time */
    time_once(m, sizes[0], 16, false);
    m->started_ns = clock_now_ns();
    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes) && !time_is_up(m); i++) {
        uint32_t n = min_u32(min_u32((uint32_t)(m->bytes / sizes[i]), REGIONS_MAX),
                             m->recorder->regions_max);
        uint64_t shader_ns, copy_ns;
        size_t length = strnlen(text, text_bytes);

        while (!is_power_of_two(n))
            n &= n - 1;
        shader_ns = time_best(m, sizes[i], n, true);
        copy_ns = time_best(m, sizes[i], n, false);
        if (shader_ns == UINT64_MAX || copy_ns == UINT64_MAX)
            break;
        done++;
        snprintf(text + length, text_bytes - length, "%s%u KiB %.1f/%.1f", i == 0 ? "" : ", ",
                 sizes[i] >> 10, (double)n * sizes[i] / (double)shader_ns,
                 (double)n * sizes[i] / (double)copy_ns);
        if (shader_ns * 100 > copy_ns * (100 - GAIN_PERCENT))
            break;
        *limit = sizes[i];
    }
    return done > 0;
}

void copy_measure(struct ds_vulkan_backend *backend, const struct host *host,
                  struct copy_recorder *recorder)
{
    struct measure m = {
        .backend = backend,
        .vk = recorder->vk,
        .device = backend->device.device,
        .recorder = recorder,
        .bytes = min_u64(SCRATCH_BYTES, recorder->staging->bytes / sizes[4] * sizes[4]),
    };
    uint32_t limit = 0;
    bool measured = false;
    char text[160];

    if (m.bytes > 0 && measure_open(&m, host) == 0)
        measured = find_limit(&m, &limit, text, sizeof(text));
    measure_close(&m);
    if (measured)
        host_log(host, DS_LOG_INFO,
                 "copies of at most %u KiB go by shader, larger ones by command (GB/s by "
                 "shader/command: %s; measured in %.1f ms)", limit >> 10, text,
                 (double)(clock_now_ns() - m.started_ns) / 1e6);
    else
        host_log(host, DS_LOG_WARNING,
                 "copies could not be measured: those of at most %u KiB go by shader",
                 FALLBACK_BYTES >> 10);
    atomic_store_explicit(&backend->scatter_max_bytes, measured ? limit : FALLBACK_BYTES,
                          memory_order_relaxed);
    atomic_store_explicit(&backend->scatter_measured, true, memory_order_relaxed);
}
