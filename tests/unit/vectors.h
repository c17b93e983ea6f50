/* The GDeflate vectors, when they are at hand: DS_VECTORS_DIR (CMake, or the environment) says
 * where they are. DS_VECTORS_PART=N in the environment takes every Nth only, always the same. */
#ifndef TEST_VECTORS_H
#define TEST_VECTORS_H

#include "engine/codec/gdeflate.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file {
    uint8_t *data;
    size_t size;
};

static inline const char *vectors_dir(void)
{
    const char *named = getenv("DS_VECTORS_DIR");

    return named != NULL ? named : DS_VECTORS_DIR;
}

static inline bool file_read(struct file *file, const char *folder, const char *name)
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

static inline bool vectors_there(void)
{
    DIR *folder = opendir(vectors_dir());

    if (folder != NULL) {
        closedir(folder);
        return true;
    }
    cr_skip_test("skipped: no vectors in %s", vectors_dir());
    return false;
}

/* 1: all of them. Sanitizers slow the tests down, but not what they find. */
static inline uint32_t vectors_part(uint32_t usual)
{
    const char *named = getenv("DS_VECTORS_PART");
    int part = named != NULL ? atoi(named) : 0;

    return part > 0 ? (uint32_t)part : usual;
}

static inline bool vector_taken(const char *name, uint32_t part)
{
    uint32_t hash = 2166136261u;

    for (const char *at = name; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return (hash >> 8) % part == 0;
}

/* Calls `each` for the streams of a folder ("" or "crafted/"), with what their content must be, and
 * returns their number. */
static inline uint32_t vectors_each(const char *folder, uint32_t part,
                                    void (*each)(void *ctx, const char *name,
                                                 const struct file *packed,
                                                 const struct file *content),
                                    void *ctx)
{
    char path[4096], raw_name[512];
    struct dirent *entry;
    uint32_t n = 0;
    DIR *listing;

    snprintf(path, sizeof(path), "%s/%s", vectors_dir(), folder);
    listing = opendir(path);
    cr_assert_not_null(listing, "%s", path);
    while ((entry = readdir(listing)) != NULL) {
        const char *level = strstr(entry->d_name, ".lvl");
        struct file packed, raw;

        if (level == NULL || !vector_taken(entry->d_name, part) ||
            !file_read(&packed, folder, entry->d_name))
            continue;
        snprintf(raw_name, sizeof(raw_name), "%.*s.raw", (int)(level - entry->d_name),
                 entry->d_name);
        cr_assert(file_read(&raw, folder, raw_name), "%s", raw_name);
        each(ctx, entry->d_name, &packed, &raw);
        free(packed.data);
        free(raw.data);
        n++;
    }
    closedir(listing);
    return n;
}

/* What the table's verdict says in words, as our error. */
static inline enum ds_codec_error verdict_of(const char *text)
{
    static const struct {
        const char *words;
        enum ds_codec_error error;
    } verdicts[] = {
        {"accept", DS_CODEC_ERROR_NONE},
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

/* Calls `each` for the bad streams, with the verdict that a strict decoder reaches. */
static inline uint32_t bad_vectors_each(uint32_t part,
                                        void (*each)(void *ctx, const char *name,
                                                     const struct file *packed,
                                                     enum ds_codec_error verdict),
                                        void *ctx)
{
    uint32_t n = 0;
    struct file table;
    char *line, *rest;

    cr_assert(file_read(&table, "malformed/", "malformed.tsv"));
    line = strtok_r((char *)table.data, "\n", &rest); /* the head */
    while ((line = strtok_r(NULL, "\n", &rest)) != NULL) {
        char name[256], verdict[256];
        struct file packed;

        cr_assert_eq(sscanf(line, "%200[^\t]\t%*[^\t]\t%*[^\t]\t%255[^\t]", name, verdict), 2);
        strncat(name, ".gdef", sizeof(name) - strlen(name) - 1);
        if (!vector_taken(name, part))
            continue;
        cr_assert(file_read(&packed, "malformed/", name), "%s", name);
        each(ctx, name, &packed, verdict_of(verdict));
        free(packed.data);
        n++;
    }
    free(table.data);
    return n;
}

#endif
