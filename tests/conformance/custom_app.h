/* An application that decodes: formats of its own, and threads that take requests and finish them
 * in any order. */
#ifndef CONFORMANCE_CUSTOM_APP_H
#define CONFORMANCE_CUSTOM_APP_H

#include "conformance/rig.h"

#include <pthread.h>

/* Formats: a byte stands for three, or for itself. */
#define APP_TRIPLE (DS_CODEC_CUSTOM_0 + 1)
#define APP_XOR DS_CODEC_CUSTOM_LAST

#define APP_THREADS_MAX 8
#define APP_HELD_MAX 32

struct custom_app {
    struct ds_engine *engine;
    uint32_t select;
    uint32_t fail_every;  /* requests whose user_data is a multiple fail; 0 = none */
    uint64_t seed;
    uint32_t threads_n;
    pthread_t threads[APP_THREADS_MAX];
    int stop_fd;
    _Atomic uint64_t taken, failed;
    _Atomic uint64_t faults; /* what must not happen */
};

/* custom_app_decode decodes a request that was taken: 0, or what its result's error must be. */
int32_t custom_app_decode(const struct ds_custom_request *request);

/* custom_app_expect writes what n bytes of `source` decode to, and returns how many bytes. */
uint64_t custom_app_expect(uint32_t codec, const uint8_t *source, uint64_t n, uint8_t *to);

/* custom_app_read reads `size` bytes of the rig's file as if they were packed with `codec`. */
struct ds_request custom_app_read(const struct rig *rig, uint32_t codec, uint64_t offset,
                                  uint64_t size, void *host, uint64_t user_data);

/* custom_app_take waits until the application is handed n requests, and takes them. */
void custom_app_take(struct rig *rig, uint32_t select, struct ds_custom_request *requests,
                     uint32_t n);

/* custom_app_finish decodes and finishes n of them, each by a call. */
void custom_app_finish(struct rig *rig, const struct ds_custom_request *requests, uint32_t n);

/* custom_app_out_n: the most requests that were on offer, or with the application, at once. */
uint64_t custom_app_out_n(const struct rig *rig);

/* custom_app_one is a result for a request that was taken: decoded. */
struct ds_custom_result custom_app_one(const struct ds_custom_request *request);

/* custom_app_error is what a request fails with that custom_app.fail_every hits. */
int32_t custom_app_error(uint64_t user_data);

/* custom_app_start starts `threads` of them. custom_app_stop returns once all that they took is
 * finished. */
void custom_app_start(struct custom_app *app, struct ds_engine *engine, uint32_t select,
                      uint32_t threads);
void custom_app_stop(struct custom_app *app);

#define CUSTOM_APP_BYTES 5000

/* custom_app_enqueue enqueues n requests of APP_XOR to to[0..n), with their number as tag and user
 * data, and submits them. */
void custom_app_enqueue(struct rig *rig, struct ds_queue *queue, uint8_t (*to)[CUSTOM_APP_BYTES],
                        uint32_t n);

/* custom_app_demand: all results have this status. */
void custom_app_demand(const struct ds_result *results, uint32_t n, enum ds_status status);

bool custom_app_readable(int fd);

#endif
