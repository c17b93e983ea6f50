/* Reads JSON. */
#ifndef DSBENCH_JSON_READ_H
#define DSBENCH_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_type type;
    const char *key;  /* of a member, else NULL */
    const char *text; /* STRING; UTF-8, without NUL */
    double number;    /* NUMBER; BOOL: 0 or 1 */
    struct json_value *first; /* of an ARRAY or OBJECT */
    struct json_value *next;
};

struct json_document {
    char *text;
    struct json_value *values;
    size_t values_n;
    struct json_value *root;
};

/* json_parse reads one value and nothing but space after it. 0 with *document the caller's, -EINVAL
 * for what is no JSON or nests deeper than 64, -ENOMEM. `bytes` need not end with NUL. */
int json_parse(const char *text, size_t bytes, struct json_document *document);
void json_free(struct json_document *document);

/* json_get follows a path such as "result.latency_us.p50"; arrays on the way are entered at their
 * first element. NULL: no such member, or value is NULL. */
const struct json_value *json_get(const struct json_value *value, const char *path);

/* json_real, json_text: what json_get finds, or `other` where that is no number (bool) or text. */
double json_real(const struct json_value *value, const char *path, double other);
const char *json_text(const struct json_value *value, const char *path, const char *other);

#endif
