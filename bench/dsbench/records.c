#include "records.h"

#include "base.h"
#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES ((size_t)1 << 16)
#define TEXT_MAX_BYTES ((size_t)256 << 20) /* results have some MiB, and /dev/zero has no end */

/* The whole file, with a NUL behind it. NULL after a complaint. */
static char *text_load(const char *path, size_t *bytes)
{
    FILE *in = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    int error = in == NULL ? -errno : 0;

    *bytes = 0;
    while (error == 0) {
        size_t got;

        if (room - *bytes < READ_BYTES) {
            char *larger = realloc(text, room = room * 2 + 2 * READ_BYTES);

            if (larger == NULL) {
                error = -ENOMEM;
                break;
            }
            text = larger;
        }
        got = fread(text + *bytes, 1, READ_BYTES - 1, in);
        *bytes += got;
        if (*bytes > TEXT_MAX_BYTES) {
            error = -EFBIG;
            break;
        }
        if (got == 0) {
            error = ferror(in) ? -errno : 0;
            break;
        }
    }
    if (in != NULL)
        fclose(in);
    if (error != 0) {
        file_complain(path, error);
        free(text);
        return NULL;
    }
    text[*bytes] = '\0';
    return text;
}

static int record_add(struct records *records, const char *path, const char *line, size_t bytes)
{
    struct record *list = records->list;
    struct record *record;
    int error;

    if ((records->n & (records->n - 1)) == 0) { /* full: the room doubles */
        list = realloc(list, (records->n == 0 ? 1 : (size_t)records->n * 2) * sizeof(*list));
        if (list == NULL)
            return -ENOMEM;
        records->list = list;
    }
    record = &list[records->n];
    record->path = path;
    error = json_parse(line, bytes, &record->document);
    if (error == 0 && strcmp(json_text(record->document.root, "schema", ""), "dsbench/1") != 0) {
        json_free(&record->document);
        error = -EINVAL;
    }
    records->n += error == 0;
    return error;
}

int records_load(const char *path, bool cut_allowed, struct records *records)
{
    size_t bytes;
    char *text = text_load(path, &bytes);
    uint32_t number = 0;
    int error = 0;

    if (text == NULL)
        return -EIO;
    records->whole_bytes = 0;
    for (char *line = text; error == 0 && line < text + bytes;) {
        size_t length = strcspn(line, "\n");
        bool whole = line[length] == '\n';

        number++;
        if (strspn(line, " \t\r") < length && (whole || !cut_allowed))
            error = record_add(records, path, line, length);
        else if (!whole && (*line != '{' || line + length < text + bytes))
            error = -EINVAL; /* not the beginning of a line of ours: another file */
        line += length + whole;
        if (whole)
            records->whole_bytes = (uint64_t)(line - text);
    }
    if (error == -EINVAL)
        complain("%s:%u: no result of dsbench", path, number);
    else if (error != 0)
        file_complain(path, error);
    free(text);
    return error;
}

void records_free(struct records *records)
{
    for (uint32_t i = 0; i < records->n; i++)
        json_free(&records->list[i].document);
    free(records->list);
    *records = (struct records){0};
}

const char *record_key(char *buffer, const struct record *record)
{
    const struct json_value *config = json_get(record->document.root, "config");
    const struct json_value *path = json_get(record->document.root, "path");
    double rate = json_real(config, "rate", 0);
    char size[SIZE_TEXT_BYTES], codec[32] = "", offered[32] = "", clients[32] = "";

    if (strcmp(json_text(config, "codec", "none"), "none") != 0)
        snprintf(codec, sizeof(codec), " %s", json_text(config, "codec", ""));
    if (json_real(config, "clients", 0) > 0)
        snprintf(clients, sizeof(clients), " clients %.0f", json_real(config, "clients", 0));
    if (rate > 0)
        snprintf(offered, sizeof(offered), " rate %.0f", rate);
    snprintf(buffer, RECORD_KEY_BYTES, "%s %s depth %.0f %s %s %s %s %s%s%s%s%s",
             json_text(record->document.root, "command", "?"),
             size_text(size, (uint64_t)json_real(config, "size", 0)), json_real(config, "depth", 0),
             json_text(config, "pattern", "?"), json_text(config, "dest", "?"),
             json_text(path, "read", "?"), json_text(path, "direct", "?"),
             json_text(path, "topology", "?"),
             strcmp(json_text(config, "priority", "normal"), "normal") == 0 ? "" : " ",
             strcmp(json_text(config, "priority", "normal"), "normal") == 0
                 ? ""
                 : json_text(config, "priority", ""),
             json_real(config, "background", 0) != 0 ? " background" : "", codec);
    if (json_get(config, "copy_path") != NULL) /* frametime */
        snprintf(buffer + strlen(buffer), RECORD_KEY_BYTES - strlen(buffer), " by %s groups %.0f",
                 json_text(config, "copy_path", "?"), json_real(config, "scatter_groups", 0));
    snprintf(buffer + strlen(buffer), RECORD_KEY_BYTES - strlen(buffer), "%s%s", offered, clients);
    return buffer;
}
