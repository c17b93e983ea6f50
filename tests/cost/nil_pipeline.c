/* Requests through the whole pipeline with a disk and a copy that do nothing, on one thread: what
 * check_cost.py counts the instructions of. nil_pipeline REQUESTS. */
#include <ds/ds.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH 256u
#define BYTES 4096u

static int run(struct ds_engine *engine, struct ds_queue *queue, struct ds_file *file, uint64_t n)
{
    static struct ds_request requests[DEPTH];
    static struct ds_result results[DEPTH];
    static uint8_t memory[BYTES];

    for (uint64_t done = 0; done < n; done += DEPTH) {
        uint32_t polled = 0;

        for (uint32_t i = 0; i < DEPTH; i++)
            requests[i] = *ds_request(.file = file, .offset = i * BYTES, .size = BYTES,
                                      .host = memory, .user_data = i);
        if (ds_queue_enqueue_batch(queue, requests, DEPTH) != (int)DEPTH)
            return 1;
        ds_queue_submit(queue);
        while (polled < DEPTH) {
            if (ds_engine_step(engine) < 0)
                return 1;
            polled += ds_queue_poll(queue, results + polled, DEPTH - polled);
        }
        for (uint32_t i = 0; i < DEPTH; i++) {
            if (results[i].status != DS_STATUS_OK || results[i].bytes != BYTES)
                return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : DEPTH;
    struct ds_engine *engine;
    struct ds_queue *queue;
    struct ds_file *file;
    int rc;

    if (ds_engine_create(ds_engine_config(.topology = DS_TOPOLOGY_MANUAL,
                                          .read_backend = DS_READ_NIL,
                                          .copy_backend = DS_COPY_NIL),
                         &engine) != 0 ||
        ds_file_open(engine, argv[0], ds_file_config(.direct = DS_DIRECT_OFF), &file) != 0 ||
        ds_queue_create(engine,
                        ds_queue_config(.capacity = DEPTH, .flags = DS_QUEUE_SINGLE_PRODUCER |
                                                                    DS_QUEUE_SINGLE_CONSUMER),
                        &queue) != 0) {
        fprintf(stderr, "nil_pipeline: no engine, file or queue\n");
        return 1;
    }
    rc = run(engine, queue, file, n);
    ds_queue_destroy(&queue);
    ds_file_close(&file);
    ds_engine_destroy(&engine);
    return rc;
}
