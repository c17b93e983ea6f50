/* The threads of a codec. Workers sleep until a job is open, then take items off a shared counter.
 * The caller takes items too, so a job never waits for a worker to wake up: it only waits, at its
 * end, for those workers that have joined it. */
#include "engine/codec/tile_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct worker {
    struct tile_pool *pool;
    pthread_t thread;
    uint32_t index; /* 1.. */
};

struct tile_pool {
    pthread_mutex_t lock;
    pthread_cond_t opened;   /* a job was opened, or the pool is to stop */
    pthread_cond_t finished; /* the last worker left the job */
    /* Under lock. */
    tile_pool_fn fn;
    void *ctx;
    uint32_t count;
    uint32_t inside; /* workers in the job */
    bool open;
    bool stop;
    /* Taken without the lock; which item is whose needs no order beyond what the lock gives. */
    _Atomic uint32_t next;
    uint32_t threads;
    uint32_t started;
    struct worker workers[];
};

static void items_run(struct tile_pool *pool, tile_pool_fn fn, void *ctx, uint32_t count,
                      uint32_t worker)
{
    for (;;) {
        uint32_t item = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);

        if (item >= count)
            return;
        fn(ctx, worker, item);
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct tile_pool *pool = worker->pool;

    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        tile_pool_fn fn = pool->fn;
        void *ctx = pool->ctx;
        uint32_t count = pool->count;

        if (!pool->open) {
            pthread_cond_wait(&pool->opened, &pool->lock);
            continue;
        }
        pool->inside++;
        pthread_mutex_unlock(&pool->lock);
        items_run(pool, fn, ctx, count, worker->index);
        pthread_mutex_lock(&pool->lock);
        pool->open = false; /* no items are left for anyone who has not joined */
        if (--pool->inside == 0)
            pthread_cond_signal(&pool->finished);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals are the host's business: its handlers must not run on our threads. */
static int worker_start(struct worker *worker)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_setname_np(worker->thread, "ds-codec");
    return error;
}

static size_t pool_bytes(uint32_t threads)
{
    return sizeof(struct tile_pool) + (threads - 1) * sizeof(struct worker);
}

int tile_pool_create(const struct host *host, uint32_t threads, struct tile_pool **out)
{
    struct tile_pool *pool;

    DS_ASSERT(threads >= 1);
    pool = host_alloc(host, pool_bytes(threads), CACHE_LINE);
    if (pool == NULL)
        return -ENOMEM;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->opened, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->threads = threads;
    for (uint32_t i = 0; i + 1 < threads; i++) {
        int error;

        pool->workers[i].pool = pool;
        pool->workers[i].index = i + 1;
        error = worker_start(&pool->workers[i]);
        if (error != 0) {
            host_log(host, DS_LOG_ERROR,
                     "codec: thread %u of %u could not be started: error %d; RLIMIT_NPROC or the "
                     "cgroup's pids.max; ask for fewer threads",
                     i + 1, threads - 1, error);
            tile_pool_destroy(host, &pool);
            return -EAGAIN;
        }
        pool->started++;
    }
    *out = pool;
    return 0;
}

void tile_pool_destroy(const struct host *host, struct tile_pool **pool_at)
{
    struct tile_pool *pool = *pool_at;

    if (pool == NULL)
        return;
    *pool_at = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->opened);
    pthread_mutex_destroy(&pool->lock);
    host_free(host, pool, pool_bytes(pool->threads));
}

void tile_pool_run(struct tile_pool *pool, tile_pool_fn fn, void *ctx, uint32_t count)
{
    if (pool->started != 0 && count > 1) {
        pthread_mutex_lock(&pool->lock);
        DS_ASSERT(!pool->open && pool->inside == 0);
        pool->fn = fn;
        pool->ctx = ctx;
        pool->count = count;
        atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
        pool->open = true;
        pthread_cond_broadcast(&pool->opened);
        pthread_mutex_unlock(&pool->lock);
        items_run(pool, fn, ctx, count, 0);
        pthread_mutex_lock(&pool->lock);
        pool->open = false;
        while (pool->inside != 0)
            pthread_cond_wait(&pool->finished, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
        return;
    }
    for (uint32_t item = 0; item < count; item++)
        fn(ctx, 0, item);
}
