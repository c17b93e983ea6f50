/* Random requests from many threads against a model in memory.
 *
 *   requests_model mixed N [SEED]   sizes log-uniform in 1 B..4 MiB, any offset; half of them to
 *                                   host memory, half to a GPU buffer where there is Vulkan; some
 *                                   writes
 *   requests_model small N [SEED]   1 B..4 KiB to host memory, through the page cache
 *
 * Properties: every byte of each destination is right and the bytes around it are untouched; every
 * accepted request completes exactly once; memory stays flat from the first request on: 16 MiB at
 * most beyond what was configured, at any moment. */
#include "gpu/vk_util.h"
#include "support/require.h"

#include <ds/ds.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_BYTES ((uint64_t)64 << 20)
#define PRODUCERS 4
#define GUARD_BYTES 64
#define GUARD 0xa5
#define RSS_SLACK_KIB (16 * 1024)
#define PATH_BYTES 256

enum slot_state { SLOT_IDLE, SLOT_FLIGHT, SLOT_DONE };

/* One request at a time, with memory of its own. */
struct slot {
    _Atomic int state;
    bool gpu, write;
    uint64_t offset, size;
    uint8_t *host;        /* guard, slot_bytes, guard */
    uint64_t gpu_offset;  /* of the same in the GPU buffer */
    struct ds_result result;
};

struct model {
    struct ds_engine *engine;
    struct ds_queue *queue;
    struct ds_file *file, *out;
    uint8_t *content;     /* of the file, and what writes take their bytes from */
    int out_fd;
    struct vk_util *vk;
    struct vk_util_buffer gpu;
    struct slot *slots;
    uint32_t slots_n;     /* of each producer */
    uint64_t slot_bytes;  /* largest request */
    uint64_t requests;    /* of each producer */
    bool small;
    uint64_t seed;
    _Atomic uint64_t completed, bytes;
    long configured_kib; /* once all is made, before the first request */
};

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A line of /proc/self/status, in KiB. */
static long memory_kib(const char *key)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    REQUIRE(file != NULL, "status");
    while (kib < 0 && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtol(line + strlen(key), NULL, 10);
    }
    fclose(file);
    REQUIRE(kib >= 0, "%s", key);
    return kib;
}

/* From here on the peak is that of the requests, where the kernel can begin a new one. */
static void memory_mark(struct model *m)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");

    if (file != NULL) {
        fputs("5", file);
        fclose(file);
    }
    m->configured_kib = memory_kib("VmHWM:");
}

static void memory_check(const struct model *m)
{
    long peak_kib = memory_kib("VmHWM:");

    printf("%lu requests, %.1f GB, memory %ld KiB, at most %+ld\n", atomic_load(&m->completed),
           (double)atomic_load(&m->bytes) * 1e-9, m->configured_kib,
           peak_kib - m->configured_kib);
#if !defined(__SANITIZE_ADDRESS__) && !DS_TSAN
    REQUIRE(peak_kib <= m->configured_kib + RSS_SLACK_KIB, "memory grew");
#endif
}

static uint64_t slot_stride(const struct model *m)
{
    return m->slot_bytes + 2 * GUARD_BYTES;
}

/* What a read of this slot leaves, in host memory. */
static uint8_t *slot_memory(const struct model *m, const struct slot *slot)
{
    return slot->gpu ? m->gpu.mapped + slot->gpu_offset : slot->host;
}

static void slot_choose(struct model *m, struct slot *slot, uint64_t *rng)
{
    double octaves = m->small ? 12 : 22;
    double size = exp2((double)(random_next(rng) >> 11) * 0x1p-53 * octaves);

    slot->size = (uint64_t)size;
    slot->offset = random_next(rng) % (FILE_BYTES - slot->size + 1);
    slot->gpu = m->vk != NULL && (random_next(rng) & 1) != 0;
    slot->write = !m->small && random_next(rng) % 8 == 0;
    memset(slot_memory(m, slot), GUARD, GUARD_BYTES);
    memset(slot_memory(m, slot) + GUARD_BYTES + slot->size, GUARD, GUARD_BYTES);
    if (slot->write)
        memcpy(slot_memory(m, slot) + GUARD_BYTES, m->content + slot->offset, slot->size);
    else
        memset(slot_memory(m, slot) + GUARD_BYTES, ~GUARD, slot->size < 64 ? slot->size : 64);
}

static int slot_enqueue(struct model *m, struct slot *slot)
{
    struct ds_request request = {
        .struct_size = sizeof(request),
        .op = slot->write ? DS_OP_WRITE : DS_OP_READ,
        .file = slot->write ? m->out : m->file,
        /* Writes of different slots must not meet. */
        .offset = slot->write ? (uint64_t)(slot - m->slots) * m->slot_bytes : slot->offset,
        .size = slot->size,
        .host = slot->gpu ? NULL : slot->host + GUARD_BYTES,
        .gpu_buffer = slot->gpu ? ds_vulkan_buffer(m->gpu.buffer) : 0,
        .gpu_offset = slot->gpu ? slot->gpu_offset + GUARD_BYTES : 0,
        .gpu_buffer_bytes = slot->gpu ? m->gpu.bytes : 0,
        .gpu_mapped = slot->gpu && slot->offset % 2 != 0 ? m->gpu.mapped : NULL,
        .user_data = (uint64_t)(slot - m->slots),
    };

    return ds_queue_enqueue(m->queue, &request);
}

static void slot_verify_write(struct model *m, struct slot *slot)
{
    uint64_t at = (uint64_t)(slot - m->slots) * m->slot_bytes;
    uint8_t *back = slot->host + GUARD_BYTES;

    if (!slot->gpu) { /* the source must not be touched */
        REQUIRE(memcmp(back, m->content + slot->offset, slot->size) == 0, "source changed");
        memset(back, 0, slot->size);
    }
    for (uint64_t done = 0; done < slot->size;) {
        ssize_t n = pread(m->out_fd, back + done, slot->size - done, (off_t)(at + done));

        REQUIRE(n > 0, "pread %zd errno %d", n, errno);
        done += (uint64_t)n;
    }
    REQUIRE(memcmp(back, m->content + slot->offset, slot->size) == 0,
            "write of %lu bytes: the file differs", slot->size);
}

static void slot_verify(struct model *m, struct slot *slot)
{
    const uint8_t *memory = slot_memory(m, slot);

    REQUIRE(slot->result.status == DS_STATUS_OK, "%s error %d vk %d", //
            ds_status_name(slot->result.status), slot->result.error, slot->result.vk_result);
    REQUIRE(slot->result.bytes == slot->size, "%lu of %lu bytes", slot->result.bytes, slot->size);
    for (uint32_t i = 0; i < GUARD_BYTES; i++) {
        REQUIRE(memory[i] == GUARD, "guard before, byte %u", i);
        REQUIRE(memory[GUARD_BYTES + slot->size + i] == GUARD, "guard after, byte %u", i);
    }
    if (slot->write)
        slot_verify_write(m, slot);
    else
        REQUIRE(memcmp(memory + GUARD_BYTES, m->content + slot->offset, slot->size) == 0,
                "read of %lu at %lu, %s: bytes differ", slot->size, slot->offset,
                slot->gpu ? "gpu" : "host");
}

/* Any producer may poll any producer's results: hand each to its slot. */
static void results_take(struct model *m, bool wait)
{
    struct ds_result results[16];
    uint32_t n = wait ? ds_queue_wait(m->queue, results, 16, 2000000)
                      : ds_queue_poll(m->queue, results, 16);

    for (uint32_t i = 0; i < n; i++) {
        struct slot *slot = &m->slots[results[i].user_data];
        int flight = SLOT_FLIGHT;

        REQUIRE(results[i].user_data < m->slots_n * PRODUCERS, "user_data");
        slot->result = results[i];
        REQUIRE(atomic_compare_exchange_strong(&slot->state, &flight, SLOT_DONE),
                "request %lu completed in state %d", results[i].user_data, flight);
        atomic_fetch_add(&m->completed, 1);
        atomic_fetch_add(&m->bytes, results[i].bytes);
    }
}

static void *producer_main(void *argument)
{
    static _Atomic uint32_t next_id;
    struct model *m = argument;
    uint32_t id = atomic_fetch_add(&next_id, 1) % PRODUCERS;
    struct slot *slots = m->slots + id * m->slots_n;
    uint64_t rng = m->seed + id, begun = 0, ended = 0;

    while (ended < m->requests) {
        uint64_t before = ended;

        for (uint32_t i = 0; i < m->slots_n; i++) {
            int state = atomic_load(&slots[i].state);

            if (state == SLOT_DONE) {
                slot_verify(m, &slots[i]);
                atomic_store(&slots[i].state, SLOT_IDLE);
                state = SLOT_IDLE;
                ended++;
            }
            if (state == SLOT_IDLE && begun < m->requests) {
                slot_choose(m, &slots[i], &rng);
                atomic_store(&slots[i].state, SLOT_FLIGHT);
                REQUIRE(slot_enqueue(m, &slots[i]) == 0, "enqueue");
                begun++;
            }
        }
        ds_queue_submit(m->queue);
        results_take(m, ended == before);
    }
    return NULL;
}

static int temporary_file(char *path, uint64_t bytes, const uint8_t *content)
{
    int fd;

    snprintf(path, PATH_BYTES, "%s/ds-model-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/var/tmp");
    fd = mkstemp(path);
    REQUIRE(fd >= 0, "%s", path);
    for (uint64_t done = 0; content != NULL && done < bytes;) {
        ssize_t n = write(fd, content + done, bytes - done);

        REQUIRE(n > 0, "write");
        done += (uint64_t)n;
    }
    REQUIRE(ftruncate(fd, (off_t)bytes) == 0, "ftruncate");
    return fd;
}

static void model_files(struct model *m)
{
    uint64_t rng = m->seed;
    char path[PATH_BYTES];
    int fd;

    m->content = malloc(FILE_BYTES);
    for (uint64_t i = 0; i < FILE_BYTES / 8; i++)
        ((uint64_t *)m->content)[i] = random_next(&rng);
    fd = temporary_file(path, FILE_BYTES, m->content);
    close(fd);
    REQUIRE(ds_file_open(m->engine, path,
                         ds_file_config(.direct = m->small ? DS_DIRECT_OFF : DS_DIRECT_AUTO),
                         &m->file) == 0, "open");
    unlink(path);
    m->out_fd = temporary_file(path, m->slot_bytes * m->slots_n * PRODUCERS, NULL);
    REQUIRE(ds_file_open(m->engine, path, ds_file_config(.flags = DS_FILE_WRITE), &m->out) == 0,
            "open for writing");
    unlink(path);
}

static void model_slots(struct model *m)
{
    uint32_t n = m->slots_n * PRODUCERS;

    m->slots = calloc(n, sizeof(*m->slots));
    for (uint32_t i = 0; i < n; i++) {
        m->slots[i].host = malloc(slot_stride(m));
        /* resident from the start, like the GPU buffer */
        memset(m->slots[i].host, 1, slot_stride(m));
        m->slots[i].gpu_offset = i * slot_stride(m);
    }
    if (m->vk == NULL)
        return;
    vk_util_buffer(m->vk, n * slot_stride(m), 0, true, &m->gpu);
    memset(m->gpu.mapped, 0, m->gpu.bytes);
}

/* Vulkan with a small arena, so that requests queue up for staging. */
static struct ds_vulkan_backend *model_engine(struct model *m)
{
    struct ds_vulkan_backend *backend = NULL;

    if (!m->small && ds_vulkan_backend_create(NULL, &backend) != 0)
        printf("skipped: GPU destinations: no Vulkan device\n");
    if (backend != NULL)
        m->vk = vk_util_adopt(backend);
    REQUIRE(ds_engine_create(ds_engine_config(.arena_bytes = 8 << 20, .vulkan = backend),
                             &m->engine) == 0, "engine");
    return backend;
}

static void model_close(struct model *m, struct ds_vulkan_backend *backend)
{
    struct ds_counters *c = calloc(1, sizeof(*c));

    c->struct_size = sizeof(*c);
    ds_engine_get_counters(m->engine, c);
    ds_queue_destroy(&m->queue);
    ds_file_close(&m->file);
    ds_file_close(&m->out);
    REQUIRE(c->requests_completed == m->requests * PRODUCERS, "%lu", c->requests_completed);
    REQUIRE(c->requests_failed == 0, "%lu failed", c->requests_failed);
    REQUIRE(c->arena_high_water_bytes <= 8 << 20, "%lu", c->arena_high_water_bytes);
    free(c);
    if (m->vk != NULL) {
        ds_engine_destroy(&m->engine);
        vk_util_buffer_free(m->vk, &m->gpu);
        vk_util_close(&m->vk);
    }
    ds_engine_destroy(&m->engine);
    ds_vulkan_backend_destroy(&backend);
    for (uint32_t i = 0; i < m->slots_n * PRODUCERS; i++)
        free(m->slots[i].host);
    free(m->slots);
    free(m->content);
    close(m->out_fd);
}

static void model_run(struct model *m)
{
    struct ds_vulkan_backend *backend = model_engine(m);
    pthread_t producers[PRODUCERS];

    REQUIRE(ds_queue_create(m->engine, ds_queue_config(.capacity = m->slots_n * PRODUCERS),
                            &m->queue) == 0, "queue");
    model_slots(m);
    model_files(m);
    memory_mark(m);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_create(&producers[i], NULL, producer_main, m);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i], NULL);
    REQUIRE(atomic_load(&m->completed) == m->requests * PRODUCERS, "lost completions");
    memory_check(m);
    model_close(m, backend);
}

int main(int argc, char **argv)
{
    struct model m = {.slots_n = 8, .slot_bytes = 4 << 20};
    uint64_t total = argc > 2 ? strtoull(argv[2], NULL, 0) : 10000;

    m.small = argc > 1 && strcmp(argv[1], "small") == 0;
    m.seed = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)getpid() * 0x9e3779b9u;
    m.requests = (total + PRODUCERS - 1) / PRODUCERS;
    if (m.small) {
        m.slots_n = 256;
        m.slot_bytes = 4096;
    }
    if (getenv("DS_TEST_VALIDATION") != NULL)
        vk_util_validate();
    printf("requests_model %s %lu %lu\n", m.small ? "small" : "mixed", total, m.seed);
    model_run(&m);
    if (getenv("DS_TEST_VALIDATION") != NULL)
        REQUIRE(vk_util_messages() == 0, "validation messages");
    return 0;
}
