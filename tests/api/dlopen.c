/* The shared library is opened, used and closed 100 times while other threads allocate and run, as
 * Wine does it. usage: dlopen LIBRARY */
#include <ds/ds.h>

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 100
#define THREADS 4
#define BYTES 4096

static atomic_bool stop;

static void *busy_thread(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop)) {
        void *volatile memory = malloc(1000);

        free(memory);
        sched_yield();
    }
    return NULL;
}

struct api {
    int (*engine_create)(const struct ds_engine_config *, struct ds_engine **);
    void (*engine_destroy)(struct ds_engine **);
    int (*queue_create)(struct ds_engine *, const struct ds_queue_config *, struct ds_queue **);
    void (*queue_destroy)(struct ds_queue **);
    int (*enqueue)(struct ds_queue *, const struct ds_request *);
    void (*submit)(struct ds_queue *);
    uint32_t (*wait)(struct ds_queue *, struct ds_result *, uint32_t, uint64_t);
    int (*open)(struct ds_engine *, const char *, const struct ds_file_config *, struct ds_file **);
    void (*close)(struct ds_file **);
};

/* POSIX wants the detour through memory: ISO C has no cast from void * to a function. */
static int load(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);

    if (symbol == NULL)
        fprintf(stderr, "%s\n", dlerror());
    memcpy(function, &symbol, sizeof(symbol));
    return symbol == NULL;
}

static int load_api(void *library, struct api *api)
{
    return load(library, "ds_engine_create", &api->engine_create) |
           load(library, "ds_engine_destroy", &api->engine_destroy) |
           load(library, "ds_queue_create", &api->queue_create) |
           load(library, "ds_queue_destroy", &api->queue_destroy) |
           load(library, "ds_queue_enqueue", &api->enqueue) |
           load(library, "ds_queue_submit", &api->submit) |
           load(library, "ds_queue_wait", &api->wait) |
           load(library, "ds_file_open", &api->open) |
           load(library, "ds_file_close", &api->close);
}

static int stream(const struct api *api, const char *path)
{
    struct ds_engine *engine = NULL;
    struct ds_queue *queue = NULL;
    struct ds_file *file = NULL;
    struct ds_result result = {.status = DS_STATUS_PENDING};
    static char bytes[BYTES];
    int rc;

    rc = api->engine_create(ds_engine_config(.arena_bytes = 2 << 20, .chunks_max = 64), &engine);
    if (rc == 0)
        rc = api->queue_create(engine, NULL, &queue);
    if (rc == 0)
        rc = api->open(engine, path, NULL, &file);
    if (rc == 0)
        rc = api->enqueue(queue, ds_request(.op = DS_OP_READ, .file = file, .size = BYTES,
                                            .host = bytes));
    if (rc == 0) {
        api->submit(queue);
        if (api->wait(queue, &result, 1, 120000000000u) != 1 || result.status != DS_STATUS_OK ||
            memcmp(bytes, "\177ELF", 4) != 0)
            rc = -1;
    }
    if (file != NULL)
        api->close(&file);
    if (queue != NULL)
        api->queue_destroy(&queue);
    if (engine != NULL)
        api->engine_destroy(&engine);
    return rc;
}

static int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int n = 0;

    if (directory == NULL)
        return -1;
    while (readdir(directory) != NULL)
        n++;
    closedir(directory);
    return n;
}

static int run_round(const char *path, int round)
{
    struct api api;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int rc;

    if (library == NULL) {
        fprintf(stderr, "round %d: %s\n", round, dlerror());
        return 1;
    }
    rc = load_api(library, &api);
    if (rc == 0)
        rc = stream(&api, path);
    if (rc != 0)
        fprintf(stderr, "round %d: failed: %d\n", round, rc);
    return dlclose(library) != 0 || rc != 0;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    int failed = 0, fds_before, fds_after, tasks_after;

    if (argc != 2)
        return 2;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, busy_thread, NULL);
    failed = run_round(argv[1], 0);
    fds_before = count_entries("/proc/self/fd");
    for (int round = 1; round < ROUNDS && failed == 0; round++)
        failed = run_round(argv[1], round);
    fds_after = count_entries("/proc/self/fd");
    tasks_after = count_entries("/proc/self/task") - 2; /* "." and ".." */
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    if (fds_after != fds_before || tasks_after != THREADS + 1) {
        fprintf(stderr, "left behind: %d descriptors, %d threads\n", fds_after - fds_before,
                tasks_after - THREADS - 1);
        failed = 1;
    }
    printf("%d rounds, %s\n", ROUNDS, failed == 0 ? "passed" : "FAILED");
    return failed;
}
