/* Threads that pread and pwrite: where io_uring is refused, and on hot page cache its equal.
 *
 *   issue -> work ring (lane -> any thread) -> pread -> done ring (one per thread -> lane) -> reap
 *
 * No lock, and no operation in which a stopped thread holds up another: each thread has its own way
 * back. The lane alone takes and returns operations, so their free list needs no atomics. */
#include "engine/write_combined.h"
#include "stages/read.h"
#include "stages/read_group.h"

#include <stdio.h>
#include <signal.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)256 << 10)
/* More than this in one call is never needed, and the kernel stops at 2 GiB - 4 KiB. */
#define OP_BYTES_MAX ((size_t)1 << 30)

struct op {
    struct chunk *chunk;
    int64_t result;
    struct op *next; /* free list; lane only */
};

struct pool;

struct pool_thread {
    struct pool *pool;
    pthread_t thread;
    char name[16];
    struct ring done;   /* this thread -> lane; holds all operations */
    struct event event; /* signalled when there is work */
} CACHE_ALIGNED;

struct pool {
    const struct host *host;
    struct event *lane_event;
    struct op *ops;
    uint32_t depth;
    struct op *free_ops;
    uint32_t in_flight;
    uint32_t unflushed;
    uint32_t reap_next;  /* thread whose ring is reaped first */
    uint32_t wake_next;  /* thread that is woken first */
    uint32_t threads_n;  /* started */
    uint32_t rings_n;    /* opened */
    uint32_t threads_max;
    struct pool_thread *threads;
    _Atomic bool stopping;
    struct ring work CACHE_ALIGNED;
};

/* A group, or one chunk: what the pieces of its memory are is found out here, on the thread that
 * moves them. */
static ssize_t transfer_read(const struct chunk *chunk, off_t offset)
{
    struct iovec vectors[CHUNK_GROUP_MAX];
    uint32_t n = group_vectors(chunk, vectors);

    vectors[0].iov_len = min_u64(vectors[0].iov_len, OP_BYTES_MAX);
    return n == 1 ? pread(chunk_fd(chunk), vectors[0].iov_base, vectors[0].iov_len, offset)
                  : preadv(chunk_fd(chunk), vectors, (int)n, offset);
}

static int64_t transfer(const struct chunk *chunk)
{
    uint8_t *memory = chunk->memory != NULL ? chunk->memory + chunk->io_done : NULL; /* FLUSH */
    size_t bytes = min_u64(chunk->io_bytes - chunk->io_done, OP_BYTES_MAX);
    off_t offset = (off_t)(chunk->file_offset + chunk->io_done);
    ssize_t n;

    if (chunk->kind == CHUNK_FLUSH)
        n = fdatasync(chunk_fd(chunk));
    else if (chunk->kind == CHUNK_WRITE)
        n = pwrite(chunk_fd(chunk), memory, bytes, offset);
    else
        n = transfer_read(chunk, offset);
    return n >= 0 ? n : -errno;
}

static void run(struct pool_thread *thread, struct op *op)
{
    bool pushed;

    op->result = transfer(op->chunk);
    if (UNLIKELY(op->chunk->mapped))
        write_combined_flush();
    pushed = ring_push_sp(&thread->done, op);
    DS_ASSERT(pushed);
    event_signal(thread->pool->lane_event);
}

static bool is_stopping(const struct pool *pool)
{
    return atomic_load_explicit(&pool->stopping, memory_order_acquire);
}

static void *thread_main(void *arg)
{
    struct pool_thread *thread = arg;
    struct pool *pool = thread->pool;
    struct op *op;

    pthread_setname_np(pthread_self(), thread->name);
    while (!is_stopping(pool)) {
        uint32_t key;

        if (ring_pop_mc(&pool->work, &op)) {
            run(thread, op);
            continue;
        }
        key = event_prepare(&thread->event);
        if (ring_count(&pool->work) > 0 || is_stopping(pool))
            event_cancel(&thread->event);
        else
            event_wait(&thread->event, key, EVENT_FOREVER);
    }
    return NULL;
}

static int thread_start(struct pool_thread *thread, const char *name, uint32_t number)
{
    sigset_t all, before;
    pthread_attr_t attr;
    int rc;

    snprintf(thread->name, sizeof(thread->name), "%s-%u", name, number);
    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    /* the host's signals are not ours to take */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread->thread, &attr, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -rc;
}

static void stop_threads(struct pool *pool)
{
    /* release: pairs with is_stopping; event_signal orders it before the look at the waiters */
    atomic_store_explicit(&pool->stopping, true, memory_order_release);
    for (uint32_t i = 0; i < pool->threads_n; i++)
        event_signal(&pool->threads[i].event);
    for (uint32_t i = 0; i < pool->threads_n; i++)
        pthread_join(pool->threads[i].thread, NULL);
    pool->threads_n = 0;
}

static void pread_close(void *self)
{
    struct pool *pool = self;
    const struct host *host = pool->host;

    stop_threads(pool);
    for (uint32_t i = 0; i < pool->rings_n; i++) {
        ring_close(&pool->threads[i].done, host);
        event_fini(&pool->threads[i].event);
    }
    if (pool->work.slots != NULL)
        ring_close(&pool->work, host);
    host_free(host, pool->threads, pool->threads_max * sizeof(*pool->threads));
    host_free(host, pool->ops, pool->depth * sizeof(*pool->ops));
    host_free(host, pool, sizeof(*pool));
}

static int pool_alloc(struct pool *pool)
{
    const struct host *host = pool->host;
    int rc;

    pool->ops = host_calloc(host, pool->depth, sizeof(*pool->ops));
    pool->threads = host_calloc(host, pool->threads_max, sizeof(*pool->threads));
    if (pool->ops == NULL || pool->threads == NULL)
        return -ENOMEM;
    rc = ring_open(&pool->work, host, pool->depth);
    while (rc == 0 && pool->rings_n < pool->threads_max) {
        struct pool_thread *thread = &pool->threads[pool->rings_n];

        rc = ring_open(&thread->done, host, pool->depth);
        if (rc == 0) {
            thread->pool = pool;
            event_init(&thread->event);
            pool->rings_n++;
        }
    }
    for (uint32_t i = 0; i < pool->depth; i++) {
        pool->ops[i].next = pool->free_ops;
        pool->free_ops = &pool->ops[i];
    }
    return rc;
}

static int pread_open(const struct read_backend_config *config, struct read_backend_info *info,
                      void **self)
{
    struct pool *pool = host_calloc(config->host, 1, sizeof(*pool));
    int rc;

    DS_ASSERT(config->threads > 0 && config->event != NULL);
    if (pool == NULL)
        return -ENOMEM;
    pool->host = config->host;
    pool->lane_event = config->event;
    pool->depth = config->depth;
    pool->threads_max = config->threads;
    rc = pool_alloc(pool);
    /* Here, not in start: a thread inherits its maker's CPUs, and the lane may be pinned. */
    while (rc == 0 && pool->threads_n < config->threads) {
        uint32_t i = pool->threads_n;

        rc = thread_start(&pool->threads[i], "ds-pread", config->lane * config->threads + i);
        if (rc == 0)
            pool->threads_n++;
    }
    if (rc != 0) {
        host_log(config->host, DS_LOG_ERROR,
                 "pread: %u of %u threads started, then errno %d; RLIMIT_NPROC, RLIMIT_AS or a "
                 "cgroup limit",
                 pool->threads_n, config->threads, -rc);
        pread_close(pool);
        return rc == -EAGAIN ? -ENOMEM : rc;
    }
    *info = (struct read_backend_info){.threads = config->threads};
    snprintf(info->reason, sizeof(info->reason), "pread: %u threads", config->threads);
    *self = pool;
    return 0;
}

static int pread_start(void *self, struct read_backend_info *info)
{
    (void)self;
    (void)info;
    return 0;
}

static bool pread_issue(void *self, struct chunk *chunk)
{
    struct pool *pool = self;
    struct op *op = pool->free_ops;
    bool pushed;

    if (op == NULL)
        return false;
    pool->free_ops = op->next;
    op->chunk = chunk;
    pushed = ring_push_sp(&pool->work, op);
    DS_ASSERT(pushed);
    pool->in_flight++;
    pool->unflushed++;
    return true;
}

/* pread_flush wakes as many threads as there is new work, beginning with another one each time: one
 * that was woken but has not run yet still counts as asleep. */
static uint32_t pread_flush(void *self)
{
    struct pool *pool = self;
    uint32_t n = pool->unflushed, wake = n;

    if (n == 0)
        return 0;
    /* pairs with the fence in event_prepare: the thread sees the work, or we see it waiting */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < pool->threads_n && wake > 0; i++) {
        struct event *event = &pool->threads[pool->wake_next].event;

        if (++pool->wake_next == pool->threads_n)
            pool->wake_next = 0;
        if (atomic_load_explicit(&event->waiters, memory_order_relaxed) != 0) {
            event_wake(event);
            wake--;
        }
    }
    pool->unflushed = 0;
    return n;
}

static uint32_t reap_thread(struct pool *pool, struct pool_thread *thread,
                            struct read_completion *done, uint32_t max)
{
    void *ops[16];
    uint32_t n = ring_pop_n_sc(&thread->done, ops, min_u32(max, ARRAY_LENGTH(ops)));

    for (uint32_t i = 0; i < n; i++) {
        struct op *op = ops[i];

        done[i].chunk = op->chunk;
        done[i].result = op->result;
        op->next = pool->free_ops;
        pool->free_ops = op;
    }
    return n;
}

static uint32_t pread_reap(void *self, struct read_completion *done, uint32_t max)
{
    struct pool *pool = self;
    uint32_t n = 0;

    for (uint32_t i = 0; i < pool->threads_n && n < max; i++) {
        n += reap_thread(pool, &pool->threads[pool->reap_next], done + n, max - n);
        if (++pool->reap_next == pool->threads_n)
            pool->reap_next = 0;
    }
    DS_ASSERT(n <= pool->in_flight);
    pool->in_flight -= n;
    return n;
}

static bool pread_pending(void *self)
{
    const struct pool *pool = self;

    for (uint32_t i = 0; i < pool->threads_n; i++) {
        if (ring_count(&pool->threads[i].done) > 0)
            return true;
    }
    return false;
}

static void pread_forget(void *self, const struct ds_file *file)
{
    (void)self;
    (void)file;
}

static void pread_stop(void *self)
{
    const struct pool *pool = self;

    DS_ASSERT(pool->in_flight == 0);
}

const struct read_backend_ops read_pread_ops = {
    .name = "pread",
    .open = pread_open,
    .start = pread_start,
    .issue = pread_issue,
    .flush = pread_flush,
    .reap = pread_reap,
    .pending = pread_pending,
    .forget = pread_forget,
    .stop = pread_stop,
    .close = pread_close,
    .gathers = true,
};
