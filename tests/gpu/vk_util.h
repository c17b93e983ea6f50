/* Vulkan for tests: a device to lend (or a back end's own, adopted), buffers, readback, and what
 * the validation layers had to say. A failing call ends the test program with a message. */
#ifndef TESTS_GPU_VK_UTIL_H
#define TESTS_GPU_VK_UTIL_H

#include <ds/vulkan.h>

#include <pthread.h>

#define VK_UTIL_FUNCTIONS(X)                                                                       \
    X(AllocateCommandBuffers)                                                                      \
    X(AllocateMemory)                                                                              \
    X(BeginCommandBuffer)                                                                          \
    X(BindBufferMemory)                                                                            \
    X(CmdCopyBuffer)                                                                               \
    X(CmdFillBuffer)                                                                               \
    X(CmdPipelineBarrier)                                                                          \
    X(CreateBuffer)                                                                                \
    X(CreateCommandPool)                                                                           \
    X(CreateFence)                                                                                 \
    X(CreateSemaphore)                                                                             \
    X(DestroyBuffer)                                                                               \
    X(DestroyCommandPool)                                                                          \
    X(DestroyDevice)                                                                               \
    X(DestroyFence)                                                                                \
    X(DestroySemaphore)                                                                            \
    X(DeviceWaitIdle)                                                                              \
    X(EndCommandBuffer)                                                                            \
    X(FreeMemory)                                                                                  \
    X(GetBufferDeviceAddress)                                                                      \
    X(GetBufferMemoryRequirements)                                                                 \
    X(GetDeviceQueue)                                                                              \
    X(GetSemaphoreCounterValue)                                                                    \
    X(MapMemory)                                                                                   \
    X(QueueSubmit)                                                                                 \
    X(QueueWaitIdle)                                                                               \
    X(SignalSemaphore)                                                                             \
    X(WaitForFences)                                                                               \
    X(WaitSemaphores)

struct vk_util {
    /* Ready for use by the test: what a host would have. */
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;               /* for copies: of a family with TRANSFER */
    uint32_t queue_family;
    VkQueue app_queue;           /* with COMPUTE; == queue where there is only one */
    uint32_t app_queue_family;
    bool has_external_memory_host;
    bool has_addresses;          /* bufferDeviceAddress and storageBuffer8BitAccess are enabled */
    bool has_int64;              /* shaderInt64 is enabled (a device to lend) */
    bool binds_sparse_2d, binds_sparse_3d; /* residency is enabled, and app_queue can bind */
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    PFN_vkGetDeviceProcAddr get_device_proc_addr;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
#define VK_UTIL_POINTER_(name) PFN_vk##name name;
    VK_UTIL_FUNCTIONS(VK_UTIL_POINTER_)
#undef VK_UTIL_POINTER_

    /* Private. */
    bool own;                          /* device and instance are destroyed by vk_util_close */
    struct ds_vulkan_backend *backend; /* adopted: whose queue lock is used */
    pthread_mutex_t mutex;             /* guards `queue` and `app_queue` of a lent device */
};

/* vk_util_open makes an instance and a device. With `validation` the Khronos layer runs below all
 * instances that this process makes from now on: core checks, synchronization within and across
 * submissions, thread safety. NULL: there is no Vulkan here; vk_util_reason says why. */
struct vk_util *vk_util_open(bool validation);

/* vk_util_adopt wraps a back end's own device, for buffers and readback. */
struct vk_util *vk_util_adopt(struct ds_vulkan_backend *backend);

/* vk_util_close destroys what vk_util_open made, sets *util to NULL. */
void vk_util_close(struct vk_util **util);

/* vk_util_close_both ends a back end, too: after what wraps its own device, before what was lent to
 * it. */
void vk_util_close_both(struct vk_util **util, struct ds_vulkan_backend **backend);

const char *vk_util_reason(void);

/* vk_util_validate turns validation on without vk_util_open; before the first instance. False: the
 * layer is not installed, there is no loader, or ThreadSanitizer watches. */
bool vk_util_validate(void);

/* vk_util_messages: warnings and errors of the layers since the last instance was made. Whatever
 * there is gets printed. Ask after everything was destroyed, to hear of leaks too. */
uint32_t vk_util_messages(void);

/* vk_util_lend fills the borrowed half of a config. */
void vk_util_lend(struct vk_util *util, struct ds_vulkan_backend_config *config);

/* vk_util_lend_compute is the same with a queue that has COMPUTE, under the queue lock: from now on
 * `queue` is the app's. */
void vk_util_lend_compute(struct vk_util *util, struct ds_vulkan_backend_config *config);

/* The queue lock: fit for lock_queue and unlock_queue, ctx = struct vk_util. */
void vk_util_lock(void *util);
void vk_util_unlock(void *util);

struct vk_util_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    uint64_t bytes;
    uint64_t address;    /* VkDeviceAddress, where the device has_addresses */
    uint8_t *mapped;     /* host-visible ones */
};

/* vk_util_buffer makes a buffer with `usage` and TRANSFER_SRC|DST, shared by both families. */
void vk_util_buffer(struct vk_util *util, uint64_t bytes, VkBufferUsageFlags usage,
                    bool host_visible, struct vk_util_buffer *buffer);
void vk_util_buffer_free(struct vk_util *util, struct vk_util_buffer *buffer);

/* vk_util_fill writes `value` to every byte, on the app queue, and waits. */
void vk_util_fill(struct vk_util *util, const struct vk_util_buffer *buffer, uint8_t value);

/* vk_util_readback copies buffer[offset, offset + bytes) to out, on the app queue, and waits. */
void vk_util_readback(struct vk_util *util, const struct vk_util_buffer *buffer, uint64_t offset,
                      uint64_t bytes, void *out);

/* vk_util_readback_after is the same, and on the GPU waits for wait_value first. Where the
 * copies have a queue of their own the layers want this: they do not see that the host waited. */
void vk_util_readback_after(struct vk_util *util, const struct vk_util_buffer *buffer,
                            uint64_t offset, uint64_t bytes, void *out, VkSemaphore wait,
                            uint64_t wait_value);

VkSemaphore vk_util_timeline(struct vk_util *util, uint64_t value);
uint64_t vk_util_timeline_value(struct vk_util *util, VkSemaphore semaphore);
bool vk_util_timeline_wait(struct vk_util *util, VkSemaphore semaphore, uint64_t value,
                           uint64_t timeout_ns);

/* vk_util_run submits one command buffer on the app queue and waits for its end. `record` adds the
 * commands. It starts when `wait` (or VK_NULL_HANDLE) has reached wait_value. */
void vk_util_run(struct vk_util *util, void (*record)(struct vk_util *, VkCommandBuffer, void *),
                 void *ctx, VkSemaphore wait, uint64_t wait_value);

/* vk_util_run_signal is the same, and on the GPU signals `signal` with signal_value at its end. */
void vk_util_run_signal(struct vk_util *util,
                        void (*record)(struct vk_util *, VkCommandBuffer, void *), void *ctx,
                        VkSemaphore signal, uint64_t signal_value);

#endif
