/* What several unit tests share: seeds, iteration counts, an allocator that counts and fails. */
#ifndef UNIT_SUPPORT_H
#define UNIT_SUPPORT_H

#include "engine/host.h"

#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#if defined(DS_TSAN)
#define SLOWNESS 10
#elif defined(__SANITIZE_ADDRESS__)
#define SLOWNESS 4
#else
#define SLOWNESS 1
#endif

#define SECOND_NS ((uint64_t)1000000000)
#define MS_NS ((uint64_t)1000000)
/* How long a test waits for what must come, before it calls it lost. A busy machine, and the
 * validation layer's ten seconds (gpu/vk_util.c), must not use it up. */
#define PATIENCE_NS (120 * SECOND_NS)

/* support_seed is the time, or DS_TEST_SEED; it is printed, so that a failure can be repeated. */
static inline uint64_t support_seed(const char *test)
{
    const char *given = getenv("DS_TEST_SEED");
    struct timespec t;
    uint64_t seed;

    clock_gettime(CLOCK_REALTIME, &t);
    seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)t.tv_sec * SECOND_NS +
                                                          (uint64_t)t.tv_nsec;
    fprintf(stderr, "%s: DS_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return seed != 0 ? seed : 1;
}

/* splitmix64 */
static inline uint64_t support_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* below n; n >= 1 */
static inline uint64_t support_below(uint64_t *state, uint64_t n)
{
    return support_random(state) % n;
}

/* A field of /proc/self/status, which `format` reads as an unsigned long long; 0: there is none. */
static inline uint64_t support_status(const char *format)
{
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long long value = 0;
    char line[256];

    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        sscanf(line, format, &value);
    fclose(file);
    return value;
}

/* What the kernel says that is pinned for io_uring, by anybody in the process. */
static inline uint64_t support_pinned_bytes(void)
{
    return support_status("VmPin: %llu kB") << 10;
}

/* RLIMIT_MEMLOCK holds for this process, which has no CAP_IPC_LOCK (14). */
static inline bool support_memlock_holds(void)
{
    struct rlimit limit;

    return (support_status("CapEff: %llx") & 1u << 14) == 0 &&
           getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/* An allocator that knows what is out, and refuses call number fail_at (1, 2, ...; 0 = none). */
struct counting {
    _Atomic uint64_t calls;
    _Atomic int64_t live_n;
    _Atomic int64_t live_bytes;
    uint64_t fail_at;
};

static inline void *counting_alloc(void *ctx, size_t bytes, size_t align)
{
    struct counting *counting = ctx;
    void *memory = NULL;

    if (atomic_fetch_add(&counting->calls, 1) + 1 == counting->fail_at)
        return NULL;
    if (posix_memalign(&memory, align < sizeof(void *) ? sizeof(void *) : align, bytes) != 0)
        return NULL;
    memset(memory, 0xa5, bytes);
    atomic_fetch_add(&counting->live_n, 1);
    atomic_fetch_add(&counting->live_bytes, (int64_t)bytes);
    return memory;
}

static inline void counting_free(void *ctx, void *memory, size_t bytes)
{
    struct counting *counting = ctx;

    atomic_fetch_sub(&counting->live_n, 1);
    atomic_fetch_sub(&counting->live_bytes, (int64_t)bytes);
    free(memory);
}

static inline struct ds_allocator counting_table(struct counting *counting)
{
    return (struct ds_allocator){counting, counting_alloc, counting_free};
}

static inline void support_host(struct host *host)
{
    host_init(host, NULL, NULL, NULL, DS_LOG_ERROR);
}

#endif
