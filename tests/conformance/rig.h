/* What the conformance tests share: an engine of a given topology, a file that tells its own place,
 * and waiting for conditions of which no queue tells. */
#ifndef CONFORMANCE_RIG_H
#define CONFORMANCE_RIG_H

#include "unit/support.h"

#include <ds/ds.h>

#define RIG_FILE_BYTES (1u << 20)
#define RIG_WAIT_NS PATIENCE_NS

struct rig {
    enum ds_topology topology;
    struct ds_engine *engine;
    struct ds_file *file;  /* RIG_FILE_BYTES long, writable */
    struct ds_queue *queue;
    uint8_t *content;      /* of the file at the beginning */
    char path[64];
};

/* rig_open makes everything; `config` (or NULL) is the engine's, its topology is replaced. */
void rig_open(struct rig *rig, enum ds_topology topology, const struct ds_engine_config *config);
void rig_close(struct rig *rig);

struct ds_queue *rig_queue(struct rig *rig, const struct ds_queue_config *config);

/* rig_read returns a read of the file into host memory; past its end it will fail. */
struct ds_request rig_read(const struct rig *rig, uint64_t offset, uint64_t size, void *host,
                           uint64_t user_data);

/* rig_enqueue must succeed. */
void rig_enqueue(struct ds_queue *queue, const struct ds_request *request);

/* rig_results waits for exactly n results of a queue. */
void rig_results(struct ds_queue *queue, struct ds_result *results, uint32_t n);

/* rig_pause lets the engine work a little: MANUAL: on this thread. */
void rig_pause(struct rig *rig);

/* rig_until waits until `condition` holds. */
#define rig_until(rig, condition)                                                                  \
    do {                                                                                           \
        uint64_t end_ns_ = rig_now_ns() + RIG_WAIT_NS;                                             \
        while (!(condition)) {                                                                     \
            cr_assert_lt(rig_now_ns(), end_ns_, "never: %s", #condition);                          \
            rig_pause(rig);                                                                        \
        }                                                                                          \
    } while (0)

uint64_t rig_now_ns(void);

/* rig_eventfd_read returns what was added since the last read, 0 = nothing. */
uint64_t rig_eventfd_read(int fd);

struct ds_queue_info rig_info(const struct ds_queue *queue);

/* One test for each topology; the body follows and takes `topology`. */
#define RIG_TEST(suite, name)                                                                      \
    static void suite##_##name##_in(enum ds_topology topology);                                    \
    Test(suite, name##_shared)                                                                     \
    {                                                                                              \
        suite##_##name##_in(DS_TOPOLOGY_SHARED);                                                   \
    }                                                                                              \
    Test(suite, name##_dedicated)                                                                  \
    {                                                                                              \
        suite##_##name##_in(DS_TOPOLOGY_DEDICATED);                                                \
    }                                                                                              \
    Test(suite, name##_hybrid)                                                                     \
    {                                                                                              \
        suite##_##name##_in(DS_TOPOLOGY_HYBRID);                                                   \
    }                                                                                              \
    Test(suite, name##_manual)                                                                     \
    {                                                                                              \
        suite##_##name##_in(DS_TOPOLOGY_MANUAL);                                                   \
    }                                                                                              \
    static void suite##_##name##_in(enum ds_topology topology)

#endif
