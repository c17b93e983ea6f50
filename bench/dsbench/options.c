#include "options.h"

#include "base.h"
#include "coder.h"
#include "option_table.h"

#include <ds/ds.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_FIRST  256 /* what getopt_long returns for the first row */
#define LONG_HELP   (LONG_FIRST + 64)
#define HELP_INDENT 21

static const char usage_text[] =
    "usage: dsbench COMMAND [OPTION...] [FILE...]\n"
    "\n"
    "  demo      stream files to the GPU at several request sizes and verify every byte\n"
    "  run       one workload through the engine\n"
    "  compare   the same workload through the engine and its peers, in turn\n"
    "  marks     all comparisons that the engine is held to, beside their goals\n"
    "  sweep     sizes by depths by topologies; goes on where it was interrupted\n"
    "  codec     how fast the codecs pack and unpack, side by side\n"
    "  frametime how long frames take while the engine streams\n"
    "  report    saved results as one HTML page with charts\n"
    "  diff      what changed between two files of results\n"
    "\n"
    "dsbench COMMAND --help lists the options, dsbench --version prints the version.\n";

const char *command_name(enum command command)
{
    return word_name(command_words, (int)command);
}

const char *priority_name(uint32_t priority)
{
    return word_name(priority_words, (int)priority);
}

const char *dest_name(enum dest dest)
{
    return word_name(dest_words, (int)dest);
}

static int word_parse(const char *option, const char *text, const struct word *words, int *value)
{
    char choices[128] = "";

    for (const struct word *word = words; word->name != NULL; word++) {
        if (strcmp(word->name, text) == 0) {
            *value = word->value;
            return 0;
        }
        snprintf(choices + strlen(choices), sizeof(choices) - strlen(choices), "%s%s",
                 word == words ? "" : ", ", word->name);
    }
    complain("%s: \"%s\" is none of %s", option, text, choices);
    return -EINVAL;
}

static uint64_t bound_u64(double bound)
{
    return bound >= 0x1p64 ? UINT64_MAX : (uint64_t)bound;
}

/* A number with an optional suffix; the whole text must be used. */
static int number_parse(const struct option_row *row, const char *text, bool suffixes,
                        uint64_t *value)
{
    uint64_t least = bound_u64(row->least);
    uint64_t most = bound_u64(row->most);
    unsigned shift = 0;
    char *end;
    char least_text[SIZE_TEXT_BYTES], most_text[SIZE_TEXT_BYTES];

    errno = 0;
    *value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9')
        end = (char *)(uintptr_t)text;
    if (suffixes && end != text && *end != '\0') {
        shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : 0;
        shift = *end == 'G' || *end == 'g' ? 30 : shift;
        end += shift != 0;
    }
    if (end == text || *end != '\0') {
        complain("--%s: \"%s\" is not a %s", row->name, text,
                 suffixes ? "size: digits and an optional K, M or G" : "whole number");
        return -EINVAL;
    }
    if (errno == ERANGE || *value > UINT64_MAX >> shift || *value << shift < least ||
        *value << shift > most) {
        complain("--%s: \"%s\" is not within %s to %s", row->name, text,
                 size_text(least_text, least), size_text(most_text, most));
        return -EINVAL;
    }
    *value <<= shift;
    return 0;
}

static int real_parse(const struct option_row *row, const char *text, double *value)
{
    char *end;

    *value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(*value) || *value < row->least ||
        *value > row->most) {
        complain("--%s: \"%s\" is not a number%s within %g to %g", row->name, text,
                 strcmp(row->value, "S") == 0 ? " of seconds" : "", row->least, row->most);
        return -EINVAL;
    }
    return 0;
}

/* Cuts the next item off a comma-separated list. False: there is none. */
static bool item_next(const char **text, char *item, size_t item_bytes)
{
    size_t length = strcspn(*text, ",");

    if (**text == '\0')
        return false;
    snprintf(item, item_bytes, "%.*s", (int)length, *text);
    *text += length + ((*text)[length] == ',');
    return true;
}

static int list_refuse(const struct option_row *row)
{
    int length = (int)strlen(row->name);
    bool ies = strcmp(row->name + length - 3, "ies") == 0;

    complain("--%s: no %.*s%s is named", row->name, length - (ies ? 3 : 1), row->name,
             ies ? "y" : "");
    return -EINVAL;
}

static int words_parse(const struct option_row *row, const char *text, uint32_t *mask)
{
    char option[32], item[32];
    int value;

    *mask = 0;
    snprintf(option, sizeof(option), "--%s", row->name);
    while (item_next(&text, item, sizeof(item))) {
        if (word_parse(option, item, row->words, &value) != 0)
            return -EINVAL;
        *mask |= 1u << value;
    }
    return *mask == 0 ? list_refuse(row) : 0;
}

static int numbers_parse(const struct option_row *row, const char *text, struct number_list *list)
{
    char item[32];

    list->n = 0;
    while (item_next(&text, item, sizeof(item))) {
        if (list->n == LIST_MAX) {
            complain("--%s: more than %d of them", row->name, LIST_MAX);
            return -EINVAL;
        }
        if (number_parse(row, item, row->kind == OPTION_SIZES, &list->at[list->n++]) != 0)
            return -EINVAL;
    }
    return list->n == 0 ? list_refuse(row) : 0;
}

static int count_parse(const struct option_row *row, const char *text, uint32_t *value)
{
    uint64_t number;
    int error = number_parse(row, text, false, &number);

    if (error == 0)
        *value = (uint32_t)number;
    return error;
}

static int value_parse(const struct option_row *row, const char *text, void *at)
{
    char option[32];

    switch (row->kind) {
    case OPTION_ON:
    case OPTION_OFF:
        *(bool *)at = row->kind == OPTION_ON;
        return 0;
    case OPTION_TEXT:
        *(const char **)at = text;
        return 0;
    case OPTION_SIZE:
    case OPTION_NUMBER:
        return number_parse(row, text, row->kind == OPTION_SIZE, at);
    case OPTION_COUNT:
        return count_parse(row, text, at);
    case OPTION_REAL:
        return real_parse(row, text, at);
    case OPTION_WORD:
        snprintf(option, sizeof(option), "--%s", row->name);
        return word_parse(option, text, row->words, at);
    case OPTION_WORDS:
        return words_parse(row, text, at);
    default:
        return numbers_parse(row, text, at);
    }
}

static int option_apply(struct options *o, uint32_t index, const char *text)
{
    const struct option_row *row = &option_rows[index];

    if ((row->commands >> o->command & 1) == 0) {
        char takers[128] = "";

        for (uint32_t i = 0; i < COMMAND_COUNT; i++) {
            if ((row->commands >> i & 1) != 0)
                snprintf(takers + strlen(takers), sizeof(takers) - strlen(takers), "%s%s",
                         takers[0] == '\0' ? "" : ", ", command_name((enum command)i));
        }
        complain("--%s is for %s", row->name, takers);
        return -EINVAL;
    }
    o->given |= (uint64_t)1 << index;
    return value_parse(row, text, (char *)o + row->at);
}

static void row_print(const struct option_row *row)
{
    int column = printf("  --%s%s%s", row->name, row->value != NULL ? " " : "",
                        row->value != NULL ? row->value : "");

    for (const char *line = row->help; *line != '\0';) {
        size_t length = strcspn(line, "\n");

        printf("%*s%.*s\n", column < HELP_INDENT ? HELP_INDENT - column : 1, "", (int)length,
               line);
        column = 0;
        line += length + (line[length] == '\n');
    }
}

static void help_print(enum command command)
{
    printf("%s\n", command_text(command));
    for (uint32_t i = 0; i < option_rows_n; i++) {
        if ((option_rows[i].commands >> command & 1) != 0)
            row_print(&option_rows[i]);
    }
    fputs("BYTES take the suffixes K, M and G (1024, 1024^2, 1024^3).\n", stdout);
}

static int option_refuse(const struct options *o, char **argv, int id)
{
    char letter[3] = {'-', (char)optopt, '\0'};
    bool is_letter = optopt > 0 && optopt < LONG_FIRST;
    const char *word = is_letter ? letter : argv[optind - 1];
    const char *why = "unknown option";

    if (id == ':')
        why = "a value is missing";
    else if (optopt >= LONG_FIRST)
        why = "takes no value";
    complain("%s: %s (see dsbench %s --help)", word, why, command_name(o->command));
    return EXIT_BAD_USAGE;
}

static void long_options_make(struct option *options)
{
    for (uint32_t i = 0; i < option_rows_n; i++) {
        const struct option_row *row = &option_rows[i];
        bool flag = row->kind == OPTION_ON || row->kind == OPTION_OFF;

        options[i] = (struct option){.name = row->name,
                                     .has_arg = flag ? no_argument : required_argument,
                                     .val = LONG_FIRST + (int)i};
    }
    options[option_rows_n] = (struct option){.name = "help", .val = LONG_HELP};
    options[option_rows_n + 1] = (struct option){0};
}

static int arguments_parse(int argc, char **argv, struct options *o)
{
    struct option long_options[LONG_HELP - LONG_FIRST + 2];
    int id;

    long_options_make(long_options);
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":o:", long_options, NULL)) != -1) {
        if (id == 'o')
            id = LONG_FIRST + (int)option_find("out");
        if (id == '?' || id == ':')
            return option_refuse(o, argv, id);
        if (id == LONG_HELP) {
            help_print(o->command);
            return 0;
        }
        if (option_apply(o, (uint32_t)(id - LONG_FIRST), optarg) != 0)
            return EXIT_BAD_USAGE;
    }
    return -1;
}

/* What stands before the options. -1 to go on, else the exit status. */
static int command_parse(int argc, char **argv, struct options *options)
{
    int command;

    if (argc < 2) {
        complain("no command");
        fputs(usage_text, stderr);
        return EXIT_BAD_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(usage_text, stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        uint32_t version = ds_version();

        printf("dsbench %u.%u.%u\n", version >> 16, version >> 8 & 255, version & 255);
        return 0;
    }
    if (word_parse("command", argv[1], command_words, &command) != 0)
        return EXIT_BAD_USAGE;
    options->command = (enum command)command;
    return -1;
}

int options_parse(int argc, char **argv, struct options *options)
{
    int status;

    *options = (struct options){.warm = true, .registers = true, .lanes = 1, .seed = 1};
    status = command_parse(argc, argv, options);
    if (status < 0)
        status = arguments_parse(argc - 1, argv + 1, options);
    if (status >= 0)
        return status;
    options->files = (const char **)(argv + 1 + optind);
    options->files_n = (uint32_t)(argc - 1 - optind);
    if (options->command == COMMAND_DEMO)
        options->verify = true;
    if (options_check(options) != 0)
        return EXIT_BAD_USAGE;
    options_default(options);
    return -1;
}
