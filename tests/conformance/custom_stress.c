/* Requests that the application decodes, under everything at once: threads that take and finish in
 * any order, one that cancels at random moments, and queues that are destroyed with requests in
 * them.
 *
 *   custom_stress [N [SEED]]   requests of each topology
 *
 * Properties: each request of a queue that lives completes exactly once; what was taken can be read
 * and written until it is finished; a request that was cancelled before it was taken is not handed
 * out; decoded bytes are right; memory is the caller's alone from the result on; nobody is left
 * waiting. */
#include "support/require.h"
#include "unit/support.h"

#include <ds/ds.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define CAPACITY 128
#define BYTES 512
#define FILE_BYTES (1u << 20)
#define MARK 0xd7
#define IMMUNE ((uint64_t)1 << 63) /* never cancelled */
#define TAKERS 3
#define HELD_MAX 16

/* A request in flight has a place to write to. */
struct place {
    uint8_t memory[BYTES];
    _Atomic uint32_t busy;
    uint64_t tag, offset;
};

struct stress {
    struct ds_engine *engine;
    struct ds_queue *queue;
    struct ds_file *file;
    const uint8_t *content;
    struct place *places;
    uint64_t requests, completed, cancelled, failed;
    uint64_t seed;
    _Atomic uint64_t taken;
    _Atomic uint32_t number; /* of the next taker */
    _Atomic bool stop;
    int stop_fd;
};

static uint8_t decoded(uint8_t byte)
{
    return byte ^ 0x33;
}

static bool fails(uint64_t offset)
{
    return offset % 11 == 0;
}

/* user_data: the place, or past them all for a queue that is thrown away. */
static struct ds_custom_result decode(struct stress *s, const struct ds_custom_request *request)
{
    const uint8_t *from = request->source;
    uint8_t *to = request->destination;
    uint64_t at = request->user_data;

    REQUIRE(request->destination_bytes == BYTES && request->source_bytes == BYTES, "sizes");
    for (uint32_t i = 0; i < BYTES; i++)
        to[i] = decoded(from[i]);
    return (struct ds_custom_result){
        .id = request->id,
        .error = at < CAPACITY && fails(s->places[at].offset) ? -77 : 0,
    };
}

static void *taker_main(void *argument)
{
    struct stress *s = argument;
    uint64_t rng = s->seed + 1000 * (1 + atomic_fetch_add(&s->number, 1));
    struct ds_custom_request held[HELD_MAX];
    struct pollfd fds[2] = {{.fd = ds_custom_eventfd(s->engine), .events = POLLIN},
                            {.fd = s->stop_fd, .events = POLLIN}};
    uint32_t n = 0;

    while (n > 0 || (fds[1].revents & POLLIN) == 0) {
        uint32_t max = (uint32_t)support_below(&rng, HELD_MAX - n + 1);
        int took = ds_custom_take(s->engine, DS_CUSTOM_SELECT_ALL, held + n, max);

        REQUIRE(took >= 0 && (uint32_t)took <= max, "took %d of %u", took, max);
        n += (uint32_t)took;
        atomic_fetch_add(&s->taken, (uint64_t)took);
        if (n == 0 && max > 0)
            poll(fds, 2, -1);
        while (n > 0 && (took == 0 || support_below(&rng, 3) != 0)) {
            uint32_t at = (uint32_t)support_below(&rng, n);
            struct ds_custom_result result = decode(s, &held[at]);

            held[at] = held[--n];
            REQUIRE(ds_custom_finish(s->engine, &result, 1) == 0, "finish");
            REQUIRE(support_below(&rng, 8) != 0 ||
                        ds_custom_finish(s->engine, &result, 1) == -ENOENT, "finished twice");
        }
    }
    return NULL;
}

static void *canceller_main(void *argument)
{
    struct stress *s = argument;
    uint64_t rng = s->seed;

    while (!atomic_load(&s->stop)) {
        ds_queue_cancel(s->queue, IMMUNE | 15, support_below(&rng, 16));
        for (uint64_t i = support_below(&rng, 20); i > 0; i--)
            sched_yield();
    }
    return NULL;
}

static void enqueue(struct stress *s, struct ds_queue *queue, uint64_t at, void *host,
                    uint64_t offset, uint64_t tag)
{
    REQUIRE(ds_queue_enqueue(queue, ds_request(.file = s->file, .offset = offset, .size = BYTES,
                                               .host = host, .user_data = at, .cancel_tag = tag,
                                               .codec = DS_CODEC_CUSTOM_0,
                                               .uncompressed_size = BYTES)) == 0, "enqueue");
}

/* A queue that lives for a moment only. */
static void throw_away(struct stress *s, uint64_t *rng)
{
    static uint8_t memory[16][BYTES];
    struct ds_queue *queue;
    uint64_t n = support_below(rng, 16);

    REQUIRE(ds_queue_create(s->engine, NULL, &queue) == 0, "queue");
    for (uint64_t i = 0; i < n; i++)
        enqueue(s, queue, CAPACITY + i, memory[i], support_below(rng, FILE_BYTES - BYTES), 0);
    ds_queue_submit(queue);
    for (uint64_t i = support_below(rng, 10); i > 0; i--)
        sched_yield();
    ds_queue_destroy(&queue);
    memset(memory, MARK, sizeof(memory)); /* ours again */
}

static void result_take(struct stress *s, const struct ds_result *result)
{
    struct place *place = &s->places[result->user_data];

    REQUIRE(result->user_data < CAPACITY && atomic_load(&place->busy) == 1, "completed twice");
    if (result->status == DS_STATUS_CANCELLED) {
        REQUIRE((place->tag & IMMUNE) == 0, "an immune request was hit");
        s->cancelled++;
    } else if (fails(place->offset)) {
        REQUIRE(result->status == DS_STATUS_DECOMPRESSION && result->error == -77, "%s",
                ds_status_name(result->status));
        s->failed++;
    } else {
        REQUIRE(result->status == DS_STATUS_OK && result->bytes == BYTES, "%s",
                ds_status_name(result->status));
        for (uint32_t i = 0; i < BYTES; i++)
            REQUIRE(place->memory[i] == decoded(s->content[place->offset + i]), "byte %u", i);
    }
    s->completed++;
    memset(place->memory, MARK, BYTES); /* ours again: nobody may write to it */
    atomic_store(&place->busy, 0);
}

static uint64_t places_fill(struct stress *s, uint64_t *rng, uint64_t most)
{
    uint64_t begun = 0;

    for (uint32_t i = 0; i < CAPACITY && begun < most; i++) {
        struct place *place = &s->places[i];

        if (atomic_load(&place->busy) != 0)
            continue;
        for (uint32_t k = 0; k < BYTES; k++)
            REQUIRE(place->memory[k] == MARK, "written to after the completion");
        place->tag = support_below(rng, 3) == 0 ? IMMUNE : support_below(rng, 16);
        place->offset = support_below(rng, FILE_BYTES - BYTES);
        atomic_store(&place->busy, 1);
        enqueue(s, s->queue, i, place->memory, place->offset, place->tag);
        if (begun++ % 16 == 0)
            ds_queue_submit(s->queue);
    }
    ds_queue_submit(s->queue);
    return begun;
}

static void stress_loop(struct stress *s)
{
    uint64_t rng = s->seed + 1, begun = 0;

    while (s->completed < s->requests) {
        struct ds_result results[32];
        uint32_t n;

        begun += places_fill(s, &rng, s->requests - begun);
        /* beside the canceller's, whose thread may sleep while there is something to hit */
        if (support_below(&rng, 3) == 0)
            ds_queue_cancel(s->queue, IMMUNE | 15, support_below(&rng, 16));
        if (support_below(&rng, 50) == 0)
            throw_away(s, &rng);
        n = ds_queue_wait(s->queue, results, 32, 60 * SECOND_NS);
        REQUIRE(n > 0, "%lu requests are lost", (unsigned long)(s->requests - s->completed));
        for (uint32_t i = 0; i < n; i++)
            result_take(s, &results[i]);
    }
}

static void stress_open(struct stress *s, enum ds_topology topology)
{
    int fd = memfd_create("custom", MFD_CLOEXEC);
    uint8_t *content;

    REQUIRE(fd >= 0 && ftruncate(fd, FILE_BYTES) == 0, "memfd");
    content = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REQUIRE(content != MAP_FAILED, "mmap");
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        content[i] = (uint8_t)(i * 7 + (i >> 9));
    s->content = content;
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    s->places = calloc(CAPACITY, sizeof(*s->places));
    for (uint32_t i = 0; i < CAPACITY; i++)
        memset(s->places[i].memory, MARK, BYTES);
    REQUIRE(ds_engine_create(ds_engine_config(.topology = topology, .arena_bytes = 2 << 20,
                                              .custom_codecs = 1, .chunks_max = 64),
                             &s->engine) == 0, "engine");
    REQUIRE(ds_file_adopt(s->engine, fd, ds_file_config(.flags = DS_FILE_OWN_FD), &s->file) == 0,
            "file");
    REQUIRE(ds_queue_create(s->engine, ds_queue_config(.capacity = CAPACITY), &s->queue) == 0,
            "queue");
}

static void stress_close(struct stress *s)
{
    ds_queue_destroy(&s->queue);
    ds_file_close(&s->file);
    ds_engine_destroy(&s->engine);
    munmap((void *)(uintptr_t)s->content, FILE_BYTES);
    close(s->stop_fd);
    free(s->places);
}

static void stress_run(enum ds_topology topology, const char *name, uint64_t requests,
                       uint64_t seed)
{
    struct stress s = {.requests = requests, .seed = seed};
    struct ds_queue_info info = {.struct_size = sizeof(info)};
    pthread_t takers[TAKERS], canceller;
    uint64_t one = 1;

    stress_open(&s, topology);
    for (uint32_t i = 0; i < TAKERS; i++)
        pthread_create(&takers[i], NULL, taker_main, &s);
    pthread_create(&canceller, NULL, canceller_main, &s);
    stress_loop(&s);
    atomic_store(&s.stop, true);
    pthread_join(canceller, NULL);
    REQUIRE(write(s.stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one), "stop");
    for (uint32_t i = 0; i < TAKERS; i++)
        pthread_join(takers[i], NULL);
    REQUIRE(ds_queue_get_info(s.queue, &info) == 0 && info.free_slots == CAPACITY, "%u free",
            info.free_slots);
    printf("%s: %lu requests, %lu cancelled, %lu failed, %lu taken\n", name,
           (unsigned long)s.completed, (unsigned long)s.cancelled, (unsigned long)s.failed,
           (unsigned long)atomic_load(&s.taken));
    stress_close(&s);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000 / (SLOWNESS * SLOWNESS);
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : support_seed("custom_stress");

    stress_run(DS_TOPOLOGY_SHARED, "shared", n, seed);
    stress_run(DS_TOPOLOGY_DEDICATED, "dedicated", n / 4, seed);
    stress_run(DS_TOPOLOGY_MANUAL, "manual", n / 4, seed);
    return 0;
}
