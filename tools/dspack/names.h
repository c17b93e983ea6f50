/* Words of the command line: codecs, transforms, numbers, sizes. */
#ifndef DSPACK_NAMES_H
#define DSPACK_NAMES_H

#include <ds/archive.h>

enum { EXIT_OK = 0, EXIT_DATA = 1, EXIT_ARGUMENTS = 2 };

struct name {
    const char *name;
    int value;
};

/* Ended by a NULL name. "none" is DS_ARCHIVE_STORED and DS_CODEC_TRANSFORM_NONE. */
extern const struct name codec_names[];
extern const struct name archive_codec_names[]; /* and none */
extern const struct name transform_names[];

/* Each prints one line to stderr and returns false when `text` is not as it should be; `option` is
 * what to call it there, such as "--level". size_parse takes the suffixes K, M and G. */
bool name_parse(const struct name *names, const char *option, const char *text, int *value);
bool number_parse(const char *option, const char *text, uint64_t min, uint64_t max,
                  uint64_t *value);
bool size_parse(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* codec_level_good: false, and one line, when the codec has no such level. */
bool codec_level_good(int codec, uint64_t level);

/* name_of returns the name of a value, "?" when there is none. */
const char *name_of(const struct name *names, uint32_t value);

/* option_unknown prints the line for a '?' of getopt_long. */
void option_unknown(char *const *argv, int at);

#endif
