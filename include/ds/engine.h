/* ds/engine.h - the engine: staging arena, stages, threads.
 *
 *   submit -> read -> decode -> copy -> complete      every request takes this way; what is not
 *                                                     compressed goes from read straight to copy
 *
 * An engine owns one pinned staging arena and one set of stages. Engines are independent of each
 * other: a process may have several.
 */
#ifndef DS_ENGINE_H
#define DS_ENGINE_H

#include <ds/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ds_engine;
struct ds_vulkan_backend; /* ds/vulkan.h */

/* Which thread runs which stage. */
enum ds_topology {
    DS_TOPOLOGY_AUTO = 0,      /* HYBRID with several read lanes and 4 CPUs, else SHARED */
    DS_TOPOLOGY_DEDICATED = 1, /* a pinned thread for each stage and each read lane */
    DS_TOPOLOGY_SHARED = 2,    /* one thread runs all stages */
    DS_TOPOLOGY_MANUAL = 3,    /* no thread: the caller runs the stages with ds_engine_step */
    DS_TOPOLOGY_HYBRID = 4,    /* one thread runs submit, read and decode, another copy and
                                * complete; each further read lane has its own */
};

enum ds_read_backend {
    DS_READ_AUTO = 0,  /* io_uring; pread where the kernel refuses io_uring */
    DS_READ_URING = 1, /* io_uring or fail */
    DS_READ_PREAD = 2, /* a pool of threads with pread/pwrite */
    DS_READ_NIL = 3,   /* completes at once, moves no data: measures the pipeline */
};

/* Who looks for work: of use where CPUs are to spare, else it costs more than it gives. */
enum ds_uring_poll {
    DS_URING_POLL_NONE = 0,   /* a system call submits, an interrupt tells of the end */
    DS_URING_POLL_SQPOLL = 1, /* a kernel thread for each read lane takes what is submitted */
    DS_URING_POLL_IOPOLL = 2, /* the lane asks the device for O_DIRECT transfers that have ended,
                               * and does not sleep while there are some */
};

enum ds_copy_backend {
    DS_COPY_AUTO = 0, /* Vulkan when config.vulkan is set, else host */
    DS_COPY_VULKAN = 1,
    DS_COPY_HOST = 2, /* host destinations only */
    DS_COPY_NIL = 3,  /* accepts any destination, moves no data: measures the pipeline */
};

enum ds_direct_mode {
    DS_DIRECT_AUTO = 0, /* O_DIRECT where the file allows it, else buffered, chosen per file */
    DS_DIRECT_ON = 1,   /* O_DIRECT or fail with -EINVAL at open */
    DS_DIRECT_OFF = 2,  /* through the page cache */
};

/* The stages, in the order in which data flows through them. */
enum ds_stage {
    DS_STAGE_SUBMIT = 0,
    DS_STAGE_READ = 1,
    DS_STAGE_DECODE = 2,
    DS_STAGE_COPY = 3,
    DS_STAGE_COMPLETE = 4,
    DS_STAGE_COUNT = 5
};

#define DS_READ_LANES_MAX 8
#define DS_DECODE_THREADS_MAX 64
#define DS_DECODE_INLINE UINT32_MAX
#define DS_DECODE_APPLICATION (UINT32_MAX - 1)
#define DS_CPU_ANY (-1)

struct ds_engine_config {
    uint32_t struct_size;

    /* Staging arena, bytes. Rounded up to a multiple of 2 MiB. 0 = 64 MiB. Range 1 MiB..64 GiB. */
    uint64_t arena_bytes;
    /* Unit in which the arena is handed out; a power of two, 512 B..1 MiB. 0 = 4 KiB. */
    uint32_t arena_granularity_bytes;
    /* The largest single read or copy; a larger request is split. A multiple of the granularity,
     * at most half of the arena. 0 = 1 MiB. */
    uint32_t chunk_bytes;
    /* Chunks between submit and complete, over all queues. 0 = 4096. Range 8..65536. */
    uint32_t chunks_max;
    /* Reads and writes in the kernel at once, per read lane. 0 = 256. Range 1..4096. */
    uint32_t io_depth_max;

    enum ds_topology topology;
    enum ds_read_backend read_backend;
    enum ds_copy_backend copy_backend;
    enum ds_direct_mode direct; /* default for files opened by this engine */

    /* Threads that read, each with its own ring. 0 = 1. Range 1..DS_READ_LANES_MAX. */
    uint32_t read_lanes;
    /* Threads of the pread back end, per lane. 0 = 8. Range 1..64. */
    uint32_t pread_threads;

    /* CPU for each stage's thread; read lane i takes stage_cpus[DS_STAGE_READ] + i. Used when
     * `pin` is DS_PIN_LIST. SHARED uses the first entry, HYBRID those of submit and copy.
     * DS_CPU_ANY leaves a thread unpinned. */
    int32_t stage_cpus[DS_STAGE_COUNT];
    /* DS_PIN_AUTO: DEDICATED and HYBRID pin to CPUs of the caller's affinity mask: distinct cores
     * of one last-level cache, on the GPU's NUMA node where that is known, other than the core on
     * which ds_engine_create runs; second hardware threads only when cores run out; none where
     * there are not more CPUs than threads. SHARED does not pin. DS_PIN_NONE: no thread is pinned.
     * Several engines of one process choose alike: pin all but one by hand, or not. */
    enum { DS_PIN_AUTO = 0, DS_PIN_NONE = 1, DS_PIN_LIST = 2 } pin;

    /* How long an idle thread spins before it parks, nanoseconds. 0 = 20 us, and up to 100 us
     * while it waits for what would not wake it (the GPU, when it would sleep on the disk) and that
     * has lately come in time; 2 us on fewer than four CPUs. UINT32_MAX = never park. */
    uint32_t spin_ns;
    /* The longest a recorded copy may wait for others to share its submission. 0 = 100 us. */
    uint32_t flush_ns;

    /* NULL = malloc. Copied. */
    const struct ds_allocator *allocator;
    /* NULL = silent. */
    ds_log_fn log;
    void *log_ctx;
    enum ds_log_level log_level; /* the most verbose level that reaches `log` */

    /* A Vulkan back end made by ds_vulkan_backend_create, or NULL for host destinations only.
     * Borrowed: it must outlive the engine, and serves one engine at a time. */
    struct ds_vulkan_backend *vulkan;

    const void *next; /* reserved, NULL */

    /* Threads that decode requests with a codec, beside the stages' own. 0 = as many as there are
     * CPUs left by the stages (none in MANUAL, or in SHARED with two CPUs or fewer).
     * DS_DECODE_INLINE = none: the thread that runs the decode stage does it, a tile or frame a
     * turn. DS_DECODE_APPLICATION = the application decodes them (ds/custom.h). Range
     * 1..DS_DECODE_THREADS_MAX. */
    uint32_t decode_threads;
    /* 1 = requests may have codecs of the application's, DS_CODEC_CUSTOM_0 and above, which it
     * decodes by ds/custom.h. 0 = such requests are refused: nobody would ever decode them. */
    uint32_t custom_codecs;

    /* io_uring only. What the kernel refuses (SQPOLL: no thread to be had; IOPOLL: a device without
     * queues to poll, file by file) goes on as NONE, with a line in the log. 0 = NONE. */
    enum ds_uring_poll uring_poll;
};

#ifdef __cplusplus
#define ds_engine_config_init(config)                                                              \
    do {                                                                                           \
        *(config) = ds_engine_config();                                                            \
        (config)->struct_size = sizeof(struct ds_engine_config);                                   \
    } while (0)
#else
#define ds_engine_config(...)                                                                      \
    (&(const struct ds_engine_config){.struct_size = sizeof(struct ds_engine_config), __VA_ARGS__})
#define ds_engine_config_init(config)                                                              \
    (*(config) = (struct ds_engine_config){.struct_size = sizeof(struct ds_engine_config)})
#endif

/* ds_engine_create makes an engine and starts its threads. On 0 *engine is set and the caller owns
 * it; on error *engine is untouched and nothing is left behind.
 *   -EINVAL   a field is out of its range, an enum is unknown, `next` is not NULL, or struct_size
 *             is 0 or holds nonzero bytes that this version does not know
 *   -ENOMEM   the arena or a table could not be allocated (RLIMIT_AS, cgroup limit)
 *   -EAGAIN   a thread could not be started (RLIMIT_NPROC, pids.max)
 *   -ENODEV   copy_backend is DS_COPY_VULKAN and `vulkan` is NULL
 *   -EBUSY    `vulkan` already serves another engine
 *   -EPERM, -ENOSYS, ...   read_backend is DS_READ_URING and io_uring_setup failed with that error
 * Thread-safety: any thread. config NULL = all defaults. */
DS_API int ds_engine_create(const struct ds_engine_config *config, struct ds_engine **engine);

/* ds_engine_destroy stops the engine and sets *engine to NULL. Its queues and files must have been
 * destroyed and closed (asserted). Waits until the kernel and the GPU have let go of the arena.
 * A NULL *engine is ignored. Thread-safety: no other call on this engine may run or follow. */
DS_API void ds_engine_destroy(struct ds_engine **engine);

/* ds_engine_step runs each stage of a MANUAL engine once, on the calling thread, and returns how
 * much moved: 0 means that nothing can move until the kernel, the GPU or the caller does something.
 * Never blocks. -EINVAL for other topologies. Thread-safety: one thread at a time. */
DS_API int64_t ds_engine_step(struct ds_engine *engine);

/* ds_engine_wait blocks until ds_engine_step may have work, or timeout_ns has passed.
 * 0 = there may be work, -ETIMEDOUT = time is up, -EINVAL = not MANUAL.
 * Thread-safety: as ds_engine_step. */
DS_API int ds_engine_wait(struct ds_engine *engine, uint64_t timeout_ns);

/* ds_engine_set_arena_bytes gives the engine a staging arena of another size, range as in the
 * config (0 = the default), while it has no queue; files may be open. Counters start anew. On error
 * the engine keeps what it had.
 *   -EBUSY    there is a queue
 *   -EINVAL   out of range, or less than twice chunk_bytes
 *   -ENOMEM, ...   as ds_engine_create
 * Thread-safety: no other call on this engine may run, but on its files. */
DS_API int ds_engine_set_arena_bytes(struct ds_engine *engine, uint64_t arena_bytes);

/* What the engine chose. Strings live as long as the engine. */
struct ds_engine_info {
    uint32_t struct_size;
    enum ds_topology topology;    /* never AUTO */
    enum ds_read_backend read;    /* URING, PREAD or NIL */
    enum ds_copy_backend copy;    /* VULKAN, HOST or NIL */
    uint32_t read_lanes;
    uint32_t threads;             /* started by the engine, pread and decode pools included */
    uint64_t arena_bytes;
    uint32_t chunk_bytes;
    bool uring_fixed_buffers;     /* the arena is registered with io_uring */
    bool uring_fixed_files;
    bool uring_defer_taskrun;     /* SINGLE_ISSUER and DEFER_TASKRUN in force */
    bool arena_huge_pages;        /* the kernel was asked for huge pages and did not refuse */
    const char *read_reason;      /* why this read back end, one line */
    const char *arena_kind;       /* "host", "vulkan" or "imported" */
    const char *device_name;      /* Vulkan device, or "" */
    uint32_t decode_threads;      /* of `threads`: those that do nothing but decode */
    int32_t arena_node;           /* NUMA node of the arena's first page; -1: not told */
    /* Who decodes GDeflate for buffers and images: "cpu", "gpu", "nv" or "balanced". */
    const char *decode_kind;
    const char *decode_reason;    /* why, one line */
    bool uring_sqpoll;            /* SQPOLL is in force */
    bool uring_iopoll;            /* IOPOLL: false also from when a file's device has refused it */
};

/* ds_engine_get_info fills *info up to info->struct_size, which the caller sets.
 * -EINVAL: struct_size is 0. Thread-safety: any thread. */
DS_API int ds_engine_get_info(const struct ds_engine *engine, struct ds_engine_info *info);

/* How requests with a codec to buffers and images are decoded. One of the first three, and the kind
 * of queue that the GPU's part of the work goes to. The values are those of DirectStorage's
 * DSTORAGE_COMPRESSION_SUPPORT. */
enum ds_decode_support {
    DS_DECODE_GPU_OPTIMIZED = 1 << 0, /* by VK_NV_memory_decompression */
    DS_DECODE_GPU_FALLBACK = 1 << 1,  /* by the library's own shader */
    DS_DECODE_CPU_FALLBACK = 1 << 2,  /* by the CPU, and copied */
    DS_DECODE_USES_COMPUTE_QUEUE = 1 << 3,
    DS_DECODE_USES_COPY_QUEUE = 1 << 4, /* of a family that only copies */
};

/* ds_engine_decode_support returns the flags (enum ds_decode_support) for a codec (enum
 * ds_codec_format). A request whose shape the GPU cannot decode goes to the CPU all the same
 * (docs/codecs.md).
 *   -EINVAL   no codec, or an unknown one
 *   -ENOTSUP  the codec was left out of this build
 * Thread-safety: any thread. */
DS_API int ds_engine_decode_support(const struct ds_engine *engine, uint32_t codec);

#ifdef __cplusplus
}
#endif
#endif
