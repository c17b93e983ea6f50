/* The GDeflate shaders against the CPU decoder: the same bytes, and the same verdict on what is
 * damaged. Every form that the device has is tested; software has the portable one. */
#include "gpu/gdeflate_rig.h"
#include "unit/test_gdeflate.h"
#include "unit/vectors.h"

/* Of all that there is to try, every nth: see vectors.h. */
#ifndef VECTORS_PART
#define VECTORS_PART 1
#endif

#define TILES_MAX 2048

/* Tiles that wait to be decoded together, and what the CPU made of them. */
struct pile {
    struct gdeflate_rig rig;
    struct rig_tile tiles[TILES_MAX];
    enum ds_codec_error expected[TILES_MAX];
    uint8_t *contents[TILES_MAX]; /* the CPU's */
    char names[TILES_MAX][64];
    uint32_t tiles_n;
    uint32_t failed_n;   /* verdicts other than NONE, in all */
    uint32_t given_up_n; /* verdicts DEVICE: see loops_work() in the shader */
    uint64_t bytes;
};

static struct pile *pile_open(enum gdeflate_gpu_form form)
{
    struct pile *pile = calloc(1, sizeof(*pile));

    cr_assert_not_null(pile);
    if (gdeflate_rig_open(&pile->rig, form))
        return pile;
    free(pile);
    return NULL;
}

static void tile_check(struct pile *pile, uint32_t i)
{
    const struct rig_tile *tile = &pile->tiles[i];

    if (tile->verdict == DS_CODEC_ERROR_DEVICE) {
        fprintf(stderr, "skipped: %s: software gave up on it\n", pile->names[i]);
        pile->given_up_n++;
        return;
    }
    cr_assert_eq(tile->verdict, pile->expected[i], "%s: %s, but the CPU: %s", pile->names[i],
                 ds_codec_error_name(tile->verdict), ds_codec_error_name(pile->expected[i]));
    if (tile->verdict != DS_CODEC_ERROR_NONE)
        return;
    for (uint32_t k = 0; k < tile->bytes; k++)
        cr_assert_eq(tile->content[k], pile->contents[i][k], "%s: byte %u of %u differs",
                     pile->names[i], k, tile->bytes);
}

static void pile_run(struct pile *pile)
{
    if (pile->tiles_n != 0)
        gdeflate_rig_decode(&pile->rig, pile->tiles, pile->tiles_n);
    for (uint32_t i = 0; i < pile->tiles_n; i++) {
        tile_check(pile, i);
        pile->failed_n += pile->expected[i] != DS_CODEC_ERROR_NONE;
        free((void *)pile->tiles[i].packed);
        free(pile->tiles[i].content);
        free(pile->contents[i]);
    }
    pile->tiles_n = 0;
    pile->bytes = 0;
}

static void pile_close(struct pile *pile)
{
    bool software = pile->rig.util->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;

    pile_run(pile);
    cr_assert_leq(pile->given_up_n, software ? 3 : 0);
    gdeflate_rig_close(&pile->rig);
    free(pile);
}

static void pile_add(struct pile *pile, const uint8_t *packed, uint32_t packed_bytes,
                     uint32_t bytes, const char *name)
{
    rounds_fn rounds = gdeflate_rounds_for(DS_CODEC_PATH_AUTO, NULL);
    uint32_t i = pile->tiles_n++;
    uint8_t *copy = malloc(packed_bytes);

    memcpy(copy, packed, packed_bytes);
    pile->contents[i] = calloc(1, bytes);
    pile->tiles[i] = (struct rig_tile){
        .packed = copy,
        .packed_bytes = packed_bytes,
        .bytes = bytes,
        .content = malloc(bytes),
    };
    pile->expected[i] =
        gdeflate_tile_decode(rounds, packed, packed_bytes, pile->contents[i], bytes);
    snprintf(pile->names[i], sizeof(pile->names[i]), "%s", name);
    pile->bytes += bytes;
    if (pile->tiles_n == TILES_MAX || pile->bytes > 16u << 20)
        pile_run(pile);
}

/* Runs a test body for each form that there is. */
static void forms_run(void (*body)(struct pile *pile))
{
    for (int form = GDEFLATE_GPU_PORTABLE; form < GDEFLATE_GPU_FORMS; form++) {
        struct pile *pile = pile_open((enum gdeflate_gpu_form)form);

        if (pile == NULL)
            continue;
        body(pile);
        pile_close(pile);
    }
}

/* Made here ----------------------------------------------------------------------------------- */

static uint32_t packed_make(enum kind kind, uint64_t seed, int level, uint32_t bytes,
                            uint8_t *packed)
{
    static uint8_t raw[GDEFLATE_TILE_BYTES];
    struct encoder *encoder = encoder_make();
    size_t packed_bytes;

    data_make(kind, seed, raw, bytes);
    packed_bytes = gdeflate_tile_encode(encoder, level, raw, bytes, packed);
    free(encoder);
    return (uint32_t)packed_bytes;
}

static void kinds_add(struct pile *pile)
{
    static const uint32_t sizes[] = {1, 2, 31, 32, 33, 1000, 4097, 65535, 65536};
    static uint8_t packed[GDEFLATE_TILE_PACKED_MAX];
    static const int levels[] = {0, 1, 9};
    char name[64];

    for (int kind = 0; kind < KINDS; kind++) {
        for (uint32_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
            if ((uint32_t)kind % vectors_part(VECTORS_PART) != i % vectors_part(VECTORS_PART))
                continue;
            for (uint32_t k = 0; k < ARRAY_LENGTH(levels); k++) {
                uint32_t packed_bytes =
                    packed_make((enum kind)kind, i, levels[k], sizes[i], packed);

                snprintf(name, sizeof(name), "%s, %u bytes, level %d", kind_names[kind], sizes[i],
                         levels[k]);
                pile_add(pile, packed, packed_bytes, sizes[i], name);
            }
        }
    }
    pile_run(pile);
    cr_assert_eq(pile->failed_n, 0);
}

Test(gdeflate_gpu, decodes_what_the_encoder_makes)
{
    forms_run(kinds_add);
}

/* Changes a few bits or cuts; what comes of it the CPU decoder says. */
static uint32_t packed_damage(uint8_t *packed, uint32_t packed_bytes, uint64_t *seed)
{
    uint32_t changes = 1 + random_next(seed) % 4;

    if (random_next(seed) % 8 == 0 && packed_bytes > GDEFLATE_TILE_PACKED_MIN)
        packed_bytes -= random_next(seed) % (packed_bytes - GDEFLATE_TILE_PACKED_MIN);
    for (uint32_t i = 0; i < changes; i++) {
        /* the first words hold the codes: there damage does most */
        uint32_t reach = random_next(seed) % 2 != 0 ? packed_bytes : min_u32(packed_bytes, 400);

        packed[random_next(seed) % reach] ^= (uint8_t)(1u << random_next(seed) % 8);
    }
    return packed_bytes;
}

static void damaged_add(struct pile *pile)
{
    static uint8_t packed[GDEFLATE_TILE_PACKED_MAX], damaged[GDEFLATE_TILE_PACKED_MAX];
    uint64_t seed = 20;
    char name[64];

    for (uint32_t i = 0; i < 60; i++) {
        enum kind kind = (enum kind)(i % KINDS);
        uint32_t bytes = 1 + random_next(&seed) % 6000;
        uint32_t packed_bytes = packed_make(kind, i, (int)(i / KINDS % 13), bytes, packed);

        for (uint32_t k = 0; k < 60 / vectors_part(VECTORS_PART); k++) {
            uint32_t other = random_next(&seed) % 16 == 0 ? bytes + 1 - k % 3 : bytes;
            uint32_t damaged_bytes;

            memcpy(damaged, packed, packed_bytes);
            damaged_bytes = packed_damage(damaged, packed_bytes, &seed);
            snprintf(name, sizeof(name), "%s %u, damage %u", kind_names[kind], i, k);
            pile_add(pile, damaged, damaged_bytes, other != 0 ? other : 1, name);
        }
    }
    pile_run(pile);
    cr_assert_gt(pile->failed_n, 1500 / vectors_part(VECTORS_PART));
}

Test(gdeflate_gpu, judges_damaged_tiles_as_the_cpu_does)
{
    forms_run(damaged_add);
}

static void noise_add(struct pile *pile)
{
    static uint8_t packed[2000];
    uint64_t seed = 30;

    for (uint32_t i = 0; i < 1000 / vectors_part(VECTORS_PART); i++) {
        uint32_t packed_bytes = 100 + random_next(&seed) % 1900;

        data_make(NOISE, i, packed, packed_bytes);
        packed[0] = (uint8_t)((packed[0] & ~7) | (i % 8)); /* every type of block */
        pile_add(pile, packed, packed_bytes, 1 + random_next(&seed) % 65536, "noise");
    }
    pile_run(pile);
    cr_assert_gt(pile->failed_n, 990 / vectors_part(VECTORS_PART) - 2);
}

Test(gdeflate_gpu, refuses_noise)
{
    forms_run(noise_add);
}

/* The vectors --------------------------------------------------------------------------------- */

static void tiles_add(struct pile *pile, const char *name, const struct file *packed,
                      const struct file *content)
{
    struct gdeflate_stream stream;

    /* containers that are bad are the CPU's to refuse */
    if (gdeflate_stream_parse(&stream, packed->data, packed->size) != DS_CODEC_ERROR_NONE)
        return;
    for (uint32_t i = 0; i < stream.tile_count; i++) {
        struct gdeflate_tile tile = gdeflate_stream_tile(&stream, i);

        pile_add(pile, tile.packed, tile.packed_bytes, tile.bytes, name);
        if (content == NULL || pile->tiles_n == 0) /* none: they have run already */
            continue;
        cr_assert_arr_eq(pile->contents[pile->tiles_n - 1],
                         content->data + (size_t)i * GDEFLATE_TILE_BYTES, tile.bytes);
    }
}

static void good_add(void *pile, const char *name, const struct file *packed,
                     const struct file *content)
{
    tiles_add(pile, name, packed, content);
}

static void vectors_add(struct pile *pile)
{
    uint32_t part = vectors_part(VECTORS_PART);

    cr_assert_gt(vectors_each("", part, good_add, pile), 300 / (2 * part));
    cr_assert_gt(vectors_each("crafted/", part, good_add, pile), 50 / (2 * part));
    pile_run(pile);
    cr_assert_eq(pile->failed_n, 0);
}

Test(gdeflate_gpu, decodes_the_vectors)
{
    if (vectors_there())
        forms_run(vectors_add);
}

static void bad_add(void *pile, const char *name, const struct file *packed,
                    enum ds_codec_error verdict)
{
    (void)verdict; /* the CPU's, which the tests of the CPU hold to this */
    tiles_add(pile, name, packed, NULL);
}

static void malformed_add(struct pile *pile)
{
    uint32_t part = vectors_part(VECTORS_PART);

    cr_assert_gt(bad_vectors_each(part, bad_add, pile), 150 / (2 * part));
    pile_run(pile);
    cr_assert_gt(pile->failed_n, 50 / (2 * part));
}

Test(gdeflate_gpu, refuses_the_malformed_vectors)
{
    if (vectors_there())
        forms_run(malformed_add);
}
