/* The command line: decode|encode, options, two files. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: dspack decode --codec gdeflate|zstd|lz4 [options] IN OUT\n"
    "       dspack encode --codec gdeflate|zstd|lz4 [options] IN OUT\n"
    "\n"
    "  --codec NAME       the format of the packed file\n"
    "  --level N          encode: gdeflate 0..12 (0 = stored), zstd 1..22, lz4 1..12; default 9\n"
    "  --path NAME        decode gdeflate with auto, scalar, avx2 or avx512; default auto\n"
    "  --transform NAME   bc1, bc3, bc4 or bc5: the content is a BC texture; its fields are split\n"
    "                     into streams before packing and put back after unpacking\n"
    "  --threads N        share the tiles of a gdeflate stream among N threads; default 1\n"
    "  --size BYTES       decode: size of the content; needed for lz4, which does not record it\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0; 1 when the data is damaged or a file fails; 2 for bad arguments.\n";

struct name {
    const char *name;
    int value;
};

static const struct name codecs[] = {
    {"gdeflate", DS_CODEC_GDEFLATE}, {"zstd", DS_CODEC_ZSTD}, {"lz4", DS_CODEC_LZ4}, {NULL, 0}};

static const struct name paths[] = {{"auto", DS_CODEC_PATH_AUTO},
                                    {"scalar", DS_CODEC_PATH_SCALAR},
                                    {"avx2", DS_CODEC_PATH_AVX2},
                                    {"avx512", DS_CODEC_PATH_AVX512},
                                    {NULL, 0}};

static const struct name transforms[] = {
    {"none", DS_CODEC_TRANSFORM_NONE}, {"bc1", DS_CODEC_TRANSFORM_BC1},
    {"bc3", DS_CODEC_TRANSFORM_BC3},   {"bc4", DS_CODEC_TRANSFORM_BC4},
    {"bc5", DS_CODEC_TRANSFORM_BC5},   {NULL, 0}};

static bool name_parse(const struct name *names, const char *option, const char *text, int *value)
{
    for (; names->name != NULL; names++) {
        if (strcmp(names->name, text) == 0) {
            *value = names->value;
            return true;
        }
    }
    fprintf(stderr, "dspack: --%s: unknown name '%s'; see dspack --help\n", option, text);
    return false;
}

static bool number_parse(const char *option, const char *text, uint64_t max, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value <= max)
        return true;
    fprintf(stderr, "dspack: --%s: '%s' is not a number from 0 to %llu\n", option, text,
            (unsigned long long)max);
    return false;
}

static bool option_apply(struct options *options, int option, const char *text)
{
    uint64_t number = 0;
    int value = 0;

    switch (option) {
    case 'c':
        if (!name_parse(codecs, "codec", text, &value))
            return false;
        options->format = (enum ds_codec_format)value;
        options->format_name = text;
        return true;
    case 'p':
        if (!name_parse(paths, "path", text, &value))
            return false;
        options->path = (enum ds_codec_path)value;
        return true;
    case 'x':
        if (!name_parse(transforms, "transform", text, &value))
            return false;
        options->transform = (enum ds_codec_transform)value;
        return true;
    case 'l':
        if (!number_parse("level", text, 22, &number))
            return false;
        options->level = (int)number;
        return true;
    case 't':
        if (!number_parse("threads", text, DS_CODEC_THREADS_MAX, &number))
            return false;
        options->threads = (uint32_t)number;
        return true;
    case 's':
        return number_parse("size", text, (uint64_t)1 << 40, &options->size);
    default:
        return false;
    }
}

static bool files_take(struct options *options, int count, char **words)
{
    if (count != 3) {
        fprintf(stderr, "dspack: %s; see dspack --help\n",
                count < 3 ? "decode or encode, an input and an output file are needed"
                          : "too many arguments");
        return false;
    }
    if (strcmp(words[0], "decode") != 0 && strcmp(words[0], "encode") != 0) {
        fprintf(stderr, "dspack: unknown command '%s'; see dspack --help\n", words[0]);
        return false;
    }
    options->encode = words[0][0] == 'e';
    options->input = words[1];
    options->output = words[2];
    return true;
}

enum options_result options_parse(struct options *options, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"codec", required_argument, NULL, 'c'},
        {"level", required_argument, NULL, 'l'},
        {"path", required_argument, NULL, 'p'},
        {"transform", required_argument, NULL, 'x'},
        {"threads", required_argument, NULL, 't'},
        {"size", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    uint32_t version = ds_version();
    int option;

    *options = (struct options){.level = 9};
    opterr = 0; /* our own line instead */
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return OPTIONS_DONE;
        }
        if (option == 'v') {
            printf("dspack %u.%u.%u\n", version >> 16, version >> 8 & 0xff, version & 0xff);
            return OPTIONS_DONE;
        }
        if (option == '?') {
            fprintf(stderr, "dspack: unknown option or missing value: '%s'; see dspack --help\n",
                    argv[optind - 1]);
            return OPTIONS_BAD;
        }
        if (!option_apply(options, option, optarg))
            return OPTIONS_BAD;
    }
    if (!files_take(options, argc - optind, argv + optind))
        return OPTIONS_BAD;
    if (options->format_name == NULL) {
        fprintf(stderr, "dspack: --codec is needed; see dspack --help\n");
        return OPTIONS_BAD;
    }
    return OPTIONS_RUN;
}
