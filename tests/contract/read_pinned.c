/* Registered memory. The kernel reaches it by its pages, whatever the application may do with it
 * meanwhile, and all other memory by its address: so memory that may not be touched tells which way
 * a transfer went. */
#include "contract/read_contract.h"
#include "stages/read_order.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES ((uint32_t)256 << 10)
#define EDGE  4096u /* not registered, at either end */

struct pinned {
    struct lane lane;
    struct sample sample;
    uint8_t *memory; /* BYTES */
    struct ds_memory registered;
    bool lets_go;    /* the order */
    int result;
    _Atomic bool done;
};

static void *order(void *arg)
{
    struct pinned *p = arg;
    struct event *event = &p->lane.event;

    if (p->lets_go)
        read_unpin(&p->lane.stage, &p->registered, event);
    else
        p->result = read_pin(&p->lane.stage, &p->registered, event);
    atomic_store(&p->done, true);
    event_signal(event);
    return NULL;
}

/* From another thread, where the lane is not manual. */
static int give_order(struct pinned *p, bool lets_go)
{
    pthread_t thread;

    p->lets_go = lets_go;
    p->result = 0;
    atomic_store(&p->done, false);
    if (p->lane.variant->manual) {
        order(p);
        return p->result;
    }
    cr_assert_eq(pthread_create(&thread, NULL, order, p), 0);
    while (!atomic_load(&p->done))
        lane_turn_until(&p->lane, &p->done);
    pthread_join(thread, NULL);
    return p->result;
}

static void pinned_open(struct pinned *p, const struct read_variant *variant)
{
    memset(p, 0, sizeof(*p));
    sample_open(&p->sample, (uint64_t)1 << 20, 0, 1);
    lane_open(&p->lane, variant);
    p->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(p->memory, MAP_FAILED);
    p->registered = (struct ds_memory){.begin = p->memory + EDGE, .bytes = BYTES - 2 * EDGE,
                                       .pieces_n = 1, .first_piece = 7};
}

static void pinned_close(struct pinned *p)
{
    lane_close(&p->lane);
    munmap(p->memory, BYTES);
    sample_close(&p->sample);
}

static void protect(struct pinned *p, int protection)
{
    cr_assert_eq(mprotect(p->memory, BYTES, protection), 0);
}

/* Moves `bytes` at `at` while the memory may not be touched. -errno, or 0 if all was moved. */
static int move_untouched(struct pinned *p, enum chunk_kind kind, bool direct, uint32_t at,
                          uint32_t bytes)
{
    struct wish wish = {.file = &p->sample.file, .kind = kind, .direct = direct, .bytes = bytes,
                        .offset = 8192 + at, .memory = p->memory + at};
    struct chunk *chunk;

    protect(p, PROT_NONE);
    chunk = lane_do(&p->lane, &wish);
    protect(p, PROT_READ | PROT_WRITE);
    if (chunk->status != DS_STATUS_OK) {
        cr_assert_neq(chunk->error, 0);
        return chunk->error;
    }
    cr_assert_eq(memcmp(p->memory + at, p->sample.model + wish.offset, bytes), 0);
    return 0;
}

static int read_untouched(struct pinned *p, bool direct, uint32_t at, uint32_t bytes)
{
    memset(p->memory, 0, BYTES);
    return move_untouched(p, CHUNK_READ, direct, at, bytes);
}

static int write_untouched(struct pinned *p, bool direct, uint32_t at, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        p->sample.model[8192 + at + i] = p->memory[at + i] = (uint8_t)(7 * i + at + direct);
    return move_untouched(p, CHUNK_WRITE, direct, at, bytes);
}

static bool can_pin(const struct read_variant *variant)
{
    return variant->ops == &read_uring_ops && (variant->avoid & READ_AVOID_FIXED_BUFFERS) == 0;
}

void contract_pinned_memory(const struct read_variant *variant)
{
    struct pinned p;

    pinned_open(&p, variant);
    cr_assert_eq(read_untouched(&p, false, EDGE, 5000), -EFAULT, "nothing is registered yet");
    cr_assert_eq(give_order(&p, false), can_pin(variant) ? 0 : -ENOTSUP);
    for (uint32_t direct = 0; direct < 2 && can_pin(variant); direct++) {
        cr_assert_eq(read_untouched(&p, direct, EDGE, 8192), 0);
        cr_assert_eq(read_untouched(&p, direct, EDGE, BYTES - 2 * EDGE), 0, "all of it");
        cr_assert_eq(read_untouched(&p, direct, BYTES - EDGE - 4096, 4096), 0, "its end");
        cr_assert_eq(read_untouched(&p, direct, BYTES - EDGE - 4096, 8192), -EFAULT, "beyond it");
        cr_assert_eq(read_untouched(&p, direct, 0, 8192), -EFAULT, "before it");
        cr_assert_eq(write_untouched(&p, direct, EDGE, 8192), 0);
    }
    give_order(&p, true); /* also where nothing was registered */
    cr_assert_eq(read_untouched(&p, false, EDGE, 5000), -EFAULT, "it was let go");
    if (can_pin(variant)) {
        cr_assert_eq(give_order(&p, false), 0, "once more");
        cr_assert_eq(read_untouched(&p, true, EDGE, 8192), 0);
    }
    pinned_close(&p);
}

void contract_pinned_in_part(const struct read_variant *variant)
{
    struct pinned p;

    if (!can_pin(variant))
        return;
    pinned_open(&p, variant);
    /* Not unmapped: the thread that gives the order might get that place for its stack. */
    cr_assert_eq(mprotect(p.memory + 16 * EDGE, EDGE, PROT_NONE), 0);
    cr_assert_eq(give_order(&p, false), -EFAULT, "a page of it may not be touched");
    p.registered.bytes = 15 * EDGE;
    cr_assert_eq(give_order(&p, false), 0, "its place is free");
    pinned_close(&p);
}

/* An entry that the kernel has not taken names the memory by its place in the table: it is let go
 * after that. */
void contract_pinned_until_taken(const struct read_variant *variant)
{
    const struct read_backend_ops *backend = variant->ops;
    struct read_completion done;
    struct chunk *chunk;
    struct wish wish;
    struct pinned p;
    void *self;

    if (!can_pin(variant))
        return;
    pinned_open(&p, variant);
    self = p.lane.stage.backend_self;
    cr_assert_eq(give_order(&p, false), 0);
    wish = (struct wish){.file = &p.sample.file, .bytes = 8192, .memory = p.memory + EDGE};
    memset(wish.memory, 0, wish.bytes);
    lane_push(&p.lane, 0, &wish);
    cr_assert_eq(ring_pop_n_sc(&p.lane.stage.in, (void **)&chunk, 1), 1);
    protect(&p, PROT_NONE);
    cr_assert(backend->issue(self, chunk));
    while (!backend->unpin(self, &p.registered))
        sched_yield();
    do
        backend->flush(self);
    while (backend->reap(self, &done, 1) == 0);
    protect(&p, PROT_READ | PROT_WRITE);
    cr_assert_eq(done.result, wish.bytes);
    cr_assert_eq(memcmp(wish.memory, p.sample.model, wish.bytes), 0);
    pinned_close(&p);
}
