/* Which way a request goes that the CPU's threads and the GPU could both decode: the sooner one. A
 * GPU takes some milliseconds for a batch, of few tiles or of thousands; the threads take what is
 * queued for them, in its order.
 *
 *   CPU   while (what they have queued + the request) / their rate  <=  1.5 batches of the GPU's:
 *         half a batch until the one under way has ended, on average, and then its own
 *   GPU   else
 *
 * Both figures follow what really happens. No clock and no thread in here: the caller says. */
#ifndef ENGINE_BALANCE_H
#define ENGINE_BALANCE_H

#include "engine/base.h"

/* Where nothing was measured: of a thread, and of a GPU. */
#define BALANCE_THREAD_BYTES_PER_S 400000000u
#define BALANCE_BATCH_NS 3000000u

/* Longer batches count as one of so long. */
#define BALANCE_BATCH_MAX_NS 1000000000u

/* Requests in a row for the CPU after which a batch time that is longer than it was at the start is
 * thought to be outdated: the GPU may have been busy with something else. */
#define BALANCE_STALE_N 1024u

struct balance {
    uint64_t limit_bytes;     /* of what is queued; 0: by the figures */
    uint64_t cpu_bytes_per_s; /* of all threads together */
    uint64_t batch_ns;        /* of the GPU, from submission to its end */
    uint64_t start_ns;        /* what batch_ns was at the start */
    uint32_t cpu_n;           /* requests for the CPU since a batch has ended */
};

/* balance_init begins with figures; 0: not known. limit_bytes != 0 is taken instead of them. */
void balance_init(struct balance *balance, uint64_t limit_bytes, uint64_t cpu_bytes_per_s,
                  uint32_t threads_n, uint64_t batch_ns);

/* balance_limit_bytes: so much may be queued for the CPU. */
uint64_t balance_limit_bytes(const struct balance *balance);

/* balance_rule: true: the GPU decodes a request of `bytes`, in front of which the CPU has
 * queued_bytes (all of it decoded content). */
bool balance_rule(const struct balance *balance, uint64_t queued_bytes, uint64_t bytes);

/* balance_chose: what balance_rule has said of a request. */
void balance_chose(struct balance *balance, bool gpu);

/* balance_batch: a batch of the GPU's took took_ns. */
void balance_batch(struct balance *balance, uint64_t took_ns);

/* balance_drained: the threads, none of them idle, decoded `bytes` within took_ns. */
void balance_drained(struct balance *balance, uint64_t bytes, uint64_t took_ns);

#endif
