/* A GPU for the copy stage: tickets end late and when the test says, calls fail on demand, and what
 * a driver would be hurt by is asserted. */
#ifndef UNIT_FAKE_GPU_H
#define UNIT_FAKE_GPU_H

#include "engine/packed.h"
#include "engine/request.h"
#include "stages/copy.h"

#include "unit/support.h"

#define FAKE_SEMAPHORES 64
#define FAKE_TICKETS 64 /* the last ones, of which something is remembered */
#define VK_LOST (-4)

#define FAKE_BYTES_LEAST ((uint64_t)1 << 20)

struct fake_gpu {
    uint32_t batches_max, regions_max;
    uint64_t bytes_max;            /* of a batch; 0 = any number */
    bool manual;
    uint64_t submitted;            /* the last ticket */
    uint64_t ended;                /* up to here, tickets are reached */
    uint64_t fail_record_at;       /* the nth record (1, 2, ...) fails with fail_result */
    uint64_t fail_submit_at;       /* the nth submit does */
    uint64_t lost_after;           /* reached reports a lost device once so many were submitted */
    int fail_result;
    bool lost;
    uint64_t records, submits, waits;
    uint64_t ticket_of[COPY_BATCHES_MAX]; /* last use of the batch; 0 = recorded, not submitted */
    bool recorded[COPY_BATCHES_MAX];
    uint32_t recorded_n[COPY_BATCHES_MAX];
    uint32_t chunks_max_seen;
    uint64_t values[FAKE_SEMAPHORES]; /* the last one signalled, by semaphore handle */
    /* Called for each chunk recorded, and for each signal of a successful submission. */
    void (*on_chunk)(void *ctx, const struct chunk *chunk);
    void (*on_signal)(void *ctx, const struct copy_signal *signal);
    void *ctx;
    int host_signal_result;
    uint32_t host_signals;
    /* What it decodes: scratch memory as the real one has it, which batches give back in their
     * order, and how many chunks of each batch and ticket are decoded. */
    struct gpu_decode decode;
    uint64_t scratch_used, scratch_of[COPY_BATCHES_MAX];
    uint32_t packed_of[COPY_BATCHES_MAX], packed_in[FAKE_TICKETS];
    uint32_t refused;              /* takes that found no room */
};

static inline int fake_gpu_staging_open(void *self, uint64_t bytes, struct staging *staging)
{
    (void)self;
    return staging_map(staging, bytes);
}

static inline void fake_gpu_staging_close(void *self, struct staging *staging)
{
    (void)self;
    staging_unmap(staging);
}

static inline uint32_t fake_gpu_batches_max(void *self)
{
    return ((struct fake_gpu *)self)->batches_max;
}

static inline uint32_t fake_gpu_regions_max(void *self)
{
    return ((struct fake_gpu *)self)->regions_max;
}

static inline uint64_t fake_gpu_bytes_least(void *self)
{
    (void)self;
    return FAKE_BYTES_LEAST;
}

static inline uint64_t fake_gpu_bytes_max(void *self)
{
    const struct fake_gpu *gpu = self;

    return gpu->bytes_max != 0 ? gpu->bytes_max : UINT64_MAX;
}

static inline bool fake_gpu_manual(void *self)
{
    return ((struct fake_gpu *)self)->manual;
}

static inline struct gpu_decode fake_gpu_decode(void *self)
{
    return ((struct fake_gpu *)self)->decode;
}

static inline bool fake_gpu_take(void *self, uint32_t index, const struct chunk *chunk)
{
    struct fake_gpu *gpu = self;
    uint64_t bytes = gpu_decode_scratch(&gpu->decode, chunk->request);

    cr_assert(chunk->packed && chunk->status == DS_STATUS_OK);
    cr_assert_not(gpu->recorded[index], "batch %u is closed", index);
    if (gpu->scratch_used + bytes > gpu->decode.scratch_bytes) {
        cr_assert_gt(gpu->scratch_used, 0, "nobody has any, and it does not fit");
        gpu->refused++;
        return false;
    }
    gpu->scratch_used += bytes;
    gpu->scratch_of[index] += bytes;
    gpu->packed_of[index]++;
    return true;
}

static inline void fake_gpu_release(void *self, uint32_t index)
{
    struct fake_gpu *gpu = self;

    cr_assert(gpu->lost || gpu->ticket_of[index] <= gpu->ended, "batch %u is still in use", index);
    cr_assert_gt(gpu->packed_of[index], 0, "batch %u decodes nothing", index);
    gpu->scratch_used -= gpu->scratch_of[index];
    gpu->scratch_of[index] = 0;
    gpu->packed_of[index] = 0;
}

/* All tiles are good. */
static inline void fake_gpu_verdicts(const struct chunk *chunk)
{
    memset(packed_statuses(chunk), DS_CODEC_ERROR_NONE,
           packed_tiles(chunk->request->unpacked_bytes) * sizeof(uint32_t));
}

static inline int fake_gpu_record(void *self, uint32_t index, struct chunk *const *chunks,
                                  uint32_t n)
{
    struct fake_gpu *gpu = self;

    cr_assert_lt(index, gpu->batches_max);
    cr_assert_leq(n, gpu->regions_max);
    cr_assert_not(gpu->recorded[index], "batch %u recorded again before its submission", index);
    cr_assert(gpu->lost || gpu->ticket_of[index] <= gpu->ended, "batch %u is still in use", index);
    gpu->records++;
    if (gpu->records == gpu->fail_record_at)
        return gpu->fail_result;
    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(chunks[i]->state, CHUNK_IN_COPY);
        cr_assert_eq(chunks[i]->status, DS_STATUS_OK, "a failed chunk must not reach the GPU");
        cr_assert_neq(chunks[i]->arena_unit, CHUNK_NO_ARENA);
        if (chunks[i]->packed)
            fake_gpu_verdicts(chunks[i]);
        if (gpu->on_chunk != NULL)
            gpu->on_chunk(gpu->ctx, chunks[i]);
    }
    gpu->recorded[index] = true;
    gpu->recorded_n[index] = n;
    gpu->chunks_max_seen = n > gpu->chunks_max_seen ? n : gpu->chunks_max_seen;
    return 0;
}

static inline void fake_gpu_signals(struct fake_gpu *gpu, const struct copy_signal *signals,
                                    uint32_t n)
{
    cr_assert_leq(n, gpu->regions_max);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t *last = &gpu->values[signals[i].semaphore % FAKE_SEMAPHORES];

        for (uint32_t k = 0; k < i; k++)
            cr_assert_neq(signals[k].semaphore, signals[i].semaphore,
                          "one submission signals a semaphore twice");
        cr_assert_gt(signals[i].value, *last, "the semaphore's value must rise");
        *last = signals[i].value;
        if (gpu->on_signal != NULL)
            gpu->on_signal(gpu->ctx, &signals[i]);
    }
}

static inline int fake_gpu_submit(void *self, uint32_t index, uint64_t ticket,
                                  const struct copy_signal *signals, uint32_t signals_n)
{
    struct fake_gpu *gpu = self;

    cr_assert(gpu->recorded[index]);
    cr_assert_gt(ticket, gpu->submitted, "tickets rise");
    gpu->recorded[index] = false;
    gpu->submits++;
    if (gpu->submits == gpu->fail_submit_at)
        return gpu->fail_result;
    if (gpu->lost)
        return VK_LOST;
    fake_gpu_signals(gpu, signals, signals_n);
    gpu->submitted = ticket;
    gpu->ticket_of[index] = ticket;
    gpu->packed_in[ticket % FAKE_TICKETS] = gpu->packed_of[index];
    if (gpu->lost_after != 0 && gpu->submits >= gpu->lost_after)
        gpu->lost = true;
    return 0;
}

static inline int fake_gpu_reached(void *self, uint64_t *ticket)
{
    const struct fake_gpu *gpu = self;

    *ticket = gpu->lost ? UINT64_MAX : gpu->ended;
    return gpu->lost ? VK_LOST : 0;
}

static inline void fake_gpu_wait(void *self, uint64_t ticket, uint64_t timeout_ns)
{
    struct fake_gpu *gpu = self;

    (void)timeout_ns;
    cr_assert_leq(ticket, gpu->submitted);
    gpu->waits++;
}

/* fake_gpu_end ends n more submissions. */
static inline void fake_gpu_end(struct fake_gpu *gpu, uint64_t n)
{
    gpu->ended = min_u64(gpu->ended + n, gpu->submitted);
}

/* By the host: host_signal_result, and the value only where that is 0. */
static inline int fake_gpu_signal(void *self, uint64_t semaphore, uint64_t value)
{
    struct fake_gpu *gpu = self;

    gpu->host_signals++;
    if (gpu->host_signal_result == 0)
        fake_gpu_signals(gpu, &(struct copy_signal){semaphore, value}, 1);
    return gpu->host_signal_result;
}

static const struct copy_gpu_ops fake_gpu_ops = {
    .name = "fake",
    .staging_open = fake_gpu_staging_open,
    .staging_close = fake_gpu_staging_close,
    .batches_max = fake_gpu_batches_max,
    .regions_max = fake_gpu_regions_max,
    .bytes_max = fake_gpu_bytes_max,
    .bytes_least = fake_gpu_bytes_least,
    .decode = fake_gpu_decode,
    .take = fake_gpu_take,
    .release = fake_gpu_release,
    .record = fake_gpu_record,
    .submit = fake_gpu_submit,
    .reached = fake_gpu_reached,
    .wait = fake_gpu_wait,
    .signal = fake_gpu_signal,
    .manual = fake_gpu_manual,
};

#endif
