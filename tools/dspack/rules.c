/* Which files are packed how. */
#include "rules.h"

#include "names.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

int level_default(uint32_t codec)
{
    return codec == DS_ARCHIVE_STORED ? 0 : 9;
}

/* One part of a recipe behind the codec. */
static bool part_take(struct recipe *recipe, const char *part)
{
    static const char shuffle[] = "shuffle=";
    uint64_t level;
    int value;

    if (strncmp(part, shuffle, sizeof(shuffle) - 1) == 0) {
        if (!name_parse(transform_names, "--rule: shuffle", part + sizeof(shuffle) - 1, &value))
            return false;
        recipe->transform = (uint32_t)value;
        return true;
    }
    if (!number_parse("--rule: level", part, 0, 22, &level) ||
        !codec_level_good((int)recipe->codec, level))
        return false;
    recipe->level = (int)level;
    return true;
}

static bool recipe_parse(struct recipe *recipe, char *text)
{
    char *rest = NULL, *part = strtok_r(text, ":", &rest);
    int codec;

    if (!name_parse(archive_codec_names, "--rule", part != NULL ? part : "", &codec))
        return false;
    *recipe = (struct recipe){.codec = (uint32_t)codec, .level = level_default((uint32_t)codec)};
    while ((part = strtok_r(NULL, ":", &rest)) != NULL) {
        if (!part_take(recipe, part))
            return false;
    }
    if (recipe->codec == DS_ARCHIVE_STORED && recipe->transform != DS_CODEC_TRANSFORM_NONE) {
        fprintf(stderr, "dspack: --rule: what is not compressed cannot be shuffled\n");
        return false;
    }
    return true;
}

bool rules_add(struct rules *rules, const char *text)
{
    const char *equals = strchr(text, '=');
    struct rule *rule = &rules->list[rules->n];
    char recipe[256];

    if (rules->n == RULES_MAX) {
        fprintf(stderr, "dspack: more than %d rules\n", RULES_MAX);
        return false;
    }
    if (equals == NULL || equals == text || (size_t)(equals - text) >= sizeof(rule->glob) ||
        strlen(equals + 1) >= sizeof(recipe)) {
        fprintf(stderr, "dspack: --rule: '%s' is not GLOB=CODEC[:LEVEL][:shuffle=NAME]\n", text);
        return false;
    }
    snprintf(rule->glob, sizeof(rule->glob), "%.*s", (int)(equals - text), text);
    snprintf(recipe, sizeof(recipe), "%s", equals + 1);
    if (!recipe_parse(&rule->recipe, recipe))
        return false;
    rules->n++;
    return true;
}

const struct recipe *rules_find(const struct rules *rules, const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash != NULL ? slash + 1 : name;

    for (uint32_t i = 0; i < rules->n; i++) {
        const struct rule *rule = &rules->list[i];

        if (fnmatch(rule->glob, strchr(rule->glob, '/') != NULL ? name : last, 0) == 0)
            return &rule->recipe;
    }
    return &rules->fallback;
}

uint32_t rules_codecs(const struct rules *rules)
{
    uint32_t codecs = 1u << rules->fallback.codec;

    for (uint32_t i = 0; i < rules->n; i++)
        codecs |= 1u << rules->list[i].recipe.codec;
    return codecs;
}
