/* The read stage against a back end that answers as a test wants: short, interrupted, refused. */
#include "fake_read.h"
#include "stages/read_order.h"

#include <ds/queue.h>
#include <inttypes.h>
#include <stdlib.h>

static int64_t answer_700(struct fake *f, const struct chunk *chunk, uint64_t offset, uint32_t want)
{
    (void)chunk;
    return until_end(f, offset, min_u32(want, 700));
}

Test(read_stage, short_buffered_goes_on_where_it_stopped)
{
    setup(answer_700);
    push(0, CHUNK_READ, 5, 7000, false);
    expect_data(pop());
    cr_expect_eq(fake.calls, 10);
    cr_expect_eq(fake.stage.stats.counters.retries, 9);
    cr_expect_eq(fake.stage.stats.counters.bytes, 7000);
    teardown();
}

static int64_t answer_1024(struct fake *f, const struct chunk *chunk, uint64_t offset,
                           uint32_t want)
{
    cr_expect(chunk->direct);
    return until_end(f, offset, min_u32(want, 1024));
}

Test(read_stage, short_direct_stays_direct_at_a_block)
{
    setup(answer_1024);
    push(0, CHUNK_READ, 5, 5000, true);
    expect_data(pop());
    cr_expect_eq(fake.calls, 5);
    teardown();
}

static int64_t answer_700_direct(struct fake *f, const struct chunk *chunk, uint64_t offset,
                                 uint32_t want)
{
    return until_end(f, offset, chunk->direct ? min_u32(want, 700) : want);
}

Test(read_stage, short_direct_within_a_block_goes_buffered)
{
    setup(answer_700_direct);
    push(0, CHUNK_READ, 5, 5000, true);
    expect_data(pop());
    cr_expect_eq(fake.calls, 2);
    cr_expect(file_is_direct(&fake.file));
    teardown();
}

Test(read_stage, short_raw_direct_goes_on_from_a_block)
{
    struct chunk *chunk;

    setup(answer_all);
    fake.file_bytes = 4096 + 4096 + 700;
    for (uint32_t flags = 0; flags < 2; flags++) {
        chunk = push(0, CHUNK_READ, 4096, 8192, true);
        chunk->request->file = NULL;
        chunk->request->flags = flags != 0 ? DS_REQUEST_ALLOW_SHORT : 0;
        cr_assert_eq(pop(), chunk);
        cr_expect_eq(chunk->status, flags != 0 ? DS_STATUS_OK : DS_STATUS_END_OF_FILE);
        cr_expect_eq(chunk->payload_bytes, flags != 0 ? 4796 : 8192);
        cr_expect_eq(fake.calls, 2 * (flags + 1)); /* all there is, then its last block once more */
    }
    teardown();
}

Test(read_stage, alignment_tail_beyond_the_end_is_no_error)
{
    setup(answer_all);
    fake.file_bytes = 10000;
    push(0, CHUNK_READ, 9000, 1000, true);
    expect_data(pop());
    cr_expect_eq(fake.calls, 1);
    teardown();
}

static void expect_end(bool direct, uint32_t flags, uint64_t offset, uint32_t came)
{
    struct chunk *chunk = push(0, CHUNK_READ, offset, 4000, direct);

    chunk->request->flags = (uint8_t)flags;
    cr_assert_eq(pop(), chunk);
    if (flags != 0) {
        cr_expect_eq(chunk->payload_bytes, came, "%u", chunk->payload_bytes);
        expect_data(chunk);
    } else {
        cr_expect_eq(chunk->status, DS_STATUS_END_OF_FILE);
    }
}

Test(read_stage, end_of_file)
{
    setup(answer_all);
    fake.file_bytes = 10000;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t flags = i / 2 != 0 ? DS_REQUEST_ALLOW_SHORT : 0;

        expect_end(i % 2, flags, 8000, 2000);
        expect_end(i % 2, flags, 9999, 1);
        expect_end(i % 2, flags, 10000, 0);
        expect_end(i % 2, flags, 10100, 0); /* its block begins before the end */
        expect_end(i % 2, flags, 90000, 0);
    }
    cr_expect_eq(fake.stage.stats.counters.errors, 10);
    teardown();
}

static int64_t answer_interrupted(struct fake *f, const struct chunk *chunk, uint64_t offset,
                                  uint32_t want)
{
    static const int errors[] = {EINTR, EAGAIN, ECANCELED};

    if (++f->step % 8 != 0)
        return -errors[f->step % 3];
    return answer_all(f, chunk, offset, want);
}

Test(read_stage, interrupted_is_issued_again)
{
    setup(answer_interrupted);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        push(slot, CHUNK_READ, slot * 1000, 5000, slot % 2);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        expect_data(pop());
    cr_expect_eq(fake.stage.stats.counters.retries, 7 * SLOTS);
    cr_expect_eq(fake.stage.stats.counters.errors, 0);
    teardown();
}

static int64_t answer_no_direct(struct fake *f, const struct chunk *chunk, uint64_t offset,
                                uint32_t want)
{
    if (chunk->direct)
        return -EINVAL;
    cr_expect_eq(chunk_fd(chunk), 101);
    return answer_all(f, chunk, offset, want);
}

Test(read_stage, refused_direct_goes_buffered)
{
    setup(answer_no_direct);
    cr_expect(file_is_direct(&fake.file));
    for (uint32_t slot = 0; slot < 4; slot++)
        push(slot, CHUNK_READ, 777 * slot, 9000, true);
    for (uint32_t slot = 0; slot < 4; slot++)
        expect_data(pop());
    cr_expect_not(file_is_direct(&fake.file));
    cr_expect_eq(fake.calls, 8);
    cr_expect_eq(fake.log_lines, 1);
    teardown();
}

static int64_t answer_step(struct fake *f, const struct chunk *chunk, uint64_t offset,
                           uint32_t want)
{
    (void)chunk;
    (void)offset;
    (void)want;
    return -(int64_t)f->step;
}

Test(read_stage, invalid_without_a_way_out_fails)
{
    struct chunk *chunk;

    setup(answer_step);
    fake.step = EINVAL;
    chunk = push(0, CHUNK_READ, 0, 512, false);
    cr_assert_eq(pop(), chunk);
    cr_expect_eq(chunk->status, DS_STATUS_IO_ERROR);
    cr_expect_eq(chunk->error, -EINVAL);
    chunk = push(0, CHUNK_READ, 0, 512, true);
    chunk->request->file = NULL; /* a raw descriptor has no buffered twin */
    cr_assert_eq(pop(), chunk);
    cr_expect_eq(chunk->status, DS_STATUS_IO_ERROR);
    cr_expect_eq(fake.calls, 2);
    teardown();
}

Test(read_stage, errors_have_their_status)
{
    static const struct {
        int error;
        enum ds_status read, write;
    } cases[] = {
        {EIO, DS_STATUS_IO_ERROR, DS_STATUS_IO_ERROR},
        {ENOSPC, DS_STATUS_NO_SPACE, DS_STATUS_NO_SPACE},
        {EDQUOT, DS_STATUS_NO_SPACE, DS_STATUS_NO_SPACE},
        {EROFS, DS_STATUS_IO_ERROR, DS_STATUS_READ_ONLY},
        {EBADF, DS_STATUS_IO_ERROR, DS_STATUS_READ_ONLY},
        {EPERM, DS_STATUS_IO_ERROR, DS_STATUS_READ_ONLY},
        {EFAULT, DS_STATUS_ACCESS_VIOLATION, DS_STATUS_ACCESS_VIOLATION},
        {ENOMEM, DS_STATUS_NO_MEMORY, DS_STATUS_NO_MEMORY},
        {ESTALE, DS_STATUS_IO_ERROR, DS_STATUS_IO_ERROR},
    };

    setup(answer_step);
    for (uint32_t i = 0; i < 2 * ARRAY_LENGTH(cases); i++) {
        bool write = i % 2;
        struct chunk *chunk;

        fake.step = (uint32_t)cases[i / 2].error;
        chunk = push(0, write ? CHUNK_WRITE : CHUNK_READ, 4096, 4096, i / 2 % 2);
        cr_assert_eq(pop(), chunk);
        cr_expect_eq(chunk->status, write ? cases[i / 2].write : cases[i / 2].read, "errno %d",
                     cases[i / 2].error);
        cr_expect_eq(chunk->error, -cases[i / 2].error);
    }
    cr_expect_eq(fake.stage.stats.counters.errors, 2 * ARRAY_LENGTH(cases));
    cr_expect_eq(fake.stage.stats.counters.bytes, 0);
    teardown();
}

Test(read_stage, write_of_nothing_fails)
{
    struct chunk *chunk;

    setup(answer_step); /* step 0: the result is 0 */
    chunk = push(0, CHUNK_WRITE, 0, 4096, false);
    chunk->request->flags = DS_REQUEST_ALLOW_SHORT;
    cr_assert_eq(pop(), chunk);
    cr_expect_eq(chunk->status, DS_STATUS_IO_ERROR);
    cr_expect_eq(chunk->error, -EIO);
    cr_expect_eq(fake.calls, 1);
    teardown();
}

static int64_t answer_100(struct fake *f, const struct chunk *chunk, uint64_t offset, uint32_t want)
{
    return chunk->direct ? 100 : answer_all(f, chunk, offset, want);
}

Test(read_stage, short_direct_write_goes_on_buffered)
{
    struct chunk *chunk;

    setup(answer_100);
    chunk = push(0, CHUNK_WRITE, 1024, 8192, true);
    memset(fake.memory[0], 0x5a, 8192);
    cr_assert_eq(pop(), chunk);
    cr_expect_eq(chunk->status, DS_STATUS_OK);
    for (uint32_t i = 1024; i < 1024 + 8192; i++)
        cr_assert_eq(fake.model[i], 0x5a, "%u", i);
    cr_expect(file_is_direct(&fake.file)); /* one short write is no refusal */
    teardown();
}

static int64_t answer_gib(struct fake *f, const struct chunk *chunk, uint64_t offset, uint32_t want)
{
    (void)f;
    (void)chunk;
    (void)offset;
    return min_u32(want, 1u << 30);
}

Test(read_stage, largest_chunk)
{
    struct chunk *chunk;

    setup(answer_gib);
    fake.no_data = true;
    chunk = push(0, CHUNK_READ, 1, UINT32_MAX - ALIGN - 1, true);
    cr_assert_eq(pop(), chunk);
    cr_expect_eq(chunk->status, DS_STATUS_OK);
    cr_expect_eq(fake.calls, 4);
    teardown();
}

Test(read_stage, no_room_keeps_the_order)
{
    setup(answer_all);
    fake.room = 1;
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        push(slot, CHUNK_READ, slot * 1000, 600, false);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct chunk *chunk = pop();

        cr_expect_eq(chunk, &fake.chunks[slot]);
        expect_data(chunk);
    }
    cr_expect_eq(fake.stage.stats.counters.device_high_water, 1);
    teardown();
}

/* The second chunk of a request: its payload does not begin where the request does. */
static struct chunk *push_second(void)
{
    struct chunk *chunk = push(0, CHUNK_READ, 0, 512, true);

    chunk->request->offset = 300;
    chunk->request_offset = 4000;
    chunk->file_offset = 4096;
    chunk->io_bytes = 1024;
    chunk->payload_bytes = 600;
    return chunk;
}

Test(read_stage, request_offset_counts)
{
    struct chunk *chunk;

    setup(answer_all);
    fake.file_bytes = 4300 + 600;
    chunk = push_second();
    cr_assert_eq(pop(), chunk);
    cr_expect_eq(chunk->status, DS_STATUS_OK);
    cr_expect_eq(fake.calls, 1);
    fake.file_bytes--;
    chunk = push_second();
    cr_assert_eq(pop(), chunk);
    cr_expect_eq(chunk->status, DS_STATUS_END_OF_FILE);
    chunk = push_second();
    chunk->request->flags = DS_REQUEST_ALLOW_SHORT;
    cr_assert_eq(pop(), chunk);
    cr_expect_eq(chunk->payload_bytes, 599);
    teardown();
}

/* Once a turn: the flush of this back end completes what was issued. */
Test(read_stage, what_ends_in_the_flush_is_handed_on_in_its_turn)
{
    void *chunks[SLOTS];

    setup(answer_all);
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            push(slot, CHUNK_READ, slot * 1000, 5000, slot % 2);
        cr_expect_eq(read_stage_ops.work(&fake.stage, clock_now_ns()), 3 * SLOTS);
        cr_assert_eq(ring_pop_n_sc(&fake.out, chunks, SLOTS), SLOTS);
        for (uint32_t i = 0; i < SLOTS; i++)
            expect_data(chunks[i]);
    }
    teardown();
}

static uint32_t pieces[8], pieces_n;

static uint32_t note_piece(void *self)
{
    struct fake *f = self;
    uint32_t before = 0;

    for (uint32_t i = 0; i < pieces_n; i++)
        before += pieces[i];
    cr_assert_lt(pieces_n, 8);
    pieces[pieces_n++] = f->done_n - before;
    return f->done_n - before;
}

/* Issues a batch in one turn. Returns how many calls handed it over. */
static uint32_t pieces_of(uint32_t n, bool direct)
{
    void *chunks[SLOTS];
    uint64_t before = fake.stage.stats.counters.batches;

    pieces_n = 0;
    for (uint32_t slot = 0; slot < n; slot++)
        push(slot, CHUNK_READ, slot * 1024, 512, direct);
    read_stage_ops.work(&fake.stage, clock_now_ns());
    cr_assert_eq(ring_pop_n_sc(&fake.out, chunks, SLOTS), n);
    cr_expect_eq(fake.stage.stats.counters.batches - before, pieces_n);
    return pieces_n;
}

/* A device with nothing to do gets the first of many at once. */
Test(read_stage, large_batches_of_direct_transfers_go_in_pieces)
{
    struct read_backend_ops ops = fake_ops;

    ops.push = ops.flush = note_piece;
    setup_with(&ops, answer_all);
    cr_expect_eq(pieces_of(15, true), 1);
    cr_expect_eq(pieces_of(SLOTS, false), 1);
    cr_assert_eq(pieces_of(SLOTS, true), 4);
    cr_expect_eq(pieces[0], 1);
    cr_expect_eq(pieces[1], 4);
    cr_expect_eq(pieces[2], 16);
    cr_expect_eq(pieces[3], SLOTS - 21);
    teardown();
}

static int64_t answer_random(struct fake *f, const struct chunk *chunk, uint64_t offset,
                             uint32_t want)
{
    uint64_t dice = random_next(&f->state) % 16;

    if (dice < 2)
        return dice == 0 ? -EINTR : -EAGAIN;
    if (dice < 6 && want > 1)
        want = 1 + (uint32_t)(random_next(&f->state) % want);
    return answer_all(f, chunk, offset, want);
}

/* Whatever a kernel may answer, the data is right and each chunk comes out once. */
Test(read_stage, random_answers)
{
    const char *text = getenv("DS_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : clock_now_ns();
    uint32_t busy = 0, popped = 0;

    fprintf(stderr, "DS_TEST_SEED=%" PRIu64 "\n", seed);
    fake.state = seed;
    setup(answer_random);
    for (uint32_t pushed = 0; popped < 20000;) {
        struct chunk *chunk;

        while (busy < SLOTS && pushed < 20000) {
            uint32_t bytes = 1 + (uint32_t)(random_next(&fake.state) % (SLOT_BYTES - ALIGN));
            uint32_t slot = 0;

            while (fake.chunks[slot].state != CHUNK_FREE)
                slot++;
            push(slot, CHUNK_READ, random_next(&fake.state) % (MODEL_BYTES - bytes), bytes,
                 random_next(&fake.state) % 2);
            busy++;
            pushed++;
        }
        fake.room = 1 + (uint32_t)(random_next(&fake.state) % SLOTS);
        if (fake.room < fake.done_n)
            fake.room = fake.done_n;
        chunk = pop();
        expect_data(chunk);
        chunk_advance(chunk, CHUNK_DONE_READ, CHUNK_FREE);
        busy--;
        popped++;
    }
    cr_expect_eq(busy, 0);
    teardown();
}

static void *forget_many(void *arg)
{
    struct ds_file *files = arg;

    for (uint32_t i = 0; i < 50; i++)
        read_forget(&fake.stage, &files[i], &fake.event);
    return NULL;
}

Test(read_stage, forget_from_several_threads)
{
    static struct ds_file files[2][50];
    pthread_t threads[2];

    setup(answer_all);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, forget_many, files[i]), 0);
    while (atomic_load(&fake.forgets) < 100) {
        uint32_t key;

        if (read_stage_ops.work(&fake.stage, 0) > 0)
            continue;
        key = event_prepare(&fake.event);
        if (read_stage_ops.ready(&fake.stage))
            event_cancel(&fake.event);
        else
            event_wait(&fake.event, key, 1000000000u);
    }
    for (uint32_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(atomic_load(&fake.forgets), 100);
    teardown();
}
