/* Does ThreadSanitizer see the ring's fences? Built three times: as it is (must be clean), without
 * the load fences and without the store fences (must each be reported as a data race). */
#include <ck_pr.h>

#if defined(FENCE_CHECK_NO_LOAD)
#undef ck_pr_fence_load
#define ck_pr_fence_load() ((void)0)
#elif defined(FENCE_CHECK_NO_STORE)
#undef ck_pr_fence_store
#define ck_pr_fence_store() ((void)0)
#endif

#include "engine/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define ITEMS 2000
#define BATCH 8

static struct ring ring;
static uint64_t items[ITEMS];

static void *produce(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < ITEMS; i++) {
        items[i] = i;
        while (!ring_push_sp(&ring, &items[i]))
            sched_yield();
    }
    return NULL;
}

int main(void)
{
    struct host host;
    pthread_t producer;
    uint64_t sum = 0;
    uint32_t seen = 0;

    host_init(&host, NULL, NULL, NULL, DS_LOG_ERROR);
    if (ring_open(&ring, &host, 64) != 0 || pthread_create(&producer, NULL, produce, NULL) != 0)
        return 2;
    while (seen < ITEMS) {
        void *batch[BATCH];
        uint32_t n = ring_pop_n_sc(&ring, batch, BATCH);

        for (uint32_t i = 0; i < n; i++)
            sum += *(const uint64_t *)batch[i];
        seen += n;
        if (n == 0)
            sched_yield();
    }
    pthread_join(producer, NULL);
    ring_close(&ring, &host);
    printf("sum %s\n", sum == (uint64_t)ITEMS * (ITEMS - 1) / 2 ? "right" : "wrong");
    return 0;
}
