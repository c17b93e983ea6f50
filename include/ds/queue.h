/* ds/queue.h - queues and requests.
 *
 * A request's life:  enqueue -> submit -> (stages) -> exactly one result
 * Requests start and end in any order, even within a queue.
 */
#ifndef DS_QUEUE_H
#define DS_QUEUE_H

#include <ds/engine.h>
#include <ds/file.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_queue;

enum ds_op {
    DS_OP_READ = 0,  /* file -> host memory or GPU buffer */
    DS_OP_WRITE = 1, /* host memory or GPU buffer -> file */
};

enum ds_request_flags {
    /* READ: a file that ends inside the request is success; result.bytes says how much came. */
    DS_REQUEST_ALLOW_SHORT = 1u << 0,
};

/* One transfer of `size` bytes between a file and memory. Any offset, size and alignment.
 * Memory is host memory when `host` is not NULL, else gpu_buffer at gpu_offset. */
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
};

struct ds_result {
    uint64_t user_data;
    uint64_t bytes;      /* moved to the destination; on error the bytes known to be in place */
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
};

struct ds_queue_config {
    uint32_t struct_size;
    uint32_t flags;             /* enum ds_queue_flags */
    /* Requests between enqueue and the retrieval of their result. Rounded up to a power of two.
     * 0 = 1024. Range 1..65536. */
    uint32_t capacity;
    uint32_t reserved;
    const char *name;           /* for logs; copied, at most 31 bytes kept; NULL = "" */
    ds_complete_fn on_complete; /* NULL = results wait for ds_queue_poll */
    void *on_complete_ctx;
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
 *   -EINVAL   capacity out of range, unknown flag, bad struct_size
 *   -ENOMEM   the slots could not be allocated
 *   -ENOSPC   the engine has 64 queues already
 * Thread-safety: any thread. */
DS_API int ds_queue_create(struct ds_engine *engine, const struct ds_queue_config *config,
                           struct ds_queue **queue);

/* ds_queue_destroy waits for all submitted requests, drops those never submitted (they yield no
 * result) and results never polled, and sets *queue to NULL. In MANUAL topology it steps the engine
 * itself. A NULL *queue is ignored. Thread-safety: any thread but a completion callback; no other
 * call on this queue may run or follow. */
DS_API void ds_queue_destroy(struct ds_queue **queue);

/* ds_queue_enqueue copies *request into a free slot. Nothing starts before ds_queue_submit. The
 * file and the memory must live until the result; *request may die on return. 0 means that exactly
 * one result will be delivered (once submitted); non-zero means none ever will.
 *   -EAGAIN     all slots are in use: submit, and retrieve results
 *   -EINVAL     size 0, offset + size or gpu_offset + size overflows, unknown op or flag, a
 *               reserved field is set, a file of another engine, or neither host nor gpu_buffer
 *               is given
 *   -ERANGE     gpu_offset + size exceeds gpu_buffer_bytes
 *   -EBADF      fd is not open for the op, or the file was not opened with DS_FILE_WRITE
 *   -ENODEV     a GPU buffer, but the engine has no Vulkan back end
 * Never blocks on the disk or the GPU, never allocates. Thread-safety: any thread, unless
 * DS_QUEUE_SINGLE_PRODUCER. With many producers the slot is taken lock-free, but publishing is not:
 * a producer stopped between its two steps delays the others (Concurrency Kit's ck_ring). */
DS_API int ds_queue_enqueue(struct ds_queue *queue, const struct ds_request *request);

/* ds_queue_enqueue_batch enqueues requests[0..n) and returns how many were accepted, from the first
 * on; when the next one was refused and none before it, returns its error. */
DS_API int ds_queue_enqueue_batch(struct ds_queue *queue, const struct ds_request *requests,
                                  uint32_t n);

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

struct ds_queue_info {
    uint32_t struct_size;
    uint32_t capacity;   /* after rounding */
    uint32_t free_slots; /* at some moment during the call */
    uint32_t reserved;
};

/* ds_queue_get_info fills *info up to info->struct_size. -EINVAL: struct_size is 0.
 * Thread-safety: any thread. */
DS_API int ds_queue_get_info(const struct ds_queue *queue, struct ds_queue_info *info);

#ifdef __cplusplus
}
#endif
#endif
