#include "json_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 64

struct reader {
    char *at; /* in the document's own copy, which ends with NUL; strings are decoded in place */
    struct json_document *document;
    unsigned nesting;
};

static void space_skip(struct reader *r)
{
    r->at += strspn(r->at, " \t\r\n");
}

static bool take(struct reader *r, char c)
{
    space_skip(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

static bool hex_read(const char *at, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = at[i] == '\0' ? NULL : strchr(digits, at[i] | 0x20);

        if (digit == NULL)
            return false;
        *code = *code << 4 | (unsigned)(digit - digits);
    }
    return true;
}

static char *utf8_write(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* One escape, at the character after the backslash. What it stands for is never longer. Halves of
 * surrogate pairs become a question mark: nothing that is read here needs them. */
static char *escape_read(struct reader *r, char *to)
{
    static const char from[] = "\"\\/bfnrt";
    static const char into[] = "\"\\/\b\f\n\r\t";
    const char *known = *r->at == '\0' ? NULL : strchr(from, *r->at);
    unsigned code;

    if (known != NULL) {
        *to++ = into[known - from];
        r->at++;
        return to;
    }
    if (*r->at != 'u' || !hex_read(r->at + 1, &code) || code == 0)
        return NULL;
    r->at += 5;
    return utf8_write(to, code >= 0xd800 && code < 0xe000 ? '?' : code);
}

static const char *string_read(struct reader *r)
{
    char *text, *to;

    if (!take(r, '"'))
        return NULL;
    text = to = r->at;
    while (*r->at != '"') {
        if ((unsigned char)*r->at < 0x20)
            return NULL;
        if (*r->at != '\\') {
            *to++ = *r->at++;
            continue;
        }
        r->at++;
        to = escape_read(r, to);
        if (to == NULL)
            return NULL;
    }
    r->at++;
    *to = '\0';
    return text;
}

static bool word_read(struct reader *r, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(r->at, word, length) != 0)
        return false;
    r->at += length;
    return true;
}

static struct json_value *value_read(struct reader *r);

/* Members or elements up to the closing bracket. */
static bool children_read(struct reader *r, struct json_value *value, char end)
{
    struct json_value **link = &value->first;

    if (r->nesting == NESTING_MAX)
        return false;
    if (take(r, end))
        return true;
    r->nesting++;
    do {
        const char *key = NULL;
        struct json_value *child;

        if (end == '}' && ((key = string_read(r)) == NULL || !take(r, ':')))
            return false;
        child = value_read(r);
        if (child == NULL)
            return false;
        child->key = key;
        *link = child;
        link = &child->next;
    } while (take(r, ','));
    r->nesting--;
    return take(r, end);
}

static bool number_read(struct reader *r, struct json_value *value)
{
    char *end;

    if (*r->at != '-' && (*r->at < '0' || *r->at > '9'))
        return false;
    value->type = JSON_NUMBER;
    value->number = strtod(r->at, &end);
    if (end == r->at)
        return false;
    r->at = end;
    return true;
}

static bool value_fill(struct reader *r, struct json_value *value)
{
    switch (*r->at) {
    case '{':
    case '[':
        value->type = *r->at == '{' ? JSON_OBJECT : JSON_ARRAY;
        r->at++;
        return children_read(r, value, value->type == JSON_OBJECT ? '}' : ']');
    case '"':
        value->type = JSON_STRING;
        value->text = string_read(r);
        return value->text != NULL;
    case 't':
    case 'f':
        value->type = JSON_BOOL;
        value->number = *r->at == 't';
        return word_read(r, *r->at == 't' ? "true" : "false");
    case 'n':
        return word_read(r, "null");
    default:
        return number_read(r, value);
    }
}

static struct json_value *value_read(struct reader *r)
{
    struct json_value *value = &r->document->values[r->document->values_n++];

    space_skip(r);
    return value_fill(r, value) ? value : NULL;
}

/* No value without a bracket or comma before it, but for the first. */
static size_t values_bound(const char *text, size_t bytes)
{
    size_t n = 2;

    for (size_t i = 0; i < bytes; i++)
        n += text[i] == '[' || text[i] == '{' || text[i] == ',';
    return n;
}

int json_parse(const char *text, size_t bytes, struct json_document *document)
{
    struct reader reader = {.document = document};

    *document = (struct json_document){.text = malloc(bytes + 1)};
    document->values = calloc(values_bound(text, bytes), sizeof(*document->values));
    if (document->text == NULL || document->values == NULL) {
        json_free(document);
        return -ENOMEM;
    }
    memcpy(document->text, text, bytes);
    document->text[bytes] = '\0';
    reader.at = document->text;
    document->root = value_read(&reader);
    space_skip(&reader);
    if (document->root == NULL || reader.at != document->text + bytes) {
        json_free(document);
        return -EINVAL;
    }
    return 0;
}

void json_free(struct json_document *document)
{
    free(document->text);
    free(document->values);
    *document = (struct json_document){0};
}

const struct json_value *json_get(const struct json_value *value, const char *path)
{
    while (value != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");

        while (value != NULL && value->type == JSON_ARRAY)
            value = value->first;
        for (value = value == NULL ? NULL : value->first; value != NULL; value = value->next) {
            if (value->key != NULL && strncmp(value->key, path, length) == 0 &&
                value->key[length] == '\0')
                break;
        }
        path += length + (path[length] == '.');
    }
    return value;
}

double json_real(const struct json_value *value, const char *path, double other)
{
    value = json_get(value, path);
    return value != NULL && (value->type == JSON_NUMBER || value->type == JSON_BOOL)
               ? value->number
               : other;
}

const char *json_text(const struct json_value *value, const char *path, const char *other)
{
    value = json_get(value, path);
    return value != NULL && value->type == JSON_STRING ? value->text : other;
}
