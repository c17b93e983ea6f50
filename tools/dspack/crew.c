/* Jobs in order, worked on by several threads. */
#include "crew.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* Counters of jobs: ended <= done jobs <= taken <= begun. Slot i % slots_n belongs to job i. */
struct run {
    const struct crew *crew;
    pthread_mutex_t lock;
    pthread_cond_t work; /* there is a job to take, or nothing more will come */
    pthread_cond_t done; /* a job was done */
    uint64_t begun;
    uint64_t taken;
    bool stop;
    bool *slot_done; /* slots_n */
};

struct thread {
    struct run *run;
    void *worker;
    pthread_t id;
};

static void *slot_of(const struct crew *crew, uint64_t job)
{
    return (char *)crew->slots + job % crew->slots_n * crew->slot_bytes;
}

static void *thread_main(void *ctx)
{
    struct thread *thread = ctx;
    struct run *run = thread->run;
    const struct crew *crew = run->crew;

    pthread_mutex_lock(&run->lock);
    for (;;) {
        uint64_t job;

        while (run->taken == run->begun && !run->stop)
            pthread_cond_wait(&run->work, &run->lock);
        if (run->stop)
            break;
        job = run->taken++;
        pthread_mutex_unlock(&run->lock);
        crew->ops->work(crew->ctx, thread->worker, slot_of(crew, job));
        pthread_mutex_lock(&run->lock);
        run->slot_done[job % crew->slots_n] = true;
        pthread_cond_signal(&run->done);
    }
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

static bool job_begin(struct run *run)
{
    const struct crew *crew = run->crew;

    if (!crew->ops->begin(crew->ctx, slot_of(crew, run->begun)))
        return false;
    pthread_mutex_lock(&run->lock);
    run->slot_done[run->begun % crew->slots_n] = false;
    run->begun++;
    pthread_cond_signal(&run->work);
    pthread_mutex_unlock(&run->lock);
    return true;
}

static bool job_end(struct run *run, uint64_t job)
{
    const struct crew *crew = run->crew;

    pthread_mutex_lock(&run->lock);
    while (!run->slot_done[job % crew->slots_n])
        pthread_cond_wait(&run->done, &run->lock);
    pthread_mutex_unlock(&run->lock);
    return crew->ops->end(crew->ctx, slot_of(crew, job));
}

static bool jobs_drive(struct run *run, uint64_t jobs_n)
{
    uint64_t ended = 0;

    while (ended < jobs_n) {
        bool ok;

        if (run->begun < jobs_n && run->begun - ended < run->crew->slots_n)
            ok = job_begin(run);
        else
            ok = job_end(run, ended++);
        if (!ok)
            return false;
    }
    return true;
}

bool crew_run(const struct crew *crew, uint64_t jobs_n)
{
    struct thread threads[CREW_THREADS_MAX];
    bool slot_done[CREW_SLOTS_MAX] = {false};
    struct run run = {.crew = crew, .slot_done = slot_done};
    uint32_t started = 0;
    bool ok = true;

    pthread_mutex_init(&run.lock, NULL);
    pthread_cond_init(&run.work, NULL);
    pthread_cond_init(&run.done, NULL);
    for (; started < crew->threads && ok; started++) {
        struct thread *thread = &threads[started];
        int error;

        *thread = (struct thread){
            .run = &run, .worker = (char *)crew->workers + started * crew->worker_bytes};
        error = pthread_create(&thread->id, NULL, thread_main, thread);
        if (error != 0) {
            fprintf(stderr, "dspack: a thread could not be started: %s\n", strerror(error));
            ok = false;
            break;
        }
    }
    ok = ok && jobs_drive(&run, jobs_n);
    pthread_mutex_lock(&run.lock);
    run.stop = true;
    pthread_cond_broadcast(&run.work);
    pthread_mutex_unlock(&run.lock);
    while (started > 0)
        pthread_join(threads[--started].id, NULL);
    pthread_cond_destroy(&run.done);
    pthread_cond_destroy(&run.work);
    pthread_mutex_destroy(&run.lock);
    return ok;
}

uint32_t crew_threads_default(void)
{
    cpu_set_t set;
    int n;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > CREW_THREADS_MAX ? CREW_THREADS_MAX : (uint32_t)n;
}
