/* The contract of a read back end for rows: requests that touch in the file, and share a transfer
 * where the back end can gather. */
#include "contract/read_contract.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#define PIECE 4096u
#define ROW 16u /* fills the largest transfer */

_Static_assert(ROW * PIECE == CHUNK_GROUP_BYTES, "a row is one transfer");

/* Pushes a row whose memory is `stride` bytes apart. */
static void push_row(struct lane *lane, struct sample *sample, uint64_t offset, bool direct,
                     uint32_t stride)
{
    for (uint32_t slot = 0; slot < ROW; slot++)
        lane_push(lane, slot, &(struct wish){.file = &sample->file,
                                             .offset = offset + slot * PIECE,
                                             .bytes = PIECE,
                                             .direct = direct,
                                             .memory = lane->staging.memory +
                                                       (uint64_t)slot * stride});
}

static void check_rows(const struct read_variant *variant, uint32_t stride)
{
    struct sample sample;
    struct lane lane;

    sample_open(&sample, 4 * ROW * PIECE, 3, 1);
    lane_open(&lane, variant);
    for (uint32_t row = 0; row < 8; row++) {
        memset(lane.staging.memory, 0, (size_t)ROW * stride);
        push_row(&lane, &sample, (row % 4) * ROW * PIECE, row < 4, stride);
        for (uint32_t i = 0; i < ROW; i++)
            expect_payload(&sample, lane_pop(&lane));
    }
    cr_expect_eq(lane.stage.stats.counters.items, 8 * ROW);
    cr_expect_eq(lane.stage.stats.counters.bytes, 8 * (uint64_t)ROW * PIECE);
    cr_expect_eq(lane.stage.stats.counters.device_high_water, 1, "a row is one transfer");
    lane_close(&lane);
    sample_close(&sample);
}

void contract_rows_share(const struct read_variant *variant)
{
    check_rows(variant, PIECE);
}

void contract_rows_in_pieces(const struct read_variant *variant)
{
    check_rows(variant, 3 * PIECE);
}

/* The file ends within the row: those before it have their data, those beyond it END_OF_FILE. */
void contract_row_over_the_end(const struct read_variant *variant)
{
    const uint64_t bytes = 5 * PIECE + 100;
    struct sample sample;
    struct lane lane;

    sample_open(&sample, bytes, 0, 1);
    lane_open(&lane, variant);
    for (uint32_t round = 0; round < 4; round++) {
        push_row(&lane, &sample, 0, round % 2 != 0, round < 2 ? PIECE : 2 * PIECE);
        for (uint32_t i = 0; i < ROW; i++) {
            struct chunk *chunk = lane_pop(&lane);

            if (chunk->request->offset + PIECE <= bytes)
                expect_payload(&sample, chunk);
            else
                cr_expect_eq(chunk->status, DS_STATUS_END_OF_FILE, "offset %llu: %s",
                             (unsigned long long)chunk->request->offset,
                             ds_status_name(chunk->status));
        }
    }
    lane_close(&lane);
    sample_close(&sample);
}

/* One destination of the row is not there. It alone is told so. */
void contract_row_with_bad_memory(const struct read_variant *variant)
{
    uint8_t *none = mmap(NULL, PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sample sample;
    struct lane lane;

    cr_assert(none != MAP_FAILED);
    sample_open(&sample, ROW * PIECE, 0, 1);
    lane_open(&lane, variant);
    for (uint32_t direct = 0; direct < 2; direct++) {
        for (uint32_t slot = 0; slot < ROW; slot++)
            lane_push(&lane, slot, &(struct wish){.file = &sample.file,
                                                  .offset = slot * PIECE,
                                                  .bytes = PIECE,
                                                  .direct = direct != 0,
                                                  .memory = slot == 7 ? none : NULL});
        for (uint32_t i = 0; i < ROW; i++) {
            struct chunk *chunk = lane_pop(&lane);

            if (chunk != &lane.chunks[7]) {
                expect_payload(&sample, chunk);
                continue;
            }
            cr_expect_eq(chunk->status, DS_STATUS_ACCESS_VIOLATION);
            cr_expect_eq(chunk->error, -EFAULT);
        }
    }
    cr_expect_eq(lane.stage.stats.counters.errors, 2);
    lane_close(&lane);
    sample_close(&sample);
    munmap(none, PIECE);
}

/* Rows of random lengths, cut and interleaved at random, over the whole file and its end. */
void contract_random_rows(const struct read_variant *variant)
{
    enum { TOTAL = 4000 };
    const uint64_t bytes = 100 * PIECE + 321;
    uint64_t state = random_seed(), offset = 0;
    struct sample sample;
    struct lane lane;
    uint32_t pushed = 0, left = 0;

    sample_open(&sample, bytes, 1, 1);
    lane_open(&lane, variant);
    for (uint32_t popped = 0; popped < TOTAL; popped++) {
        struct chunk *chunk;

        while (pushed < TOTAL && lane.chunks[pushed % LANE_SLOTS].state == CHUNK_FREE) {
            uint32_t size = 512 * (1 + (uint32_t)(random_next(&state) % 12));

            if (left-- == 0 || offset >= bytes) {
                left = (uint32_t)(random_next(&state) % 24);
                offset = align_down_u64(random_next(&state) % bytes, PIECE);
            }
            lane_push(&lane, pushed % LANE_SLOTS,
                      &(struct wish){.file = &sample.file, .offset = offset, .bytes = size,
                                     .flags = DS_REQUEST_ALLOW_SHORT,
                                     .direct = left % 7 != 0});
            offset += size;
            pushed++;
        }
        chunk = lane_pop(&lane);
        cr_assert_eq(chunk->payload_bytes, min_u64(chunk->request->size,
                                                   bytes > chunk->request->offset
                                                       ? bytes - chunk->request->offset
                                                       : 0));
        if (chunk->payload_bytes > 0)
            expect_payload(&sample, chunk);
    }
    cr_expect_eq(lane.stage.stats.counters.errors, 0);
    lane_close(&lane);
    sample_close(&sample);
}
