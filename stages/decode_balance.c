#include "stages/decode_balance.h"

#include "engine/stats.h"

/* With so many tiles for each thread ahead of a job all of them have something to do until
 * it ends, or nearly. */
#define BUSY_TILES 8u

/* The figures are the stage's: others look at copies. */
static void figures_tell(struct decode_balance *balance)
{
    const struct balance *figures = &balance->figures;

    __atomic_store_n(&balance->told_rate, figures->cpu_bytes_per_s, __ATOMIC_RELAXED);
    __atomic_store_n(&balance->told_batch_ns, figures->batch_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&balance->told_limit_bytes, balance_limit_bytes(figures), __ATOMIC_RELAXED);
}

void decode_balance_open(struct decode_balance *balance, const struct balance *figures,
                         const _Atomic uint64_t *batch_ns, uint32_t threads)
{
    *balance = (struct decode_balance){
        .figures = *figures,
        .batch_ns = batch_ns,
        .busy_bytes = (uint64_t)BUSY_TILES * GDEFLATE_TILE_BYTES * max_u64(threads, 1),
    };
    figures_tell(balance);
}

/* What the CPU decodes: what the GPU does takes a thread only to be copied, if at all. */
static uint64_t cpu_bytes(const struct chunk *chunk)
{
    return request_on_gpu(chunk->request) ? 0 : chunk->request->unpacked_bytes;
}

/* One that is missed, because two ended at once, or as fast as the one before, is no loss. */
static void follow_gpu(struct decode_balance *balance)
{
    uint64_t ns = balance->batch_ns != NULL
                      ? atomic_load_explicit(balance->batch_ns, memory_order_relaxed)
                      : 0;

    if (ns == balance->told_ns)
        return;
    balance->told_ns = ns;
    balance_batch(&balance->figures, ns);
    figures_tell(balance);
}

/* REALTIME requests go in front of the others. */
bool decode_balance_to_gpu(struct decode_balance *balance, const struct chunk *chunk,
                           enum decode_class class)
{
    uint64_t ahead_bytes = balance->queued_bytes[DECODE_REALTIME];
    bool gpu;

    follow_gpu(balance);
    if (class == DECODE_ORDINARY)
        ahead_bytes += balance->queued_bytes[DECODE_ORDINARY];
    gpu = balance_rule(&balance->figures, ahead_bytes, chunk->request->unpacked_bytes);
    balance_chose(&balance->figures, gpu);
    return gpu;
}

void decode_balance_queue(struct decode_balance *balance, const struct chunk *chunk,
                          enum decode_class class)
{
    balance->queued_bytes[class] += cpu_bytes(chunk);
}

void decode_balance_end(struct decode_balance *balance, const struct chunk *chunk,
                        enum decode_class class)
{
    DS_ASSERT(balance->queued_bytes[class] >= cpu_bytes(chunk));
    balance->queued_bytes[class] -= cpu_bytes(chunk);
}

void decode_balance_job_begin(struct decode_balance *balance, struct decode_job *job,
                              uint64_t now_ns)
{
    balance->begun_bytes += cpu_bytes(job->chunk);
    job->drains_bytes = balance->begun_bytes;
    job->begun_ns = now_ns;
}

/* When a job ends that has waited in the threads' row, what was ahead of it was decoded as well. */
void decode_balance_job_end(struct decode_balance *balance, const struct decode_job *job,
                            const struct chunk *chunk, uint64_t now_ns)
{
    uint64_t bytes = cpu_bytes(chunk);

    balance->begun_bytes -= bytes;
    if (chunk->status != DS_STATUS_OK || bytes == 0)
        return;
    if (balance->figures.batch_ns != 0 && chunk->ordinary &&
        job->drains_bytes > balance->busy_bytes && now_ns > job->begun_ns) {
        balance_drained(&balance->figures, job->drains_bytes, now_ns - job->begun_ns);
        figures_tell(balance);
    }
    if (chunk->request->codec == DS_CODEC_GDEFLATE)
        STAT_ADD(balance->cpu_tiles, packed_tiles(chunk->request->unpacked_bytes));
}
