/* Words of the command line. */
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct name archive_codec_names[] = {{"none", DS_ARCHIVE_STORED},
                                           {"gdeflate", DS_CODEC_GDEFLATE},
                                           {"zstd", DS_CODEC_ZSTD},
                                           {"lz4", DS_CODEC_LZ4},
                                           {NULL, 0}};
const struct name codec_names[] = {
    {"gdeflate", DS_CODEC_GDEFLATE}, {"zstd", DS_CODEC_ZSTD}, {"lz4", DS_CODEC_LZ4}, {NULL, 0}};

const struct name transform_names[] = {
    {"none", DS_CODEC_TRANSFORM_NONE}, {"bc1", DS_CODEC_TRANSFORM_BC1},
    {"bc3", DS_CODEC_TRANSFORM_BC3},   {"bc4", DS_CODEC_TRANSFORM_BC4},
    {"bc5", DS_CODEC_TRANSFORM_BC5},   {NULL, 0}};

bool name_parse(const struct name *names, const char *option, const char *text, int *value)
{
    for (; names->name != NULL; names++) {
        if (strcmp(names->name, text) == 0) {
            *value = names->value;
            return true;
        }
    }
    fprintf(stderr, "dspack: %s: unknown name '%s'; see dspack --help\n", option, text);
    return false;
}

const char *name_of(const struct name *names, uint32_t value)
{
    for (; names->name != NULL; names++) {
        if ((uint32_t)names->value == value)
            return names->name;
    }
    return "?";
}

bool number_parse(const char *option, const char *text, uint64_t min, uint64_t max,
                  uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value >= min &&
        *value <= max)
        return true;
    fprintf(stderr, "dspack: %s: '%s' is not a number from %llu to %llu\n", option, text,
            (unsigned long long)min, (unsigned long long)max);
    return false;
}

/* The power of two that a suffix stands for; -1: it is none. */
static int suffix_shift(const char *suffix)
{
    if (suffix[0] == '\0')
        return 0;
    if (suffix[1] != '\0')
        return -1;
    switch (suffix[0]) {
    case 'K':
        return 10;
    case 'M':
        return 20;
    case 'G':
        return 30;
    default:
        return -1;
    }
}

bool size_parse(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    int shift = -1;
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && errno == 0)
        shift = suffix_shift(end);
    if (shift >= 0 && *value <= max >> shift && *value << shift >= min) {
        *value <<= shift;
        return true;
    }
    fprintf(stderr, "dspack: %s: '%s' is not a size from %llu to %llu (K, M and G may follow)\n",
            option, text, (unsigned long long)min, (unsigned long long)max);
    return false;
}

bool codec_level_good(int codec, uint64_t level)
{
    static const struct {
        uint64_t min, max;
    } levels[] = {{0, 22}, {0, 12}, {1, 22}, {1, 12}};

    if (level >= levels[codec].min && level <= levels[codec].max)
        return true;
    fprintf(stderr, "dspack: %s has no level %llu; see dspack --help\n",
            name_of(archive_codec_names, (uint32_t)codec), (unsigned long long)level);
    return false;
}

void option_unknown(char *const *argv, int at)
{
    fprintf(stderr, "dspack: unknown option or missing value: '%s'; see dspack --help\n", argv[at]);
}
