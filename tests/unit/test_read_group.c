/* Chunks that touch in the file share a transfer, and each still gets its own end. */
#include "fake_read.h"

#include <ds/queue.h>
#include <inttypes.h>
#include <stdlib.h>

#define PIECE 4096u

static void push_row(uint32_t first_slot, uint32_t n, uint64_t offset, bool direct)
{
    for (uint32_t i = 0; i < n; i++)
        push(first_slot + i, CHUNK_READ, offset + i * PIECE, PIECE, direct);
}

static void pop_row(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        expect_data(pop());
}

Test(read_group, a_row_is_one_transfer)
{
    setup_with(&fake_gathering_ops, answer_all);
    push_row(0, 16, 8192, true);
    pop_row(16);
    cr_expect_eq(fake.calls, 1);
    cr_expect_eq(fake.stage.stats.counters.items, 16);
    cr_expect_eq(fake.stage.stats.counters.bytes, 16 * PIECE);
    cr_expect_eq(fake.stage.stats.counters.device_high_water, 1);
    cr_expect_eq(fake.stage.stats.counters.retries, 0);
    teardown();
}

Test(read_group, a_back_end_that_cannot_gather_is_given_each)
{
    setup(answer_all);
    push_row(0, 16, 8192, true);
    pop_row(16);
    cr_expect_eq(fake.calls, 16);
    teardown();
}

Test(read_group, a_row_longer_than_the_largest_is_several)
{
    uint32_t per_transfer = CHUNK_GROUP_BYTES / PIECE;

    setup_with(&fake_gathering_ops, answer_all);
    cr_assert_eq(MODEL_BYTES / PIECE % SLOTS, 0);
    push_row(0, SLOTS, 0, true);
    pop_row(SLOTS);
    cr_expect_eq(fake.calls, (SLOTS + per_transfer - 1) / per_transfer);
    teardown();
}

/* Each of these ends a row. */
Test(read_group, only_what_continues_shares)
{
    setup_with(&fake_gathering_ops, answer_all);
    push(0, CHUNK_READ, 0, PIECE, true);
    push(1, CHUNK_READ, PIECE, PIECE, false); /* the other descriptor */
    push(2, CHUNK_READ, 3 * PIECE, PIECE, false); /* a gap */
    push(3, CHUNK_READ, 3 * PIECE, PIECE, false); /* the same again */
    push(4, CHUNK_READ, 2 * PIECE, PIECE, false); /* backwards */
    pop_row(5);
    cr_expect_eq(fake.calls, 5);
    push(0, CHUNK_READ, 0, PIECE, true)->state = CHUNK_READY;
    push(1, CHUNK_WRITE, PIECE, PIECE, true);
    memcpy(fake.memory[1], fake.model + PIECE, PIECE);
    push(2, CHUNK_WRITE, 2 * PIECE, PIECE, true);
    memcpy(fake.memory[2], fake.model + (size_t)2 * PIECE, PIECE);
    pop_row(3);
    cr_expect_eq(fake.calls, 8);
    teardown();
}

Test(read_group, other_files_do_not_share)
{
    static struct ds_file other;

    setup_with(&fake_gathering_ops, answer_all);
    other = fake.file;
    push(0, CHUNK_READ, 0, PIECE, true);
    push(1, CHUNK_READ, PIECE, PIECE, true);
    fake.requests[1].file = &other;
    for (uint32_t i = 2; i < 4; i++) { /* raw descriptors */
        push(i, CHUNK_READ, i * PIECE, PIECE, false);
        fake.requests[i].file = NULL;
        fake.requests[i].fd = (int32_t)(50 + i);
    }
    pop_row(4);
    cr_expect_eq(fake.calls, 4);
    teardown();
}

/* Chunks that found no room keep their place: nothing of a row is lost. */
Test(read_group, no_room_dissolves_the_row)
{
    setup_with(&fake_gathering_ops, answer_all);
    fake.room = 0;
    push_row(0, 8, 0, true);
    for (uint32_t i = 0; i < 3; i++)
        read_stage_ops.work(&fake.stage, 1);
    cr_expect_eq(fake.stage.waiting_n, 8);
    cr_expect_eq(fake.stage.in_flight, 0);
    for (uint32_t i = 0; i < 8; i++)
        cr_expect_eq(fake.chunks[i].group_next, 0);
    fake.room = SLOTS;
    pop_row(8);
    cr_expect_eq(fake.calls, 1);
    teardown();
}

static int64_t answer_bad_block(struct fake *f, const struct chunk *chunk, uint64_t offset,
                                uint32_t want)
{
    const uint64_t bad = 5 * PIECE + 512;

    if (offset <= bad && bad < offset + want)
        return -EIO;
    return answer_all(f, chunk, offset, want);
}

Test(read_group, a_bad_block_hits_its_chunk_alone)
{
    setup_with(&fake_gathering_ops, answer_bad_block);
    push_row(0, 12, 0, true);
    for (uint32_t i = 0; i < 12; i++) {
        struct chunk *chunk = pop();

        if (chunk == &fake.chunks[5]) {
            cr_expect_eq(chunk->status, DS_STATUS_IO_ERROR);
            cr_expect_eq(chunk->error, -EIO);
            continue;
        }
        expect_data(chunk);
        cr_expect_eq(chunk->error, 0);
    }
    cr_expect_eq(fake.calls, 13);
    cr_expect_eq(fake.stage.stats.counters.errors, 1);
    teardown();
}

static void expect_ends(uint32_t flags)
{
    uint32_t errors = 0;

    push_row(0, 10, 0, true);
    for (uint32_t i = 0; i < 10; i++)
        fake.requests[i].flags = (uint8_t)flags;
    for (uint32_t i = 0; i < 10; i++) {
        struct chunk *chunk = pop();
        uint64_t offset = chunk->request->offset;
        uint32_t came = until_end(&fake, offset, PIECE);

        if (came == PIECE || flags != 0) {
            cr_expect_eq(chunk->payload_bytes, came, "%u", chunk->payload_bytes);
            expect_data(chunk);
            continue;
        }
        cr_expect_eq(chunk->status, DS_STATUS_END_OF_FILE);
        cr_expect_eq(chunk->error, 0);
        errors++;
    }
    cr_expect_eq(errors, flags != 0 ? 0 : 4);
}

Test(read_group, the_end_of_the_file_hits_those_beyond_it)
{
    setup_with(&fake_gathering_ops, answer_all);
    fake.file_bytes = 6 * PIECE + 100;
    expect_ends(0);
    /* all; the rest of the last one, buffered; those behind it, found empty together */
    cr_expect_eq(fake.calls, 3);
    expect_ends(DS_REQUEST_ALLOW_SHORT);
    fake.file_bytes = 6 * PIECE;
    expect_ends(0);
    expect_ends(DS_REQUEST_ALLOW_SHORT);
    teardown();
}

static int64_t answer_no_direct(struct fake *f, const struct chunk *chunk, uint64_t offset,
                                uint32_t want)
{
    return chunk->direct ? -EINVAL : answer_all(f, chunk, offset, want);
}

Test(read_group, refused_direct_goes_buffered)
{
    setup_with(&fake_gathering_ops, answer_no_direct);
    push_row(0, 8, 0, true);
    pop_row(8);
    cr_expect_not(file_is_direct(&fake.file));
    cr_expect_eq(fake.log_lines, 1);
    teardown();
}

Test(read_group, a_cancelled_one_parts_the_row)
{
    setup_with(&fake_gathering_ops, answer_all);
    push_row(0, 9, 0, true);
    fake.requests[4].life = LIFE_LIVE | LIFE_CANCELLED;
    for (uint32_t i = 0; i < 9; i++) {
        struct chunk *chunk = pop();

        if (chunk == &fake.chunks[4])
            cr_expect_eq(chunk->status, DS_STATUS_CANCELLED);
        else
            expect_data(chunk);
    }
    cr_expect_eq(fake.calls, 2);
    teardown();
}

static int64_t answer_random(struct fake *f, const struct chunk *chunk, uint64_t offset,
                             uint32_t want)
{
    uint64_t dice = random_next(&f->state) % 16;

    if (dice < 3)
        return dice == 0 ? -EINTR : dice == 1 ? -EAGAIN : -EINVAL;
    if (dice < 8 && want > 1)
        want = 1 + (uint32_t)(random_next(&f->state) % want);
    return answer_all(f, chunk, offset, want);
}

/* A row of random length and pieces, somewhere. Returns how many chunks it took. */
static uint32_t push_random_row(void)
{
    uint64_t offset = random_next(&fake.state) % (MODEL_BYTES - SLOTS * SLOT_BYTES / 8);
    bool direct = random_next(&fake.state) % 2 != 0;
    uint32_t n = 1 + (uint32_t)(random_next(&fake.state) % 8), pushed = 0;

    offset = align_down_u64(offset, ALIGN);
    for (uint32_t slot = 0; slot < SLOTS && pushed < n; slot++) {
        uint32_t bytes = ALIGN * (1 + (uint32_t)(random_next(&fake.state) % 24));

        if (fake.chunks[slot].state != CHUNK_FREE)
            continue;
        push(slot, CHUNK_READ, offset, bytes, direct);
        offset += bytes;
        pushed++;
    }
    return pushed;
}

/* Whatever a kernel may answer to rows, the data is right and each chunk comes out once. EINVAL is
 * an error only for what is not direct. */
Test(read_group, random_answers)
{
    const char *text = getenv("DS_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : clock_now_ns();
    uint32_t busy = 0, popped = 0;

    fprintf(stderr, "DS_TEST_SEED=%" PRIu64 "\n", seed);
    fake.state = seed;
    setup_with(&fake_gathering_ops, answer_random);
    while (popped < 20000) {
        struct chunk *chunk;

        while (busy < SLOTS / 2)
            busy += push_random_row();
        fake.room = fake.done_n + 1 + (uint32_t)(random_next(&fake.state) % 4);
        chunk = pop();
        if (chunk->status == DS_STATUS_OK)
            expect_data(chunk);
        else
            cr_assert(chunk->error == -EINVAL && !chunk->direct, "%d", chunk->error);
        chunk_advance(chunk, CHUNK_DONE_READ, CHUNK_FREE);
        busy--;
        popped++;
    }
    for (; busy > 0; busy--)
        pop();
    cr_expect_gt(fake.stage.stats.counters.items, fake.stage.stats.counters.batches);
    teardown();
}
