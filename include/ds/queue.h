/* ds/queue.h - queues and requests.
 *
 * A request's life:  enqueue -> submit -> (stages) -> exactly one result
 *
 * Requests start and end in any order, even within a queue. Notifications (status, event and signal
 * entries) are FIFO: each fires after everything enqueued before it on its queue is complete, holds
 * back nothing enqueued after it, and is seen in that order by every observer.
 */
#ifndef DS_QUEUE_H
#define DS_QUEUE_H

#include <ds/codec.h>
#include <ds/engine.h>
#include <ds/file.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_queue;
struct ds_status_array;
struct ds_image_target; /* ds/vulkan_image.h */

/* An array of outcomes that status entries set and any thread reads, shared between queues at will.
 * Each starts as DS_STATUS_OK and keeps what it was set to until it is enqueued again. */

/* ds_status_array_create makes `n` (1..2^20) of them. -EINVAL, -ENOMEM. It must be destroyed before
 * the engine. */
DS_API int ds_status_array_create(struct ds_engine *engine, uint32_t n,
                                  struct ds_status_array **array);

/* ds_status_array_destroy gives the array up and sets *array to NULL; entries that are still queued
 * keep it alive. NULL is ignored. Thread-safety: any thread. */
DS_API void ds_status_array_destroy(struct ds_status_array **array);

/* ds_status_array_get returns an enum ds_status, and the -errno or VkResult behind it in *error
 * (which may be NULL). -EINVAL: index is outside. What the requests wrote is visible to a caller
 * that saw the outcome. Thread-safety: any thread; wait-free. */
DS_API int ds_status_array_get(const struct ds_status_array *array, uint32_t index,
                               int32_t *error);

enum ds_op {
    DS_OP_READ = 0,  /* file or `source` -> host memory or GPU buffer */
    DS_OP_WRITE = 1, /* host memory or GPU buffer -> file */
    /* fdatasync(2) of the file, once every WRITE enqueued before it on this queue is complete.
     * size, offset and memory are 0. It fails when one of those writes to the file failed that no
     * flush has told of. Of the failures behind it, which it does not tell, only the last is
     * remembered exactly: when several flushes of one file are in flight and writes have failed on
     * both sides of the first, one of the others may fail for a write behind it. A flush is never
     * OK when a write before it has failed. */
    DS_OP_FLUSH = 2,
};

enum ds_request_flags {
    /* READ: a file that ends inside the request is success; result.bytes says how much came. */
    DS_REQUEST_ALLOW_SHORT = 1u << 0,
};

/* One transfer of `size` bytes between a file and memory. Any offset, size and alignment.
 * Memory is host memory when `host` is not NULL, else gpu_buffer or gpu_address at gpu_offset.
 *
 * With a codec the request is moved and decoded as a whole: its compressed bytes, and unless the
 * destination is host memory the decoded ones, lie in the staging arena at the same time. On
 * DS_STATUS_DECOMPRESSION a GPU destination is untouched, but one that is decoded into its mapping
 * holds anything, as does host memory. */
struct ds_request {
    uint32_t struct_size;
    uint16_t op;              /* enum ds_op */
    uint16_t flags;           /* enum ds_request_flags */
    struct ds_file *file;     /* or NULL, then fd */
    int32_t fd;               /* used when file is NULL; costs an fcntl(2) at each enqueue */
    uint32_t reserved;        /* 0 */
    uint64_t offset;          /* in the file, bytes; offset + size < 2^63 */
    uint64_t size;            /* bytes, >= 1 */
    void *host;               /* READ: destination. WRITE: source, only read */
    uint64_t gpu_buffer;      /* VkBuffer; ds_vulkan_buffer() in ds/vulkan.h converts */
    uint64_t gpu_offset;      /* bytes into gpu_buffer */
    uint64_t gpu_buffer_bytes; /* size of gpu_buffer, checked against; 0 = the caller vouches */
    uint64_t user_data;       /* returned in the result */
    const void *source;       /* READ: take `size` bytes from here instead of a file, else NULL */
    uint64_t cancel_tag;      /* for ds_queue_cancel */
    const char *name;         /* for error records; must live until the result; or NULL */
    /* READ: into an image (ds/vulkan_image.h) instead of host and gpu_buffer; else NULL. */
    const struct ds_image_target *image_target;

    /* READ: what the `size` bytes are compressed with (enum ds_codec_format; docs/codecs.md). They
     * are decoded on the way, and the destination receives uncompressed_size bytes, or the first
     * destination_bytes of them.
     * DS_CODEC_CUSTOM_0..DS_CODEC_CUSTOM_LAST: by the application (ds/custom.h). */
    uint32_t codec;
    uint32_t transform;         /* enum ds_codec_transform, undone after decoding; with a codec */
    uint64_t uncompressed_size; /* bytes, exactly; with a codec >= 1, else 0 or `size` */

    /* VkDeviceAddress of gpu_buffer's first byte (ds_vulkan_buffer_address() in ds/vulkan.h asks
     * for it), so that small regions may go by a compute shader; 0 where it is not known. With
     * gpu_buffer 0, of any memory: gpu_offset counts from it, and a shader moves all of it, which
     * ds_vulkan_info.can_scatter tells to be possible. */
    uint64_t gpu_address;

    /* READ: where the first byte of gpu_buffer (of gpu_address, without one) is mapped, in memory
     * that is HOST_VISIBLE and HOST_COHERENT; NULL = not mapped, or not to be used. Where that pays
     * (ds_vulkan_info.mapped_max_bytes) the bytes go straight there, without a copy by the GPU,
     * which therefore must have no access to them under way: a wait (struct ds_wait) ends before
     * the first is written. Signals and results mean the same either way. Where the kernel cannot
     * write to it (EFAULT) the bytes go by way of staging after all. */
    void *gpu_mapped;

    /* READ with a codec into a GPU buffer: only the first so many of the uncompressed_size bytes
     * reach the destination, 1..uncompressed_size; 0 = all of them. All are decoded and checked, by
     * the CPU in staging where that is fewer, and count for arena_bytes. Elsewhere 0 or
     * uncompressed_size. */
    uint64_t destination_bytes;
};

struct ds_result {
    uint64_t user_data;
    uint64_t bytes;      /* moved to the destination (decoded ones, with a codec); on error the
                            bytes known to be in place */
    int32_t status;      /* enum ds_status */
    int32_t error;       /* -errno behind status, or 0 */
    int32_t vk_result;   /* VkResult behind status, or 0 */
    uint32_t reserved;
    uint64_t latency_ns; /* from enqueue to completion */
};

/* Receives n >= 1 results, on the thread that runs the complete stage. The results die on return.
 * It may enqueue and submit on any queue of the engine; it must not block, and must not destroy a
 * queue, close a file or destroy the engine. */
typedef void (*ds_complete_fn)(void *ctx, const struct ds_result *results, uint32_t n);

enum ds_queue_flags {
    /* Promise: enqueue and submit are called by one thread at a time (with a happens-before edge
     * between two threads that take turns). Enqueue is then wait-free. */
    DS_QUEUE_SINGLE_PRODUCER = 1u << 0,
    /* Promise: poll and wait are called by one thread at a time. */
    DS_QUEUE_SINGLE_CONSUMER = 1u << 1,
    /* Submit by itself whenever half of the capacity is enqueued and not submitted. */
    DS_QUEUE_AUTO_SUBMIT = 1u << 2,
    /* Requests may name images: each slot has room for a ds_image_target then. */
    DS_QUEUE_IMAGES = 1u << 3,
};

/* REALTIME goes first, always; the others share the disk by bytes, 100 : 10 : 1, so that none
 * starves. While an engine has a REALTIME queue, the others keep little enough in flight that a
 * realtime request waits only for what the device already has. */
enum ds_priority {
    DS_PRIORITY_NORMAL = 0,
    DS_PRIORITY_LOW = 1,
    DS_PRIORITY_HIGH = 2,
    DS_PRIORITY_REALTIME = 3,
};

/* Where a queue's reads come from. */
enum ds_queue_source {
    DS_QUEUE_SOURCE_ANY = 0,
    DS_QUEUE_SOURCE_FILE = 1,   /* request.source must be NULL */
    DS_QUEUE_SOURCE_MEMORY = 2, /* each request must have a request.source; no WRITE, no FLUSH */
};

struct ds_queue_config {
    uint32_t struct_size;
    uint32_t flags;             /* enum ds_queue_flags */
    /* Requests between enqueue and the retrieval of their result. Rounded up to a power of two.
     * 0 = 1024. Range 1..65536. */
    uint32_t capacity;
    uint32_t priority;          /* enum ds_priority */
    const char *name;           /* for logs; copied, at most 31 bytes kept; NULL = "" */
    ds_complete_fn on_complete; /* NULL = results wait for ds_queue_poll */
    void *on_complete_ctx;
    uint32_t source;            /* enum ds_queue_source */
    uint32_t reserved;          /* 0 */
};

#ifndef __cplusplus
#define ds_queue_config(...)                                                                       \
    (&(const struct ds_queue_config){.struct_size = sizeof(struct ds_queue_config), __VA_ARGS__})
#define ds_file_config(...)                                                                        \
    (&(const struct ds_file_config){.struct_size = sizeof(struct ds_file_config), __VA_ARGS__})
#define ds_request(...)                                                                            \
    (&(const struct ds_request){.struct_size = sizeof(struct ds_request), __VA_ARGS__})
#endif

/* ds_queue_create adds a queue to the engine. config NULL = all defaults. On 0 the caller owns it.
 *   -EINVAL   capacity out of range, unknown flag, priority or source, bad struct_size
 *   -ENOMEM   the slots could not be allocated
 *   -ENOSPC   the engine has 64 queues already
 * Thread-safety: any thread. */
DS_API int ds_queue_create(struct ds_engine *engine, const struct ds_queue_config *config,
                           struct ds_queue **queue);

/* ds_queue_destroy waits for all submitted requests, drops those never submitted (they yield no
 * result) and results never polled, and sets *queue to NULL. Of the requests that the application
 * is to decode (ds/custom.h) it waits for those that were taken and cancels the others. In MANUAL
 * topology it steps the engine itself. A NULL *queue is ignored. Thread-safety: any thread but a
 * completion callback; no other call on this queue may run or follow. */
DS_API void ds_queue_destroy(struct ds_queue **queue);

/* ds_queue_enqueue copies *request into a free slot. Nothing starts before ds_queue_submit. The
 * file and the memory must live until the result; *request may die on return. 0 means that exactly
 * one result will be delivered (once submitted); non-zero means none ever will.
 *   -EAGAIN     all slots are in use: submit, and retrieve results
 *   -EINVAL     size 0 or over 8 TiB, offset + size or gpu_offset + size overflows, unknown op or
 *   flag, a
 *               reserved field is set, a file of another engine, no memory is given, or
 *               gpu_mapped beside `host` or without gpu_buffer and gpu_address
 *   -ERANGE     gpu_offset + size (destination_bytes or uncompressed_size, with a codec) exceeds
 *               gpu_buffer_bytes
 *   -EINVAL     an unknown codec or transform; a codec with ALLOW_SHORT, with another op than READ
 *               or without uncompressed_size; uncompressed_size or transform without a codec;
 *               destination_bytes above uncompressed_size, or below it without a codec or with a
 *               destination that is no GPU buffer
 *   -ENOTSUP    the codec was left out of this build, or is the application's and
 *               ds_engine_config.custom_codecs is 0; gpu_address without gpu_buffer, but the back
 *               end cannot scatter
 *   -EFBIG      a codec, and the request needs more staging than arena_bytes
 *   -EBADF      fd is not open for the op, or the file was not opened with DS_FILE_WRITE
 *   -ENODEV     a GPU buffer, but the engine has no Vulkan back end
 *   -EPROTOTYPE the queue's config.source rules the request's source out
 *   -ESHUTDOWN  ds_queue_close was called
 * and for images those of struct ds_image_target. Never blocks on the disk or the GPU, never
 * allocates. Wait-free with DS_QUEUE_SINGLE_PRODUCER, else lock-free. Thread-safety: any thread,
 * unless DS_QUEUE_SINGLE_PRODUCER. */
DS_API int ds_queue_enqueue(struct ds_queue *queue, const struct ds_request *request);

/* ds_queue_enqueue_batch enqueues requests[0..n) and returns how many were accepted, from the first
 * on; when the next one was refused and none before it, returns its error. */
DS_API int ds_queue_enqueue_batch(struct ds_queue *queue, const struct ds_request *requests,
                                  uint32_t n);

/* ds_queue_enqueue_wait is ds_queue_enqueue that waits for a free slot, at most timeout_ns, and
 * submits what was enqueued before it waits. -ETIMEDOUT instead of -EAGAIN. On a queue that is
 * polled another thread must poll; never call it from a completion callback. In MANUAL topology it
 * steps the engine. */
DS_API int ds_queue_enqueue_wait(struct ds_queue *queue, const struct ds_request *request,
                                 uint64_t timeout_ns);

enum ds_wait_before {
    DS_WAIT_BEFORE_DESTINATION = 0, /* before the destination is written */
    DS_WAIT_BEFORE_GPU_WORK = 1,    /* before any GPU work, too */
    DS_WAIT_BEFORE_SOURCE = 2,      /* before the source is read, too */
};

/* A timeline VkSemaphore of the back end's device that must have reached a value. */
struct ds_wait {
    uint32_t struct_size;
    uint32_t before;    /* enum ds_wait_before: the latest moment. The engine may wait earlier, and
                           does: a request that waits holds no staging memory, so that whatever
                           signals the semaphore may itself depend on other requests */
    uint64_t semaphore; /* ds_vulkan_semaphore() in ds/vulkan.h converts */
    uint64_t value;
};

/* ds_queue_enqueue_batch_after is ds_queue_enqueue_batch for requests that wait for a semaphore,
 * signalled by the caller's GPU work or from the host. They hold back no entry but the
 * notifications behind them. A wait NULL is none. The semaphore must live until the results.
 * ds_queue_destroy and ds_file_close wait for it too, unless the requests are cancelled. -EINVAL:
 * no semaphore, or `before` is unknown; -ENODEV: no Vulkan back end; else as
 * ds_queue_enqueue_batch. */
DS_API int ds_queue_enqueue_batch_after(struct ds_queue *queue, const struct ds_request *requests,
                                        uint32_t n, const struct ds_wait *wait);

/* ds_queue_enqueue_signal adds an entry that signals `value` on a timeline VkSemaphore of the
 * back end's device (ds_vulkan_semaphore() in ds/vulkan.h converts) once every request enqueued
 * before it on this queue is complete, whether it failed or not. The signal is part of the GPU
 * submission, so a queue of the caller's may wait for it without the CPU; where the caller shares
 * the engine's VkQueue, only once the engine has submitted it, since a queue works in order.
 * Signals of one queue fire in the order of their enqueues. It takes a slot until it has fired, and
 * yields a result with `user_data` like a request. Errors as ds_queue_enqueue; -EINVAL: semaphore
 * is 0. Values on one semaphore must rise (VUID-VkSubmitInfo-pSignalSemaphores-03242). */
DS_API int ds_queue_enqueue_signal(struct ds_queue *queue, uint64_t semaphore, uint64_t value,
                                   uint64_t user_data);

/* ds_queue_enqueue_status adds an entry that sets array[index] to the outcome of the requests since
 * the last status entry of this queue: the status of the first that failed, in the order of the
 * enqueues, or DS_STATUS_OK. Cancelled requests are no failures. array[index] is DS_STATUS_PENDING
 * from this call on. It takes a slot until it has fired, and yields no result.
 *   -EINVAL   index outside the array, an array of another engine
 *   -EBUSY    array[index] is pending already
 * else as ds_queue_enqueue. The queue keeps the array alive until the entry has fired. */
DS_API int ds_queue_enqueue_status(struct ds_queue *queue, struct ds_status_array *array,
                                   uint32_t index);

/* ds_queue_enqueue_event adds an entry that adds 1 to an eventfd(2): no other kind of descriptor,
 * since the complete stage might block on it. The descriptor is duplicated: it may be closed at
 * once. It takes a slot until it has fired, and yields no result. Errors as ds_queue_enqueue;
 * -EBADF, -EMFILE as dup(2); -EINVAL: not an eventfd (known by /proc; taken on trust where that is
 * not mounted). */
DS_API int ds_queue_enqueue_event(struct ds_queue *queue, int eventfd);

/* ds_queue_submit publishes all that this thread has enqueued so far, and wakes the engine. A
 * no-op when there is nothing new. Thread-safety: as ds_queue_enqueue. */
DS_API void ds_queue_submit(struct ds_queue *queue);

/* ds_queue_poll moves up to max finished results into results[] and returns how many. Always 0 on a
 * queue with on_complete. Never blocks. Thread-safety: any thread, unless
 * DS_QUEUE_SINGLE_CONSUMER. */
DS_API uint32_t ds_queue_poll(struct ds_queue *queue, struct ds_result *results, uint32_t max);

/* ds_queue_wait is ds_queue_poll that first waits, at most timeout_ns, until there is a result.
 * Returns 0 when time is up. In MANUAL topology it steps the engine. */
DS_API uint32_t ds_queue_wait(struct ds_queue *queue, struct ds_result *results, uint32_t max,
                              uint64_t timeout_ns);

/* ds_queue_eventfd returns the queue's eventfd (made at the first call), readable when results were
 * finished since it was last read: read it, then poll until 0. It fits into poll(2) and epoll(7).
 * Owned by the queue. -EMFILE, -ENFILE, -ENOMEM as eventfd(2). Thread-safety: any thread. */
DS_API int ds_queue_eventfd(struct ds_queue *queue);

/* ds_queue_cancel cancels the requests enqueued so far whose (cancel_tag & mask) == value, and
 * returns how many it marked. Best effort for the data: what the disk or the GPU already works on
 * may still be written; exact for the completion: each request still yields its one result, with
 * DS_STATUS_CANCELLED or, when it was too late, its own. Memory is untouched after the result. A
 * request enqueued after the call is never hit. Never waits. Thread-safety: any thread. */
DS_API uint32_t ds_queue_cancel(struct ds_queue *queue, uint64_t mask, uint64_t value);

/* ds_queue_close submits nothing more, refuses further enqueues with -ESHUTDOWN and waits until
 * what was submitted is complete: also for the application to take and finish what it is to decode
 * (ds/custom.h), on another thread. Results can still be polled. Threads as ds_queue_destroy. */
DS_API void ds_queue_close(struct ds_queue *queue);

/* The first failure since the record was last taken, in the order of the enqueues. */
struct ds_error_record {
    uint32_t struct_size;
    uint32_t failures;         /* requests that failed since then; 0: the rest is 0 */
    struct ds_result result;
    struct ds_request request; /* as it was enqueued, but for gpu_buffer_bytes and gpu_mapped;
                                  its file, fd and memory may be gone */
    char file_name[256];       /* path given to ds_file_open; "" for a descriptor */
    char request_name[64];     /* request.name, cut to 63 bytes */
};

/* ds_queue_take_error fills *record up to record->struct_size and starts a new one. Cancelled
 * requests are not in it. -EINVAL: struct_size is 0. Thread-safety: any thread. */
DS_API int ds_queue_take_error(struct ds_queue *queue, struct ds_error_record *record);

/* ds_queue_error_eventfd is ds_queue_eventfd for failures: readable when a request has failed since
 * it was last read. */
DS_API int ds_queue_error_eventfd(struct ds_queue *queue);

struct ds_queue_info {
    uint32_t struct_size;
    uint32_t capacity;          /* after rounding */
    uint32_t free_slots;        /* these four at some moment during the call */
    uint32_t unsubmitted;       /* enqueued, not submitted */
    uint32_t in_flight;         /* submitted, not complete */
    uint32_t until_auto_submit; /* enqueues before AUTO_SUBMIT submits; 0 without the flag */
    uint32_t priority;
    char name[32];
};

/* ds_queue_get_info fills *info up to info->struct_size. -EINVAL: struct_size is 0.
 * Thread-safety: any thread. */
DS_API int ds_queue_get_info(const struct ds_queue *queue, struct ds_queue_info *info);

#ifdef __cplusplus
}
#endif
#endif
