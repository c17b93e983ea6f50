/* A read back end that answers as a test wants, and the read stage on top of it. */
#ifndef UNIT_FAKE_READ_H
#define UNIT_FAKE_READ_H

#include "engine/clock.h"
#include "engine/request.h"
#include "stages/read.h"
#include "stages/read_group.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define MODEL_BYTES ((uint32_t)1 << 20)
#define SLOT_BYTES  ((uint32_t)64 << 10)
#define SLOTS       32
#define ALIGN       512

struct fake;
/* The result of moving up to `want` bytes at `offset`, as a system call would give it. */
typedef int64_t (*answer_fn)(struct fake *fake, const struct chunk *chunk, uint64_t offset,
                             uint32_t want);

/* The back end and everything round the stage. */
struct fake {
    answer_fn answer;
    uint64_t state;     /* random */
    uint64_t file_bytes;
    uint32_t room;      /* transfers that issue() takes before the next reap */
    uint32_t calls;     /* answers given */
    uint32_t step;      /* for the answers' use */
    uint32_t log_lines;
    bool no_data;       /* chunks have no memory */
    _Atomic uint32_t forgets;
    struct read_completion done[SLOTS];
    uint32_t done_n;

    struct host host;
    struct event event;
    struct ring out;
    struct read_stage stage;
    struct ds_file file;
    uint8_t model[MODEL_BYTES];
    uint8_t memory[SLOTS][SLOT_BYTES + 2 * ALIGN] __attribute__((aligned(4096)));
    struct chunk chunks[SLOTS];
    struct request requests[SLOTS];
};

static struct fake fake; /* large; each test runs in its own process */

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline int fake_open(const struct read_backend_config *config,
                            struct read_backend_info *info, void **self)
{
    (void)config;
    *info = (struct read_backend_info){0};
    *self = &fake;
    return 0;
}

static inline int fake_start(void *self, struct read_backend_info *info)
{
    (void)self;
    (void)info;
    return 0;
}

/* Moves the first n bytes of a transfer, which may fill several pieces of memory. */
static inline void move_bytes(struct fake *f, const struct chunk *chunk, uint64_t offset,
                              uint32_t n)
{
    struct iovec vectors[CHUNK_GROUP_MAX];
    uint32_t pieces = group_vectors(chunk, vectors);

    for (uint32_t i = 0; i < pieces && n > 0; i++) {
        uint32_t part = (uint32_t)min_u64(n, vectors[i].iov_len);

        if (chunk->kind == CHUNK_WRITE)
            memcpy(f->model + offset, vectors[i].iov_base, part);
        else
            memcpy(vectors[i].iov_base, f->model + offset, part);
        offset += part;
        n -= part;
    }
    cr_assert_eq(n, 0);
}

static inline bool fake_issue(void *self, struct chunk *chunk)
{
    struct fake *f = self;
    uint64_t offset = chunk->file_offset + chunk->io_done;
    uint32_t want = group_bytes(chunk);
    int64_t result;

    if (f->done_n == f->room)
        return false;
    cr_assert_eq(chunk->state, CHUNK_IN_READ);
    cr_assert_gt(want, 0);
    if (chunk->direct) {
        cr_assert_eq(offset % ALIGN, 0);
        cr_assert_eq((uintptr_t)(chunk->memory + chunk->io_done) % ALIGN, 0);
        cr_assert_eq(want % ALIGN, 0);
    }
    f->calls++;
    result = f->answer(f, chunk, offset, want);
    if (result > 0 && !f->no_data)
        move_bytes(f, chunk, offset, (uint32_t)result);
    f->done[f->done_n++] = (struct read_completion){chunk, result};
    return true;
}

static inline uint32_t fake_flush(void *self)
{
    (void)self;
    return 1;
}

static inline uint32_t fake_reap(void *self, struct read_completion *done, uint32_t max)
{
    struct fake *f = self;
    uint32_t n = min_u32(f->done_n, max);

    memcpy(done, f->done, n * sizeof(*done));
    f->done_n -= n;
    memmove(f->done, f->done + n, f->done_n * sizeof(*done));
    return n;
}

static inline void fake_forget(void *self, const struct ds_file *file)
{
    struct fake *f = self;

    cr_assert_not_null(file);
    atomic_fetch_add(&f->forgets, 1);
}

static inline void fake_stop(void *self)
{
    cr_assert_eq(((struct fake *)self)->done_n, 0);
}

static inline void fake_close(void *self)
{
    (void)self;
}

static const struct read_backend_ops fake_ops = {
    .name = "fake",
    .open = fake_open,
    .start = fake_start,
    .issue = fake_issue,
    .flush = fake_flush,
    .reap = fake_reap,
    .forget = fake_forget,
    .stop = fake_stop,
    .close = fake_close,
};

static const struct read_backend_ops fake_gathering_ops = {
    .name = "gathering fake",
    .open = fake_open,
    .start = fake_start,
    .issue = fake_issue,
    .flush = fake_flush,
    .reap = fake_reap,
    .forget = fake_forget,
    .stop = fake_stop,
    .close = fake_close,
    .gathers = true,
};

static inline void count_line(void *ctx, enum ds_log_level level, const char *message)
{
    (void)level;
    fprintf(stderr, "log: %s\n", message);
    ((struct fake *)ctx)->log_lines++;
}

static inline void setup_with(const struct read_backend_ops *ops, answer_fn answer)
{
    struct read_backend_config config = {.host = &fake.host, .event = &fake.event, .depth = SLOTS};

    fake.answer = answer;
    fake.room = SLOTS;
    fake.file_bytes = MODEL_BYTES;
    fake.file.direct_fd = 100;
    fake.file.buffered_fd = 101;
    fake.file.memory_align = fake.file.offset_align = ALIGN;
    host_init(&fake.host, NULL, count_line, &fake, DS_LOG_DEBUG);
    event_init(&fake.event);
    for (uint32_t i = 0; i < MODEL_BYTES; i++)
        fake.model[i] = (uint8_t)random_next(&fake.state);
    cr_assert_eq(ring_open(&fake.out, &fake.host, SLOTS), 0);
    cr_assert_eq(read_open(&fake.stage, ops, &config, SLOTS, &fake.out), 0);
    cr_assert_eq(read_stage_ops.start(&fake.stage), 0);
}

static inline void setup(answer_fn answer)
{
    setup_with(&fake_ops, answer);
}

static inline void teardown(void)
{
    read_stage_ops.stop(&fake.stage);
    read_close(&fake.stage, &fake.host);
    ring_close(&fake.out, &fake.host);
    event_fini(&fake.event);
}

static inline struct chunk *push(uint32_t slot, enum chunk_kind kind, uint64_t offset,
                                 uint32_t bytes, bool direct)
{
    struct chunk *chunk = &fake.chunks[slot];
    uint64_t begin = direct ? align_down_u64(offset, ALIGN) : offset;
    uint64_t end = direct ? align_up_u64(offset + bytes, ALIGN) : offset + bytes;

    fake.requests[slot] = (struct request){.file = &fake.file, .offset = offset, .size = bytes};
    *chunk = (struct chunk){
        .request = &fake.requests[slot],
        .memory = fake.memory[slot],
        .file_offset = begin,
        .io_bytes = (uint32_t)(end - begin),
        .payload_bytes = bytes,
        .state = CHUNK_READY,
        .kind = (uint8_t)kind,
        .direct = direct,
    };
    cr_assert(ring_push_sp(&fake.stage.in, chunk));
    return chunk;
}

static inline struct chunk *pop(void)
{
    void *chunk = NULL;

    for (uint32_t turns = 0; turns < 100000; turns++) {
        if (ring_pop_n_sc(&fake.out, &chunk, 1) == 1)
            return chunk;
        read_stage_ops.work(&fake.stage, clock_now_ns());
    }
    cr_assert(false, "the chunk never came out");
    return NULL;
}

static inline void expect_data(const struct chunk *chunk)
{
    uint64_t offset = chunk->request->offset;

    cr_assert_eq(chunk->status, DS_STATUS_OK, "%s %d", ds_status_name(chunk->status), chunk->error);
    cr_assert(memcmp(chunk->memory + (offset - chunk->file_offset), fake.model + offset,
                     chunk->payload_bytes) == 0);
}

static inline uint32_t until_end(const struct fake *f, uint64_t offset, uint32_t want)
{
    return offset >= f->file_bytes ? 0 : (uint32_t)min_u64(want, f->file_bytes - offset);
}

static inline int64_t answer_all(struct fake *f, const struct chunk *chunk, uint64_t offset,
                                 uint32_t want)
{
    (void)chunk;
    return until_end(f, offset, want);
}

#endif
