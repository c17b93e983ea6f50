/* Once requests flow no thread allocates: malloc and its kin are replaced by ones that count, in
 * the library, the C library and liburing alike.
 *
 *   no_allocation [N]   requests through each topology without a disk (0 = 250000); a twentieth as
 *                       many through each read back end, to host memory, aligned and not, through
 *                       the page cache and past it, packed and not, with notifications between */
#define REQUIRE_FIRST() atomic_store(&armed, false) /* speaking allocates */
#include "support/require.h"

#include <ds/ds.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 64u
#define BYTES 12288u
#define FILE_BYTES (1u << 20)
#define PLAIN_BYTES (100u << 10)
#define WAIT_NS 120000000000u

/* Counting ------------------------------------------------------------------------------------- */

static atomic_bool armed;
static _Atomic uint64_t allocations;

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t align, size_t bytes);

static void count(void)
{
    if (atomic_load_explicit(&armed, memory_order_relaxed))
        atomic_fetch_add(&allocations, 1);
}

void *malloc(size_t bytes)
{
    count();
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    count();
    return __libc_calloc(n, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    count();
    return __libc_realloc(memory, bytes);
}

void *memalign(size_t align, size_t bytes)
{
    count();
    return __libc_memalign(align, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return memalign(align, bytes);
}

int posix_memalign(void **memory, size_t align, size_t bytes)
{
    *memory = memalign(align, bytes);
    return *memory != NULL ? 0 : ENOMEM;
}

/* Requests ------------------------------------------------------------------------------------- */

struct flow {
    struct ds_engine *engine;
    struct ds_queue *queue;
    struct ds_file *buffered, *direct;
    struct ds_status_array *array;
    uint8_t *memory;  /* DEPTH * 2 * BYTES, aligned */
    uint8_t *content; /* of the file */
    uint8_t *plain, *packed;
    size_t packed_bytes;
    uint64_t n;
};

/* What the file holds: FILE_BYTES of anything. The packed bytes come from memory. */
static int make_file(struct flow *flow, char *path)
{
    int fd = mkstemp(path);

    REQUIRE(fd >= 0, "%s", path);
    flow->content = malloc(FILE_BYTES);
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        flow->content[i] = (uint8_t)(i * 31 + (i >> 9));
    REQUIRE(write(fd, flow->content, FILE_BYTES) == FILE_BYTES, "write");
    return fd;
}

static void make_packed(struct flow *flow)
{
    struct ds_codec *codec = NULL;
    size_t bound;

    flow->plain = malloc(PLAIN_BYTES);
    for (uint32_t i = 0; i < PLAIN_BYTES; i++)
        flow->plain[i] = (uint8_t)(i % 251 ^ i >> 13);
    REQUIRE(ds_codec_create(DS_CODEC_GDEFLATE, NULL, &codec) == 0, "codec");
    bound = ds_codec_compress_bound(codec, PLAIN_BYTES);
    flow->packed = malloc(bound);
    REQUIRE(ds_codec_compress(codec, 1, flow->plain, PLAIN_BYTES, flow->packed, bound,
                              &flow->packed_bytes) == 0, "compress");
    ds_codec_destroy(&codec);
}

static struct ds_request choose(const struct flow *flow, uint64_t i)
{
    uint8_t *memory = flow->memory + i % DEPTH * 2 * BYTES;
    uint64_t odd = i % 3 == 0 ? i % 4096 : 0;
    struct ds_request request = {.struct_size = sizeof(request),
                                 .file = i % 2 == 0 ? flow->buffered : flow->direct,
                                 .offset = i % 32 * 4096 + odd,
                                 .size = BYTES - odd,
                                 .host = memory + (i % 5 == 0 ? 1 : 0),
                                 .user_data = i,
                                 .fd = -1};

    return request;
}

static struct ds_request choose_packed(const struct flow *flow, uint8_t *host)
{
    return (struct ds_request){.struct_size = sizeof(struct ds_request),
                               .source = flow->packed,
                               .size = flow->packed_bytes,
                               .codec = DS_CODEC_GDEFLATE,
                               .uncompressed_size = PLAIN_BYTES,
                               .host = host,
                               .user_data = UINT64_MAX,
                               .fd = -1};
}

static void take(struct flow *flow, uint32_t n, bool check)
{
    struct ds_result results[DEPTH];

    while (n > 0) {
        uint32_t got = ds_queue_wait(flow->queue, results, DEPTH, WAIT_NS);

        REQUIRE(got > 0 && got <= n, "%u of %u", got, n);
        for (uint32_t i = 0; i < got; i++) {
            struct ds_request asked;

            REQUIRE(results[i].status == DS_STATUS_OK, "%s", ds_status_name(results[i].status));
            if (!check || results[i].user_data == UINT64_MAX)
                continue;
            asked = choose(flow, results[i].user_data);
            REQUIRE(memcmp(asked.host, flow->content + asked.offset, asked.size) == 0,
                    "bytes of request %lu", (unsigned long)results[i].user_data);
        }
        n -= got;
    }
}

static void rounds(struct flow *flow, uint64_t n, bool disk, uint8_t *unpacked)
{
    for (uint64_t done = 0; done < n; done += DEPTH) {
        uint32_t more = 0;

        for (uint32_t i = 0; i < DEPTH; i++) {
            struct ds_request request = choose(flow, done + i);

            REQUIRE(ds_queue_enqueue(flow->queue, &request) == 0, "enqueue");
        }
        if (disk) {
            struct ds_request request = choose_packed(flow, unpacked);

            REQUIRE(ds_queue_enqueue(flow->queue, &request) == 0, "enqueue");
            more = 1;
        }
        REQUIRE(ds_queue_enqueue_status(flow->queue, flow->array, 0) == 0, "status");
        ds_queue_submit(flow->queue);
        take(flow, DEPTH + more, disk);
        while (ds_status_array_get(flow->array, 0, NULL) == DS_STATUS_PENDING)
            ds_engine_step(flow->engine); /* -EINVAL but for MANUAL */
    }
}

static void run(struct flow *flow, const struct ds_engine_config *config, const char *path,
                uint64_t n, const char *name)
{
    bool disk = config->read_backend != DS_READ_NIL;
    uint8_t *unpacked = malloc(PLAIN_BYTES);

    REQUIRE(ds_engine_create(config, &flow->engine) == 0, "engine");
    REQUIRE(ds_file_open(flow->engine, path, ds_file_config(.direct = DS_DIRECT_OFF),
                         &flow->buffered) == 0, "file");
    REQUIRE(ds_file_open(flow->engine, path, NULL, &flow->direct) == 0, "file");
    REQUIRE(ds_queue_create(flow->engine, ds_queue_config(.capacity = 4 * DEPTH),
                            &flow->queue) == 0, "queue");
    REQUIRE(ds_status_array_create(flow->engine, 1, &flow->array) == 0, "array");
    rounds(flow, DEPTH, disk, unpacked); /* the first use of a thread's own things */
    atomic_store(&allocations, 0);
    atomic_store(&armed, true);
    rounds(flow, n, disk, unpacked);
    atomic_store(&armed, false);
    printf("%s: %lu requests, %lu allocations\n", name, (unsigned long)n,
           (unsigned long)atomic_load(&allocations));
    REQUIRE(atomic_load(&allocations) == 0, "%s", name);
    REQUIRE(!disk || memcmp(unpacked, flow->plain, PLAIN_BYTES) == 0, "decoded bytes");
    ds_status_array_destroy(&flow->array);
    ds_queue_destroy(&flow->queue);
    ds_file_close(&flow->buffered);
    ds_file_close(&flow->direct);
    ds_engine_destroy(&flow->engine);
    free(unpacked);
}

static void run_all(struct flow *flow, const char *path, uint64_t n)
{
    static const char *const topologies[] = {"", "dedicated", "shared", "manual", "hybrid"};

    for (int topology = DS_TOPOLOGY_DEDICATED; topology <= DS_TOPOLOGY_HYBRID; topology++) {
        struct ds_engine_config config = {.struct_size = sizeof(config),
                                          .arena_bytes = 4 << 20,
                                          .chunk_bytes = 16 << 10,
                                          .topology = (enum ds_topology)topology,
                                          .decode_threads = 2};

        printf("%s\n", topologies[topology]);
        config.read_backend = DS_READ_AUTO;
        run(flow, &config, path, n / 20, "  auto");
        config.read_backend = DS_READ_PREAD;
        run(flow, &config, path, n / 20, "  pread");
        config.read_backend = DS_READ_NIL;
        config.copy_backend = DS_COPY_NIL;
        run(flow, &config, path, n, "  nil");
    }
}

int main(int argc, char **argv)
{
    char path[] = "/var/tmp/ds-quiet-XXXXXX";
    struct flow flow = {.n = argc > 1 ? strtoull(argv[1], NULL, 0) : 0};
    void *volatile probe; /* a compiler may leave out a malloc that nobody looks at */
    int fd;

    atomic_store(&armed, true);
    probe = malloc(1);
    atomic_store(&armed, false);
    REQUIRE(atomic_load(&allocations) == 1, "malloc is not counted");
    free((void *)probe);
    fd = make_file(&flow, path);
    make_packed(&flow);
    flow.memory = aligned_alloc(4096, DEPTH * 2 * BYTES);
    run_all(&flow, path, flow.n != 0 ? flow.n : 250000);
    unlink(path);
    close(fd);
    free(flow.memory);
    free(flow.content);
    free(flow.plain);
    free(flow.packed);
    return 0;
}
