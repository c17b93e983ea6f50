/* The contract of a read back end, through the stage. */
#include "contract/read_contract.h"
#include "stages/read_order.h"

#include "engine/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#define SAMPLE_BYTES ((uint64_t)4 << 20)

/* A range of any alignment, small ones as likely as large ones. */
static void random_range(uint64_t *state, struct wish *wish)
{
    uint32_t bits = (uint32_t)(random_next(state) % 17);

    wish->bytes = 1 + (uint32_t)(random_next(state) % ((uint32_t)1 << bits));
    wish->offset = random_next(state) % (SAMPLE_BYTES - wish->bytes + 1);
}

void contract_random_ranges(const struct read_variant *variant)
{
    enum { TOTAL = 2000 };
    uint64_t state = random_seed();
    static uint8_t host_memory[LANE_SLOTS][1 << 17];
    struct sample sample;
    struct lane lane;
    uint32_t pushed = 0;

    sample_open(&sample, SAMPLE_BYTES, 3, 1);
    lane_open(&lane, variant);
    for (uint32_t popped = 0; popped < TOTAL; popped++) {
        struct chunk *chunk;

        while (pushed < TOTAL && pushed < popped + LANE_SLOTS) {
            uint32_t slot = pushed % LANE_SLOTS;
            struct wish wish = {.file = &sample.file, .direct = random_next(&state) % 2};

            if (lane.chunks[slot].state != CHUNK_FREE)
                break;
            random_range(&state, &wish);
            if (!wish.direct && random_next(&state) % 4 == 0)
                wish.memory = host_memory[slot];
            lane_push(&lane, slot, &wish);
            pushed++;
        }
        chunk = lane_pop(&lane);
        expect_payload(&sample, chunk);
    }
    cr_expect_eq(lane.stage.stats.counters.items, TOTAL);
    cr_expect_eq(lane.stage.stats.counters.errors, 0);
    lane_close(&lane);
    sample_close(&sample);
}

void contract_end_of_file(const struct read_variant *variant)
{
    static const struct {
        uint64_t offset;
        uint32_t bytes, came;
    } cases[] = {
        {0, 10000, 10000}, {8192, 1808, 1808}, {8192, 4096, 1808}, {9999, 2, 1},
        {0, 65536, 10000}, {10000, 1, 0},      {12288, 512, 0},    {1 << 20, 100, 0},
    };
    struct sample sample;
    struct lane lane;

    sample_open(&sample, 10000, 0, 1);
    lane_open(&lane, variant);
    for (uint32_t i = 0; i < 4 * ARRAY_LENGTH(cases); i++) {
        struct wish wish = {
            .file = &sample.file,
            .offset = cases[i / 4].offset,
            .bytes = cases[i / 4].bytes,
            .direct = i % 2,
            .flags = i % 4 < 2 ? 0 : DS_REQUEST_ALLOW_SHORT,
        };
        uint32_t came = cases[i / 4].came;
        struct chunk *chunk = lane_do(&lane, &wish);

        if (came == wish.bytes || wish.flags != 0) {
            cr_expect_eq(chunk->payload_bytes, came, "case %u: %u", i, chunk->payload_bytes);
            cr_expect_eq(chunk->status, DS_STATUS_OK);
            cr_expect(memcmp(chunk_payload(chunk), sample.model + wish.offset, came) == 0 ||
                      came == 0);
        } else {
            cr_expect_eq(chunk->status, DS_STATUS_END_OF_FILE, "case %u: %s", i,
                         ds_status_name(chunk->status));
            cr_expect_eq(chunk->error, 0);
        }
    }
    lane_close(&lane);
    sample_close(&sample);
}

/* Ranges below the cut are there, ranges beyond it end in END_OF_FILE or were read before it. */
void contract_shrinking_file(const struct read_variant *variant)
{
    const uint64_t cut = SAMPLE_BYTES / 2 + 777;
    uint64_t state = random_seed();
    struct sample sample;
    struct lane lane;
    uint32_t ended = 0;

    sample_open(&sample, SAMPLE_BYTES, 0, 1);
    lane_open(&lane, variant);
    for (uint32_t slot = 0; slot < LANE_SLOTS; slot++) {
        struct wish wish = {.file = &sample.file, .direct = slot % 2, .bytes = 9000};

        wish.offset = random_next(&state) % (SAMPLE_BYTES - wish.bytes);
        lane_push(&lane, slot, &wish);
    }
    lane_turn(&lane);
    cr_assert_eq(ftruncate(sample.file.buffered_fd, (off_t)cut), 0);
    for (uint32_t i = 0; i < LANE_SLOTS; i++) {
        struct chunk *chunk = lane_pop(&lane);

        if (chunk->request->offset + chunk->request->size <= cut)
            expect_payload(&sample, chunk);
        else if (chunk->status != DS_STATUS_OK)
            cr_expect_eq(chunk->status, DS_STATUS_END_OF_FILE);
        ended += chunk->status != DS_STATUS_OK;
    }
    cr_expect_gt(ended, 0);
    cr_expect_eq(lane.stage.stats.counters.errors, ended);
    lane_close(&lane);
    sample_close(&sample);
}

void contract_write_and_read_back(const struct read_variant *variant)
{
    uint64_t state = random_seed();
    struct sample sample;
    struct lane lane;

    sample_open(&sample, SAMPLE_BYTES, 7, 2);
    lane_open(&lane, variant);
    for (uint32_t i = 0; i < 200; i++) {
        struct wish wish = {.file = &sample.file, .kind = CHUNK_WRITE, .direct = i % 2};
        struct chunk *chunk;

        random_range(&state, &wish);
        if (wish.direct) { /* the submit stage sends only aligned writes this way */
            wish.offset = align_down_u64(wish.offset, 4096);
            wish.bytes = (uint32_t)align_up_u64(wish.bytes, 4096);
        } else if (i % 4 == 0) {
            wish.file = NULL;
            wish.fd = sample.file.buffered_fd;
        }
        random_fill(&state, lane.staging.memory, wish.bytes);
        memcpy(sample.model + wish.offset, lane.staging.memory, wish.bytes);
        chunk = lane_do(&lane, &wish);
        cr_assert_eq(chunk->status, DS_STATUS_OK, "%s %d", ds_status_name(chunk->status),
                     chunk->error);
        memset(lane.staging.memory, 0, wish.bytes);
        wish.kind = CHUNK_READ;
        wish.file = &sample.file;
        wish.direct = i % 3 == 0;
        expect_payload(&sample, lane_do(&lane, &wish));
    }
    lane_close(&lane);
    sample_close(&sample);
}

void contract_write_refused(const struct read_variant *variant)
{
    struct wish wish = {.kind = CHUNK_WRITE, .bytes = 100};
    struct sample sample;
    struct chunk *chunk;
    struct lane lane;
    char path[64];

    sample_open(&sample, 4096, 0, 1);
    lane_open(&lane, variant);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", sample.file.buffered_fd);
    wish.fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert(wish.fd >= 0);
    chunk = lane_do(&lane, &wish);
    cr_expect_eq(chunk->status, DS_STATUS_READ_ONLY);
    cr_expect_eq(chunk->error, -EBADF);
    close(wish.fd);
    lane_close(&lane);
    sample_close(&sample);
}

/* A file system of our own with room for 64 KiB. */
static int small_tmpfs(const char *dir)
{
    if (unshare(CLONE_NEWNS) != 0)
        return -errno;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=64k") != 0)
        return -errno;
    return 0;
}

void contract_no_space(const struct read_variant *variant)
{
    struct wish wish = {.kind = CHUNK_WRITE, .bytes = 65536};
    struct chunk *chunk;
    struct lane lane;
    int rc = small_tmpfs("/mnt");

    if (rc != 0) {
        fprintf(stderr, "skipped: no private tmpfs: errno %d\n", -rc);
        cr_skip_test("no private tmpfs");
    }
    lane_open(&lane, variant);
    wish.fd = open("/mnt/full", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(wish.fd >= 0);
    cr_expect_eq(lane_do(&lane, &wish)->status, DS_STATUS_OK);
    wish.offset = 65536;
    chunk = lane_do(&lane, &wish);
    cr_expect_eq(chunk->status, DS_STATUS_NO_SPACE, "%s", ds_status_name(chunk->status));
    cr_expect_eq(chunk->error, -ENOSPC);
    /* half of it fits: what came before the end of the room is no success either */
    cr_assert_eq(ftruncate(wish.fd, 32768), 0);
    wish.offset = 32768;
    cr_expect_eq(lane_do(&lane, &wish)->status, DS_STATUS_NO_SPACE);
    close(wish.fd);
    lane_close(&lane);
}

void contract_bad_memory(const struct read_variant *variant)
{
    uint8_t *none = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sample sample;
    struct lane lane;

    cr_assert(none != MAP_FAILED);
    sample_open(&sample, 65536, 0, 1);
    lane_open(&lane, variant);
    for (uint32_t slot = 0; slot < 8; slot++) {
        struct wish wish = {.file = &sample.file, .bytes = 4096, .offset = 4096 * slot};

        wish.memory = slot % 2 != 0 ? none : NULL;
        wish.direct = slot / 2 % 2;
        wish.kind = slot == 1 ? CHUNK_WRITE : CHUNK_READ;
        lane_push(&lane, slot, &wish);
    }
    for (uint32_t i = 0; i < 8; i++) {
        struct chunk *chunk = lane_pop(&lane);

        if (chunk->memory != none) {
            expect_payload(&sample, chunk);
            continue;
        }
        cr_expect_eq(chunk->status, DS_STATUS_ACCESS_VIOLATION, "%s",
                     ds_status_name(chunk->status));
        cr_expect_eq(chunk->error, -EFAULT);
    }
    lane_close(&lane);
    sample_close(&sample);
    munmap(none, 65536);
}

void contract_depth_is_kept(const struct read_variant *variant)
{
    struct read_variant shallow = *variant;
    struct sample sample;
    struct lane lane;

    shallow.depth = 3;
    sample_open(&sample, SAMPLE_BYTES, FILES_MAX - 1, 1);
    lane_open(&lane, &shallow);
    for (uint32_t round = 0; round < 8; round++) {
        for (uint32_t slot = 0; slot < LANE_SLOTS; slot++) {
            struct wish wish = {.file = &sample.file, .offset = slot * 65536, .bytes = 65536};

            wish.direct = round % 2;
            lane_push(&lane, slot, &wish);
        }
        for (uint32_t i = 0; i < LANE_SLOTS; i++) {
            cr_assert(lane.stage.in_flight + lane.stage.waiting_n <= 3);
            expect_payload(&sample, lane_pop(&lane));
        }
    }
    cr_expect_eq(lane.stage.stats.counters.device_high_water, 3);
    cr_expect_eq(lane.stage.stats.counters.ring_high_water, LANE_SLOTS);
    cr_expect_eq(lane.stage.stats.counters.bytes, 8 * (uint64_t)LANE_SLOTS * 65536);
    lane_close(&lane);
    sample_close(&sample);
}

void contract_nothing_to_transfer(const struct read_variant *variant)
{
    static const enum chunk_kind kinds[] = {CHUNK_SIGNAL, CHUNK_DOWNLOAD, CHUNK_READ, CHUNK_WRITE};
    struct lane lane;

    lane_open(&lane, variant);
    for (uint32_t slot = 0; slot < ARRAY_LENGTH(kinds); slot++) {
        struct wish wish = {.fd = -1, .kind = kinds[slot], .bytes = 1};
        struct chunk *chunk = lane_push(&lane, slot, &wish);

        if (slot >= 2)
            chunk_fail(chunk, DS_STATUS_CANCELLED, 0);
    }
    for (uint32_t slot = 0; slot < ARRAY_LENGTH(kinds); slot++) {
        struct chunk *chunk = lane_pop(&lane);

        cr_expect_eq(chunk->status,
                     chunk->kind == CHUNK_SIGNAL || chunk->kind == CHUNK_DOWNLOAD
                         ? DS_STATUS_OK
                         : DS_STATUS_CANCELLED);
    }
    cr_expect_eq(lane.stage.stats.counters.errors, 0); /* they failed elsewhere */
    cr_expect_eq(lane.stage.stats.counters.device_high_water, 0);
    lane_close(&lane);
}

struct helper {
    struct lane *lane;
    struct sample *sample;
    uint32_t slot;
    _Atomic bool done;
};

static void *push_later(void *arg)
{
    struct helper *helper = arg;
    struct wish wish = {.file = &helper->sample->file, .bytes = 5000, .offset = 123};

    while (atomic_load(&helper->lane->event.waiters) == 0)
        sched_yield(); /* until the lane has announced its sleep */
    lane_push(helper->lane, helper->slot, &wish);
    event_signal(&helper->lane->event);
    return NULL;
}

void contract_event_ends_the_park(const struct read_variant *variant)
{
    struct sample sample;
    struct lane lane;
    struct helper helper = {.lane = &lane, .sample = &sample};
    pthread_t thread;

    sample_open(&sample, 65536, 0, 1);
    lane_open(&lane, variant);
    for (helper.slot = 0; helper.slot < 5; helper.slot++) {
        struct chunk *chunk;

        cr_assert_eq(pthread_create(&thread, NULL, push_later, &helper), 0);
        chunk = lane_pop(&lane);
        pthread_join(thread, NULL);
        expect_payload(&sample, chunk);
        /* a park that slept through the signal would have lasted LANE_PARK_NS */
        cr_expect_lt(lane.stage.stats.latency_ns.max, LANE_PARK_NS / 2);
    }
    lane_close(&lane);
    sample_close(&sample);
}

static void *forget_file(void *arg)
{
    struct helper *helper = arg;

    read_forget(&helper->lane->stage, &helper->sample->file, &helper->lane->event);
    atomic_store(&helper->done, true);
    event_signal(&helper->lane->event);
    return NULL;
}

static void forget(struct lane *lane, struct sample *sample)
{
    struct helper helper = {.lane = lane, .sample = sample};
    pthread_t thread;

    if (lane->variant->manual) {
        read_forget(&lane->stage, &sample->file, NULL);
        return;
    }
    cr_assert_eq(pthread_create(&thread, NULL, forget_file, &helper), 0);
    while (!atomic_load(&helper.done))
        lane_turn_until(lane, &helper.done);
    pthread_join(thread, NULL);
}

/* A write lease is only given while nobody else has the file open, a table of the kernel's
 * included. The kernel may let go of it a little after the call. */
static bool is_open_once(int fd)
{
    uint64_t end_ns = clock_now_ns() + LANE_PARK_NS;

    while (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) {
        if (clock_now_ns() > end_ns)
            return false;
        sched_yield();
    }
    return true;
}

/* Files that take each other's slot, each with its own content. */
void contract_forget_lets_go(const struct read_variant *variant)
{
    struct sample samples[4];
    struct lane lane;

    lane_open(&lane, variant);
    for (uint32_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct sample *sample = &samples[i];
        struct wish wish = {.file = &sample->file, .bytes = 5000, .offset = 100};
        int fd;

        sample_open(sample, 65536, 5, i);
        for (uint32_t j = 0; j < 4; j++) {
            wish.direct = j % 2;
            expect_payload(sample, lane_do(&lane, &wish));
        }
        if (i == 2)
            continue; /* never forgotten: the generation must do */
        forget(&lane, sample);
        fd = dup(sample->file.buffered_fd);
        file_close_descriptors(&sample->file);
        cr_expect(is_open_once(fd), "file %u is still open elsewhere", i);
        close(fd);
    }
    for (uint32_t i = 0; i < ARRAY_LENGTH(samples); i++)
        sample_close(&samples[i]);
    lane_close(&lane);
}

void contract_stop_after_park(const struct read_variant *variant)
{
    struct sample sample;
    struct lane lane;

    sample_open(&sample, SAMPLE_BYTES, 0, 1);
    for (uint32_t round = 0; round < 20; round++) {
        lane_open(&lane, variant);
        for (uint32_t slot = 0; slot < round; slot++) {
            struct wish wish = {.file = &sample.file, .offset = slot * 4096, .bytes = 4096};

            wish.direct = round % 2;
            lane_push(&lane, slot, &wish);
        }
        for (uint32_t slot = 0; slot < round; slot++)
            expect_payload(&sample, lane_pop(&lane));
        /* leaves a poll behind where the back end sleeps in the kernel; ends at once or in 1 us */
        read_stage_ops.park(&lane.stage, 1000);
        lane_close(&lane);
    }
    sample_close(&sample);
}
