/* What concerns one back end only: an arena of several registered buffers, and threads that take
 * turns on a manual lane. */
#include "contract/read_contract.h"
#include "stages/read_order.h"
#include "unit/support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GIB          ((uint64_t)1 << 30)
#define WINDOW_BYTES ((uint64_t)2 << 20)

/* An arena of 1 GiB + 2 MiB that is backed by the same 2 MiB throughout. */
static bool map_large(struct staging *staging)
{
    int fd = memfd_create("arena", MFD_CLOEXEC);
    uint8_t *memory;

    staging->bytes = GIB + WINDOW_BYTES;
    memory = mmap(NULL, staging->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                  0);
    if (fd < 0 || memory == MAP_FAILED || ftruncate(fd, WINDOW_BYTES) != 0)
        return false;
    for (uint64_t at = 0; at < staging->bytes; at += WINDOW_BYTES) {
        if (mmap(memory + at, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 0) == MAP_FAILED)
            return false;
    }
    close(fd);
    staging->memory = memory;
    return true;
}

Test(special, arena_of_several_buffers)
{
    static const int64_t starts[] = {0, GIB - 65536, GIB - 8192, GIB - 4096, GIB, GIB + 4096};
    struct staging staging = {0};
    struct read_variant variant = {.ops = &read_uring_ops, .staging = &staging};
    struct sample sample;
    struct lane lane;

    if (!map_large(&staging)) {
        fprintf(stderr, "skipped: no 1 GiB of address space: errno %d\n", errno);
        cr_skip_test("no address space");
    }
    sample_open(&sample, 65536, 0, 1);
    lane_open(&lane, &variant);
    if (!lane.stage.info.fixed_buffers)
        fprintf(stderr, "skipped: registration (%s)\n", lane.stage.info.reason);
    for (uint32_t i = 0; i < 2 * ARRAY_LENGTH(starts); i++) {
        struct wish wish = {.file = &sample.file, .bytes = 8192, .offset = 4096, .direct = i % 2};
        struct chunk *chunk;

        wish.memory = staging.memory + starts[i / 2];
        memset(wish.memory, 0, wish.bytes);
        chunk = lane_do(&lane, &wish);
        cr_assert_eq(chunk->status, DS_STATUS_OK, "at %lld: %s %d", (long long)starts[i / 2],
                     ds_status_name(chunk->status), chunk->error);
        cr_assert(memcmp(wish.memory, sample.model + 4096, wish.bytes) == 0);
    }
    lane_close(&lane);
    sample_close(&sample);
    munmap(staging.memory, staging.bytes);
}

/* Registered memory of 1 GiB and a piece behind it: each is reached by its pages, and where the
 * second is refused the first is let go. */
Test(special, memory_of_several_pieces)
{
    static const struct read_variant variant = {.ops = &read_uring_ops, .manual = true};
    struct staging memory = {0};
    struct ds_memory registered = {.pieces_n = 2, .first_piece = DS_MEMORY_PIECES_MAX - 2};
    struct sample sample;
    struct lane lane;
    uint64_t before;

    if (!map_large(&memory)) {
        fprintf(stderr, "skipped: no 1 GiB of address space: errno %d\n", errno);
        cr_skip_test("no address space");
    }
    registered.begin = memory.memory;
    registered.bytes = memory.bytes;
    sample_open(&sample, 65536, 0, 1);
    lane_open(&lane, &variant);
    before = support_pinned_bytes();
    for (uint32_t refused = 0; refused < 2; refused++) {
        static const int64_t starts[] = {0, GIB - 8192, GIB, GIB + WINDOW_BYTES - 8192};
        int rc;

        if (refused)
            cr_assert_eq(mprotect(memory.memory + GIB + 65536, 4096, PROT_NONE), 0);
        rc = read_pin(&lane.stage, &registered, NULL);
        if (rc == -ENOMEM && !refused && support_memlock_holds()) {
            fprintf(stderr, "skipped: RLIMIT_MEMLOCK is below 1 GiB\n");
            break;
        }
        cr_assert_eq(rc, refused ? -EFAULT : 0, "errno %d", -rc);
        cr_assert_eq(support_pinned_bytes() > before, !refused, "the first is kept");
        for (uint32_t i = 0; i < ARRAY_LENGTH(starts) - refused; i++) {
            struct wish wish = {.file = &sample.file, .bytes = 8192,
                                .memory = memory.memory + starts[i]};
            struct chunk *chunk;

            cr_assert_eq(mprotect(wish.memory, wish.bytes, PROT_NONE), 0);
            chunk = lane_do(&lane, &wish);
            cr_assert_eq(mprotect(wish.memory, wish.bytes, PROT_READ | PROT_WRITE), 0);
            cr_assert_eq(chunk->error, refused ? -EFAULT : 0, "at %lld", (long long)starts[i]);
            cr_assert(refused || memcmp(wish.memory, sample.model, wish.bytes) == 0);
        }
        read_unpin(&lane.stage, &registered, NULL);
    }
    lane_close(&lane);
    sample_close(&sample);
    munmap(memory.memory, memory.bytes);
}

struct turns {
    struct lane *lane;
    struct sample *sample;
    uint32_t first_slot;
    uint32_t slots;
};

/* Issues, and ends while the kernel is at it. */
static void *issue_and_end(void *arg)
{
    struct turns *turns = arg;

    for (uint32_t i = 0; i < turns->slots; i++) {
        uint32_t slot = turns->first_slot + i;
        struct wish wish = {.file = &turns->sample->file, .bytes = 60000, .direct = slot % 2};

        wish.offset = (uint64_t)slot * 65536 + 11;
        lane_push(turns->lane, slot, &wish);
    }
    read_stage_ops.work(&turns->lane->stage, 0);
    return NULL;
}

static void run_turns(const struct read_backend_ops *ops)
{
    struct read_variant variant = {.ops = ops, .manual = true, .depth = LANE_SLOTS};
    struct sample sample;
    struct lane lane;

    sample_open(&sample, (uint64_t)LANE_SLOTS * 65536, 0, 1);
    lane_open(&lane, &variant);
    for (uint32_t round = 0; round < 20; round++) {
        struct turns turns = {.lane = &lane, .sample = &sample, .slots = 16};

        /* cold, so that buffered reads go to the kernel's own worker threads */
        posix_fadvise(sample.file.buffered_fd, 0, 0, POSIX_FADV_DONTNEED);
        for (uint32_t i = 0; i < 4; i++, turns.first_slot += 16) {
            pthread_t thread;

            cr_assert_eq(pthread_create(&thread, NULL, issue_and_end, &turns), 0);
            pthread_join(thread, NULL);
        }
        for (uint32_t i = 0; i < LANE_SLOTS; i++) {
            struct chunk *chunk = lane_pop(&lane);

            cr_assert_eq(chunk->status, DS_STATUS_OK, "%s %d", ds_status_name(chunk->status),
                         chunk->error);
            cr_assert(memcmp(chunk_payload(chunk), sample.model + chunk->request->offset,
                             chunk->payload_bytes) == 0);
        }
    }
    fprintf(stderr, "%llu issued again\n",
            (unsigned long long)lane.stage.stats.counters.retries);
    lane_close(&lane);
    sample_close(&sample);
}

Test(special, manual_threads_take_turns_uring)
{
    run_turns(&read_uring_ops);
}

Test(special, manual_threads_take_turns_pread)
{
    run_turns(&read_pread_ops);
}

/* The nil back end moves nothing and keeps the order. */
Test(special, nil)
{
    static const struct read_variant variant = {.ops = &read_nil_ops, .depth = 5};
    struct lane lane;

    lane_open(&lane, &variant);
    for (uint32_t slot = 0; slot < LANE_SLOTS; slot++) {
        struct wish wish = {.fd = -1, .bytes = 4096, .kind = slot % 2 ? CHUNK_WRITE : CHUNK_READ};

        lane.staging.memory[(uint64_t)slot * LANE_SLOT_BYTES] = 0x77;
        lane_push(&lane, slot, &wish);
    }
    for (uint32_t slot = 0; slot < LANE_SLOTS; slot++) {
        struct chunk *chunk = lane_pop(&lane);

        cr_expect_eq(chunk, &lane.chunks[slot]);
        cr_expect_eq(chunk->status, DS_STATUS_OK);
        cr_expect_eq(chunk->memory[0], 0x77);
    }
    cr_expect_eq(lane.stage.stats.counters.device_high_water, 5);
    lane_close(&lane);
}
