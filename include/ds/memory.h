/* ds/memory.h - memory of the application's that is registered with the kernel.
 *
 * For each transfer straight into the application's memory, or out of it, the kernel looks up the
 * pages, pins them, and lets go of them at its end. For memory that is used again and again once is
 * enough. Requests do not name what was registered: each transfer whose memory lies wholly inside
 * goes the shorter way by itself. docs/performance.md has what that is worth.
 */
#ifndef DS_MEMORY_H
#define DS_MEMORY_H

#include <ds/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_memory;

/* All registered memory of an engine, in pieces of 1 GiB, each range in pieces of its own. */
#define DS_MEMORY_PIECES_MAX 64

/* ds_memory_register pins the pages of [memory, memory + bytes), once for each read lane, until
 * ds_memory_unregister. On 0 *registered is set and the caller owns it; the memory stays the
 * caller's, and must stay mapped as it is: the transfers go to these pages, not to what is mapped
 * at their address later. Ranges may overlap, and need no alignment. Without this call everything
 * works the same, but slower.
 *   -EINVAL   memory is NULL, bytes is 0, or the range wraps around
 *   -ENOTSUP  reads do not go by io_uring (ds_engine_info.read), or Linux before 5.19
 *   -ENOSPC   more than DS_MEMORY_PIECES_MAX pieces
 *   -ENOMEM   RLIMIT_MEMLOCK (ulimit -l) is too low for it, or memory is short
 *   -EFAULT   not all of the range is mapped and writable, or it is of a kind that the kernel does
 *             not pin for long: a device's or, unless it is shared memory, a file's (-EOPNOTSUPP on
 *             older kernels)
 * An error leaves nothing behind, and a warning in the log. It survives ds_engine_set_arena_bytes.
 * Thread-safety: any thread, not from a completion callback; MANUAL: as ds_engine_step. */
DS_API int ds_memory_register(struct ds_engine *engine, void *memory, uint64_t bytes,
                              struct ds_memory **registered);

/* ds_memory_unregister lets go of the pages and sets *registered to NULL; to be done before
 * ds_engine_destroy (asserted). Requests that use the memory may be under way: they end as they
 * would have. A NULL *registered is ignored. Thread-safety: as ds_memory_register. */
DS_API void ds_memory_unregister(struct ds_memory **registered);

#ifdef __cplusplus
}
#endif
#endif
