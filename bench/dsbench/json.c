#include "json.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void text_write(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void value_begin(struct json *json, const char *key)
{
    if (json->comma)
        fputc(',', json->out);
    json->comma = true;
    if (key != NULL) {
        text_write(json->out, key);
        fputc(':', json->out);
    }
}

static void level_begin(struct json *json, const char *key, int bracket)
{
    value_begin(json, key);
    fputc(bracket, json->out);
    json->comma = false;
}

static void level_end(struct json *json, int bracket)
{
    fputc(bracket, json->out);
    json->comma = true;
}

void json_object(struct json *json, const char *key)
{
    level_begin(json, key, '{');
}

void json_array(struct json *json, const char *key)
{
    level_begin(json, key, '[');
}

void json_object_end(struct json *json)
{
    level_end(json, '}');
}

void json_array_end(struct json *json)
{
    level_end(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
    value_begin(json, key);
    text_write(json->out, value);
}

void json_integer(struct json *json, const char *key, uint64_t value)
{
    value_begin(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void json_number(struct json *json, const char *key, double value)
{
    value_begin(json, key);
    if (isfinite(value))
        fprintf(json->out, "%.6g", value);
    else
        fputs("null", json->out);
}

void json_bool(struct json *json, const char *key, bool value)
{
    value_begin(json, key);
    fputs(value ? "true" : "false", json->out);
}

/* The reader: pointers into the text; NULL = not JSON. */

static const char *space_skip(const char *text)
{
    while (text != NULL && *text != '\0' && isspace((unsigned char)*text))
        text++;
    return text;
}

static const char *string_skip(const char *text)
{
    if (*text != '"')
        return NULL;
    for (text++; *text != '"'; text++) {
        if (*text == '\\')
            text++;
        if (*text == '\0')
            return NULL;
    }
    return text + 1;
}

/* A value ends where its brackets close: enough for text that a program has written. */
static const char *value_skip(const char *text)
{
    int open = 0;

    for (text = space_skip(text); *text != '\0'; text++) {
        if (*text == '"') {
            text = string_skip(text);
            if (text == NULL)
                return NULL;
            text--;
        } else if (*text == '{' || *text == '[') {
            open++;
        } else if (open > 0 && (*text == '}' || *text == ']')) {
            open--;
        } else if (open == 0 && (*text == ',' || *text == '}' || *text == ']')) {
            return text;
        }
    }
    return open == 0 ? text : NULL;
}

/* The value of a member of the object at `text`. */
static const char *member_find(const char *text, const char *key)
{
    size_t length = strlen(key);

    if (*text != '{')
        return NULL;
    text = space_skip(text + 1);
    while (*text == '"') {
        const char *name = text + 1;

        text = string_skip(text);
        if (text == NULL || *(text = space_skip(text)) != ':')
            return NULL;
        text = space_skip(text + 1);
        if (strncmp(name, key, length) == 0 && name[length] == '"')
            return text;
        text = value_skip(text);
        if (text == NULL || *text != ',')
            return NULL;
        text = space_skip(text + 1);
    }
    return NULL;
}

bool json_find_number(const char *text, const char *const *path, double *value)
{
    char *end;

    text = space_skip(text);
    for (; text != NULL && *path != NULL; path++) {
        while (*text == '[')
            text = space_skip(text + 1);
        text = member_find(text, *path);
    }
    if (text == NULL)
        return false;
    *value = strtod(text, &end);
    return end != text;
}
