/* Which files are packed how: 'GLOB=CODEC[:LEVEL][:shuffle=TRANSFORM]'. */
#ifndef DSPACK_RULES_H
#define DSPACK_RULES_H

#include "coder.h"

#define RULES_MAX 64

struct rule {
    char glob[256];
    struct recipe recipe;
};

struct rules {
    struct recipe fallback; /* for files that no rule is for */
    struct rule list[RULES_MAX];
    uint32_t n;
};

/* rules_add takes one --rule. false: one line was printed. */
bool rules_add(struct rules *rules, const char *text);

/* rules_find returns the recipe of the first rule that matches: a glob with a '/' is compared with
 * the whole name, another one with the last part of it. */
const struct recipe *rules_find(const struct rules *rules, const char *name);

/* rules_codecs returns the bits of all codecs that may be needed. */
uint32_t rules_codecs(const struct rules *rules);

/* level_default is what a codec is used at when no level is given. */
int level_default(uint32_t codec);

#endif
