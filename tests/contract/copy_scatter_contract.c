/* Copies by shader, byte for byte: every size up to 300 at every pair of alignments, regions that
 * are cut, tables larger than a dispatch, and guard bytes around all of them. */
#include "contract/copy_rig.h"
#include "engine/vulkan/scatter.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SIZES 300u
#define ALIGNS 16u
#define SIZES_A_BATCH 12u
#define REGIONS (SIZES_A_BATCH * ALIGNS * ALIGNS)
#define ROOM (SIZES + 48u) /* for a region, its alignment and 16 guard bytes before and behind */
#define GUARD 0xc7
#define BYTES ((uint64_t)REGIONS * ROOM)

struct table {
    struct rig rig;
    struct vk_util_buffer buffer;
    struct rig_piece *pieces;
    struct chunk **chunks;
    uint8_t *expected;
    uint8_t *found;
    uint32_t n;
};

static void table_open(struct table *t, const struct rig_options *options, uint64_t bytes)
{
    memset(t, 0, sizeof(*t));
    rig_open(&t->rig, options, bytes);
    vk_util_buffer(t->rig.util, bytes, 0, false, &t->buffer);
    t->pieces = rig_pieces(REGIONS);
    t->chunks = calloc(REGIONS, sizeof(*t->chunks));
    t->expected = malloc(bytes);
    t->found = malloc(bytes);
    for (uint64_t i = 0; i < bytes; i++) /* no two places alike, and none like the guard */
        t->rig.staging.memory[i] = (uint8_t)((i * 2654435761u >> 13) % 0xc7);
}

static void table_clear(struct table *t)
{
    vk_util_fill(t->rig.util, &t->buffer, GUARD);
    memset(t->expected, GUARD, t->buffer.bytes);
    t->n = 0;
}

/* `alone`: the shader has to do it, whatever the size. */
static void table_add(struct table *t, uint64_t to, uint64_t from, uint32_t bytes, bool alone)
{
    struct rig_piece *piece = &t->pieces[t->n];

    rig_piece(&t->rig, piece, false, t->buffer.buffer, to, from, bytes, 0);
    rig_piece_address(piece, t->buffer.address, alone);
    memcpy(t->expected + to, t->rig.staging.memory + from, bytes);
    t->chunks[t->n++] = &piece->chunk;
}

static void table_check(struct table *t)
{
    rig_wait(&t->rig, rig_submit(&t->rig, 0, t->chunks, t->n, NULL, 0));
    vk_util_readback(t->rig.util, &t->buffer, 0, t->buffer.bytes, t->found);
    for (uint64_t i = 0; i < t->buffer.bytes; i++)
        cr_assert_eq(t->found[i], t->expected[i], "byte %llu is %02x, not %02x",
                     (unsigned long long)i, t->found[i], t->expected[i]);
}

static void table_close(struct table *t)
{
    vk_util_buffer_free(t->rig.util, &t->buffer);
    free(t->pieces);
    free(t->chunks);
    free(t->expected);
    free(t->found);
    rig_close(&t->rig);
}

#define SCATTER_OPTIONS .copy_path = DS_VULKAN_PATH_SCATTER, .regions_max = REGIONS

Test(copy_scatter, every_size_at_every_alignment)
{
    struct table t;

    table_open(&t, &(struct rig_options){SCATTER_OPTIONS}, BYTES);
    for (uint32_t first = 1; first <= SIZES; first += SIZES_A_BATCH) {
        table_clear(&t);
        for (uint32_t i = 0; i < REGIONS; i++) {
            uint32_t bytes = first + i / (ALIGNS * ALIGNS);
            uint64_t at = (uint64_t)i * ROOM / 16 * 16 + 16;

            if (bytes <= SIZES)
                table_add(&t, at + i % ALIGNS, at + i / ALIGNS % ALIGNS, bytes, i % 3 == 0);
        }
        table_check(&t);
    }
    cr_expect_eq(rig_hooks.copy_calls, 0);
    table_close(&t);
}

/* Around the size at which a region is cut, and well above it. */
Test(copy_scatter, regions_of_several_pieces)
{
    static const uint32_t sizes[] = {
        SCATTER_PIECE_BYTES - 1, SCATTER_PIECE_BYTES,      SCATTER_PIECE_BYTES + 1,
        SCATTER_PIECE_BYTES + 15, 2 * SCATTER_PIECE_BYTES, 2 * SCATTER_PIECE_BYTES + 17,
        200001,
    };
    struct table t;
    uint64_t at = 16;

    table_open(&t, &(struct rig_options){SCATTER_OPTIONS}, (uint64_t)12 << 20);
    table_clear(&t);
    for (uint32_t i = 0; i < ARRAY_LENGTH(sizes) * 4; i++) {
        uint32_t bytes = sizes[i / 4];

        table_add(&t, at + i * 5 % 16, at + i * 11 % 16, bytes, false);
        at += (bytes + 64) / 16 * 16;
    }
    table_check(&t);
    cr_expect_eq(rig_hooks.copy_calls, 0);
    table_close(&t);
}

/* More pieces than a dispatch has workgroups: the shader goes round. */
Test(copy_scatter, more_pieces_than_workgroups)
{
    enum { MANY = 65536, BYTES_A_PIECE = 2 };
    struct rig_piece *pieces;
    struct table t;

    table_open(&t, &(struct rig_options){.copy_path = DS_VULKAN_PATH_SCATTER, .regions_max = MANY},
               1 << 20);
    table_clear(&t);
    pieces = rig_pieces(MANY);
    free(t.pieces);
    free(t.chunks);
    t.pieces = pieces;
    t.chunks = calloc(MANY, sizeof(*t.chunks));
    for (uint32_t i = 0; i < MANY; i++)
        table_add(&t, i * 4, i * 6 + 1, BYTES_A_PIECE, false);
    table_check(&t);
    cr_expect_eq(rig_hooks.dispatches, 1);
    table_close(&t);
}

/* Few workgroups copy everything, one piece after the other. */
Test(copy_scatter, no_more_workgroups_than_allowed)
{
    static const uint32_t limits[] = {1, 7};

    for (uint32_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        struct table t;

        table_open(&t, &(struct rig_options){SCATTER_OPTIONS, .scatter_groups_max = limits[i]},
                   1 << 20);
        table_clear(&t);
        for (uint32_t k = 0; k < 5; k++) /* ten pieces */
            table_add(&t, 3 + k * 30000, 60000 + k * 20001, SCATTER_PIECE_BYTES + 9, false);
        table_check(&t);
        cr_expect_eq(rig_hooks.dispatches, 1);
        cr_expect_eq(rig_hooks.groups, limits[i]);
        table_clear(&t);
        table_add(&t, 100, 5, 4096, false);
        table_check(&t);
        cr_expect_eq(rig_hooks.groups, 1, "never more than there are pieces");
        table_close(&t);
    }
}

/* What touches is one region, and what is larger than the limit goes by command. */
Test(copy_scatter, joined_before_it_is_sorted_by_size)
{
    struct table t;

    table_open(&t, &(struct rig_options){.scatter_max_bytes = 4096, .regions_max = REGIONS},
               1 << 20);
    table_clear(&t);
    if (t.buffer.address == 0)
        cr_skip_test("the device has no addresses");
    for (uint32_t i = 0; i < 4; i++)
        table_add(&t, 1000 + i * 1024, 5000 + i * 1024, 1024, false);
    table_check(&t);
    cr_expect_eq(rig_hooks.dispatches, 1);
    cr_expect_eq(rig_hooks.copy_calls, 0);
    for (uint32_t i = 0; i < 4; i++)
        table_add(&t, 10000 + i * 1025, 20000 + i * 1025, 1025, false);
    table_check(&t);
    cr_expect_eq(rig_hooks.dispatches, 2);
    cr_expect_eq(rig_hooks.copy_regions, 1, "4100 bytes");
    cr_expect_eq(rig_hooks.barriers, 2, "one at the end of each submission");
    table_close(&t);
}

/* A few regions go by command, but for those without a buffer. */
Test(copy_scatter, few_regions_go_by_command)
{
    struct table t;

    table_open(&t, &(struct rig_options){.scatter_max_bytes = 4096, .scatter_regions_min = 4,
                                         .regions_max = REGIONS},
               1 << 20);
    table_clear(&t);
    if (t.buffer.address == 0)
        cr_skip_test("the device has no addresses");
    for (uint32_t i = 0; i < 3; i++)
        table_add(&t, i * 3000, i * 5000, 2000, false);
    table_check(&t);
    cr_expect_eq(rig_hooks.dispatches, 0);
    cr_expect_eq(rig_hooks.copy_regions, 3);
    table_add(&t, 30000, 50000, 2000, false);
    table_check(&t);
    cr_expect_eq(rig_hooks.dispatches, 1, "four are no longer a few");
    cr_expect_eq(rig_hooks.copy_regions, 3);
    table_clear(&t);
    table_add(&t, 1000, 7000, 2000, true);
    table_add(&t, 4000, 1000, 2000, false);
    table_check(&t);
    cr_expect_eq(rig_hooks.dispatches, 2, "one has no buffer");
    cr_expect_eq(rig_hooks.copy_regions, 4);
    table_close(&t);
}
