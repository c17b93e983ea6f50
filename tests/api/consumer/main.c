/* Reads this program's own file through an engine and compares. Prints the library's version. */
#include <ds/ds.h>

#include <stdio.h>
#include <string.h>

/* The library's internal names must not collide with a program's own. */
int ring_open(void);
int arena_open(void);
int host_alloc(void);

int ring_open(void)
{
    return 1;
}

int arena_open(void)
{
    return 2;
}

int host_alloc(void)
{
    return 3;
}

#define BYTES 1000

static int read_file(struct ds_engine *engine, const char *path, char *into)
{
    struct ds_queue *queue = NULL;
    struct ds_file *file = NULL;
    struct ds_result result = {.status = DS_STATUS_PENDING};
    int rc;

    rc = ds_queue_create(engine, NULL, &queue);
    if (rc == 0)
        rc = ds_file_open(engine, path, NULL, &file);
    if (rc == 0)
        rc = ds_queue_enqueue(
            queue, ds_request(.op = DS_OP_READ, .file = file, .offset = 1, .size = BYTES,
                              .host = into));
    if (rc == 0) {
        ds_queue_submit(queue);
        if (ds_queue_wait(queue, &result, 1, 120000000000u) != 1)
            rc = -1;
    }
    ds_file_close(&file);
    ds_queue_destroy(&queue);
    return rc != 0 ? rc : result.status;
}

int main(int argc, char **argv)
{
    struct ds_engine *engine = NULL;
    char ours[BYTES], theirs[BYTES + 1];
    FILE *self = fopen(argv[0], "rb");
    uint32_t version = ds_version();
    int rc;

    (void)argc;
    if (self == NULL || fread(theirs, 1, sizeof(theirs), self) != sizeof(theirs))
        return 1;
    fclose(self);
    rc = ds_engine_create(ds_engine_config(.arena_bytes = 4 << 20), &engine);
    if (rc == 0)
        rc = read_file(engine, argv[0], ours);
    ds_engine_destroy(&engine);
    if (rc != 0 || memcmp(ours, theirs + 1, BYTES) != 0) {
        fprintf(stderr, "failed: %d\n", rc);
        return 1;
    }
    printf("%u.%u.%u\n", version >> 16, version >> 8 & 255, version & 255);
    return ring_open() + arena_open() + host_alloc() == 6 ? 0 : 1;
}
