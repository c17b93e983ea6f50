/* The command line: decode|encode, options, two files. */
#include "convert_options.h"

#include "names.h"

#include <ds/vulkan_codec.h>

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define GPU 100 /* a path of the GPU's: this and enum ds_vulkan_codec_path */

static const struct name paths[] = {{"auto", DS_CODEC_PATH_AUTO},
                                    {"scalar", DS_CODEC_PATH_SCALAR},
                                    {"avx2", DS_CODEC_PATH_AVX2},
                                    {"avx512", DS_CODEC_PATH_AVX512},
                                    {"gpu", GPU + DS_VULKAN_CODEC_PATH_AUTO},
                                    {"gpu-portable", GPU + DS_VULKAN_CODEC_PATH_PORTABLE},
                                    {"gpu-subgroup", GPU + DS_VULKAN_CODEC_PATH_SUBGROUP},
                                    {"nv", GPU + DS_VULKAN_CODEC_PATH_NV},
                                    {NULL, 0}};

static const struct name checks[] = {{"auto", DS_VULKAN_CODEC_CHECK_AUTO},
                                     {"none", DS_VULKAN_CODEC_CHECK_NONE},
                                     {"cpu", DS_VULKAN_CODEC_CHECK_CPU},
                                     {NULL, 0}};

static bool path_apply(struct options *options, const char *text)
{
    int value = 0;

    if (!name_parse(paths, "--path", text, &value))
        return false;
    options->path_name = text;
    options->path = value < GPU ? (enum ds_codec_path)value : DS_CODEC_PATH_AUTO;
    options->gpu_path = value < GPU ? PATH_CPU : value - GPU;
    return true;
}

static bool option_apply(struct options *options, int option, const char *text)
{
    uint64_t number = 0;
    int value = 0;

    switch (option) {
    case 'c':
        if (!name_parse(codec_names, "--codec", text, &value))
            return false;
        options->format = (enum ds_codec_format)value;
        options->format_name = text;
        return true;
    case 'p':
        return path_apply(options, text);
    case 'k':
        if (!name_parse(checks, "--check", text, &value))
            return false;
        options->check = (uint32_t)value;
        return true;
    case 'd':
        options->device = text;
        return true;
    case 'x':
        if (!name_parse(transform_names, "--transform", text, &value))
            return false;
        options->transform = (enum ds_codec_transform)value;
        return true;
    case 'l':
        if (!number_parse("--level", text, 0, 22, &number))
            return false;
        options->level = (int)number;
        return true;
    case 't':
        if (!number_parse("--threads", text, 0, DS_CODEC_THREADS_MAX, &number))
            return false;
        options->threads = (uint32_t)number;
        return true;
    case 's':
        return number_parse("--size", text, 0, (uint64_t)1 << 40, &options->size);
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

bool options_parse(struct options *options, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"codec", required_argument, NULL, 'c'},
        {"level", required_argument, NULL, 'l'},
        {"path", required_argument, NULL, 'p'},
        {"check", required_argument, NULL, 'k'},
        {"device", required_argument, NULL, 'd'},
        {"transform", required_argument, NULL, 'x'},
        {"threads", required_argument, NULL, 't'},
        {"size", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *options = (struct options){.level = 9, .gpu_path = PATH_CPU};
    opterr = 0; /* our own line instead */
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == '?') {
            option_unknown(argv, optind - 1);
            return false;
        }
        if (!option_apply(options, option, optarg))
            return false;
    }
    if (!files_take(options, argc - optind, argv + optind))
        return false;
    if (options->format_name == NULL) {
        fprintf(stderr, "dspack: --codec is needed; see dspack --help\n");
        return false;
    }
    if (options->gpu_path != PATH_CPU &&
        (options->encode || options->format != DS_CODEC_GDEFLATE)) {
        fprintf(stderr, "dspack: --path %s decodes gdeflate, and nothing else\n",
                options->path_name);
        return false;
    }
    if (options->gpu_path == PATH_CPU &&
        (options->check != DS_VULKAN_CODEC_CHECK_AUTO || options->device != NULL)) {
        fprintf(stderr, "dspack: --check and --device go with a --path of the GPU's\n");
        return false;
    }
    return true;
}
