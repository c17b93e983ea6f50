/* ds/base.h - export macro, version, status codes, allocator and log hooks.
 *
 * Conventions of every call in this library:
 *   - A call returns 0 or a negative errno; the errnos it can return are listed with their cause.
 *   - Config structs begin with `struct_size`; the ds_*_config() macros fill it. A zero field means
 *     the documented default. A struct need only live until the call returns.
 *   - Handles are opaque. Consuming calls take a pointer to the handle and set it to NULL.
 *   - There is no global state: everything hangs off a struct ds_engine.
 */
#ifndef DS_BASE_H
#define DS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(DS_BUILDING)
#define DS_API __attribute__((visibility("default")))
#else
#define DS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define DS_VERSION_MAJOR 0
#define DS_VERSION_MINOR 1
#define DS_VERSION_PATCH 0

/* ds_version returns (major << 16) | (minor << 8) | patch of the library in use. Compare it with
 * the macros above when the library is shared. Thread-safety: any thread. */
DS_API uint32_t ds_version(void);

/* Outcome of one request. X(name, value, text): the name without its DS_STATUS_ prefix. A result
 * carries one of these, and beside it the -errno or the VkResult that led to it, if there was
 * one. */
#define DS_STATUS_TABLE(X)                                                                         \
    X(OK, 0, "success")                                                                            \
    X(PENDING, 1, "not complete yet")                                                              \
    X(END_OF_FILE, 2, "the file ended inside the request")                                         \
    X(IO_ERROR, 3, "the kernel failed the read or write; see error")                               \
    X(NO_SPACE, 4, "the file system or quota is full")                                             \
    X(READ_ONLY, 5, "the file system or the file descriptor does not allow writing")               \
    X(FILE_CLOSED, 6, "the file was closed before the request started")                            \
    X(CANCELLED, 7, "the request was cancelled or its queue destroyed before it started")          \
    X(DEVICE_LOST, 8, "the Vulkan device was lost")                                                \
    X(VULKAN_ERROR, 9, "a Vulkan call failed; see vk_result")                                      \
    X(NO_MEMORY, 10, "out of memory in the kernel or the driver")                                  \
    X(ACCESS_VIOLATION, 11, "the host memory of the request is not accessible")                    \
    X(OUT_OF_BOUNDS, 12, "the range lies outside the GPU buffer")                                  \
    X(DECOMPRESSION, 13, "the compressed data is damaged, or decodes to another size")

enum ds_status {
#define DS_STATUS_ENUM_(name, value, text) DS_STATUS_##name = value,
    DS_STATUS_TABLE(DS_STATUS_ENUM_)
#undef DS_STATUS_ENUM_
};

/* ds_status_name returns "OK", "END_OF_FILE", ...; "UNKNOWN" for a value outside the table.
 * ds_status_text returns the one-line explanation. Both strings are static.
 * Thread-safety: any thread. */
DS_API const char *ds_status_name(int32_t status);
DS_API const char *ds_status_text(int32_t status);

/* Where the engine's memory comes from. Used at creation of engines, queues and files, never while
 * requests flow. The staging arena does not come from here: it is mapped (mmap or Vulkan memory).
 *   alloc  returns `bytes` bytes aligned to `align` (a power of two), or NULL
 *   free   takes what alloc returned, with the same byte count; never NULL
 * Both may be called from the threads that call ds_*_create/destroy/open/close and from the
 * engine's own threads while they start. ctx must outlive the engine.
 * A ready table for jemalloc is in ds/jemalloc.h. */
struct ds_allocator {
    void *ctx;
    void *(*alloc)(void *ctx, size_t bytes, size_t align);
    void (*free)(void *ctx, void *memory, size_t bytes);
};

enum ds_log_level { DS_LOG_ERROR = 0, DS_LOG_WARNING = 1, DS_LOG_INFO = 2, DS_LOG_DEBUG = 3 };

/* Receives one line without a newline. May be called from any thread of the engine, two at a time;
 * `message` dies on return. It must not call into the engine. */
typedef void (*ds_log_fn)(void *ctx, enum ds_log_level level, const char *message);

#ifdef __cplusplus
}
#endif
#endif
