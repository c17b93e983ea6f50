/* A read lane driven by the test's own thread, and files to read from. */
#ifndef CONTRACT_READ_LANE_H
#define CONTRACT_READ_LANE_H

#include "engine/request.h"
#include "stages/read.h"

#include <ds/queue.h>

#define LANE_SLOTS      64
#define LANE_SLOT_BYTES ((uint32_t)128 << 10)
#define LANE_PARK_NS    120000000000u

/* A back end, and how it is made. */
struct read_variant {
    const char *name;
    const struct read_backend_ops *ops;
    uint32_t avoid;
    bool manual;
    enum ds_uring_poll uring_poll;
    uint32_t depth; /* 0 = 16 */
    const struct staging *staging; /* NULL = LANE_SLOTS * LANE_SLOT_BYTES of its own */
};

struct lane {
    const struct read_variant *variant;
    struct host host;
    struct staging staging;
    struct event event;
    struct ring out;
    struct read_stage stage;
    struct chunk chunks[LANE_SLOTS];
    struct request requests[LANE_SLOTS];
    char log[4096]; /* as much as fits */
};

/* What a test wants of slot i; zero fields are the common case. */
struct wish {
    struct ds_file *file;
    int fd;             /* file NULL */
    enum chunk_kind kind;
    uint64_t offset;
    uint32_t bytes;
    bool direct;
    uint32_t flags;     /* enum ds_request_flags */
    uint8_t *memory;    /* NULL = the slot's staging; else that of the first payload byte */
};

void lane_open(struct lane *lane, const struct read_variant *variant);
/* lane_close demands that all came back, and stops and closes the lane. */
void lane_close(struct lane *lane);

/* lane_push fills chunk `slot` as the submit stage would, and pushes it. */
struct chunk *lane_push(struct lane *lane, uint32_t slot, const struct wish *wish);
/* lane_turn runs the stage once; where nothing moved it sleeps until something may. */
void lane_turn(struct lane *lane);

/* lane_turn_until is the same for what another thread sets before it signals the lane's event. */
void lane_turn_until(struct lane *lane, const _Atomic bool *done);
/* lane_pop returns the next chunk that came out; it turns until there is one. */
struct chunk *lane_pop(struct lane *lane);
/* lane_do pushes one and pops it. */
struct chunk *lane_do(struct lane *lane, const struct wish *wish);

/* expect_payload demands that the chunk holds what the sample's file does. */
struct sample;
void expect_payload(const struct sample *sample, const struct chunk *chunk);

/* First payload byte of a chunk that was made by lane_push. */
uint8_t *chunk_payload(const struct chunk *chunk);

uint64_t random_next(uint64_t *state);
/* random_seed is the time, or DS_TEST_SEED; it is printed. */
uint64_t random_seed(void);
void random_fill(uint64_t *state, uint8_t *bytes, uint64_t n);

/* A file on the disk under test with known content. Its name is gone as soon as it is open. */
struct sample {
    struct ds_file file;
    uint8_t *model;
    uint64_t bytes;
};

void sample_open(struct sample *sample, uint64_t bytes, uint32_t slot, uint32_t generation);
void sample_close(struct sample *sample);

/* test_path writes a name for mkstemp in DS_TEST_DIR, or in the working directory. */
void test_path(char *path, size_t path_bytes);

#endif
