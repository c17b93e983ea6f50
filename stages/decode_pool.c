/* Threads that decode. */
#include "stages/decode_pool.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* A tile's decoder takes 20 KiB, libzstd little more. */
#define STACK_BYTES ((size_t)256 << 10)

bool decode_pool_step(struct decode_pool *pool, struct decode_hand *hand)
{
    for (uint32_t class = 0; class < DECODE_CLASSES; class++) {
        struct decode_job *job = hand->tickets[class];
        enum decode_progress progress;

        if (job == NULL && !ring_pop_mc(&pool->tickets[class], &job))
            continue;
        progress = decode_job_step(job, hand);
        hand->tickets[class] = progress == DECODE_TOOK ? job : NULL;
        if (progress == DECODE_IS_OVER)
            decode_pool_finish(pool, job);
        return true;
    }
    return false;
}

void decode_pool_finish(struct decode_pool *pool, const struct decode_job *job)
{
    /* release: the decoded bytes; pairs with the acquire in decode_pool_finished */
    atomic_fetch_or_explicit(&pool->finished[job->index / 64], (uint64_t)1 << job->index % 64,
                             memory_order_release);
    event_signal(pool->stage_event);
}

uint64_t decode_pool_finished(struct decode_pool *pool, uint32_t word)
{
    if (atomic_load_explicit(&pool->finished[word], memory_order_relaxed) == 0)
        return 0;
    /* acquire: pairs with the release in decode_pool_finish */
    return atomic_exchange_explicit(&pool->finished[word], 0, memory_order_acquire);
}

bool decode_pool_pending(const struct decode_pool *pool)
{
    uint64_t any = 0;

    for (uint32_t i = 0; i < DECODE_WORDS; i++)
        any |= atomic_load_explicit(&pool->finished[i], memory_order_relaxed);
    return any != 0;
}

uint32_t decode_pool_tickets(const struct decode_pool *pool)
{
    return pool->threads_n + 1;
}

/* Wakes threads for n tickets. */
static void pool_wake(struct decode_pool *pool, uint32_t n)
{
    uint64_t idle;

    if (pool->threads_n == 0)
        return;
    /* The tickets, then who sleeps; pairs with thread_sleep, which does it the other way round. */
    atomic_thread_fence(memory_order_seq_cst);
    idle = atomic_load_explicit(&pool->idle, memory_order_relaxed);
    for (; idle != 0 && n > 0; idle &= idle - 1, n--) {
        uint32_t i = (uint32_t)__builtin_ctzll(idle);

        atomic_fetch_and_explicit(&pool->idle, ~((uint64_t)1 << i), memory_order_relaxed);
        event_signal(&pool->threads[i].event);
    }
}

void decode_pool_push(struct decode_pool *pool, enum decode_class class, struct decode_job *job)
{
    uint32_t n = atomic_load_explicit(&job->tickets, memory_order_relaxed);

    for (uint32_t i = 0; i < n; i++) {
        bool pushed = ring_push_sp(&pool->tickets[class], job);

        DS_ASSERT(pushed); /* it holds the tickets of all jobs */
    }
    pool_wake(pool, n);
}

static bool pool_has_tickets(const struct decode_pool *pool)
{
    return ring_count(&pool->tickets[DECODE_REALTIME]) > 0 ||
           ring_count(&pool->tickets[DECODE_ORDINARY]) > 0 ||
           atomic_load_explicit(&pool->stopping, memory_order_acquire);
}

static void thread_sleep(struct decode_thread *thread)
{
    struct decode_pool *pool = thread->pool;
    uint64_t mine = (uint64_t)1 << thread->number;
    uint32_t key = event_prepare(&thread->event);

    atomic_fetch_or_explicit(&pool->idle, mine, memory_order_relaxed);
    /* Our mark, then the tickets; pairs with the fence in pool_wake. */
    atomic_thread_fence(memory_order_seq_cst);
    if (pool_has_tickets(pool))
        event_cancel(&thread->event);
    else
        event_wait(&thread->event, key, EVENT_FOREVER);
    atomic_fetch_and_explicit(&pool->idle, ~mine, memory_order_relaxed);
}

static void *thread_main(void *argument)
{
    struct decode_thread *thread = argument;
    struct decode_pool *pool = thread->pool;
    char name[16];

    snprintf(name, sizeof(name), "ds-decode-%u", thread->number);
    pthread_setname_np(pthread_self(), name);
    while (!atomic_load_explicit(&pool->stopping, memory_order_acquire)) {
        if (!decode_pool_step(pool, &thread->hand))
            thread_sleep(thread);
    }
    return NULL;
}

static int thread_start(struct decode_thread *thread)
{
    sigset_t all, before;
    pthread_attr_t attr;
    int rc;

    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    /* the host's signals are not ours to take */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread->thread, &attr, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        host_log(thread->pool->host, DS_LOG_ERROR,
                 "ds-decode-%u: cannot start a thread: %s; RLIMIT_NPROC, pids.max, or fewer "
                 "decode_threads",
                 thread->number, strerror(rc));
    return -rc;
}

static int threads_open(struct decode_pool *pool)
{
    for (uint32_t i = 0; i < pool->threads_max; i++, pool->hands_n++) {
        struct decode_thread *thread = &pool->threads[i];
        int rc = decode_hand_open(&thread->hand, pool->host);

        if (rc != 0)
            return rc;
        thread->pool = pool;
        thread->number = i;
        event_init(&thread->event);
    }
    for (; pool->threads_n < pool->threads_max; pool->threads_n++) {
        int rc = thread_start(&pool->threads[pool->threads_n]);

        if (rc != 0)
            return rc;
    }
    return 0;
}

int decode_pool_open(struct decode_pool *pool, const struct host *host, struct event *stage_event,
                     uint32_t threads)
{
    int rc = 0;

    DS_ASSERT(threads <= DS_DECODE_THREADS_MAX);
    memset(pool, 0, sizeof(*pool));
    pool->host = host;
    pool->stage_event = stage_event;
    pool->threads_max = threads;
    for (uint32_t i = 0; rc == 0 && i < DECODE_CLASSES; i++)
        rc = ring_open(&pool->tickets[i], host, DECODE_JOBS * (threads + 1));
    if (rc == 0 && threads > 0) {
        pool->threads = host_calloc(host, threads, sizeof(*pool->threads));
        rc = pool->threads != NULL ? threads_open(pool) : -ENOMEM;
    }
    if (rc != 0)
        decode_pool_close(pool);
    return rc;
}

void decode_pool_close(struct decode_pool *pool)
{
    if (pool->host == NULL)
        return;
    /* release: pairs with the acquires of the threads */
    atomic_store_explicit(&pool->stopping, true, memory_order_release);
    for (uint32_t i = 0; i < pool->threads_n; i++) {
        event_signal(&pool->threads[i].event);
        pthread_join(pool->threads[i].thread, NULL);
    }
    for (uint32_t i = 0; i < pool->hands_n; i++) {
        decode_hand_close(&pool->threads[i].hand);
        event_fini(&pool->threads[i].event);
    }
    host_free(pool->host, pool->threads, pool->threads_max * sizeof(*pool->threads));
    for (uint32_t i = 0; i < DECODE_CLASSES; i++) {
        if (pool->tickets[i].slots != NULL)
            ring_close(&pool->tickets[i], pool->host);
    }
    pool->host = NULL;
}
