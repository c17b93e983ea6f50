#include "json.h"

#include <inttypes.h>
#include <math.h>

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
