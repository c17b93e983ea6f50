/* The rule, of figures alone, and how they follow. */
#include "engine/balance.h"

/* A new figure counts by one part in so many. */
#define BATCH_SHARE 8
#define RATE_SHARE  16

#define RATE_MIN 1000000u       /* bytes a second */
#define RATE_MAX 1000000000000u

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return min_u64(max_u64(value, least), most);
}

void balance_init(struct balance *balance, uint64_t limit_bytes, uint64_t cpu_bytes_per_s,
                  uint32_t threads_n, uint64_t batch_ns)
{
    uint64_t rate = cpu_bytes_per_s != 0 ? cpu_bytes_per_s
                                         : (uint64_t)BALANCE_THREAD_BYTES_PER_S * threads_n;
    uint64_t ns = batch_ns != 0 ? batch_ns : BALANCE_BATCH_NS;

    *balance = (struct balance){
        .limit_bytes = limit_bytes,
        .cpu_bytes_per_s = clamp(rate, RATE_MIN, RATE_MAX),
        .batch_ns = min_u64(ns, BALANCE_BATCH_MAX_NS),
    };
    balance->start_ns = balance->batch_ns;
}

/* In thousands and thousandths, so that nothing overflows. */
uint64_t balance_limit_bytes(const struct balance *balance)
{
    uint64_t wait_us = balance->batch_ns * 3 / 2 / 1000;

    if (balance->limit_bytes != 0)
        return balance->limit_bytes;
    return balance->cpu_bytes_per_s / 1000 * wait_us / 1000;
}

bool balance_rule(const struct balance *balance, uint64_t queued_bytes, uint64_t bytes)
{
    return queued_bytes + bytes > balance_limit_bytes(balance);
}

void balance_chose(struct balance *balance, bool gpu)
{
    if (gpu || balance->batch_ns <= balance->start_ns || ++balance->cpu_n < BALANCE_STALE_N)
        return;
    balance->cpu_n = 0;
    balance->batch_ns -= (balance->batch_ns - balance->start_ns + 1) / 2;
}

void balance_batch(struct balance *balance, uint64_t took_ns)
{
    took_ns = min_u64(took_ns, BALANCE_BATCH_MAX_NS);
    balance->batch_ns = (balance->batch_ns * (BATCH_SHARE - 1) + took_ns) / BATCH_SHARE;
    balance->cpu_n = 0;
}

/* What was skipped, as cancelled requests are, or waited for the one that was held up, must not
 * count for much. */
void balance_drained(struct balance *balance, uint64_t bytes, uint64_t took_ns)
{
    uint64_t rate = balance->cpu_bytes_per_s;
    double found = (double)bytes * 1e9 / (double)max_u64(took_ns, 1);
    uint64_t sample = found < (double)RATE_MAX ? (uint64_t)found : RATE_MAX;

    sample = clamp(sample, rate / 2, rate * 2);
    balance->cpu_bytes_per_s =
        clamp((rate * (RATE_SHARE - 1) + sample) / RATE_SHARE, RATE_MIN, RATE_MAX);
}
