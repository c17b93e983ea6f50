/* Cancellations at random moments, from a thread of their own, while producers enqueue and pollers
 * poll.
 *
 *   cancel_stress [N [SEED]]   N requests through SHARED, a quarter as many through each
 *                              other topology; more than a third of them are cancelled
 *
 * Properties: every accepted request completes exactly once; one enqueued after a cancel is not hit
 * by it; memory is the caller's alone from the result on; the queue is empty at the end. */
#include "engine/base.h"
#include "support/require.h"
#include "unit/support.h"

#include <ds/ds.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#define CAPACITY 256
#define BYTES 64
#define FILE_BYTES (1u << 20)
#define MARK 0xd7
#define IMMUNE ((uint64_t)1 << 63) /* never cancelled */

/* A request in flight has a place to write to. */
struct place {
    uint8_t memory[BYTES];
    _Atomic uint32_t busy;
    uint64_t tag;
};

struct stress {
    struct ds_engine *engine;
    struct ds_queue *queue;
    struct ds_file *file;
    struct place *places;
    uint64_t requests;
    uint64_t seed;
    _Atomic uint64_t cancels, marked;
    uint64_t cancelled, completed;
    _Atomic bool stop;
};

/* Cancels one of 16 tags, or all but the immune, without pause. */
static void *canceller_main(void *argument)
{
    struct stress *s = argument;
    uint64_t rng = s->seed;

    while (!atomic_load(&s->stop)) {
        uint64_t r = support_random(&rng);
        uint32_t n = r % 64 == 0 ? ds_queue_cancel(s->queue, IMMUNE, 0)
                                 : ds_queue_cancel(s->queue, IMMUNE | 15, r >> 8 & 15);

        atomic_fetch_add(&s->cancels, 1);
        atomic_fetch_add(&s->marked, n);
        if (r >> 32 & 1)
            sched_yield();
    }
    return NULL;
}

static void result_take(struct stress *s, const struct ds_result *result)
{
    struct place *place = &s->places[result->user_data];

    REQUIRE(result->user_data < CAPACITY, "user_data");
    REQUIRE(atomic_load(&place->busy) == 1, "request %lu completed twice",
            (unsigned long)result->user_data);
    REQUIRE(result->status == DS_STATUS_OK || result->status == DS_STATUS_CANCELLED, "%s",
            ds_status_name(result->status));
    if (result->status == DS_STATUS_CANCELLED) {
        REQUIRE((place->tag & IMMUNE) == 0, "an immune request was hit");
        s->cancelled++;
    } else {
        REQUIRE(result->bytes == BYTES, "%lu bytes", (unsigned long)result->bytes);
    }
    s->completed++;
    memset(place->memory, MARK, BYTES); /* ours again: nobody may write to it */
    atomic_store(&place->busy, 0);
}

static void place_reuse(struct place *place)
{
    for (uint32_t i = 0; i < BYTES; i++)
        REQUIRE(place->memory[i] == MARK, "written to after the completion");
}

/* On a busy machine the other thread seldom finds a request that lives for microseconds. So the
 * producer cancels, too: what it has not submitted yet, or what is on its way by now. */
static void submit_and_cancel(struct stress *s, uint64_t *rng)
{
    uint64_t r = support_random(rng);

    if (r % 8 < 4)
        atomic_fetch_add(&s->marked, ds_queue_cancel(s->queue, IMMUNE, 0));
    ds_queue_submit(s->queue);
    if (r % 8 == 7) {
        for (uint32_t i = 0; i < (r >> 32 & 63); i++)
            cpu_relax();
        atomic_fetch_add(&s->marked, ds_queue_cancel(s->queue, IMMUNE, 0));
    }
}

static void stress_loop(struct stress *s)
{
    uint64_t rng = s->seed + 1, begun = 0;

    while (s->completed < s->requests) {
        struct ds_result results[32];
        uint32_t n;

        for (uint32_t i = 0; i < CAPACITY && begun < s->requests; i++) {
            struct place *place = &s->places[i];
            struct ds_request request = {.struct_size = sizeof(request), .file = s->file,
                                         .size = BYTES, .host = place->memory, .user_data = i};

            if (atomic_load(&place->busy) != 0)
                continue;
            place_reuse(place);
            place->tag = support_random(&rng) % 4 == 0 ? IMMUNE : support_random(&rng) & 15;
            request.cancel_tag = place->tag;
            request.offset = support_below(&rng, FILE_BYTES - BYTES);
            atomic_store(&place->busy, 1);
            REQUIRE(ds_queue_enqueue(s->queue, &request) == 0, "enqueue");
            if (begun++ % 16 == 0)
                submit_and_cancel(s, &rng);
        }
        submit_and_cancel(s, &rng);
        n = ds_queue_wait(s->queue, results, 32, PATIENCE_NS);
        REQUIRE(n > 0, "%lu requests are lost", (unsigned long)(s->requests - s->completed));
        for (uint32_t i = 0; i < n; i++)
            result_take(s, &results[i]);
    }
}

static void stress_run(enum ds_topology topology, const char *name, uint64_t requests,
                       uint64_t seed)
{
    struct stress s = {.requests = requests, .seed = seed};
    struct ds_queue_info info = {.struct_size = sizeof(info)};
    int fd = memfd_create("cancel", MFD_CLOEXEC);
    pthread_t canceller;

    REQUIRE(fd >= 0 && ftruncate(fd, FILE_BYTES) == 0, "memfd");
    s.places = calloc(CAPACITY, sizeof(*s.places));
    for (uint32_t i = 0; i < CAPACITY; i++)
        memset(s.places[i].memory, MARK, BYTES);
    REQUIRE(ds_engine_create(ds_engine_config(.topology = topology, .arena_bytes = 2 << 20),
                             &s.engine) == 0, "engine");
    REQUIRE(ds_file_adopt(s.engine, fd, NULL, &s.file) == 0, "file");
    REQUIRE(ds_queue_create(s.engine, ds_queue_config(.capacity = CAPACITY), &s.queue) == 0,
            "queue");
    pthread_create(&canceller, NULL, canceller_main, &s);
    stress_loop(&s);
    atomic_store(&s.stop, true);
    pthread_join(canceller, NULL);
    REQUIRE(ds_queue_get_info(s.queue, &info) == 0 && info.free_slots == CAPACITY, "%u free",
            info.free_slots);
    REQUIRE(s.cancelled <= atomic_load(&s.marked), "more cancelled than marked");
    /* three of four may be, and half of these are before they are submitted */
    REQUIRE(s.cancelled >= s.requests / 8, "only %lu of them were cancelled",
            (unsigned long)s.cancelled);
    printf("%s: %lu requests, %lu calls marked %lu, %lu cancelled\n", name,
           (unsigned long)s.completed, (unsigned long)atomic_load(&s.cancels),
           (unsigned long)atomic_load(&s.marked), (unsigned long)s.cancelled);
    ds_queue_destroy(&s.queue);
    ds_file_close(&s.file);
    ds_engine_destroy(&s.engine);
    close(fd);
    free(s.places);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 0) : 1200000 / (SLOWNESS * SLOWNESS);
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : support_seed("cancel_stress");

    stress_run(DS_TOPOLOGY_SHARED, "shared", n, seed);
    stress_run(DS_TOPOLOGY_DEDICATED, "dedicated", n / 4, seed);
    stress_run(DS_TOPOLOGY_HYBRID, "hybrid", n / 4, seed);
    stress_run(DS_TOPOLOGY_MANUAL, "manual", n / 4, seed);
    return 0;
}
