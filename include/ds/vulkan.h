/* ds/vulkan.h - the Vulkan back end: how staged bytes reach VkBuffers.
 *
 * The only header with Vulkan types. Either the host lends its objects (nothing lent is ever
 * destroyed, waited idle or otherwise changed), or the back end makes its own device.
 */
#ifndef DS_VULKAN_H
#define DS_VULKAN_H

#include <ds/engine.h>

#include <vulkan/vulkan_core.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_vulkan_backend;

enum ds_vulkan_queue_mode {
    DS_VULKAN_QUEUE_AUTO = 0,      /* LOCKED when lock_queue is set, else EXCLUSIVE */
    DS_VULKAN_QUEUE_EXCLUSIVE = 1, /* nobody else uses the VkQueue */
    DS_VULKAN_QUEUE_LOCKED = 2,    /* lock_queue and unlock_queue surround every use */
    DS_VULKAN_QUEUE_MANUAL = 3,    /* the caller drives the copy stage: collect, then submit */
};

enum ds_vulkan_staging {
    DS_VULKAN_STAGING_AUTO = 0,     /* IMPORT where the device allows it, else ALLOCATE */
    DS_VULKAN_STAGING_ALLOCATE = 1, /* host-visible memory of the driver's */
    DS_VULKAN_STAGING_IMPORT = 2,   /* our pages, through VK_EXT_external_memory_host */
};

/* How bytes get from staging to buffers. A copy command costs a GPU some microseconds for each
 * region, however small; a shader copies thousands of regions at once, but needs their addresses:
 * see ds_request.gpu_address. */
enum ds_vulkan_copy_path {
    /* Both: regions of at most scatter_max_bytes whose address is known by shader, where there are
     * scatter_regions_min in a submission, the others by command. Where scatter_max_bytes is 0: the
     * two limits are measured when an engine starts, in at most 20 ms, for an own device that is no
     * software; else a rule by the type of the device. */
    DS_VULKAN_PATH_AUTO = 0,
    DS_VULKAN_PATH_COPY = 1,    /* vkCmdCopyBuffer only */
    DS_VULKAN_PATH_SCATTER = 2, /* by shader whatever has an address, or fail with -ENOTSUP */
    /* As AUTO, but measured on lent queues and software devices too. The measurement submits to
     * `queue` on the thread that creates the engine, with lock_queue held. */
    DS_VULKAN_PATH_MEASURE = 3,
};

/* Which requests that name a mapping (ds_request.gpu_mapped) are read straight into it. By page
 * cache, or by O_DIRECT where address, offset and size are aligned; the others go by way of staging
 * and the GPU, like those without. */
enum ds_vulkan_mapped_path {
    /* All of them on unified memory; else those of at most mapped_max_bytes. Where that is 0:
     * measured when an engine starts, in some 10 ms (docs/memory.md has the rule), and O_DIRECT is
     * not tried. */
    DS_VULKAN_MAPPED_AUTO = 0,
    DS_VULKAN_MAPPED_NEVER = 1,
    DS_VULKAN_MAPPED_ALWAYS = 2,
};

/* Who decodes GDeflate requests to buffers and images (docs/codecs.md). */
enum ds_vulkan_decode_path {
    /* Of an own device that is no software: what is measured to be right, in some 20 ms when the
     * first engine starts. BALANCED, but for the CPU where its threads decode all that a fast disk
     * brings, or the GPU less than half as much as they. Of a lent queue, which is left alone:
     * BALANCED. On software devices and where something is missing: the CPU. */
    DS_VULKAN_DECODE_AUTO = 0,
    DS_VULKAN_DECODE_CPU = 1,
    DS_VULKAN_DECODE_GPU = 2, /* by shader, or fail with -ENOTSUP */
    /* By VK_NV_memory_decompression, or fail with -ENOTSUP. For data that is known to be good: the
     * extension reports no errors, and what it makes of a damaged tile is undefined. */
    DS_VULKAN_DECODE_NV = 3,
    /* As AUTO, but measured on lent queues and software devices too, and all that there is: NV is
     * told, but not chosen without decode_trusted. The measurement submits to `queue` on the thread
     * that creates the engine, with lock_queue held. */
    DS_VULKAN_DECODE_MEASURE = 4,
    /* Each request by whoever is done with it sooner: by the CPU while what is queued for its
     * threads, with the request itself, would be decoded before the GPU could have it, else by the
     * shader; or fail with -ENOTSUP. Asked for by name nothing is measured: it begins with guesses
     * (400 MB/s for a thread, 3 ms for a batch of the GPU's), which follow what happens. */
    DS_VULKAN_DECODE_BALANCED = 5,
};

struct ds_vulkan_backend_config {
    uint32_t struct_size;

    /* Borrowed objects: all of instance..queue and get_instance_proc_addr, or none of them. They
     * must outlive the back end. The device needs the timelineSemaphore feature;
     * get_device_proc_addr NULL = asked from get_instance_proc_addr. */
    uint32_t queue_family;
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue; /* of queue_family, which has TRANSFER, COMPUTE or GRAPHICS */
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    PFN_vkGetDeviceProcAddr get_device_proc_addr;

    /* Called around every vkQueueSubmit on `queue`, by the thread of the copy stage. */
    void (*lock_queue)(void *ctx);
    void (*unlock_queue)(void *ctx);
    void *lock_ctx;
    enum ds_vulkan_queue_mode queue_mode;

    enum ds_vulkan_staging staging;
    /* Borrowed device: VK_EXT_external_memory_host was enabled at its creation. */
    bool has_external_memory_host;

    /* Own device: take the first whose name contains this string. NULL = the best: discrete,
     * integrated, virtual, then software. */
    const char *device_name;

    /* GPU submissions in flight at once. 0 = 4. Range 1..16. */
    uint32_t batches_max;
    /* Copy regions in one submission. 0 = 1024. Range 1..65536. */
    uint32_t batch_regions_max;

    const struct ds_allocator *allocator; /* NULL = malloc. Copied. */
    ds_log_fn log;
    void *log_ctx;

    const void *next; /* reserved, NULL */

    enum ds_vulkan_copy_path copy_path;
    /* Largest region that goes by shader, bytes: what an earlier ds_vulkan_info told. 0 = by
     * copy_path. */
    uint32_t scatter_max_bytes;
    /* Borrowed device: these features were enabled at its creation. Shaders copy only where both
     * were, and where queue_family has COMPUTE. */
    bool has_buffer_device_address; /* bufferDeviceAddress */
    bool has_8bit_storage;          /* storageBuffer8BitAccess */
    /* A submission is closed once it moves half of the bytes that are under way, so that the next
     * one is made while it runs; at the latest with so many. 0 = 16 MiB. Not for submissions that
     * decode, which decode_scratch_bytes bounds. */
    uint64_t batch_bytes_max;
    /* Workgroups of one submission that copy by shader at once, each of 256 invocations, 16 KiB at
     * a time. Fewer leave more of the GPU to frames that are drawn meanwhile; too few do not keep
     * the bus busy. 0 = 128. Range 1..65535. */
    uint32_t scatter_groups_max;

    enum ds_vulkan_mapped_path mapped_path;
    /* DS_VULKAN_MAPPED_AUTO: the largest request that goes straight into its mapping, bytes.
     * 0 = UINT64_MAX on unified memory, else what is measured: across a bus the CPU may write more
     * slowly than to staging, and O_DIRECT cannot. */
    uint64_t mapped_max_bytes;

    enum ds_vulkan_decode_path decode_path;
    /* GPU memory that decoding may use, where the GPU decodes: for compressed bytes, and for
     * decoded ones that do not go straight to a buffer. One submission at a time decodes, and may
     * have all of it. A request that needs more is decoded by the
     * CPU. 0 = 64 MiB. Range 1 MiB..16 GiB. */
    uint64_t decode_scratch_bytes;
    /* Borrowed device: what was enabled at its creation, beside has_buffer_device_address and
     * has_8bit_storage. The GPU decodes only with shaderInt64 (NV: with memoryDecompression), and
     * faster with the second. */
    bool has_shader_int64;
    bool has_subgroup_size_control; /* subgroupSizeControl and computeFullSubgroups */
    bool has_memory_decompression;  /* VK_NV_memory_decompression and its feature */
    /* All compressed data is known to be good, by a checksum for example: DECODE_AUTO and
     * DECODE_MEASURE may choose NV where it is faster than the shader. */
    bool decode_trusted;
    /* BALANCED: decoded bytes that may be queued for the CPU's threads; beyond them a request goes
     * to the GPU. Less spares the CPU, more the GPU. 0 = as many as the threads decode in the time
     * of one and a half of the GPU's batches, as both are found to be. Any other value is taken. */
    uint64_t decode_backlog_bytes;
    /* The shader is used from so many regions in a submission on: what an earlier ds_vulkan_info
     * told. 0 = measured together with scatter_max_bytes, else 1. With PATH_SCATTER it is 1. */
    uint32_t scatter_regions_min;
};

#ifndef __cplusplus
#define ds_vulkan_backend_config(...)                                                              \
    (&(const struct ds_vulkan_backend_config){                                                     \
        .struct_size = sizeof(struct ds_vulkan_backend_config), __VA_ARGS__})
#endif

/* ds_vulkan_backend_create prepares a back end for one engine. config NULL = own device. On 0 the
 * caller owns *backend.
 *   -EINVAL   a field is out of range, some but not all borrowed objects are given, LOCKED without
 *             both callbacks, or the family cannot copy
 *   -ENODEV   own device: no Vulkan loader (libvulkan.so.1), no driver, or no device that matches
 *   -ENOTSUP  the device lacks timeline semaphores, or what STAGING_IMPORT, PATH_SCATTER,
 *             DECODE_GPU, DECODE_NV or DECODE_BALANCED need
 *   -ENOMEM   host or device memory
 *   -EIO      another Vulkan call failed; its name and VkResult are logged
 * Thread-safety: any thread. */
DS_API int ds_vulkan_backend_create(const struct ds_vulkan_backend_config *config,
                                    struct ds_vulkan_backend **backend);

/* ds_vulkan_backend_destroy frees it and sets *backend to NULL. Its engine must be gone (asserted),
 * and for an own device so must all that the caller made on it. A NULL *backend is ignored. */
DS_API void ds_vulkan_backend_destroy(struct ds_vulkan_backend **backend);

struct ds_vulkan_info {
    uint32_t struct_size;
    bool own_device;
    bool unified_memory;   /* integrated or software: device memory is host memory */
    bool transfer_queue;   /* the queue's family has TRANSFER without GRAPHICS or COMPUTE */
    bool can_import_host;  /* VK_EXT_external_memory_host is usable */
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    /* Copies are submitted here. Own device: of a family with COMPUTE and without GRAPHICS where
     * shaders may copy, else of one that copies and does nothing else; where there is no such
     * family, of what there is, video coming last. */
    VkQueue queue;
    uint32_t queue_family;
    /* Own device: a queue with COMPUTE for the caller, in app_queue_family. Where the device has
     * only one queue this is `queue`, and the caller surrounds its use with
     * ds_vulkan_queue_lock/unlock. Borrowed: VK_NULL_HANDLE. */
    uint32_t app_queue_family;
    VkQueue app_queue;
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    VkPhysicalDeviceType device_type;
    const char *device_name; /* lives as long as the back end */
    bool can_scatter;        /* ds_request.gpu_address is used */
    /* Largest region with an address that goes by shader: UINT32_MAX for all of them, 0 for none.
     * Where it is measured, 0 until an engine has started. */
    uint32_t scatter_max_bytes;
    /* Largest request that goes straight into its mapping: UINT64_MAX for all, 0 for none. Where it
     * is measured, 0 until an engine has started. */
    uint64_t mapped_max_bytes;
    /* Requests with a codec do too: whatever the host can see is cached. Decoders read what they
     * have written, which takes ages in memory that is only combined for writing. */
    bool mapped_decodes;
    /* CPU, GPU, NV or BALANCED: of the last engine; AUTO: none has started, and it will choose. */
    enum ds_vulkan_decode_path decode_path;
    const char *decode_reason; /* why, one line; lives as long as the back end */
    /* As mapped_max_bytes, for a request that finds nothing else under way, on a queue that has not
     * signalled: it spares a submission. Never less. */
    uint64_t mapped_alone_max_bytes;
    const char *mapped_reason; /* why so, one line; static */
    bool mapped_direct;        /* O_DIRECT reads into mappings are tried, until one is refused */
    /* What was measured of the CPU's time; 0 where nothing was. */
    uint32_t mapping_write_ns; /* to write 1 MiB into the GPU's memory */
    uint32_t staging_write_ns; /* to write it to staging */
    uint32_t submit_ns;        /* to record and hand on a submission; also 0 where the queue must be
                                  left alone (copy_path) */
    /* What was measured of decoders, bytes of content a second. 0: it was not, or that failed. */
    uint64_t decode_cpu_bytes_per_s; /* of one thread */
    uint64_t decode_gpu_bytes_per_s; /* by the shader */
    uint64_t decode_nv_bytes_per_s;  /* by VK_NV_memory_decompression */
    uint64_t decode_measure_ns;      /* that it took, all told */
    /* Submissions of fewer regions go by command, as far as they can: a dispatch takes longer to
     * begin. Where it is measured, 1 until an engine has started. */
    uint32_t scatter_regions_min;
};

/* ds_vulkan_backend_get_info fills *info up to info->struct_size. -EINVAL: struct_size is 0. */
DS_API int ds_vulkan_backend_get_info(const struct ds_vulkan_backend *backend,
                                      struct ds_vulkan_info *info);

/* ds_vulkan_queue_lock keeps the copy stage from using `queue` until ds_vulkan_queue_unlock, by the
 * same thread. Own device or LOCKED mode only (a no-op in others). Hold it for one
 * vkQueueSubmit. */
DS_API void ds_vulkan_queue_lock(struct ds_vulkan_backend *backend);
DS_API void ds_vulkan_queue_unlock(struct ds_vulkan_backend *backend);

/* Buffers as destination need VK_BUFFER_USAGE_TRANSFER_DST_BIT, as source TRANSFER_SRC_BIT, and
 * queue_family among their families (VK_SHARING_MODE_CONCURRENT, or exclusively owned by it). A
 * submission ends with a barrier that makes its writes visible to all later commands of the queue;
 * another queue waits for a signal entry. */
/* ds_vulkan_buffer_address asks the device for the address of a buffer that was made with
 * VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT on memory with VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
 * for ds_request.gpu_address. Ask once and keep it. 0: the back end has no use for it. The buffer
 * may then be written by a compute shader, on queue_family. Thread-safety: any thread. */
DS_API uint64_t ds_vulkan_buffer_address(const struct ds_vulkan_backend *backend, VkBuffer buffer);

static inline uint64_t ds_vulkan_buffer(VkBuffer buffer)
{
    return (uint64_t)buffer;
}

static inline uint64_t ds_vulkan_semaphore(VkSemaphore semaphore)
{
    return (uint64_t)semaphore;
}

/* The three calls of DS_VULKAN_QUEUE_MANUAL, in which no engine thread touches the VkQueue:
 *
 *   copy thread:    collect -> (take your queue lock) -> submit -> (release it)
 *   other threads:  ds_queue_wait / ds_queue_poll as ever
 *
 * ds_vulkan_collect records what has been read, and returns the number of submissions that are
 * ready. When there is none it waits for one, at most timeout_ns. -EINVAL: not MANUAL mode.
 * Thread-safety: one thread at a time. Takes no lock of the caller's and makes no vkQueue call. */
DS_API int ds_vulkan_collect(struct ds_engine *engine, uint64_t timeout_ns);

/* ds_vulkan_submit hands all ready submissions to vkQueueSubmit on the calling thread, and returns
 * their number. Never waits. A failure fails the requests concerned, with status DEVICE_LOST or
 * VULKAN_ERROR; the return value still counts them. -EINVAL: not MANUAL mode.
 * Thread-safety: one thread at a time, which may be another than collect's. */
DS_API int ds_vulkan_submit(struct ds_engine *engine);

/* ds_vulkan_interrupt makes the present or the next ds_vulkan_collect return at once (with 0 when
 * nothing is ready). For shutdown. Thread-safety: any thread. */
DS_API void ds_vulkan_interrupt(struct ds_engine *engine);

#ifdef __cplusplus
}
#endif
#endif
