/* The GDeflate vectors: streams of the reference compressor, corner cases, and bad streams with the
 * verdict that each must get. */
#include "test_gdeflate.h"
#include "vectors.h"

/* Decodes a stream on all paths; the verdict, and the content in *content. */
static enum ds_codec_error stream_decode(const struct file *packed, struct file *content)
{
    struct walled input = walled_copy(packed->data, packed->size);
    struct gdeflate_stream stream;
    enum ds_codec_error error = gdeflate_stream_parse(&stream, input.data, packed->size);

    *content = (struct file){NULL, 0};
    if (error == DS_CODEC_ERROR_NONE) {
        content->size = stream.content_bytes;
        content->data = malloc(content->size);
        for (uint32_t i = 0; i < stream.tile_count && error == DS_CODEC_ERROR_NONE; i++) {
            struct gdeflate_tile tile = gdeflate_stream_tile(&stream, i);

            error = tile_decode_all(tile.packed, tile.packed_bytes,
                                    content->data + (size_t)i * GDEFLATE_TILE_BYTES, tile.bytes);
        }
    }
    walled_free(&input);
    return error;
}

static void good_check(void *ctx, const char *name, const struct file *packed,
                       const struct file *raw)
{
    struct file content;

    (void)ctx;
    cr_assert_eq(stream_decode(packed, &content), DS_CODEC_ERROR_NONE, "%s", name);
    cr_assert_eq(content.size, raw->size, "%s", name);
    cr_assert_arr_eq(content.data, raw->data, raw->size, "%s", name);
    free(content.data);
}

Test(gdeflate_vectors, reference_streams_decode_to_their_bytes)
{
    if (vectors_there())
        cr_assert_gt(vectors_each("", 1, good_check, NULL), 300);
}

Test(gdeflate_vectors, corner_cases_decode_to_their_bytes)
{
    if (vectors_there())
        cr_assert_gt(vectors_each("crafted/", 1, good_check, NULL), 50);
}

static void bad_check(void *ctx, const char *name, const struct file *packed,
                      enum ds_codec_error verdict)
{
    struct file content;
    enum ds_codec_error error = stream_decode(packed, &content);

    (void)ctx;
    cr_assert_eq(error, verdict, "%s: %s, expected %s", name, ds_codec_error_name(error),
                 ds_codec_error_name(verdict));
    free(content.data);
}

Test(gdeflate_vectors, bad_streams_get_the_strict_verdict)
{
    if (vectors_there())
        cr_assert_gt(bad_vectors_each(1, bad_check, NULL), 150);
}

/* Level -> packed size of one input, all its tiles. */
static size_t packed_size(struct encoder *encoder, const struct file *raw, int level)
{
    static uint8_t packed[GDEFLATE_TILE_PACKED_MAX], back[GDEFLATE_TILE_BYTES];
    size_t total = GDEFLATE_HEADER_BYTES;

    for (size_t at = 0; at < raw->size; at += GDEFLATE_TILE_BYTES) {
        size_t bytes = min_u64(raw->size - at, GDEFLATE_TILE_BYTES);
        size_t size = gdeflate_tile_encode(encoder, level, raw->data + at, bytes, packed);

        cr_assert_leq(size, gdeflate_tile_bound(bytes));
        cr_assert_eq(gdeflate_tile_decode(gdeflate_rounds_for(DS_CODEC_PATH_AUTO, NULL), packed,
                                          size, back, bytes),
                     DS_CODEC_ERROR_NONE);
        cr_assert_arr_eq(back, raw->data + at, bytes);
        total += 4 + size;
    }
    return total;
}

/* Within 1 %. */
static void size_check(struct encoder *encoder, const char *reference_name)
{
    const char *level_at = strstr(reference_name, ".lvl");
    int level = atoi(level_at + 4);
    struct file raw, reference;
    char name[512];
    size_t size;

    snprintf(name, sizeof(name), "%.*s.raw", (int)(level_at - reference_name), reference_name);
    cr_assert(file_read(&raw, "", name), "%s", name);
    cr_assert(file_read(&reference, "", reference_name), "%s", reference_name);
    size = packed_size(encoder, &raw, level);
    cr_assert_leq(size * 100, reference.size * 101, "%s: %zu bytes, reference %zu", reference_name,
                  size, reference.size);
    free(raw.data);
    free(reference.data);
}

Test(gdeflate_vectors, packed_sizes_keep_up_with_the_reference)
{
    struct encoder *encoder;
    struct dirent *entry;
    uint32_t checked = 0;
    DIR *listing;

    if (!vectors_there())
        return;
    encoder = encoder_make();
    listing = opendir(vectors_dir());
    cr_assert_not_null(listing);
    while ((entry = readdir(listing)) != NULL) {
        const char *level = strstr(entry->d_name, ".lvl");

        if (level != NULL &&
            (strcmp(level, ".lvl1.gdef") == 0 || strcmp(level, ".lvl9.gdef") == 0 ||
             strcmp(level, ".lvl12.gdef") == 0)) {
            size_check(encoder, entry->d_name);
            checked++;
        }
    }
    closedir(listing);
    free(encoder);
    cr_assert_gt(checked, 150);
}

Test(gdeflate_vectors, nearly_incompressible_data_stays_in_bounds)
{
    static const char *const names[] = {"near_incompressible_25.raw", "near_incompressible_48.raw",
                                        "near_incompressible_50.raw"};
    struct encoder *encoder;

    if (!vectors_there())
        return;
    encoder = encoder_make();
    for (uint32_t i = 0; i < ARRAY_LENGTH(names); i++) {
        for (int level = 0; level <= GDEFLATE_LEVEL_MAX; level++) {
            struct file raw;

            cr_assert(file_read(&raw, "encoder_stress/", names[i]));
            cr_assert_leq(packed_size(encoder, &raw, level),
                          12 + gdeflate_tile_bound(GDEFLATE_TILE_BYTES));
            free(raw.data);
        }
    }
    free(encoder);
}
