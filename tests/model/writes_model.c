/* Random writes, reads and flushes from many threads against a model in memory.
 *
 *   writes_model [N [SEED]]        on a file below $TMPDIR
 *   writes_model full [N [SEED]]   on a file system that is too small
 *
 * Each thread has a stretch of the file, a queue, and a copy of what its stretch must hold. No two
 * requests in flight overlap.
 *
 * Properties: a read sees what the completed writes left; every request completes exactly once; a
 * flush comes after the writes before it. On a full disk: a write fails with NO_SPACE or has put
 * down every byte, and no flush succeeds behind a write that failed. */
#include "support/require.h"

#include <ds/ds.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define BLOCK_BYTES (64u << 10) /* one request in flight in each */
#define BLOCKS 32               /* of each thread */
#define STRETCH_BYTES ((uint64_t)BLOCK_BYTES * BLOCKS)
#define FULL_BYTES (3u << 20)   /* room for less than half of it all */
#define WAIT_NS 120000000000u
#define EXIT_SKIPPED 77

enum state { IDLE, WRITING, READING };

struct block {
    enum state state;
    uint32_t at, bytes;            /* of the request in flight, in the block */
    uint8_t memory[BLOCK_BYTES];   /* its source or destination */
    uint8_t expected[BLOCK_BYTES];
    uint32_t unknown_from, unknown_to; /* bytes that a failed write may have changed */
};

struct model {
    struct ds_engine *engine;
    struct ds_file *file;
    bool full;
    uint64_t requests; /* of each thread */
    uint64_t seed;
    _Atomic uint64_t writes, reads, flushes, refused, flushes_failed;
};

struct worker {
    struct model *model;
    struct ds_queue *queue;
    struct block *blocks;
    uint32_t id;
    uint64_t rng, begun, ended;
    uint32_t in_flight, writing;
    bool flushing;
    uint32_t failed;        /* writes, ended since the last flush that told of it */
    pthread_t thread;
};

#define FLUSH_DATA UINT64_MAX

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t block_offset(const struct worker *w, const struct block *b)
{
    return w->id * STRETCH_BYTES + (uint64_t)(b - w->blocks) * BLOCK_BYTES;
}

static void block_fill(struct worker *w, struct block *b)
{
    uint64_t word = random_next(&w->rng);

    for (uint32_t i = 0; i < b->bytes; i++)
        b->memory[i] = (uint8_t)(word >> i % 8 * 8 ^ i >> 3);
}

static void block_begin(struct worker *w, struct block *b)
{
    uint64_t r = random_next(&w->rng);
    bool write = (r & 1) != 0;
    struct ds_request request = {.struct_size = sizeof(request), .file = w->model->file,
                                 .user_data = (uint64_t)(b - w->blocks)};

    b->bytes = (r >> 1 & 3) == 0 ? BLOCK_BYTES : 1 + (uint32_t)(r >> 8) % (r & 8 ? 300 : 20000);
    b->at = (uint32_t)(r >> 32) % (BLOCK_BYTES - b->bytes + 1);
    if ((r & 16) != 0 && b->at + 8192 < BLOCK_BYTES && b->bytes <= 8192) {
        b->at &= ~4095u; /* as a direct transfer likes it */
        b->bytes = (b->bytes + 4095) & ~4095u;
    }
    b->state = write ? WRITING : READING;
    request.op = write ? DS_OP_WRITE : DS_OP_READ;
    request.flags = write ? 0 : DS_REQUEST_ALLOW_SHORT;
    request.offset = block_offset(w, b) + b->at;
    request.size = b->bytes;
    request.host = b->memory;
    if (write)
        block_fill(w, b);
    else
        memset(b->memory, 0, b->bytes); /* what a short read leaves out is a hole */
    REQUIRE(ds_queue_enqueue(w->queue, &request) == 0, "enqueue");
    atomic_fetch_add(write ? &w->model->writes : &w->model->reads, 1);
    w->writing += write ? 1 : 0;
    w->in_flight++;
}

static void write_end(struct worker *w, struct block *b, const struct ds_result *result)
{
    uint32_t end = b->at + b->bytes;

    w->writing--;
    if (result->status == DS_STATUS_OK) {
        REQUIRE(result->bytes == b->bytes, "%lu of %u bytes", (unsigned long)result->bytes,
                b->bytes);
        memcpy(b->expected + b->at, b->memory, b->bytes);
        return;
    }
    REQUIRE(w->model->full && result->status == DS_STATUS_NO_SPACE && result->error == -ENOSPC,
            "%s, error %d", ds_status_name(result->status), result->error);
    w->failed++;
    atomic_fetch_add(&w->model->refused, 1);
    if (b->unknown_from == b->unknown_to) {
        b->unknown_from = b->at;
        b->unknown_to = end;
    }
    b->unknown_from = b->at < b->unknown_from ? b->at : b->unknown_from;
    b->unknown_to = end > b->unknown_to ? end : b->unknown_to;
}

static void read_end(struct block *b, const struct ds_result *result)
{
    REQUIRE(result->status == DS_STATUS_OK, "%s, error %d", ds_status_name(result->status),
            result->error);
    for (uint32_t i = 0; i < b->bytes; i++) {
        uint32_t at = b->at + i;

        REQUIRE(b->memory[i] == b->expected[at] || (at >= b->unknown_from && at < b->unknown_to),
                "byte %u of a block: %02x, not %02x", at, b->memory[i], b->expected[at]);
    }
}

/* Nothing is written while it is in flight, so that it must come last, and knows all failures. */
static void flush_end(struct worker *w, const struct ds_result *result)
{
    REQUIRE(w->flushing, "a second result of a flush");
    w->flushing = false;
    REQUIRE(w->writing == 0, "the flush came before %u writes", w->writing);
    if (result->status == DS_STATUS_OK) {
        REQUIRE(w->failed == 0, "the flush succeeds behind %u failed writes", w->failed);
    } else {
        REQUIRE(result->status == DS_STATUS_NO_SPACE && w->failed > 0, "%s after %u failures",
                ds_status_name(result->status), w->failed);
        atomic_fetch_add(&w->model->flushes_failed, 1);
    }
    w->failed = 0;
}

static void results_take(struct worker *w)
{
    struct ds_result results[16];
    uint32_t n = ds_queue_wait(w->queue, results, 16, WAIT_NS);

    REQUIRE(n > 0, "%u requests are lost", w->in_flight);
    for (uint32_t i = 0; i < n; i++) {
        struct block *b = &w->blocks[results[i].user_data % BLOCKS];

        w->in_flight--;
        w->ended++;
        if (results[i].user_data == FLUSH_DATA) {
            flush_end(w, &results[i]);
            continue;
        }
        REQUIRE(results[i].user_data < BLOCKS && b->state != IDLE, "completed twice");
        if (b->state == WRITING)
            write_end(w, b, &results[i]);
        else
            read_end(b, &results[i]);
        b->state = IDLE;
    }
}

static void flush_begin(struct worker *w)
{
    struct ds_request request = {.struct_size = sizeof(request), .op = DS_OP_FLUSH,
                                 .file = w->model->file, .user_data = FLUSH_DATA};

    REQUIRE(ds_queue_enqueue(w->queue, &request) == 0, "enqueue");
    w->flushing = true;
    w->in_flight++;
    w->begun++;
    atomic_fetch_add(&w->model->flushes, 1);
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;

    while (w->ended < w->model->requests) {
        for (uint32_t i = 0; i < BLOCKS && w->begun < w->model->requests && !w->flushing; i++) {
            if (w->blocks[i].state != IDLE || random_next(&w->rng) % 4 == 0)
                continue;
            block_begin(w, &w->blocks[i]);
            w->begun++;
        }
        if (!w->flushing && w->begun < w->model->requests && random_next(&w->rng) % 4 == 0)
            flush_begin(w);
        ds_queue_submit(w->queue);
        if (w->in_flight > 0)
            results_take(w);
    }
    return NULL;
}

static void model_run(struct model *m, const char *path)
{
    struct worker *workers = calloc(THREADS, sizeof(*workers));
    uint64_t ended = 0;

    REQUIRE(ds_engine_create(ds_engine_config(.arena_bytes = 4 << 20, .chunk_bytes = 16 << 10),
                             &m->engine) == 0, "engine");
    REQUIRE(ds_file_open(m->engine, path,
                         ds_file_config(.flags = DS_FILE_WRITE | DS_FILE_CREATE), &m->file) == 0,
            "%s", path);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.model = m, .id = i, .rng = m->seed + i};
        workers[i].blocks = calloc(BLOCKS, sizeof(*workers[i].blocks));
        REQUIRE(ds_queue_create(m->engine, ds_queue_config(.capacity = BLOCKS * 2),
                                &workers[i].queue) == 0, "queue");
        pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        ended += workers[i].ended;
        ds_queue_destroy(&workers[i].queue);
        free(workers[i].blocks);
    }
    ds_file_close(&m->file);
    ds_engine_destroy(&m->engine);
    free(workers);
    printf("%lu writes, %lu reads, %lu flushes; refused: %lu writes, %lu flushes\n",
           (unsigned long)atomic_load(&m->writes), (unsigned long)atomic_load(&m->reads),
           (unsigned long)atomic_load(&m->flushes), (unsigned long)atomic_load(&m->refused),
           (unsigned long)atomic_load(&m->flushes_failed));
    REQUIRE(ended == m->requests * THREADS, "lost completions");
}

static const char *temporary(void)
{
    return getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/var/tmp";
}

static int run_plain(struct model *m)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/ds-writes-XXXXXX", temporary());
    fd = mkstemp(path);
    REQUIRE(fd >= 0, "%s", path);
    close(fd);
    model_run(m, path);
    unlink(path);
    return 0;
}

static int run_full(struct model *m)
{
    char directory[256], path[300], options[32];

    snprintf(directory, sizeof(directory), "%s/ds-full-XXXXXX", temporary());
    REQUIRE(mkdtemp(directory) != NULL, "%s", directory);
    snprintf(options, sizeof(options), "size=%u", FULL_BYTES);
    /* in a name space of its own, so that it goes with the process however that ends */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("ds-full", directory, "tmpfs", 0, options) != 0) {
        printf("skipped: a full disk: mounting a small tmpfs: %s\n", strerror(errno));
        rmdir(directory);
        return EXIT_SKIPPED;
    }
    snprintf(path, sizeof(path), "%s/file", directory);
    m->full = true;
    model_run(m, path);
    umount(directory);
    rmdir(directory);
    REQUIRE(atomic_load(&m->refused) > 0 && atomic_load(&m->flushes_failed) > 0,
            "the disk was not full");
    return 0;
}

int main(int argc, char **argv)
{
    bool full = argc > 1 && strcmp(argv[1], "full") == 0;
    int at = full ? 2 : 1;
    struct model m = {.seed = (uint64_t)time(NULL) * 0x9e3779b9u ^ (uint64_t)getpid()};
    uint64_t total = argc > at ? strtoull(argv[at], NULL, 0) : 10000;

    if (argc > at + 1)
        m.seed = strtoull(argv[at + 1], NULL, 0);
    m.requests = (total + THREADS - 1) / THREADS;
    printf("writes_model %s%lu %lu\n", full ? "full " : "", (unsigned long)total,
           (unsigned long)m.seed);
    fflush(stdout);
    return full ? run_full(&m) : run_plain(&m);
}
