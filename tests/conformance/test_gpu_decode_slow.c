/* Requests that the GPU decodes, on a device whose decoding takes as long as the test wants: what
 * it is asked to do meanwhile. */
#include "conformance/gpu_decode_rig.h"
#include "gpu/vk_hook.h"

TestSuite(gpu_decode_slow);

enum { TABLE = 64, REQUESTS = 100 };

/* The functions behind the hooks, which are called by the thread of the copy stage; GetSemaphore-
 * CounterValue and WaitSemaphores also by that of the complete stage. */
static struct {
    PFN_vkGetDeviceProcAddr GetDeviceProcAddr;
    PFN_vkBeginCommandBuffer BeginCommandBuffer;
    PFN_vkCmdDispatch CmdDispatch;
    PFN_vkQueueSubmit QueueSubmit;
    PFN_vkGetSemaphoreCounterValue GetSemaphoreCounterValue;
    PFN_vkWaitSemaphores WaitSemaphores;
} real;

/* Command buffers that decode: on software nothing else is done by shaders. */
static VkCommandBuffer decoding[TABLE];

static struct {
    _Atomic bool closed;     /* the next submission that decodes does not end */
    _Atomic uint64_t ticket; /* of the one that does not; 0: none */
    _Atomic uint32_t decodes, copies; /* submissions */
} gate;

static VKAPI_ATTR VkResult VKAPI_CALL hook_BeginCommandBuffer(VkCommandBuffer commands,
                                                              const VkCommandBufferBeginInfo *info)
{
    for (uint32_t i = 0; i < TABLE; i++) {
        if (decoding[i] == commands)
            decoding[i] = VK_NULL_HANDLE;
    }
    return real.BeginCommandBuffer(commands, info);
}

static VKAPI_ATTR void VKAPI_CALL hook_CmdDispatch(VkCommandBuffer commands, uint32_t x, uint32_t y,
                                                   uint32_t z)
{
    uint32_t i = 0;

    while (decoding[i] != VK_NULL_HANDLE && decoding[i] != commands)
        cr_assert_lt(++i, TABLE);
    decoding[i] = commands;
    real.CmdDispatch(commands, x, y, z);
}

static bool submit_decodes(const VkSubmitInfo *submits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < submits[i].commandBufferCount * TABLE; k++) {
            if (decoding[k % TABLE] == submits[i].pCommandBuffers[k / TABLE])
                return true;
        }
    }
    return false;
}

static VKAPI_ATTR VkResult VKAPI_CALL hook_QueueSubmit(VkQueue queue, uint32_t n,
                                                       const VkSubmitInfo *submits, VkFence fence)
{
    const VkTimelineSemaphoreSubmitInfo *values = submits[n - 1].pNext;

    if (!submit_decodes(submits, n)) {
        gate.copies++;
    } else {
        if (gate.closed && gate.ticket == 0)
            gate.ticket = values->pSignalSemaphoreValues[0];
        gate.decodes++;
    }
    return real.QueueSubmit(queue, n, submits, fence);
}

static bool is_shut(uint64_t ticket)
{
    uint64_t shut = gate.ticket;

    return shut != 0 && ticket >= shut;
}

static VKAPI_ATTR VkResult VKAPI_CALL hook_GetSemaphoreCounterValue(VkDevice device,
                                                                    VkSemaphore semaphore,
                                                                    uint64_t *value)
{
    VkResult result = real.GetSemaphoreCounterValue(device, semaphore, value);
    uint64_t shut = gate.ticket; /* after the value, and written before the submission */

    if (shut != 0 && *value >= shut)
        *value = shut - 1;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL hook_WaitSemaphores(VkDevice device,
                                                          const VkSemaphoreWaitInfo *info,
                                                          uint64_t timeout_ns)
{
    struct timespec nap = {.tv_nsec = 100000};

    if (!is_shut(info->pValues[0]))
        return real.WaitSemaphores(device, info, timeout_ns);
    nanosleep(&nap, NULL);
    return VK_TIMEOUT;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL hook_GetDeviceProcAddr(VkDevice device,
                                                                       const char *name)
{
    PFN_vkVoidFunction function = real.GetDeviceProcAddr(device, name);

    VK_HOOK(BeginCommandBuffer)
    VK_HOOK(CmdDispatch)
    VK_HOOK(QueueSubmit)
    VK_HOOK(GetSemaphoreCounterValue)
    VK_HOOK(WaitSemaphores)
    return function;
}

static PFN_vkGetDeviceProcAddr hook(PFN_vkGetDeviceProcAddr below)
{
    real.GetDeviceProcAddr = below;
    return hook_GetDeviceProcAddr;
}

/* Whoever decodes from now on does not end before gate_next or gate_open. */
static void slow_open(struct gpu_rig *g, enum ds_topology topology, uint64_t scratch_bytes)
{
    gpu_open(g, topology, &(struct gpu_options){.gathers = true, .scratch_bytes = scratch_bytes,
                                                .copy_path = DS_VULKAN_PATH_COPY, .hook = hook});
    memset(decoding, 0, sizeof(decoding));
    gate.ticket = 0;
    gate.decodes = 0;
    gate.copies = 0;
    gate.closed = true;
}

static void gate_next(void)
{
    gate.ticket = 0;
}

static void gate_open(void)
{
    gate.closed = false;
    gate.ticket = 0;
}

static void send(struct gpu_rig *g, const struct packed *p, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++) {
        struct ds_request request =
            gpu_to_buffer(g, packed_request(p, NULL), 1 + i * (p->plain_bytes + 8), false);

        rig_enqueue(g->rig.queue, &request);
    }
    ds_queue_submit(g->rig.queue);
}

/* So many have left the decode stage for the copy stage. */
static bool handed_over(const struct gpu_rig *g, uint32_t n)
{
    return gpu_counters(g).stages[DS_STAGE_DECODE].items == n;
}

static void check_results(const struct gpu_rig *g, const struct packed *p,
                          const struct ds_result *results, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(results[i].status, DS_STATUS_OK, "%s", ds_status_name(results[i].status));
        gpu_check_place(g, p, 1 + i * (p->plain_bytes + 8), "after all");
    }
}

/* A flood of small requests, while the first of them takes its time: the others are one batch, or
 * two if the last of them were still on their way to the copy stage. */
static void flood_run(enum ds_topology topology)
{
    struct ds_result results[REQUESTS + 1];
    struct gpu_rig g;
    struct packed p;

    slow_open(&g, topology, 0);
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, 1000, 1));
    send(&g, &p, 0, 1);
    rig_until(&g.rig, gate.decodes == 1);
    send(&g, &p, 1, REQUESTS);
    rig_until(&g.rig, handed_over(&g, REQUESTS + 1));
    cr_assert_eq(gate.decodes, 1, "%u batches at the same time", (uint32_t)gate.decodes);
    gate_open();
    rig_results(g.rig.queue, results, REQUESTS + 1);
    check_results(&g, &p, results, REQUESTS + 1);
    cr_assert_eq(gpu_counters(&g).gpu_decoded_tiles, REQUESTS + 1);
    cr_assert_leq(gpu_counters(&g).gpu_decode_batches, 3, "%u batches",
                  (uint32_t)gpu_counters(&g).gpu_decode_batches);
    cr_assert_eq(gpu_counters(&g).gpu_decode_batches, gate.decodes);
    packed_free(&p);
    gpu_close(&g);
}

Test(gpu_decode_slow, a_flood_takes_few_batches_shared)
{
    flood_run(DS_TOPOLOGY_SHARED);
}

Test(gpu_decode_slow, a_flood_takes_few_batches_dedicated)
{
    flood_run(DS_TOPOLOGY_DEDICATED);
}

Test(gpu_decode_slow, a_flood_takes_few_batches_manual)
{
    flood_run(DS_TOPOLOGY_MANUAL);
}

/* Eight requests of which three fit the scratch memory, and a plain one of a REALTIME queue: it is
 * copied behind the first batch, while the other five have not ended. */
static void pass_run(enum ds_topology topology)
{
    enum { N = 8, FIT = 3, BYTES = 4 * TILE };
    struct ds_result results[N], plain;
    struct ds_queue *realtime;
    struct ds_request request;
    struct gpu_rig g;
    struct packed p;
    uint32_t done;

    slow_open(&g, topology, 1 << 20);
    cr_assert(packed_make(&p, DS_CODEC_GDEFLATE, DS_CODEC_TRANSFORM_NONE, BYTES, 1));
    send(&g, &p, 0, N);
    rig_until(&g.rig, gate.decodes == 1 && handed_over(&g, N));
    realtime = rig_queue(&g.rig, ds_queue_config(.priority = DS_PRIORITY_REALTIME));
    request = gpu_to_buffer(&g, rig_read(&g.rig, 5, 3000, NULL, 7), BUFFER_BYTES - 4096, false);
    rig_enqueue(realtime, &request);
    ds_queue_submit(realtime);
    rig_until(&g.rig, gate.copies == 1);
    gate_next();
    rig_results(realtime, &plain, 1);
    cr_assert(plain.status == DS_STATUS_OK && plain.bytes == 3000);
    done = ds_queue_poll(g.rig.queue, results, N);
    cr_assert_leq(done, FIT, "%u have ended", done);
    cr_assert_leq(gate.decodes, 2);
    gate_open();
    rig_results(g.rig.queue, results + done, N - done);
    check_results(&g, &p, results, N);
    ds_queue_destroy(&realtime);
    packed_free(&p);
    gpu_close(&g);
}

Test(gpu_decode_slow, a_realtime_copy_passes_what_waits_hybrid)
{
    pass_run(DS_TOPOLOGY_HYBRID);
}

Test(gpu_decode_slow, a_realtime_copy_passes_what_waits_manual)
{
    pass_run(DS_TOPOLOGY_MANUAL);
}
