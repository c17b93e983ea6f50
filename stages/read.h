/* The read stage: keeps up to io_depth_max transfers in the kernel.
 *
 * Owns: a read back end. In: chunks READY. Out: chunks DONE_READ, with an error set or not, to
 * copy; those to be decoded first, to decode.
 * Bounded by: the back end's depth. There is one read stage for each read lane. */
#ifndef STAGES_READ_H
#define STAGES_READ_H

#include "engine/chunk.h"
#include "engine/event.h"
#include "engine/file.h"
#include "engine/memory.h"
#include "engine/ring.h"
#include "engine/staging.h"
#include "engine/worker.h"

#include <ds/engine.h>

/* One transfer that ended: result = bytes or -errno, as the syscall gives it. */
struct read_completion {
    struct chunk *chunk;
    int64_t result;
};

/* Paths that a back end shall not take even where the kernel offers them: to measure and test what
 * is left. */
enum read_avoid {
    READ_AVOID_DEFER_TASKRUN = 1u << 0,
    READ_AVOID_COOP_TASKRUN = 1u << 1,
    READ_AVOID_FIXED_BUFFERS = 1u << 2,
    READ_AVOID_FIXED_FILES = 1u << 3,
    READ_AVOID_IOPOLL = 1u << 4, /* the ring of DS_URING_POLL_IOPOLL does not poll */
};

struct read_backend_config {
    const struct host *host;
    const struct staging *staging;
    struct event *event;      /* of the worker that runs the lane */
    uint32_t depth;           /* transfers in flight, at most */
    uint32_t threads;         /* pread */
    uint32_t lane;
    bool manual;              /* calls may come from different threads, one at a time */
    uint32_t avoid;           /* enum read_avoid */
    enum ds_uring_poll uring_poll;
};

/* What a back end found out while it opened and started. */
struct read_backend_info {
    bool fixed_buffers;
    bool fixed_files;
    bool defer_taskrun;
    bool sqpoll;
    _Atomic bool iopoll;      /* until a file's device refuses */
    uint32_t threads;         /* own threads, beside the lane's */
    bool refused;             /* open failed because the kernel does not grant this back end */
    char reason[96];          /* why these paths, or why refused; one line */
};

/* A back end moves [io_done, io_bytes) of a chunk between memory + io_done and the chunk's file at
 * file_offset + io_done: a write for CHUNK_WRITE, else a read. One that `gathers` is also given the
 * first chunk of a group (stages/read_group.h), and moves the bytes of all of its chunks. It does
 * not judge results: short transfers and retries are the stage's business. A chunk is in flight
 * from issue() until reap() returned it, or the first of its group; nothing else frees its memory.
 * open and close are called on any thread, the others on the lane's. */
struct read_backend_ops {
    const char *name;
    /* 0 with *self and *info set, or -errno with nothing left behind. */
    int (*open)(const struct read_backend_config *config, struct read_backend_info *info,
                void **self);
    int (*start)(void *self, struct read_backend_info *info);
    /* False: no room now; try again after reap(). */
    bool (*issue)(void *self, struct chunk *chunk);
    /* Hand what was issued to the kernel. Returns how many were handed over; what the kernel would
     * not take (EAGAIN) stays for the next flush, so it is called every turn. */
    uint32_t (*flush)(void *self);
    /* As flush, while more of the same turn follows, and then a flush. NULL: nothing would begin
     * sooner for it. */
    uint32_t (*push)(void *self);
    uint32_t (*reap)(void *self, struct read_completion *done, uint32_t max);
    /* Has reap() something to return? Asked once the park is announced. NULL: park sees to it. */
    bool (*pending)(void *self);
    /* As stage_ops.park. NULL: completions signal the worker's event instead. */
    bool (*park)(void *self, uint64_t timeout_ns);
    /* Let go of whatever is kept for this file (registered descriptors). None of its chunks is in
     * flight. */
    void (*forget)(void *self, const struct ds_file *file);
    /* Register memory of the application's. 0, or -errno with nothing left behind. NULL: it would
     * be of no use. */
    int (*pin)(void *self, const struct ds_memory *memory);
    /* Undo it, also where it was not done. False: not yet, for the kernel has not taken all that
     * was issued. */
    bool (*unpin)(void *self, const struct ds_memory *memory);
    /* On the lane's thread, after the last transfer was reaped (asserted). */
    void (*stop)(void *self);
    void (*close)(void *self);
    bool park_wakes_on_event; /* park() ends when config.event is signalled */
    bool gathers;             /* takes groups of chunks */
};

extern const struct read_backend_ops read_uring_ops;
extern const struct read_backend_ops read_pread_ops;
extern const struct read_backend_ops read_nil_ops;

/* chunk_fd: the descriptor that the chunk's transfer uses now. */
int chunk_fd(const struct chunk *chunk);

struct read_order;

struct read_stage {
    const struct host *host;
    const struct read_backend_ops *backend;
    void *backend_self;
    struct read_backend_info info;
    struct ring in;             /* submit -> read */
    struct ring *out;           /* this lane -> copy */
    struct event *copy_event;   /* of the worker that runs copy; NULL = the same worker */
    const _Atomic bool *cancels; /* somebody has ever cancelled; NULL: look at every request */
    struct ring *out_packed;    /* this lane -> decode: what has a codec */
    struct event *decode_event; /* as copy_event */
    struct stage_stats stats;
    uint32_t depth;
    uint32_t in_flight;         /* chunks issued to the back end, not reaped */
    uint32_t transfers;         /* that they make: fewer where chunks share one */
    uint32_t waiting_n;         /* popped or to be issued again, not yet issued */
    struct chunk **waiting;     /* FIFO of `depth` entries */
    uint32_t waiting_head;
    bool manual;
    _Atomic(struct read_order *) order; /* of another thread (stages/read_order.h), or NULL */
    struct event ordered;               /* it was carried out */
};

/* read_open makes a lane. `in` and `out` hold chunks_max entries. 0 or -errno with nothing left
 * behind. All of *stage is overwritten: copy_event, cancels, out_packed and decode_event (NULL at
 * first) are set after it. */
int read_open(struct read_stage *stage, const struct read_backend_ops *backend,
              const struct read_backend_config *config, uint32_t chunks_max, struct ring *out);
void read_close(struct read_stage *stage, const struct host *host);

extern const struct stage_ops read_stage_ops;

#endif
