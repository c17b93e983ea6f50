/* The GDeflate vectors, when they are at hand: streams of the reference compressor, corner cases,
 * and bad streams with the verdict that each must get. DS_VECTORS_DIR (CMake, or the environment)
 * says where they are. */
#include "test_gdeflate.h"

#include <dirent.h>

struct file {
    uint8_t *data;
    size_t size;
};

static const char *vectors_dir(void)
{
    const char *named = getenv("DS_VECTORS_DIR");

    return named != NULL ? named : DS_VECTORS_DIR;
}

static bool file_read(struct file *file, const char *folder, const char *name)
{
    char path[4096];
    FILE *stream;

    snprintf(path, sizeof(path), "%s/%s%s", vectors_dir(), folder, name);
    stream = fopen(path, "rb");
    if (stream == NULL)
        return false;
    fseek(stream, 0, SEEK_END);
    file->size = (size_t)ftell(stream);
    rewind(stream);
    file->data = malloc(file->size + 1);
    cr_assert_eq(fread(file->data, 1, file->size, stream), file->size);
    file->data[file->size] = 0;
    fclose(stream);
    return true;
}

static bool vectors_there(void)
{
    DIR *folder = opendir(vectors_dir());

    if (folder != NULL) {
        closedir(folder);
        return true;
    }
    cr_skip_test("skipped: no vectors in %s", vectors_dir());
    return false;
}

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

static uint32_t good_streams_check(const char *folder)
{
    char path[4096], raw_name[512];
    struct dirent *entry;
    uint32_t checked = 0;
    DIR *listing;

    snprintf(path, sizeof(path), "%s/%s", vectors_dir(), folder);
    listing = opendir(path);
    cr_assert_not_null(listing);
    while ((entry = readdir(listing)) != NULL) {
        const char *level = strstr(entry->d_name, ".lvl");
        struct file packed, raw, content;

        if (level == NULL || !file_read(&packed, folder, entry->d_name))
            continue;
        snprintf(raw_name, sizeof(raw_name), "%.*s.raw", (int)(level - entry->d_name),
                 entry->d_name);
        cr_assert(file_read(&raw, folder, raw_name), "%s", raw_name);
        cr_assert_eq(stream_decode(&packed, &content), DS_CODEC_ERROR_NONE, "%s", entry->d_name);
        cr_assert_eq(content.size, raw.size, "%s", entry->d_name);
        cr_assert_arr_eq(content.data, raw.data, raw.size, "%s", entry->d_name);
        free(packed.data);
        free(raw.data);
        free(content.data);
        checked++;
    }
    closedir(listing);
    return checked;
}

Test(gdeflate_vectors, reference_streams_decode_to_their_bytes)
{
    if (vectors_there())
        cr_assert_gt(good_streams_check(""), 300);
}

Test(gdeflate_vectors, corner_cases_decode_to_their_bytes)
{
    if (vectors_there())
        cr_assert_gt(good_streams_check("crafted/"), 50);
}

/* What the table's verdict says in words, as our error. */
static enum ds_codec_error verdict_of(const char *text)
{
    static const struct {
        const char *words;
        enum ds_codec_error error;
    } verdicts[] = {
        {"short header", DS_CODEC_ERROR_HEADER_SHORT},
        {"bad magic", DS_CODEC_ERROR_MAGIC},
        {"unknown codec id", DS_CODEC_ERROR_ID},
        {"tile size index", DS_CODEC_ERROR_TILE_SIZE_INDEX},
        {"reserved bits", DS_CODEC_ERROR_RESERVED_BITS},
        {"zero tiles", DS_CODEC_ERROR_NO_TILES},
        {"last tile size", DS_CODEC_ERROR_LAST_TILE_SIZE},
        {"short tile table", DS_CODEC_ERROR_TABLE_SHORT},
        {"tile offset not", DS_CODEC_ERROR_TILE_ALIGN},
        {"tile shorter than", DS_CODEC_ERROR_TILE_SHORT},
        {"tile runs past", DS_CODEC_ERROR_TILE_RANGE},
        {"read past end", DS_CODEC_ERROR_INPUT_END},
        {"reserved block type", DS_CODEC_ERROR_BLOCK_TYPE},
        {"over-subscribed", DS_CODEC_ERROR_CODE_OVERSUBSCRIBED},
        {"incomplete code", DS_CODEC_ERROR_CODE_INCOMPLETE},
        {"empty code", DS_CODEC_ERROR_CODE_EMPTY},
        {"no end-of-block", DS_CODEC_ERROR_NO_END_OF_BLOCK},
        {"nothing to repeat", DS_CODEC_ERROR_REPEAT_FIRST},
        {"code lengths overrun", DS_CODEC_ERROR_LENGTHS_OVERRUN},
        {"286/287", DS_CODEC_ERROR_SYMBOL},
        {"no distance code", DS_CODEC_ERROR_NO_DISTANCE_CODE},
        {"distance reaches", DS_CODEC_ERROR_DISTANCE},
        {"overruns output", DS_CODEC_ERROR_OUTPUT_OVERRUN},
        {"tile produced", DS_CODEC_ERROR_OUTPUT_UNDERRUN},
    };

    for (uint32_t i = 0; i < ARRAY_LENGTH(verdicts); i++) {
        if (strstr(text, verdicts[i].words) != NULL)
            return verdicts[i].error;
    }
    cr_assert_fail("no such verdict: %s", text);
    return DS_CODEC_ERROR_NONE;
}

Test(gdeflate_vectors, bad_streams_get_the_strict_verdict)
{
    uint32_t checked = 0;
    struct file table;
    char *line, *rest;

    if (!vectors_there())
        return;
    cr_assert(file_read(&table, "malformed/", "malformed.tsv"));
    line = strtok_r((char *)table.data, "\n", &rest); /* the head */
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
        char name[256], verdict[256];
        struct file packed, content;
        enum ds_codec_error error;

        cr_assert_eq(sscanf(line, "%200[^\t]\t%*[^\t]\t%*[^\t]\t%255[^\t]", name, verdict), 2);
        strncat(name, ".gdef", sizeof(name) - strlen(name) - 1);
        cr_assert(file_read(&packed, "malformed/", name), "%s", name);
        error = stream_decode(&packed, &content);
        cr_assert_eq(error,
                     strncmp(verdict, "accept", 6) == 0 ? DS_CODEC_ERROR_NONE : verdict_of(verdict),
                     "%s: %s, expected %s", name, ds_codec_error_name(error), verdict);
        free(packed.data);
        free(content.data);
        checked++;
    }
    free(table.data);
    cr_assert_gt(checked, 150);
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
    cr_assert_leq(size * 100, reference.size * 101, "%s: %zu bytes, reference %zu",
                  reference_name, size, reference.size);
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
