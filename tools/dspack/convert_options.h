/* The command line of dspack. */
#ifndef DSPACK_CONVERT_OPTIONS_H
#define DSPACK_CONVERT_OPTIONS_H

#include <ds/codec.h>

#define PATH_CPU (-1)

struct options {
    bool encode;
    enum ds_codec_format format;
    const char *format_name;
    enum ds_codec_path path;
    int gpu_path; /* enum ds_vulkan_codec_path, or PATH_CPU */
    const char *path_name; /* as given, or NULL */
    uint32_t check; /* enum ds_vulkan_codec_check */
    const char *device; /* part of a Vulkan device's name, or NULL */
    enum ds_codec_transform transform;
    uint32_t threads;
    int level;
    uint64_t size; /* of the content, for formats that do not record it; 0 = not given */
    const char *input;
    const char *output;
};

/* options_parse fills *options. false: one line on stderr said why. */
bool options_parse(struct options *options, int argc, char **argv);

#endif
