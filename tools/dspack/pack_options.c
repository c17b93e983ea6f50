/* The command line of dspack pack. */
#include "pack.h"

#include "crew.h"
#include "names.h"

#include <getopt.h>
#include <stdio.h>

static bool size_take(const char *option, const char *text, uint64_t min, uint64_t max,
                      uint32_t *value)
{
    uint64_t size;

    if (!size_parse(option, text, min, max, &size))
        return false;
    if ((size & (size - 1)) != 0) {
        fprintf(stderr, "dspack: %s: '%s' is not a power of two\n", option, text);
        return false;
    }
    *value = (uint32_t)size;
    return true;
}

static bool option_apply(struct pack_options *options, int *level, int option, const char *text)
{
    uint64_t number;
    int value;

    switch (option) {
    case 'c':
        if (!name_parse(archive_codec_names, "--codec", text, &value))
            return false;
        options->rules.fallback.codec = (uint32_t)value;
        return true;
    case 'l':
        if (!number_parse("--level", text, 0, 22, &number))
            return false;
        *level = (int)number;
        return true;
    case 's':
        return size_take("--chunk-size", text, DS_ARCHIVE_CHUNK_BYTES_MIN,
                         DS_ARCHIVE_CHUNK_BYTES_MAX, &options->chunk_bytes);
    case 'a':
        return size_take("--align", text, 1, DS_ARCHIVE_ALIGN_BYTES_MAX, &options->align_bytes);
    case 'r':
        return rules_add(&options->rules, text);
    case 't':
        if (!number_parse("--threads", text, 1, CREW_THREADS_MAX, &number))
            return false;
        options->threads = (uint32_t)number;
        return true;
    case 'q':
        options->quiet = true;
        return true;
    default:
        return false;
    }
}

static bool options_read(struct pack_options *options, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"codec", required_argument, NULL, 'c'},
        {"level", required_argument, NULL, 'l'},
        {"chunk-size", required_argument, NULL, 's'},
        {"align", required_argument, NULL, 'a'},
        {"rule", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    int option, level = -1;

    opterr = 0; /* our own line instead */
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == '?') {
            option_unknown(argv, optind - 1);
            return false;
        }
        if (!option_apply(options, &level, option, optarg))
            return false;
    }
    if (level >= 0 && !codec_level_good((int)options->rules.fallback.codec, (uint64_t)level))
        return false;
    options->rules.fallback.level =
        level >= 0 ? level : level_default(options->rules.fallback.codec);
    if (argc - optind < 2) {
        fprintf(stderr, "dspack: pack: an archive and at least one file or folder are needed; "
                        "see dspack --help\n");
        return false;
    }
    options->output = argv[optind];
    options->inputs = argv + optind + 1;
    options->inputs_n = argc - optind - 1;
    return true;
}

int pack_main(int argc, char **argv)
{
    struct pack_options options = {
        .rules.fallback.codec = DS_CODEC_GDEFLATE,
        .chunk_bytes = 256 << 10,
        .align_bytes = 4096,
        .threads = crew_threads_default(),
    };

    return options_read(&options, argc, argv) ? pack_run(&options) : EXIT_ARGUMENTS;
}
