/* The options as a table: one row says how an option is read, who takes it, and what help says. */
#ifndef DSBENCH_OPTION_TABLE_H
#define DSBENCH_OPTION_TABLE_H

#include "options.h"

#include <ds/queue.h>
#include <stddef.h>

struct word {
    const char *name;
    int value;
};

enum option_kind {
    OPTION_ON,      /* bool, set */
    OPTION_OFF,     /* bool, cleared */
    OPTION_TEXT,    /* const char * */
    OPTION_SIZE,    /* uint64_t, with a suffix */
    OPTION_NUMBER,  /* uint64_t */
    OPTION_COUNT,   /* uint32_t */
    OPTION_REAL,    /* double */
    OPTION_WORD,    /* int, one of words */
    OPTION_WORDS,   /* uint32_t, mask of 1 << value of words, comma-separated */
    OPTION_SIZES,   /* struct number_list */
    OPTION_NUMBERS, /* struct number_list */
};

struct option_row {
    const char *name;
    enum option_kind kind;
    uint32_t commands; /* mask of 1 << enum command */
    size_t at;         /* in struct options */
    double least, most; /* numbers; exact up to 2^53 and at UINT64_MAX's power of two */
    const struct word *words;
    const char *value; /* what help calls it; with OPTION_REAL also what a complaint does */
    const char *help;  /* lines; NULL = told in the row before */
};

extern const struct option_row option_rows[];
extern const uint32_t option_rows_n;

extern const struct word command_words[];
extern const struct word dest_words[];
extern const struct word priority_words[];

/* What the help of a command begins with. */
const char *command_text(enum command command);

/* option_find returns the row's number, or option_rows_n. */
uint32_t option_find(const char *name);

static inline bool option_given(const struct options *options, const char *name)
{
    return (options->given >> option_find(name) & 1) != 0;
}

/* option_word returns the name of a value of an OPTION_WORD. */
const char *option_word(const char *option, int value);

/* options_check: 0, or -EINVAL after a complaint about options that do not go together.
 * options_default fills what was not given. */
int options_check(const struct options *options);
void options_default(struct options *options);

const char *word_name(const struct word *words, int value);

#endif
